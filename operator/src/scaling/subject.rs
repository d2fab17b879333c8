//! What is scaled: an object with `spec.scaling`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entente_core::object::{Reported, is_paused};
use entente_core::scaling::{Caps, Config};
use entente_core::subscription::queue_of;
use entente_core::topology::names::part;
use entente_crds::queue::Partitions;
use entente_crds::scaling::{Scaling, ScalingStatus, TargetRef};
use entente_crds::{Queue, Subscription, SubscriptionSpec};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;

use crate::objects::Shared;

/// A kind with `spec.scaling`.
pub trait Scaled: Reported {
    /// The settings.
    fn scaling(&self) -> Option<&Scaling>;
    /// What was last told.
    fn told(&self) -> Option<&ScalingStatus>;
    /// What bounds the number of consumers that can work.
    fn caps(&self) -> Caps;
    /// Its queues at the broker.
    fn queues(&self) -> Vec<String>;
    /// The Broker that serves it, and the virtual host, by its status.
    fn place(&self) -> Option<(&str, &str)>;
}

impl Scaled for Queue {
    fn scaling(&self) -> Option<&Scaling> {
        self.spec.scaling.as_ref()
    }

    fn told(&self) -> Option<&ScalingStatus> {
        self.status.as_ref()?.scaling.as_ref()
    }

    fn caps(&self) -> Caps {
        let partitions = self.spec.partitions.as_ref().and_then(|partitions| u32::try_from(partitions.count).ok());
        Caps { single_active_consumer: self.spec.single_active_consumer, partitions }
    }

    fn queues(&self) -> Vec<String> {
        let name = self.name_any();
        match &self.spec.partitions {
            None => vec![name],
            Some(Partitions { count, .. }) => {
                (0..usize::try_from(*count).unwrap_or_default()).map(|number| part(&name, number)).collect()
            }
        }
    }

    fn place(&self) -> Option<(&str, &str)> {
        let status = self.status.as_ref()?;
        // The virtual host is not taken from a status, which others may write: it is the namespace (invariant I3).
        Some((status.broker.as_deref()?, self.metadata.namespace.as_deref()?))
    }
}

impl Scaled for Subscription {
    fn scaling(&self) -> Option<&Scaling> {
        self.spec.scaling.as_ref()
    }

    fn told(&self) -> Option<&ScalingStatus> {
        self.status.as_ref()?.scaling.as_ref()
    }

    fn caps(&self) -> Caps {
        Caps { single_active_consumer: self.spec.single_active_consumer, partitions: None }
    }

    fn queues(&self) -> Vec<String> {
        vec![queue_of(self)]
    }

    fn place(&self) -> Option<(&str, &str)> {
        let SubscriptionSpec { topic_ref, contract_ref, .. } = &self.spec;
        let topic = topic_ref.as_ref().and_then(|topic| topic.namespace.as_deref());
        let contract = contract_ref.as_ref().and_then(|contract| contract.namespace.as_deref());
        let host = topic.or(contract).or(self.metadata.namespace.as_deref())?;
        Some((self.status.as_ref()?.broker.as_deref()?, host))
    }
}

/// Where the queues of an object are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The Broker.
    pub broker_uid: String,
    /// The virtual host.
    pub virtual_host: String,
    /// The queues.
    pub queues: Vec<String>,
    /// Whether somebody else runs the Broker: the depths of its queues are not read.
    pub external: bool,
}

impl Place {
    /// `None` for an object that is not served yet.
    pub fn of<K: Scaled>(object: &K, shared: &Shared) -> Option<Self> {
        let (broker, virtual_host) = object.place()?;
        let broker = shared.broker_of_status(Some(broker))?;
        Some(Self {
            broker_uid: broker.uid()?,
            virtual_host: virtual_host.to_owned(),
            queues: object.queues(),
            external: broker.spec.external.is_some(),
        })
    }
}

/// One object that is scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its UID.
    pub uid: String,
    /// `Queue` or `Subscription`.
    pub kind: &'static str,
    /// Its namespace, which is also the target's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Since when it is there.
    pub created: Option<Timestamp>,
    /// For Events.
    pub reference: ObjectReference,
    /// The Broker.
    pub broker_uid: String,
    /// Whether somebody else runs it: the depths of its queues are not read.
    pub external: bool,
    /// Where its queues are.
    pub virtual_host: String,
    /// Its queues at the broker.
    pub queues: Vec<String>,
    /// The settings.
    pub config: Config,
    /// What is scaled.
    pub target: TargetRef,
    /// An older object with the same target, as `kind/name`.
    pub rival: Option<String>,
    /// What was told when this process saw it first; later ones are this process's own.
    pub told: Told,
}

/// A status, which makes no difference between subjects: it follows from them.
#[derive(Clone, Debug)]
pub struct Told(pub Option<ScalingStatus>);

