//! Which Clients a change of another object concerns.
//!
//! A grant that is taken back must end the use of it at once, and not at the next look.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use entente_core::subscription::validate::is_to;
use entente_crds::client::{Access, ObjectRef as Reference};
use entente_crds::{Client, Subscription};
use futures::stream::{iter, unfold};
use futures::{Stream, StreamExt};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// What Clients refer to.
const KINDS: [&str; 3] = ["Queue", "Topic", "Subscription"];

/// An object that came, went or changed in its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `Queue`, `Topic` or `Subscription`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What was last seen of an object: enough to tell a change of its spec from one of its status.
#[derive(Debug)]
struct Sighting {
    change: Change,
    essence: Option<String>,
}

/// Tells the Clients' controller what other controllers see. Clones share it.
#[derive(Clone, Debug)]
pub struct Sightings {
    seen: UnboundedSender<Sighting>,
    /// Kinds of which everything was seen once.
    listed: Arc<watch::Sender<BTreeSet<String>>>,
}

impl Sightings {
    /// Both ends.
    pub fn new() -> (Self, Seen) {
        let (sender, receiver) = unbounded_channel();
        (Self { seen: sender, listed: Arc::default() }, Seen(receiver))
    }

    /// An event of a watch.
    pub fn see<K: Resource<DynamicType = ()>, E>(&self, event: &Result<Event<K>, E>) {
        let (object, there) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, true),
            Ok(Event::Delete(object)) => (object, false),
            Ok(Event::InitDone) => {
                self.listed.send_modify(|listed| {
                    listed.insert(K::kind(&()).into_owned());
                });
                return;
            }
            _ => return,
        };
        let meta = object.meta();
        let essence = format!("{:?} {:?}", meta.uid, meta.generation);
        let change = Change {
            kind: K::kind(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        // The receiver is gone only while the process ends.
        let _ = self.seen.send(Sighting { change, essence: there.then_some(essence) });
    }
}

impl Sightings {
    /// Waits until everything that Clients can refer to was seen once.
    ///
    /// Not by the stores' own `wait_until_ready`: of two that wait for one store, only one is woken, and the other may be
    /// the controller that fills it.
    pub async fn all_listed(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as this.
        let _ = listed.wait_for(|listed| KINDS.iter().all(|kind| listed.contains(*kind))).await;
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Seen(UnboundedReceiver<Sighting>);

impl Seen {
    /// Changes, without what only repeats what was seen before.
    pub fn changes(self) -> impl Stream<Item = Change> + Send + 'static {
        let known: HashMap<(String, String, String), String> = HashMap::new();
        unfold((self.0, known), async |(mut receiver, mut known)| {
            loop {
                let Sighting { change, essence } = receiver.recv().await?;
                let key = (change.kind.clone(), change.namespace.clone(), change.name.clone());
                let news = match essence {
                    Some(essence) => known.insert(key, essence.clone()) != Some(essence),
                    None => known.remove(&key).is_some(),
                };
                if news {
                    return Some((change, (receiver, known)));
                }
            }
        })
    }
}

/// The Clients that use what changed.
pub fn users_of(
    changes: impl Stream<Item = Change> + Send + 'static,
    clients: Store<Client>,
    subscriptions: Store<Subscription>,
) -> impl Stream<Item = ObjectRef<Client>> + Send + 'static {
    changes.flat_map(move |change| {
        let subscriptions = if change.kind == "Topic" { subscribers(&change, &subscriptions.state()) } else { Vec::new() };
        let all: Vec<Change> = subscriptions.into_iter().chain([change]).collect();
        let concerned: Vec<_> = clients
            .state()
            .iter()
            .filter(|client| all.iter().any(|change| uses(client, change)))
            .map(|client| ObjectRef::from_obj(client.as_ref()))
            .collect();
        iter(concerned)
    })
}

