//! The past of Subscriptions that begin in it: who works on which, and what to say of it.
//!
//! Expected flow: a visit finds by what is at the broker that there is a past to replay (`entente_core::subscription::replay`),
//! sees to it that a task works on it, says how far it is, and comes again. The task ([`job`]) does it step by step.
//!
//! Guarantees: no visit waits for a replay; at most [`AT_ONCE`] run side by side. A replay that fails or is cut off goes on, or
//! begins anew, from what is at the broker: nothing that this process remembers is needed.

mod job;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_broker::amqp::replay::Progress;
use entente_core::object::Refusal;
use entente_core::subscription::replay::{State, state};
use entente_core::subscription::validate::Settings;
use entente_core::topology::names::retained;
use entente_core::topology::observed::ObservedVirtualHost;
use entente_crds::condition::reasons;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::links::host::Host;
use crate::links::registry::Access;
use crate::links::{Link, LinkError};
use job::Job;

/// Replays that run side by side. Each keeps the broker as busy as one fast sender and one fast receiver.
const AT_ONCE: usize = 2;
/// How long a failure is told before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The replays of this process.
#[derive(Debug)]
pub struct Replays {
    running: Mutex<HashMap<Key, Running>>,
    slots: Arc<Semaphore>,
}

impl Default for Replays {
    fn default() -> Self {
        Self { running: Mutex::default(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// UID of the Broker, virtual host, queue.
type Key = (String, String, String);

#[derive(Debug)]
struct Running {
    progress: Arc<Progress>,
    task: JoinHandle<Result<(), String>>,
    /// What became of it, once it has ended; and since when that is known.
    ended: Option<(Result<(), String>, Instant)>,
}

impl Running {
    /// What became of it, if it has ended.
    fn end(&mut self) -> Option<&(Result<(), String>, Instant)> {
        if self.ended.is_none() && self.task.is_finished() {
            let outcome = (&mut self.task).now_or_never()?;
            self.ended = Some((outcome.unwrap_or_else(|crash| Err(crash.to_string())), Instant::now()));
        }
        self.ended.as_ref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replays {
    /// Sees to it that the past is replayed. Nothing where there is none to replay. `access` is the way for messages;
    /// `already` is what earlier processes did.
    pub async fn turn(
        &self,
        access: Option<Access>,
        link: &Arc<Link>,
        host: &Arc<Host>,
        settings: &Settings,
        already: u64,
    ) -> Result<Option<Refusal>, LinkError> {
        let key = (link.uid.clone(), host.name.clone(), settings.queue.name.clone());
        match look(host, settings) {
            State::Over => Ok(None),
            State::NoTopic | State::NotRetained if self.is_running(&key) => Ok(self.tell(&key, settings)),
            State::NoTopic => Ok(Some(no_topic(settings))),
            State::NotRetained => Ok(Some(not_retained(settings))),
            // The task clears away what it has made; this is for what an earlier one has left.
            State::Leftovers(_) if self.is_running(&key) => Ok(None),
            State::Leftovers(plan) => link.run(host, &plan).await.map(|()| None),
            State::New(_) => {
                // A queue that is there after all must not be taken for a new one.
                link.refresh(host).await?;
                let State::New(first) = look(host, settings) else { return Ok(Some(begins(settings))) };
                link.run(host, &first).await?;
                Ok(Some(self.work(access, link, host, settings, key, 0)))
            }
            State::Past => Ok(Some(self.work(access, link, host, settings, key, 0))),
            State::Seam(_) => Ok(Some(self.work(access, link, host, settings, key, already))),
        }
    }

    /// Messages that the replay into a queue has put there, as far as this process knows.
    pub fn replayed(&self, link: &Link, host: &Host, queue: &str) -> Option<u64> {
        let key = (link.uid.clone(), host.name.clone(), queue.to_owned());
        self.lock().get(&key).map(|running| running.progress.replayed())
    }

    /// Stops the replay into a queue, as its Subscription goes.
    pub fn stop(&self, link: &Link, host: &Host, queue: &str) {
        self.lock().remove(&(link.uid.clone(), host.name.clone(), queue.to_owned()));
    }

    fn work(
        &self,
        access: Option<Access>,
        link: &Arc<Link>,
        host: &Arc<Host>,
        settings: &Settings,
        key: Key,
        already: u64,
    ) -> Refusal {
        if let Some(told) = self.tell(&key, settings) {
            return told;
        }
        // None: the link was dropped a moment ago. The next visit has another.
        let Some(access) = access else { return begins(settings) };
        let progress = Arc::new(Progress::from(already));
        let job = Job {
            link: Arc::clone(link),
            host: Arc::clone(host),
            access,
            settings: settings.clone(),
            stream: retained(&settings.topic),
            progress: Arc::clone(&progress),
        };
        let slots = Arc::clone(&self.slots);
        let task = tokio::spawn(async move {
            // Never closed; were it, going on unbounded would still be right.
            let _one_of_few = slots.acquire().await.ok();
            Box::pin(job.run()).await
        });
        self.lock().insert(key, Running { progress, task, ended: None });
        begins(settings)
    }

    /// What to say of a replay that this process works on. Nothing where it does not, or has to begin again.
    fn tell(&self, key: &Key, settings: &Settings) -> Option<Refusal> {
        let mut all = self.lock();
        let running = all.get_mut(key)?;
        let (replayed, unreadable) = (running.progress.replayed(), running.progress.unreadable());
        match running.end() {
            None => Some(progress(settings, replayed, unreadable)),
            Some((Err(why), since)) if since.elapsed() < PAUSE => {
                let message = format!("the replay of the past was cut off and goes on by itself: {why}");
                Some(Refusal { reason: reasons::REPLAYING, message })
            }
            Some(_) => None,
        }
    }

    fn is_running(&self, key: &Key) -> bool {
        self.lock().get_mut(key).is_some_and(|running| running.end().is_none())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(host: &Host, settings: &Settings) -> State {
    let nothing = ObservedVirtualHost::default();
    host.look(|seen| state(settings, seen.unwrap_or(&nothing)))
}

fn begins(settings: &Settings) -> Refusal {
    progress(settings, 0, 0)
}

fn progress(settings: &Settings, replayed: u64, unreadable: u64) -> Refusal {
    let left_out = match unreadable {
        0 => String::new(),
        number => format!(", {number} that cannot be read were left out"),
    };
    let message =
        format!("the past is being replayed from {}: {replayed} messages so far{left_out}; then it is Ready", settings.start);
    Refusal { reason: reasons::REPLAYING, message }
}

fn no_topic(settings: &Settings) -> Refusal {
    let message = format!("the Topic {} is not in the broker yet; this goes on by itself once it is", settings.topic);
    Refusal { reason: reasons::TOPIC_NOT_READY, message }
}

fn not_retained(settings: &Settings) -> Refusal {
    let message = format!(
        "from is {}, but the Topic {} keeps no messages; set its spec.retention, or create a Subscription without from",
        settings.start, settings.topic
    );
    Refusal { reason: reasons::NOT_RETAINED, message }
}

#[cfg(test)]
mod tests {
    use entente_broker::admin::BrokerAdmin;
    use entente_broker::rabbitmq::Endpoint;
    use entente_broker_fake::FakeBroker;
    use entente_core::object::Object;
    use entente_core::topology::diff::diff;
    use entente_core::topology::plan::Plan;
    use entente_crds::{Subscription, Topic};
    use serde_json::json;

    use super::*;
    use crate::links::wakers::Wakers;
    use crate::metrics::Metrics;

    /// A broker whose virtual host `shop` has the Topic `orders`.
    async fn broker(topic: serde_json::Value) -> (Arc<FakeBroker>, Arc<Link>, Arc<Host>) {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let link = Arc::new(Link::new("a/main".into(), "u".into(), admin, Wakers::new().0, Metrics::default()));
        let host = link.host("shop");
        let topic = Topic::new("orders", serde_json::from_value(topic).unwrap());
        let usable = Topic::desired(&topic.validate().unwrap()).usable;
        broker.tamper("shop", |seen| {
            let plan: Plan = diff(&usable, &seen.clone()).unwrap();
            plan.actions().for_each(|action| seen.note(action));
        });
        link.know(&host).await.unwrap();
        (broker, link, host)
    }

    fn settings(from: &str) -> Settings {
        let spec = json!({"topicRef": {"name": "orders"}, "from": from, "maxLength": 5});
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("shop".into());
        subscription.validate().unwrap()
    }

    /// Where nobody listens.
    fn nowhere() -> Access {
        let endpoint = Endpoint {
            uri: "http://127.0.0.1:1".into(),
            username: "u".into(),
            password: "p".into(),
            ca_pem: None,
            address: None,
        };
        Access { endpoint, host: "127.0.0.1".into(), amqp_port: 1, amqp_tls: false, external: false }
    }

    #[tokio::test]
    async fn without_a_past_nothing_is_done() {
        let (broker, link, host) = broker(json!({"retention": {"maxAge": "1h"}})).await;
        let turn = Replays::default().turn(Some(nowhere()), &link, &host, &settings("Latest"), 0).await.unwrap();
        assert_eq!(turn, None);
        assert!(broker.take_written().is_empty());
    }

    #[tokio::test]
    async fn a_topic_that_keeps_nothing_is_told_and_nothing_is_made() {
        let (broker, link, host) = broker(json!({})).await;
        let turn = Replays::default().turn(Some(nowhere()), &link, &host, &settings("Earliest"), 0).await.unwrap();
        assert_eq!(turn.map(|refusal| refusal.reason), Some(reasons::NOT_RETAINED));
        assert!(broker.take_written().is_empty());
    }

    /// I7: the visit says how far it is and does not wait; a failure is told, and tried again.
    #[tokio::test]
    async fn i7_the_mark_comes_first_and_a_failure_is_told() {
        let (broker, link, host) = broker(json!({"retention": {"maxAge": "1h"}})).await;
        let (replays, settings) = (Replays::default(), settings("Earliest"));
        let turn =
            async || replays.turn(Some(nowhere()), &link, &host, &settings, 0).await.unwrap().expect("a replay is under way");
        let begun = turn().await;
        assert_eq!(begun.reason, reasons::REPLAYING);
        assert!(begun.message.contains("from Earliest"), "{begun}");
        let mut told = turn().await;
        for _ in 0..500 {
            if told.message.contains("cut off") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            told = turn().await;
        }
        assert!(told.message.contains("cut off"), "{told}");
        assert_eq!(replays.replayed(&link, &host, "subscription.shop.mail"), Some(0));
        let written = broker.take_written();
        assert_eq!(written[0], "declare exchange subscription.shop.mail.past");
        assert!(written.iter().any(|action| action == "declare quorum queue subscription.shop.mail"), "{written:?}");
        assert!(!written.iter().any(|action| action.starts_with("bind topic.orders")), "{written:?}");
        replays.stop(&link, &host, "subscription.shop.mail");
        assert_eq!(replays.replayed(&link, &host, "subscription.shop.mail"), None);
    }
}
