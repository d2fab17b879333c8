//! One Broker's administration behind a circuit breaker, with bounded work.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_broker::admin::{AdminError, BrokerAdmin};
use entente_broker::users::UserAdmin;
use entente_core::breaker::{Breaker, Config, Permit};
use entente_core::client::users::{ObservedUser, UserAction};
use entente_core::topology::affected::{Affected, present, touched};
use entente_core::topology::foundation::{self, NotOurs};
use entente_core::topology::model::VirtualHost;
use entente_core::topology::names::Owner;
use entente_core::topology::plan::{Action, Plan};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::host::{Host, Read};
use super::refusals::Refusals;
use super::stale::{self, Stale};
use super::users::Users;
use super::wakers::Wakers;
use crate::metrics::{Call, Metrics};

/// Writes under way at one Broker. More do not make it faster: they wait for the same Raft log.
const WRITES_AT_ONCE: usize = 8;

/// RabbitMQ's tag of users who may send messages with the user-id of others.
const IMPERSONATOR: &str = "impersonator";

/// Why a broker was not asked, or what it answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// It has not answered for a while and is left alone until the next probe.
    #[error("the broker has not answered lately; it is tried again within seconds")]
    HeldBack,
    /// Its answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The virtual host belongs to somebody else.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
}

impl LinkError {
    /// Whether the broker as a whole does not serve.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::HeldBack => true,
            Self::Admin(error) => error.is_outage(),
            Self::NotOurs(_) => false,
        }
    }
}

/// A Broker that can be asked.
#[derive(Debug)]
pub struct Link {
    /// `namespace/name` of the Broker, for logs.
    pub key: String,
    /// Its UID: the proof of ownership in virtual hosts' tags.
    pub uid: String,
    admin: Arc<dyn BrokerAdmin>,
    breaker: Mutex<Breaker>,
    down_since: Mutex<Option<Instant>>,
    writes: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    pub(super) wakers: Wakers,
    stale: Mutex<Stale>,
    /// Its users, where a Client needs them.
    pub users: Users,
    /// What it refused to whom.
    pub refusals: Refusals,
    /// Whether somebody else runs it: then also who we are there can change.
    pub external: bool,
    metrics: Metrics,
}

