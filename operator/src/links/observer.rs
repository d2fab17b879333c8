//! Keeps the observation of one Broker fresh and wakes the objects that a change concerns.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use entente_broker::admin::BrokerAdmin;
use entente_broker::amqp::BrokerEvent;
use entente_core::topology::affected::{Affected, present};
use entente_core::topology::names::Owner;
use entente_core::topology::observed::ObservedVirtualHost;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::events::{self, Heard};
use super::gathered::{Batch, Gathered};
use super::host::Host;
use super::link::Link;
use super::registry::{Access, Observation};
use super::wakers::Wakers;
use crate::activity::Activity;
use crate::metrics::Metrics;

/// How often counters are read. They are no fresher in the broker.
const FIGURES_EVERY: Duration = Duration::from_secs(5);
/// The same while somebody waits for something else.
const FIGURES_AT_LEAST_EVERY: Duration = Duration::from_secs(20);
/// Queues whose figures are rewritten at one reading, at most: status is no place for a live feed.
const FIGURES_AT_ONCE: usize = 100;
/// How long a Broker is silent before its Queues say so.
const SILENCE: Duration = Duration::from_secs(10);
/// Changes of users are gathered for so long: a Client is made by several.
const GATHER_USERS: Duration = Duration::from_millis(300);
/// How soon contracts count what was refused, and how often at most: a client that tries and tries must not have statuses written over and over.
const COUNT_FIRST: Duration = Duration::from_secs(1);
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// Virtual hosts read at once.
const READS_AT_ONCE: usize = 4;

/// The task that observes.
#[derive(Debug)]
pub struct Observer {
    /// The Broker.
    pub link: Arc<Link>,
    /// How it is reached.
    pub access: Access,
    /// Name of this process.
    pub replica: String,
    /// How often, and by what.
    pub observation: Observation,
    /// Whether somebody waits.
    pub activity: Activity,
    /// Figures.
    pub metrics: Metrics,
    /// Whom to wake.
    pub wakers: Wakers,
}

impl Observer {
    /// Runs until it is aborted with its link.
    pub async fn run(self) {
        let (tell, mut heard) = mpsc::channel(256);
        let listener = events::listen(Arc::clone(&self.link), self.access.clone(), self.replica.clone(), tell);
        let mut listening = pin!(async {
            if self.observation.events {
                listener.await;
            }
            // Without events, wait for ever: the channel then never says anything.
            std::future::pending::<()>().await;
        });
        let mut resync = interval(self.observation.resync);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        resync.reset();
        let mut figures = interval(FIGURES_EVERY);
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut figures_read = Instant::now();
        let mut gathered = Gathered::default();
        let mut silent = false;
        let mut users_due: Option<Instant> = None;
        let (mut refusals_due, mut refusals_told): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            let due = gathered.due();
            tokio::select! {
                () = &mut listening => {}
                Some(heard) = heard.recv() => match heard {
                    Heard::Happened(event) => {
                        self.metrics.broker_events.inc();
                        if events::is_refusal(&event) {
                            if self.link.refusals.hear(&event, Timestamp::now()) {
                                let soon = Instant::now() + COUNT_FIRST;
                                refusals_due.get_or_insert(refusals_told.map_or(soon, |told| soon.max(told + COUNT_EVERY)));
                            }
                        } else if events::is_about_users(&event) {
                            users_due.get_or_insert_with(|| Instant::now() + GATHER_USERS);
                        } else {
                            gathered.add(event);
                        }
                    }
                    // What happened while nobody listened is not known.
                    Heard::Connected => self.read_all(&mut gathered).await,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.answer(&mut gathered).await,
                () = sleep_until(users_due.unwrap_or_else(Instant::now)), if users_due.is_some() => {
                    users_due = None;
                    self.read_users().await;
                }
                () = sleep_until(refusals_due.unwrap_or_else(Instant::now)), if refusals_due.is_some() => {
                    (refusals_due, refusals_told) = (None, Some(Instant::now()));
                    self.tell_refusals();
                }
                _ = resync.tick() => self.read_all(&mut gathered).await,
                _ = figures.tick() => {
                    if !self.activity.is_busy() || figures_read.elapsed() >= FIGURES_AT_LEAST_EVERY {
                        figures_read = Instant::now();
                        self.read_figures().await;
                    }
                    self.tell_silence(&mut silent).await;
                }
            }
        }
    }

