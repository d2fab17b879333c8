//! What the Queue controller works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use entente_core::resolve::{Asker, Unresolved, resolve};
use entente_crds::{Broker, Queue};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::Semaphore;

use super::writes::Written;
use crate::activity::Activity;
use crate::lanes::Lanes;
use crate::links::Links;
use crate::metrics::Metrics;

/// Everything the controller works with.
pub struct QueueContext {
    /// The Kubernetes API.
    pub client: Client,
    /// Every Broker.
    pub brokers: Store<Broker>,
    /// Every namespace's labels and whether it is being deleted.
    pub namespaces: Store<Namespace>,
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
    /// What was written last.
    pub written: Written,
}

impl QueueContext {
    /// The Broker that serves a Queue.
    pub fn broker(&self, queue: &Queue) -> Result<Arc<Broker>, Unresolved> {
        let namespace = queue.namespace().unwrap_or_default();
        let known = self.namespaces.get(&ObjectRef::new(&namespace));
        let labels: Option<&BTreeMap<String, String>> = known.as_ref().map(|namespace| namespace.labels());
        let current = queue.status.as_ref().and_then(|status| status.broker.as_deref());
        let brokers = self.brokers.state();
        let found = resolve(queue.spec.broker_ref.as_ref(), current, Asker { namespace: &namespace, labels }, &brokers)?;
        let uid = found.uid();
        // The same allocation again, shared rather than copied.
        Ok(brokers.iter().find(|broker| broker.uid() == uid).cloned().unwrap_or_else(|| Arc::new(found.clone())))
    }

    /// Whether the namespace of a Queue is being deleted.
    pub fn is_namespace_terminating(&self, queue: &Queue) -> bool {
        let namespace = queue.namespace().unwrap_or_default();
        let known = self.namespaces.get(&ObjectRef::new(&namespace));
        known.is_some_and(|namespace| namespace.meta().deletion_timestamp.is_some())
    }
}