/// The breaker's probe is under way. Dropped before it has reported, its caller was cancelled.
struct Probing<'a> {
    breaker: &'a Mutex<Breaker>,
    reported: bool,
}

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        if !self.reported {
            lock(self.breaker).abandoned();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// A link that knows nothing yet.
    pub fn new(key: String, uid: String, admin: Arc<dyn BrokerAdmin>, wakers: Wakers, metrics: Metrics) -> Self {
        Self {
            key,
            uid,
            admin,
            breaker: Mutex::new(Breaker::new(Config::default())),
            down_since: Mutex::default(),
            writes: Semaphore::new(WRITES_AT_ONCE),
            hosts: Mutex::default(),
            wakers,
            stale: Mutex::default(),
            users: Users::default(),
            refusals: Refusals::default(),
            external: false,
            metrics,
        }
    }

    /// The virtual host of a namespace; known from now on to the observer.
    pub fn host(&self, name: &str) -> Arc<Host> {
        Arc::clone(lock(&self.hosts).entry(name.to_owned()).or_insert_with(|| Arc::new(Host::new(name))))
    }

    /// Virtual hosts that somebody asked for.
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        lock(&self.hosts).values().cloned().collect()
    }

    /// Forgets a virtual host that no namespace uses any more.
    pub fn forget_host(&self, name: &str) {
        lock(&self.hosts).remove(name);
    }

    /// For how long no call has been answered.
    pub fn down_for(&self) -> Option<Duration> {
        lock(&self.down_since).map(|since| since.elapsed())
    }

    /// Reads, with the breaker in between.
    pub async fn read<'a, T, F>(&'a self, read: impl FnOnce(&'a dyn BrokerAdmin) -> F + Send) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, AdminError>> + Send,
    {
        self.call("read", read).await
    }

    /// Planned work on its nodes, with the breaker in between.
    pub async fn work<'a, T, F>(&'a self, work: impl FnOnce(&'a dyn BrokerAdmin) -> F + Send) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, AdminError>> + Send,
    {
        self.call("work", work).await
    }

    async fn call<'a, T, F>(
        &'a self,
        kind: &'static str,
        call: impl FnOnce(&'a dyn BrokerAdmin) -> F + Send,
    ) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, AdminError>> + Send,
    {
        let count = |outcome| self.metrics.broker_calls.get_or_create(&Call { kind, outcome }).inc();
        let permit = lock(&self.breaker).permit(Timestamp::now());
        if let Permit::Refused { .. } = permit {
            count("held back");
            return Err(LinkError::HeldBack);
        }
        let probing = (permit == Permit::Probe).then(|| Probing { breaker: &self.breaker, reported: false });
        let result = call(self.admin.as_ref()).await;
        if let Some(mut probing) = probing {
            probing.reported = true;
        }
        match &result {
            Err(error) if error.is_outage() => {
                count("outage");
                lock(&self.breaker).failed(Timestamp::now());
                lock(&self.down_since).get_or_insert_with(Instant::now);
            }
            other => {
                count(if other.is_ok() { "ok" } else { "refused" });
                lock(&self.breaker).answered();
                *lock(&self.down_since) = None;
            }
        }
        Ok(result?)
    }

    /// Reads a virtual host unless it was read before. Many callers cause one read.
    pub async fn know(&self, host: &Host) -> Result<(), LinkError> {
        if host.is_known() {
            return Ok(());
        }
        let read = host.begin_read().await;
        if host.is_known() {
            return Ok(());
        }
        // Nobody has decided on anything else.
        self.finish(read).await.map(drop)
    }

    /// Reads a virtual host now, for a decision that what was seen earlier is not good enough for. Callers that come
    /// while one reads share the read that begins after it.
    pub async fn refresh(&self, host: &Host) -> Result<(), LinkError> {
        let asked = host.reads_begun();
        let read = host.begin_read().await;
        if host.was_read_since(asked) {
            return Ok(());
        }
        let found = self.finish(read).await?;
        // The observer's next read finds this known: who else it concerns would never hear of it.
        self.tell(host, found);
        Ok(())
    }

    async fn finish(&self, read: Read<'_>) -> Result<Affected, LinkError> {
        let answer = self.read(|admin| admin.read_virtual_host(&read.host.name)).await?;
        Ok(read.finish(answer))
    }

    /// Wakes those that a read concerns, at once where something came, went or changed. Whose figures alone changed waits for
    /// [`Self::take_stale`]: a status is no place for a live feed.
    pub fn tell(&self, host: &Host, found: Affected) {
        let Affected { everything, structure, figures } = found;
        let all = if everything { host.look(|seen| seen.map(present)).unwrap_or_default() } else { BTreeSet::new() };
        for owner in all.union(&structure) {
            self.wake(host, owner);
        }
        let mut stale = lock(&self.stale);
        for owner in figures {
            stale.add(&host.name, owner);
        }
    }

    /// Those whose figures changed and that were not told yet, at most so many.
    pub fn take_stale(&self, most: usize) -> Vec<stale::Of> {
        lock(&self.stale).take(most)
    }

    /// Makes what all queues of a virtual host stand on, if anything of it is missing.
    pub async fn lay_foundation(
        &self,
        host: &Host,
        wanted: &VirtualHost,
        limits: &[(&'static str, Option<i64>)],
    ) -> Result<(), LinkError> {
        let missing = || host.look(|observed| foundation::diff(wanted, limits, observed));
        let may_write = || !self.external || host.is_granted();
        if missing()?.is_empty() && may_write() {
            return Ok(());
        }
        let _one_at_a_time = host.foundation.lock().await;
        let plan = missing()?;
        // The virtual host first, where it is not there: rights in none cannot be given. Whoever makes one has them.
        if !may_write() && host.look(|seen| seen.is_some()) {
            self.read(|admin| admin.ensure_own_rights(&host.name)).await?;
            host.note_granted();
        }
        self.run(host, &plan).await
    }

    /// Wakes the object that something in a virtual host belongs to.
    pub fn wake(&self, host: &Host, owner: &Owner) {
        self.wakers.wake(&host.name, owner);
    }

    /// Runs a plan in order. Stops after the step in which something failed; what succeeded is noted.
    pub async fn run(&self, host: &Host, plan: &Plan) -> Result<(), LinkError> {
        let touched = host.look(|seen| seen.map(|seen| touched(plan, seen))).unwrap_or_default();
        let result = self.run_steps(host, plan).await;
        // Whatever of it was done.
        for owner in &touched {
            self.wakers.wake(&host.name, owner);
        }
        result
    }

    async fn run_steps(&self, host: &Host, plan: &Plan) -> Result<(), LinkError> {
        for step in &plan.steps {
            let results = join_all(step.iter().map(|action| self.write(host, action))).await;
            results.into_iter().collect::<Result<(), LinkError>>()?;
        }
        Ok(())
    }

    /// Carries out an action on users, bounded as every write is.
    pub(super) async fn write_user(&self, action: &UserAction) -> Result<(), LinkError> {
        let _of_all = self.writes.acquire().await.ok();
        self.call("write", |admin| admin.execute_user(action)).await
    }

    /// Lets a user send messages in the name of others. Connections that it opens from now on have the right.
    pub async fn impersonate(&self, user: &str) -> Result<(), LinkError> {
        let seen = self.read(UserAdmin::read_users).await?;
        let Some(ObservedUser { tags, password_hash, permissions: _ }) = seen.users.get(user) else { return Ok(()) };
        if tags.contains(IMPERSONATOR) {
            return Ok(());
        }
        let tags = tags.iter().cloned().chain([IMPERSONATOR.to_owned()]).collect();
        self.write_user(&UserAction::Put { user: user.to_owned(), password_hash: password_hash.clone(), tags }).await
    }

    async fn write(&self, host: &Host, action: &Action) -> Result<(), LinkError> {
        // Neither semaphore is ever closed; were it, going on unbounded would still be right.
        let _of_the_host = host.writes.acquire().await.ok();
        let _of_all = self.writes.acquire().await.ok();
        self.call("write", |admin| admin.execute(&host.name, action)).await?;
        host.note(action);
        tracing::debug!(broker = self.key, virtual_host = host.name, %action, "done");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use entente_broker_fake::FakeBroker;
    use entente_core::client::password::PasswordHash;
    use entente_core::topology::foundation::virtual_host;
    use entente_core::topology::model::{Arguments, QueueDeclaration, QueueKind};
    use entente_core::topology::observed::Counts;
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn link() -> (Arc<FakeBroker>, Link) {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        (broker, Link::new("a/main".into(), "u".into(), admin, Wakers::new().0, Metrics::default()))
    }

    #[tokio::test]
    async fn a_thousand_askers_cause_one_read_and_one_foundation() {
        let (broker, link) = link();
        let host = link.host("shop");
        let wanted = virtual_host("shop", "u");
        let ask = async || {
            link.know(&host).await.unwrap();
            link.lay_foundation(&host, &wanted, &[]).await.unwrap();
        };
        join_all((0..1_000).map(|_| ask())).await;
        let written = broker.take_written();
        assert_eq!(written.iter().filter(|action| action.starts_with("create virtual host")).count(), 1);
        assert_eq!(broker.calls(), 1 + written.len());
    }

    #[tokio::test]
    async fn fresh_looks_are_shared_and_still_begin_after_they_were_asked_for() {
        let (broker, link) = link();
        let host = link.host("shop");
        let under_way = host.begin_read().await;
        let mut looks = std::pin::pin!(join_all((0..1_000).map(|_| link.refresh(&host))));
        assert!(futures::poll!(&mut looks).is_pending(), "they wait for the read that is under way");
        drop(under_way);
        assert!(looks.await.iter().all(Result::is_ok));
        let before = broker.calls();
        assert_eq!(before, 1);
        link.refresh(&host).await.unwrap();
        assert_eq!(broker.calls(), before + 1, "what was read before is not fresh");
    }

    /// Seen: a Queue that waited for its deletion looked at its virtual host again and again, and others never heard that their
    /// members were back.
    #[tokio::test]
    async fn what_one_finds_the_others_hear_of() {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let (wakers, mut woken) = Wakers::new();
        let link = Link::new("a/main".into(), "u".into(), admin, wakers, Metrics::default());
        let host = link.host("shop");
        let queue = QueueDeclaration { name: "q".into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        broker.tamper("shop", |host| host.note(&Action::DeclareQueue(queue)));
        link.know(&host).await.unwrap();
        broker.tamper("shop", |host| host.queues.get_mut("q").unwrap().online.push("a".into()));
        link.refresh(&host).await.unwrap();
        assert_eq!(woken.queues.try_recv().unwrap(), ObjectRef::new("q").within("shop"));
        broker.tamper("shop", |host| host.queues.get_mut("q").unwrap().counts = Some(Counts::default()));
        link.refresh(&host).await.unwrap();
        assert!(woken.queues.try_recv().is_err(), "figures are told with all others");
        assert_eq!(link.take_stale(9), [("shop".to_owned(), Owner::Queue("q".into()))]);
    }

    #[tokio::test]
    async fn i7_a_dead_broker_costs_one_probe_and_not_one_call_an_object() {
        let (broker, link) = link();
        broker.fail_with(Some(AdminError::Unreachable("refused".into())));
        let host = link.host("shop");
        for _ in 0..100 {
            assert!(link.know(&host).await.unwrap_err().is_outage());
        }
        assert_eq!(broker.calls(), 3);
        assert!(link.down_for().is_some());
        broker.fail_with(None);
        tokio::time::sleep(Duration::from_millis(600)).await;
        link.know(&host).await.unwrap();
        assert!(link.down_for().is_none());
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_opens_nothing() {
        let (broker, link) = link();
        broker.fail_with(Some(AdminError::Refused { status: 400, reason: "no".into() }));
        for _ in 0..10 {
            assert!(!link.know(&link.host("shop")).await.unwrap_err().is_outage());
        }
        assert_eq!(broker.calls(), 10);
    }

    #[tokio::test]
    async fn i6_who_may_speak_for_others_is_not_told_so_again() {
        let (broker, link) = link();
        broker.tamper_users(|seen| {
            let user = ObservedUser {
                tags: ["administrator".to_owned()].into(),
                password_hash: PasswordHash::new("h".to_owned()),
                permissions: std::collections::BTreeMap::new(),
            };
            seen.users.insert("admin".to_owned(), user);
        });
        for _ in 0..2 {
            link.impersonate("admin").await.unwrap();
        }
        assert_eq!(broker.take_written().len(), 1);
        let seen = link.read(UserAdmin::read_users).await.unwrap();
        let user = &seen.users["admin"];
        assert!(user.tags.contains("administrator") && user.tags.contains("impersonator"));
        assert_eq!(user.password_hash, PasswordHash::new("h".to_owned()));
    }

    #[tokio::test]
    async fn i2_a_foreign_virtual_host_is_left_alone() {
        let (broker, link) = link();
        broker.tamper("shop", |host| {
            host.tags.insert("somebody".into());
        });
        let host = link.host("shop");
        link.know(&host).await.unwrap();
        let refused = link.lay_foundation(&host, &virtual_host("shop", "u"), &[]).await;
        assert!(matches!(refused, Err(LinkError::NotOurs(_))));
        assert!(broker.take_written().is_empty());
    }
}