impl PartialEq for Told {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Settings that were checked, by UID and generation. Objects are looked at twice a second, and schedules with their time zones are slow to
/// read.
#[derive(Default)]
pub struct Checked(HashMap<String, (i64, Config)>);

impl Checked {
    fn of<K: Scaled>(&mut self, object: &K) -> Option<Config> {
        let (uid, generation) = (object.meta().uid.as_deref()?, object.meta().generation.unwrap_or_default());
        if let Some((known, config)) = self.0.get(uid)
            && *known == generation
        {
            return Some(config.clone());
        }
        let config = Config::new(object.scaling()?, object.caps(), &mut Vec::new())?;
        self.0.insert(uid.to_owned(), (generation, config.clone()));
        Some(config)
    }

    /// Forgets all others.
    pub fn keep(&mut self, there: &BTreeSet<&str>) {
        self.0.retain(|uid, _| there.contains(uid.as_str()));
    }
}

impl Subject {
    /// `None` for an object that is not to be scaled: not asked for, paused, being deleted, not served yet, or wrong, which
    /// its own status says.
    pub fn of<K: Scaled>(object: &K, shared: &Shared, checked: &mut Checked) -> Option<Self> {
        let scaling = object.scaling()?;
        if object.meta().deletion_timestamp.is_some() || is_paused(object) {
            return None;
        }
        let config = checked.of(object)?;
        let Place { broker_uid, virtual_host, queues, external } = Place::of(object, shared)?;
        Some(Self {
            uid: object.uid()?,
            kind: K::KIND,
            namespace: object.namespace()?,
            name: object.name_any(),
            created: object.meta().creation_timestamp.as_ref().map(|time| time.0),
            reference: object.object_ref(&()),
            broker_uid,
            external,
            virtual_host,
            queues,
            config,
            target: scaling.target_ref.clone(),
            rival: None,
            told: Told(object.told().cloned()),
        })
    }

    /// The target for people.
    pub fn target_text(&self) -> String {
        format!("{}/{}", self.target.kind, self.target.name)
    }
}

/// Tells the younger ones of several with one target who acts on it.
pub fn rivals(mut subjects: Vec<Subject>) -> Vec<Subject> {
    subjects.sort_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
    let mut first: BTreeMap<(String, String, String, String), String> = BTreeMap::new();
    for subject in &mut subjects {
        let TargetRef { api_version, kind, name } = subject.target.clone();
        // Another version of the API is the same object.
        let group = api_version.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
        let me = format!("{}/{}", subject.kind, subject.name);
        let owner = first.entry((subject.namespace.clone(), group, kind, name)).or_insert_with(|| me.clone());
        subject.rival = (*owner != me).then(|| owner.clone());
    }
    subjects
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    /// A Queue of the namespace `shop`, with a target.
    pub fn of(name: &str, second: i64, target: &serde_json::Value) -> Subject {
        let scaling: Scaling = serde_json::from_value(json!({"targetRef": target, "messagesPerReplica": 5})).unwrap();
        Subject {
            uid: name.to_owned(),
            kind: "Queue",
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            created: Timestamp::from_second(second).ok(),
            reference: ObjectReference::default(),
            broker_uid: "b".to_owned(),
            external: false,
            virtual_host: "shop".to_owned(),
            queues: vec![name.to_owned()],
            config: Config::new(&scaling, Caps::default(), &mut Vec::new()).unwrap(),
            target: scaling.target_ref,
            rival: None,
            told: Told(None),
        }
    }

    /// The same, with a Deployment.
    pub fn subject(name: &str) -> Subject {
        of(name, 1, &json!({"name": "worker"}))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::of;
    use super::*;

    #[test]
    fn what_was_checked_is_checked_again_when_it_changes() {
        let queue = |generation: i64, most: i32| -> Queue {
            serde_json::from_value(json!({"apiVersion": "entente.dev/v1alpha1", "kind": "Queue",
                "metadata": {"name": "q", "uid": "u", "generation": generation},
                "spec": {"scaling": {"targetRef": {"name": "worker"}, "maxAge": "30s", "maxReplicas": most}}}))
            .unwrap()
        };
        let mut checked = Checked::default();
        assert_eq!(checked.of(&queue(1, 5)).unwrap().max, 5);
        assert_eq!(checked.of(&queue(1, 6)).unwrap().max, 5, "the spec of a generation does not change");
        assert_eq!(checked.of(&queue(2, 6)).unwrap().max, 6);
        assert_eq!(checked.of(&queue(3, 0)), None);
        checked.keep(&BTreeSet::from(["other"]));
        assert!(checked.0.is_empty());
    }

    #[test]
    fn the_oldest_of_several_acts_on_a_target() {
        let told = rivals(vec![
            of("late", 9, &json!({"name": "worker"})),
            of("early", 1, &json!({"name": "worker"})),
            of("other", 9, &json!({"name": "another"})),
            of("kind", 9, &json!({"name": "worker", "kind": "StatefulSet"})),
        ]);
        let rivals: Vec<_> = told.iter().map(|subject| (subject.name.as_str(), subject.rival.as_deref())).collect();
        assert_eq!(rivals, [("early", None), ("kind", None), ("late", Some("Queue/early")), ("other", None)]);
    }
}