    async fn read_all(&self, gathered: &mut Gathered) {
        let read = |host: Arc<Host>| async move { (!self.read_host(&host).await).then(|| host.name.clone()) };
        let failed: Vec<_> = stream::iter(self.link.hosts()).map(read).buffer_unordered(READS_AT_ONCE).collect().await;
        failed.into_iter().flatten().for_each(|name| gathered.unread(name));
        self.read_users().await;
    }

    /// Reads what was heard of, and notes what must be read again.
    async fn answer(&self, gathered: &mut Gathered) {
        let mut batches = gathered.take(Instant::now());
        let of_interest: Vec<_> = self
            .link
            .hosts()
            .into_iter()
            .filter_map(|host| {
                let mut batch = batches.remove(&host.name)?;
                let mut news = std::mem::take(&mut batch.doubtful);
                // Each is asked, not only the first: the echoes of our own writes are counted.
                news.extend(std::mem::take(&mut batch.fresh).into_iter().filter(|event| host.is_news(event)));
                (batch.unread || !news.is_empty()).then_some((host, batch, news))
            })
            .collect();
        let read = |(host, batch, mut news): (Arc<Host>, Batch, Vec<BrokerEvent>)| async move {
            let failed = !self.read_host(&host).await;
            // At once, before its owner can make it anew: what is there now is there by an old answer.
            news.retain(|event| failed || host.contradicts(event));
            batch.again(news, failed).map(|batch| (host.name.clone(), batch))
        };
        let again: Vec<_> = stream::iter(of_interest).map(read).buffer_unordered(READS_AT_ONCE).collect().await;
        again.into_iter().flatten().for_each(|(name, batch)| gathered.put_back(name, batch));
    }

    /// One read serves all Clients. Without a Client nobody needs it.
    async fn read_users(&self) {
        if !self.link.users.are_known() {
            return;
        }
        if let Err(error) = self.link.refresh_users().await {
            tracing::debug!(broker = self.link.key, %error, "users not read");
        }
    }

    /// Contracts count what was refused when they are visited. Those of which nothing is left at the broker, at their own next look.
    fn tell_refusals(&self) {
        let hosts = self.link.hosts();
        for name in self.link.refusals.hosts() {
            let Some(host) = hosts.iter().find(|host| host.name == name) else {
                // Nothing of ours is there.
                self.link.refusals.take(&name);
                continue;
            };
            let owners = host.look(|seen| seen.map(present)).unwrap_or_default();
            for owner in owners.iter().filter(|owner| matches!(owner, Owner::Contract(_))) {
                self.wakers.wake(&name, owner);
            }
        }
    }

    /// Whether it could be read.
    async fn read_host(&self, host: &Host) -> bool {
        let read = host.begin_read().await;
        match self.link.read(|admin| admin.read_virtual_host(&host.name)).await {
            Ok(answer) => {
                self.metrics.resyncs.inc();
                self.link.tell(host, read.finish(answer));
                return true;
            }
            Err(error) if error.is_outage() => {
                tracing::debug!(broker = self.link.key, virtual_host = host.name, %error, "not read");
            }
            Err(error) => tracing::warn!(broker = self.link.key, virtual_host = host.name, %error, "not read"),
        }
        false
    }

    async fn read_figures(&self) {
        for host in self.link.hosts() {
            if !host.look(|seen| seen.is_some()) {
                continue;
            }
            let seen_at = Timestamp::now();
            let read = host.begin_read().await;
            let queues = match self.link.read(|admin| admin.read_queues(&host.name)).await {
                Ok(queues) => queues,
                Err(error) => {
                    tracing::debug!(broker = self.link.key, virtual_host = host.name, %error, "figures not read");
                    continue;
                }
            };
            let Some(rest) = host.copy() else { continue };
            self.link.tell(&host, read.finish(Some(ObservedVirtualHost { queues, seen_at: Some(seen_at), ..rest })));
        }
        for (host, owner) in self.link.take_stale(FIGURES_AT_ONCE) {
            self.wakers.wake(&host, &owner);
        }
    }

