//! Objects that others depend on, at hand, and news of them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use entente_core::cluster::external::barrier;
use entente_core::conditions::{get, is_true};
use entente_crds::condition::types;
use entente_crds::{Broker, ServiceContract, Topic};
use futures::stream::unfold;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;

/// Changes that may concern every object. Two that are not yet heard are no more than one.
#[derive(Clone, Debug)]
pub struct Changes(Arc<watch::Sender<u64>>);

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Changes {
    /// Tells of a change, whichever object it is of.
    pub fn teller<K: Resource<DynamicType = ()>>(&self) -> impl Fn(ObjectRef<K>) + Send + 'static {
        let changed = Arc::clone(&self.0);
        move |_| changed.send_modify(|count| *count = count.wrapping_add(1))
    }

    /// Changes from now on.
    pub fn stream(&self) -> impl Stream<Item = ()> + Send + 'static {
        unfold(self.0.subscribe(), async |mut changed| changed.changed().await.ok().map(|()| ((), changed)))
    }
}

/// Keeps every object of a kind at hand, and tells when one changes in what others depend on.
pub fn follow<K>(client: &Client, tell: impl Fn(ObjectRef<K>) + Send + 'static, essence: fn(&K) -> String) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let stream = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().reflect(writer);
    tokio::spawn(async move {
        let mut stream = pin!(stream);
        let mut known: HashMap<ObjectRef<K>, String> = HashMap::new();
        let mut listed: HashMap<ObjectRef<K>, String> = HashMap::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Apply(object)) => {
                    let (reference, essence) = (ObjectRef::from_obj(&object), essence(&object));
                    if known.insert(reference.clone(), essence.clone()) != Some(essence) {
                        tell(reference);
                    }
                }
                Ok(Event::Delete(object)) => {
                    let reference = ObjectRef::from_obj(&object);
                    known.remove(&reference);
                    tell(reference);
                }
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => drop(listed.insert(ObjectRef::from_obj(&object), essence(&object))),
                // A watch that began anew may have missed anything.
                Ok(Event::InitDone) => {
                    let before = std::mem::replace(&mut known, std::mem::take(&mut listed));
                    let gone = before.keys().filter(|reference| !known.contains_key(*reference));
                    let changed = known.iter().filter(|(reference, essence)| before.get(*reference) != Some(*essence));
                    gone.chain(changed.map(|(reference, _)| reference)).cloned().for_each(&tell);
                }
                Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted; it goes on by itself"),
            }
        }
    });
    reader
}

/// What others depend on: the spec, whether it serves and filters, what stands in the way, whether it is being deleted.
pub fn broker_essence(broker: &Broker) -> String {
    let ready = broker.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY));
    let filters = broker.status.as_ref().and_then(|status| get(&status.conditions, types::FILTERS_SUPPORTED));
    let filters = filters.map(|condition| &condition.status);
    // Also that a change of its spec was looked at: until then an external Broker serves nobody.
    let barrier = barrier(broker);
    let Broker { metadata, .. } = broker;
    format!("{:?} {:?} {ready} {filters:?} {barrier:?} {:?}", metadata.uid, metadata.generation, metadata.deletion_timestamp)
}

/// What others depend on: the labels, whether it is being deleted.
pub fn namespace_essence(namespace: &Namespace) -> String {
    format!("{:?} {:?}", namespace.metadata.labels, namespace.metadata.deletion_timestamp)
}

/// What those depend on who use a contract: the spec, the Broker, the states of its versions and their brown-outs, whether it is being deleted.
pub fn contract_essence(contract: &ServiceContract) -> String {
    let meta = &contract.metadata;
    let status = contract.status.as_ref();
    let versions = status.iter().flat_map(|status| &status.versions);
    let lives: Vec<_> = versions.map(|version| (&version.name, version.state, &version.sunset_at, &version.brownouts)).collect();
    let broker = status.and_then(|status| status.broker.as_ref());
    format!("{:?} {:?} {broker:?} {lives:?} {:?}", meta.uid, meta.generation, meta.deletion_timestamp)
}

/// What Subscriptions depend on: the spec, the Broker, whether it is there, whether it is being deleted.
pub fn topic_essence(topic: &Topic) -> String {
    let place = topic.status.as_ref().map(|status| (&status.broker, &status.address));
    format!("{:?} {:?} {place:?} {:?}", topic.uid(), topic.metadata.generation, topic.metadata.deletion_timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A Queue that was told to wait is visited again when nothing but `observedGeneration` has moved.
    #[test]
    fn an_external_broker_that_was_looked_at_anew_is_news() {
        let broker = |seen: i64| -> Broker {
            serde_json::from_value(json!({
                "apiVersion": "entente.dev/v1alpha1", "kind": "Broker",
                "metadata": {"name": "b", "namespace": "n", "uid": "u", "generation": 2},
                "spec": {"external": {"uri": "https://rabbit.example:15671", "secretRef": {"name": "s"}}},
                "status": {"observedGeneration": seen, "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            }))
            .unwrap()
        };
        assert_ne!(broker_essence(&broker(1)), broker_essence(&broker(2)));
        assert_eq!(broker_essence(&broker(2)), broker_essence(&broker(2)));
    }
}
