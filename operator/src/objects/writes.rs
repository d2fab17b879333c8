//! Writes to an object in the API server: status, finalizer, Events. Each only where something changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entente_core::conditions;
use entente_core::object::Reported;
use entente_crds::condition::types;
use entente_crds::meta::FINALIZER;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::context::{Context, Shared};
use super::home::Kind;
use crate::metrics::Kind as KindLabel;

/// The field of a status that the autoscaler writes, and nobody else.
pub const OF_THE_AUTOSCALER: &str = "scaling";
/// The field of a contract's status that is written only with [`report_unchanged`].
const OF_THE_CONTRACT: &str = "versions";
/// Events that are on their way at once, at most.
pub const EVENTS_AT_ONCE: usize = 2;
/// After this an Event is told however much is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// The statuses written last, by UID.
///
/// A reconcile may start from an object that the watch has not brought up to date yet. Deciding on its old
/// status would write the same again, with another time.
#[derive(Debug)]
pub struct Written<K: Reported>(Mutex<HashMap<String, Last<K>>>);

#[derive(Clone, Debug)]
struct Last<K: Reported> {
    /// The version of the object that the status was computed from.
    from: String,
    status: K::Status,
}

impl<K: Reported> Default for Written<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Reported> Written<K> {
    /// The object with the status that it has by now.
    pub fn refresh(&self, object: &K) -> K {
        let mut object = object.clone();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(uid), Some(version)) = (object.uid(), object.resource_version())
            && let Some(last) = known.get(&uid)
            && last.from == version
        {
            object.set_last_status(Some(last.status.clone()));
        }
        object
    }

    fn note(&self, object: &K, status: &K::Status) {
        if let (Some(uid), Some(from)) = (object.uid(), object.resource_version()) {
            let last = Last { from, status: status.clone() };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, last);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &K) {
        if let Some(uid) = object.uid() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
        }
    }
}

fn api<K>(shared: &Shared, object: &K) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(shared.client.clone(), &object.namespace().unwrap_or_default())
}

fn count(shared: &Shared, kind: &'static str) {
    shared.metrics.api_writes.get_or_create(&KindLabel { kind }).inc();
}

/// Writes the status if it differs, and tells an Event if `Ready` changed its reason.
pub async fn status<K: Kind>(ctx: &Context<K>, object: &K, status: K::Status) -> Result<(), kube::Error> {
    report(&ctx.shared, &ctx.written, object, status).await
}

/// The same for a kind of another pipeline.
pub async fn report<K: Reported>(
    shared: &Shared,
    written: &Written<K>,
    object: &K,
    status: K::Status,
) -> Result<(), kube::Error> {
    write(shared, written, object, status, None).await
}

/// The same, refused by the API server if the object is no longer as it was read: for a status that builds on itself.
pub async fn report_unchanged<K: Reported>(
    shared: &Shared,
    written: &Written<K>,
    object: &K,
    status: K::Status,
) -> Result<(), kube::Error> {
    write(shared, written, object, status, object.resource_version()).await
}

async fn write<K: Reported>(
    shared: &Shared,
    written: &Written<K>,
    object: &K,
    status: K::Status,
    version: Option<String>,
) -> Result<(), kube::Error> {
    if object.last_status() == Some(&status) {
        return Ok(());
    }
    let before = serde_json::to_value(object.last_status().cloned().unwrap_or_default()).map_err(kube::Error::SerdeError)?;
    let mut after = serde_json::to_value(&status).map_err(kube::Error::SerdeError)?;
    // A merge patch removes a field only where it says null.
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for key in before.keys() {
            after.entry(key.clone()).or_insert(serde_json::Value::Null);
        }
        // What was seen of it here may be old by now.
        after.remove(OF_THE_AUTOSCALER);
        if version.is_none() && before.get(OF_THE_CONTRACT) == after.get(OF_THE_CONTRACT) {
            after.remove(OF_THE_CONTRACT);
        }
    }
    // With the UID: another object of this name may be there by now, which knows nothing of this one's status.
    let mut metadata = json!({"uid": object.uid()});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    let patch = Patch::Merge(json!({"metadata": metadata, "status": after}));
    {
        let _pass = shared.lanes.enter(&object.namespace().unwrap_or_default()).await;
        count(shared, K::KIND);
        api(shared, object).patch_status(&object.name_any(), &PatchParams::default(), &patch).await?;
    }
    written.note(object, &status);
    tell_of_ready(shared, object, &status);
    tell_of_contracts(shared, object, &status);
    Ok(())
}

fn tell_of_ready<K: Reported>(shared: &Shared, object: &K, status: &K::Status) {
    let Some(ready) = conditions::get(K::conditions(status), types::READY) else { return };
    let before = object.last_status().and_then(|status| conditions::get(K::conditions(status), types::READY));
    if before.is_some_and(|before| before.reason == ready.reason) {
        return;
    }
    let type_ = if ready.status == "True" { EventType::Normal } else { EventType::Warning };
    tell(shared, object, type_, &ready.reason, &ready.message);
}

/// Tells once for each state that a version of a contract comes to, on the objects of those who depend on it, and for each brown-out.
fn tell_of_contracts<K: Reported>(shared: &Shared, object: &K, status: &K::Status) {
    for type_ in [types::CONTRACT_DEPRECATED, types::CONTRACT_BROWNOUT] {
        let Some(now) = conditions::get(K::conditions(status), type_) else { continue };
        let before = object.last_status().and_then(|status| conditions::get(K::conditions(status), type_));
        if before.is_none_or(|before| before.message != now.message) {
            tell(shared, object, EventType::Warning, &now.reason, &now.message);
        }
    }
}

/// Publishes an Event. Nobody waits for it, and its failure changes nothing.
pub fn tell<K>(shared: &Shared, object: &K, type_: EventType, reason: &str, note: &str)
where
    K: Resource<DynamicType = ()>,
{
    let event = Event {
        type_,
        reason: reason.to_owned(),
        // The API server's limit is 1024 bytes.
        note: Some(note.chars().take(250).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let (recorder, reference) = (shared.recorder.clone(), object.object_ref(&()));
    let (activity, telling) = (shared.activity.clone(), Arc::clone(&shared.telling));
    count(shared, "Event");
    tokio::spawn(async move {
        activity.lull(TOLD_AFTER).await;
        // Never closed; were it, telling unbounded would still be right.
        let _one_of_few = telling.acquire().await.ok();
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "an Event was not published");
        }
    });
}

/// Whether our finalizer is on an object.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.meta().finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// Adds our finalizer. Must be done before anything is made at the broker, or a deletion in between would leave it there.
pub async fn add_finalizer<K: Reported>(shared: &Shared, object: &K) -> Result<K, kube::Error> {
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    set_finalizers(shared, object, &finalizers).await
}

/// Removes our finalizer, after which the object may be gone.
pub async fn remove_finalizer<K: Reported>(shared: &Shared, object: &K) -> Result<(), kube::Error> {
    let finalizers: Vec<String> = object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
    match set_finalizers(shared, object, &finalizers).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

async fn set_finalizers<K: Reported>(shared: &Shared, object: &K, finalizers: &[String]) -> Result<K, kube::Error> {
    // With the version: another's finalizer that came meanwhile must not be overwritten.
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()}});
    let _pass = shared.lanes.enter(&object.namespace().unwrap_or_default()).await;
    count(shared, K::KIND);
    api(shared, object).patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await
}