    /// Queues decide on the observation and would not notice that it is old: they are told when it begins to be.
    async fn tell_silence(&self, silent: &mut bool) {
        let down = self.link.down_for();
        if down.is_some() {
            // One call, held back by the breaker while it must be: the way an outage's end is found.
            let _ = self.link.read(BrokerAdmin::overview).await;
        }
        let now_silent = self.link.down_for().is_some_and(|down| down >= SILENCE);
        if now_silent != *silent {
            *silent = now_silent;
            tracing::warn!(broker = self.link.key, silent = now_silent, "the broker's silence began or ended");
            for host in self.link.hosts() {
                self.link.tell(&host, Affected { everything: true, ..Affected::default() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_broker::admin::AdminError;
    use entente_broker::rabbitmq::Endpoint;
    use entente_broker_fake::FakeBroker;
    use entente_core::topology::model::{Arguments, ExchangeDeclaration};
    use entente_core::topology::plan::Action;
    use kube::runtime::reflector::ObjectRef;

    use super::super::wakers::Woken;
    use super::*;

    const EXCHANGE: &str = "topic.orders";

    fn observer() -> (Arc<FakeBroker>, Observer, Woken) {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let (wakers, woken) = Wakers::new();
        let link = Arc::new(Link::new("a/main".into(), "u".into(), admin, wakers.clone(), Metrics::default()));
        let (uri, username, password) = (String::new(), String::new(), String::new());
        let endpoint = Endpoint { uri, username, password, ca_pem: None, address: None };
        let observer = Observer {
            link,
            access: Access { endpoint, host: String::new(), amqp_port: 0, amqp_tls: false, external: false },
            replica: String::new(),
            observation: Observation { resync: Duration::from_mins(1), events: true },
            activity: Activity::default(),
            metrics: Metrics::default(),
            wakers,
        };
        (broker, observer, woken)
    }

    fn exchange_there(broker: &FakeBroker) {
        let declared = ExchangeDeclaration { name: EXCHANGE.into(), kind: "x-sql".into(), arguments: Arguments::new() };
        broker.tamper("shop", |host| host.note(&Action::DeclareExchange(declared.clone())));
    }

    fn deleted() -> BrokerEvent {
        let (virtual_host, name) = (Some("shop".to_owned()), Some(EXCHANGE.to_owned()));
        BrokerEvent { kind: "exchange.deleted".into(), virtual_host, name, at: None, details: [].into() }
    }

    async fn when_due(observer: &Observer, gathered: &mut Gathered) {
        tokio::time::sleep_until(gathered.due().unwrap()).await;
        observer.answer(gathered).await;
    }

    /// Otherwise it would be missed until the next resync.
    #[tokio::test]
    async fn a_deletion_that_the_node_asked_has_not_heard_of_yet_is_found() {
        let (broker, observer, mut woken) = observer();
        exchange_there(&broker);
        observer.link.know(&observer.link.host("shop")).await.unwrap();
        let mut gathered = Gathered::default();
        gathered.add(deleted());
        when_due(&observer, &mut gathered).await;
        assert!(woken.topics.try_recv().is_err(), "it is still there by that answer");
        broker.tamper("shop", |host| drop(host.exchanges.remove(EXCHANGE)));
        when_due(&observer, &mut gathered).await;
        assert_eq!(woken.topics.try_recv().unwrap(), ObjectRef::new("orders").within("shop"));
        assert_eq!(gathered.due(), None);
    }

    #[tokio::test]
    async fn a_read_that_failed_loses_no_event() {
        let (broker, observer, mut woken) = observer();
        exchange_there(&broker);
        observer.link.know(&observer.link.host("shop")).await.unwrap();
        broker.tamper("shop", |host| drop(host.exchanges.remove(EXCHANGE)));
        broker.fail_with(Some(AdminError::Unreachable("refused".into())));
        let mut gathered = Gathered::default();
        gathered.add(deleted());
        when_due(&observer, &mut gathered).await;
        assert!(woken.topics.try_recv().is_err());
        broker.fail_with(None);
        when_due(&observer, &mut gathered).await;
        assert_eq!(woken.topics.try_recv().unwrap(), ObjectRef::new("orders").within("shop"));
        assert_eq!(gathered.due(), None);
    }

    /// Our own deletions and those of what is observed no more cause no read.
    #[tokio::test]
    async fn i6_what_is_no_news_is_not_read() {
        let (broker, observer, _woken) = observer();
        broker.tamper("shop", |_| {});
        observer.link.know(&observer.link.host("shop")).await.unwrap();
        let before = broker.calls();
        let mut gathered = Gathered::default();
        gathered.add(deleted());
        when_due(&observer, &mut gathered).await;
        assert_eq!((broker.calls(), gathered.due()), (before, None));
    }
}
