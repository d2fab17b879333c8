//! What the controllers work with.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use entente_core::object::broker_key;
use entente_core::resolve::{Asker, Unresolved, resolve};
use entente_crds::queue::BrokerRef;
use entente_crds::{Broker, ServiceContract, Topic};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::Semaphore;

use super::deletion;
use super::home::Kind;
use super::reconcile::{Error, reconcile};
use super::writes::Written;
use crate::activity::Activity;
use crate::client::news::Sightings;
use crate::lanes::Lanes;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::replay::Replays;
use crate::visits::Visitor;

/// What all controllers share.
pub struct Shared {
    /// The Kubernetes API.
    pub client: Client,
    /// Every Broker.
    pub brokers: Store<Broker>,
    /// Every namespace's labels and whether it is being deleted.
    pub namespaces: Store<Namespace>,
    /// Every Topic.
    pub topics: Store<Topic>,
    /// Every ServiceContract.
    pub contracts: Store<ServiceContract>,
    /// What Clients hear of other kinds.
    pub sightings: Sightings,
    /// Brokers that can be asked.
    pub links: Arc<Links>,
    /// Where Events go.
    pub recorder: Recorder,
    /// Bounds Events that are on their way.
    pub telling: Arc<Semaphore>,
    /// Bounds writes to the API server.
    pub lanes: Lanes,
    /// Whether somebody waits.
    pub activity: Activity,
    /// Figures.
    pub metrics: Metrics,
    /// The past of Subscriptions that begin in it.
    pub replays: Replays,
}

impl Shared {
    /// The Broker that serves an object of a namespace. `current` is the one that has served so far.
    pub fn broker(
        &self,
        reference: Option<&BrokerRef>,
        current: Option<&str>,
        namespace: &str,
    ) -> Result<Arc<Broker>, Unresolved> {
        let labels = self.labels(namespace);
        let brokers = self.brokers.state();
        let found = resolve(reference, current, Asker { namespace, labels: labels.as_ref() }, &brokers)?;
        let uid = found.uid();
        // The same allocation again, shared rather than copied.
        Ok(brokers.iter().find(|broker| broker.uid() == uid).cloned().unwrap_or_else(|| Arc::new(found.clone())))
    }

    /// The Broker that a status names, whether it still serves or not. It authorises nothing: whoever may write a status
    /// may name any, so that only what is made of the object's own namespace and name may be touched there.
    pub fn broker_of_status(&self, key: Option<&str>) -> Option<Arc<Broker>> {
        let key = key?;
        self.brokers.state().into_iter().find(|broker| broker_key(broker) == key)
    }

    /// The labels of a namespace, where it is known.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        self.namespaces.get(&ObjectRef::new(namespace)).map(|namespace| namespace.labels().clone())
    }

    /// Whether a namespace is being deleted.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let known = self.namespaces.get(&ObjectRef::new(namespace));
        known.is_some_and(|namespace| namespace.meta().deletion_timestamp.is_some())
    }
}

/// What the controller of one kind works with.
pub struct Context<K: Kind> {
    /// What all share.
    pub shared: Arc<Shared>,
    /// What was written last.
    pub written: Written<K>,
}

impl<K: Kind> Context<K> {
    /// A controller's beginning.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, written: Written::default() })
    }
}

impl<K: Kind> Visitor for Context<K> {
    type Object = K;
    type Error = Error;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn see(&self, event: &Result<Event<K>, watcher::Error>) {
        self.sightings.see(event);
    }

    async fn visit(&self, object: &K) -> Result<Action, Error> {
        reconcile(object, self).await
    }

    async fn delete(&self, object: &K) -> Result<Action, Error> {
        deletion::reconcile(object, self).await
    }
}

impl<K: Kind> Deref for Context<K> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