/// Subscriptions of a Topic: whoever uses them depends on its grants.
fn subscribers(topic: &Change, subscriptions: &[Arc<Subscription>]) -> Vec<Change> {
    let of_it = |known: &&Arc<Subscription>| is_to(known, &topic.namespace, &topic.name);
    let change = |known: &Arc<Subscription>| Change {
        kind: "Subscription".to_owned(),
        namespace: known.namespace().unwrap_or_default(),
        name: known.name_any(),
    };
    subscriptions.iter().filter(of_it).map(change).collect()
}

fn uses(client: &Client, change: &Change) -> bool {
    let own = client.namespace().unwrap_or_default();
    let names = |reference: &Reference| {
        reference.name == change.name && reference.namespace.as_ref().unwrap_or(&own) == &change.namespace
    };
    client.spec.access.iter().any(|Access { queue_ref, topic_ref, subscription_ref, .. }| match change.kind.as_str() {
        "Queue" => queue_ref.as_ref().is_some_and(names),
        "Topic" => topic_ref.as_ref().is_some_and(names),
        _ => own == change.namespace && subscription_ref.as_ref().is_some_and(|reference| reference.name == change.name),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(kind: &str, namespace: &str, name: &str) -> Change {
        Change { kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn whoever_uses_something_is_found() {
        let mut client = Client::new(
            "web",
            serde_json::from_value(json!({"access": [
                {"name": "a", "queueRef": {"name": "q"}, "verbs": ["Send"]},
                {"name": "b", "topicRef": {"name": "t", "namespace": "other"}, "verbs": ["Send"]},
                {"name": "c", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]},
            ]}))
            .unwrap(),
        );
        client.metadata.namespace = Some("shop".into());
        for (kind, namespace, name, expected) in [
            ("Queue", "shop", "q", true),
            ("Queue", "other", "q", false),
            ("Topic", "other", "t", true),
            ("Topic", "shop", "t", false),
            ("Subscription", "shop", "s", true),
            ("Subscription", "other", "s", false),
            ("Topic", "shop", "q", false),
        ] {
            assert_eq!(uses(&client, &change(kind, namespace, name)), expected, "{kind} {namespace}/{name}");
        }
    }

    #[test]
    fn whoever_uses_a_subscription_depends_on_its_topic() {
        let mut subscription =
            Subscription::new("s", serde_json::from_value(json!({"topicRef": {"name": "t", "namespace": "other"}})).unwrap());
        subscription.metadata.namespace = Some("shop".into());
        let all = [Arc::new(subscription)];
        assert_eq!(subscribers(&change("Topic", "other", "t"), &all), [change("Subscription", "shop", "s")]);
        assert!(subscribers(&change("Topic", "shop", "t"), &all).is_empty());
    }

    #[tokio::test]
    async fn i5_nothing_is_decided_before_all_kinds_were_listed() {
        use futures::FutureExt;
        let (sightings, _seen) = Sightings::new();
        sightings.see(&Ok::<_, ()>(Event::<entente_crds::Queue>::InitDone));
        sightings.see(&Ok::<_, ()>(Event::<entente_crds::Topic>::InitDone));
        assert!(sightings.all_listed().now_or_never().is_none());
        sightings.see(&Ok::<_, ()>(Event::<Subscription>::InitDone));
        assert!(sightings.all_listed().now_or_never().is_some());
        assert!(sightings.all_listed().now_or_never().is_some(), "for whoever asks later, too");
    }

    #[tokio::test]
    async fn a_status_is_no_news() {
        let (sightings, seen) = Sightings::new();
        let mut queue = entente_crds::Queue::new("q", entente_crds::queue::QueueSpec::default());
        queue.metadata.namespace = Some("shop".into());
        let mut see = |generation, event: fn(entente_crds::Queue) -> Event<entente_crds::Queue>| {
            queue.metadata.generation = Some(generation);
            sightings.see(&Ok::<_, ()>(event(queue.clone())));
        };
        see(1, Event::InitApply);
        see(1, Event::Apply);
        see(2, Event::Apply);
        see(2, Event::Delete);
        see(2, Event::Delete);
        drop(sightings);
        assert_eq!(seen.changes().count().await, 3);
    }
}
