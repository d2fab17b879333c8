//! Where the broker objects of a Kubernetes object are: which Broker, which virtual host.

use std::sync::Arc;

use entente_core::client::grants::admits;
use entente_core::contract::reference::{Reference, usable};
use entente_core::object::{Object, Refusal};
use entente_core::resolve::{Asker, Unresolved};
use entente_core::subscription::validate::topic_namespace;
use entente_core::subscription::{self, queue_of};
use entente_core::topology::diff::{Claim, Desired, Scope};
use entente_crds::condition::reasons;
use entente_crds::grant::Verb;
use entente_crds::queue::BrokerRef;
use entente_crds::{Broker, Queue, ServiceContract, Subscription, Topic};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::context::Shared;
use crate::contract::told;

/// A place at a broker.
#[derive(Clone, Debug)]
pub struct Home {
    /// The Broker.
    pub broker: Arc<Broker>,
    /// The virtual host.
    pub virtual_host: String,
}

/// A kind that the pipeline serves.
pub trait Kind: Object {
    /// Where its broker objects must be.
    fn home(&self, shared: &Shared) -> Result<Home, Unresolved>;

    /// Where they are when it is deleted, though what it hung on may be gone.
    fn last_home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        self.home(shared)
    }

    /// The Subscription whose past may have to be replayed before anything else is done about it.
    fn begins(_settings: &Self::Settings) -> Option<&subscription::validate::Settings> {
        None
    }

    /// Messages of the past that its status speaks of.
    fn replayed(&self) -> u64 {
        0
    }

    /// Lets a status speak of so many messages of the past.
    fn note_replayed(_status: &mut Self::Status, _replayed: u64) {}

    /// What must end at the broker, though the object stays, since its [`Kind::home`] no longer takes it in.
    fn expelled(&self, _why: &Unresolved) -> Option<Desired> {
        None
    }

    /// What must end at the broker when its namespace goes, since others would have to bear with it: what is in another
    /// namespace's virtual host.
    fn left_behind(&self) -> Option<Desired> {
        None
    }

    /// What its status tells of others.
    fn amend(&self, _shared: &Shared, _status: &mut Self::Status, _now: Timestamp) {}
}

/// The virtual host of the object's own namespace, on the Broker that it names or that serves by default.
fn own_home<K: Object>(object: &K, reference: Option<&BrokerRef>, shared: &Shared) -> Result<Home, Unresolved> {
    let virtual_host = object.namespace().unwrap_or_default();
    let broker = shared.broker(reference, status_broker(object), &virtual_host)?;
    Ok(Home { broker, virtual_host })
}

/// The Broker that the status names.
fn status_broker<K: Object>(object: &K) -> Option<&str> {
    object.last_status().and_then(K::broker_of)
}

impl Kind for Queue {
    fn home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        own_home(self, self.spec.broker_ref.as_ref(), shared)
    }
}

impl Kind for Topic {
    fn home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        own_home(self, self.spec.broker_ref.as_ref(), shared)
    }
}

impl Kind for ServiceContract {
    fn home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        own_home(self, self.spec.broker_ref.as_ref(), shared)
    }
}

/// The home of a Subscription to a version of a contract: that of the contract.
fn home_of_contract(subscription: &Subscription, reference: &Reference, shared: &Shared) -> Result<Home, Unresolved> {
    let own = subscription.namespace().unwrap_or_default();
    let contract = shared.contracts.get(&ObjectRef::new(&reference.contract).within(&reference.namespace));
    let labels = shared.labels(&own);
    let asker = Asker { namespace: &own, labels: labels.as_ref() };
    let bound = subscription.status.as_ref().and_then(|status| status.contract.as_ref());
    let held = bound.is_some_and(|bound| *bound == reference.key());
    usable(reference, contract.as_deref(), asker, Verb::Receive, held)
        .map_err(|Refusal { reason, message }| Unresolved { reason, message })?;
    let Some(contract) = contract else {
        return Err(Unresolved { reason: reasons::CONTRACT_NOT_USABLE, message: reference.key() });
    };
    contract.home(shared)
}

impl Kind for Subscription {
    /// A Subscription lives with its Topic or contract: bindings do not cross virtual hosts.
    fn home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        let (own, namespace) = (self.namespace().unwrap_or_default(), topic_namespace(self));
        if let Some(reference) = &self.spec.contract_ref {
            return home_of_contract(self, &Reference::of(reference, &own), shared);
        }
        let name = self.spec.topic_ref.as_ref().map(|topic| topic.name.as_str()).unwrap_or_default();
        let topic = shared.topics.get(&ObjectRef::new(name).within(&namespace));
        let labels = shared.labels(&own);
        let asker = Asker { namespace: &own, labels: labels.as_ref() };
        let topic = topic.filter(|topic| admits(&topic.spec.grants, &namespace, asker, Verb::Receive));
        let Some(topic) = topic else {
            return Err(Unresolved {
                reason: reasons::TOPIC_NOT_USABLE,
                // One answer for absent and forbidden (invariant I3).
                message: format!(
                    "the Topic {namespace}/{name} does not exist or does not grant Receive to this namespace; check topicRef, create the Topic, or ask its owner to add a grant to its spec.grants"
                ),
            });
        };
        topic.home(shared)
    }

    /// The Topic may be gone, or its grant. Its Broker is in the status; a status that somebody else wrote leads to no
    /// queue but this Subscription's own, whose name is made of its namespace and name.
    fn last_home(&self, shared: &Shared) -> Result<Home, Unresolved> {
        self.home(shared).or_else(|error| {
            let broker = shared.broker_of_status(status_broker(self)).ok_or(error)?;
            Ok(Home { broker, virtual_host: topic_namespace(self) })
        })
    }

    fn begins(settings: &Self::Settings) -> Option<&subscription::validate::Settings> {
        Some(settings)
    }

    fn replayed(&self) -> u64 {
        let told = self.status.as_ref().and_then(|status| status.replayed);
        told.and_then(|told| u64::try_from(told).ok()).unwrap_or_default()
    }

    fn note_replayed(status: &mut Self::Status, replayed: u64) {
        status.replayed = Some(i64::try_from(replayed).unwrap_or(i64::MAX));
    }

    /// Without a grant no further message comes. Those that came stay.
    fn expelled(&self, why: &Unresolved) -> Option<Desired> {
        let ends = [reasons::TOPIC_NOT_USABLE, reasons::CONTRACT_NOT_USABLE, reasons::VERSION_RETIRED];
        ends.contains(&why.reason).then(|| unbound(self))
    }

    fn amend(&self, shared: &Shared, status: &mut Self::Status, now: Timestamp) {
        let own = self.namespace().unwrap_or_default();
        let reference = self.spec.contract_ref.as_ref().map(|reference| (Reference::of(reference, &own), Verb::Receive));
        told::tell(shared, &own, reference, &mut status.conditions, self.metadata.generation, now);
    }

    /// A queue that nobody will ever read must not go on to fill, nor hold up the deletion of its Topic.
    fn left_behind(&self) -> Option<Desired> {
        (topic_namespace(self) != self.namespace().unwrap_or_default()).then(|| unbound(self))
    }
}

fn unbound(subscription: &Subscription) -> Desired {
    let nothing = Claim { scope: Scope::To { destination: queue_of(subscription) }, bindings: Vec::new() };
    Desired { claims: vec![nothing], ..Desired::default() }
}
