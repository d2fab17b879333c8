//! Writes to a Queue in the API server: status, finalizer, Events. Each only where something changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entente_core::conditions;
use entente_crds::Queue;
use entente_crds::condition::types;
use entente_crds::meta::FINALIZER;
use entente_crds::queue::QueueStatus;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::context::QueueContext;
use crate::metrics::Kind;

/// Events that are on their way at once, at most.
pub const EVENTS_AT_ONCE: usize = 2;
/// After this an Event is told however much is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// The statuses written last, by UID.
///
/// A reconcile may start from an object that the watch has not brought up to date yet. Deciding on its old
/// status would write the same again, with another time.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<String, Last>>);

#[derive(Clone, Debug)]
struct Last {
    /// The version of the object that the status was computed from.
    from: String,
    status: QueueStatus,
}

impl Written {
    /// The object with the status that it has by now.
    pub fn refresh(&self, queue: &Queue) -> Queue {
        let mut queue = queue.clone();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(uid), Some(version)) = (queue.uid(), queue.resource_version())
            && let Some(last) = known.get(&uid)
            && last.from == version
        {
            queue.status = Some(last.status.clone());
        }
        queue
    }

    fn note(&self, queue: &Queue, status: &QueueStatus) {
        if let (Some(uid), Some(from)) = (queue.uid(), queue.resource_version()) {
            let last = Last { from, status: status.clone() };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, last);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, queue: &Queue) {
        if let Some(uid) = queue.uid() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
        }
    }
}

fn api(ctx: &QueueContext, queue: &Queue) -> Api<Queue> {
    Api::namespaced(ctx.client.clone(), &queue.namespace().unwrap_or_default())
}

fn count(ctx: &QueueContext, kind: &'static str) {
    ctx.metrics.api_writes.get_or_create(&Kind { kind }).inc();
}

/// Writes the status if it differs, and tells an Event if `Ready` changed its reason.
pub async fn status(ctx: &QueueContext, queue: &Queue, status: QueueStatus) -> Result<(), kube::Error> {
    if queue.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let before = serde_json::to_value(queue.status.clone().unwrap_or_default()).map_err(kube::Error::SerdeError)?;
    let mut after = serde_json::to_value(&status).map_err(kube::Error::SerdeError)?;
    // A merge patch removes a field only where it says null.
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        for key in before.keys() {
            after.entry(key.clone()).or_insert(serde_json::Value::Null);
        }
    }
    // With the UID: another object of this name may be there by now, which knows nothing of this one's status.
    let patch = Patch::Merge(json!({"metadata": {"uid": queue.uid()}, "status": after}));
    {
        let _pass = ctx.lanes.enter(&queue.namespace().unwrap_or_default()).await;
        count(ctx, "Queue");
        api(ctx, queue).patch_status(&queue.name_any(), &PatchParams::default(), &patch).await?;
    }
    ctx.written.note(queue, &status);
    tell_of_ready(ctx, queue, &status);
    Ok(())
}

fn tell_of_ready(ctx: &QueueContext, queue: &Queue, status: &QueueStatus) {
    let Some(ready) = conditions::get(&status.conditions, types::READY) else { return };
    let before = queue.status.as_ref().and_then(|status| conditions::get(&status.conditions, types::READY));
    if before.is_some_and(|before| before.reason == ready.reason) {
        return;
    }
    let type_ = if ready.status == "True" { EventType::Normal } else { EventType::Warning };
    tell(ctx, queue, type_, &ready.reason, &ready.message);
}

/// Publishes an Event. Nobody waits for it, and its failure changes nothing.
pub fn tell(ctx: &QueueContext, queue: &Queue, type_: EventType, reason: &str, note: &str) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        // The API server's limit is 1024 bytes.
        note: Some(note.chars().take(250).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let (recorder, reference) = (ctx.recorder.clone(), queue.object_ref(&()));
    let (activity, telling) = (ctx.activity.clone(), Arc::clone(&ctx.telling));
    count(ctx, "Event");
    tokio::spawn(async move {
        activity.lull(TOLD_AFTER).await;
        // Never closed; were it, telling unbounded would still be right.
        let _one_of_few = telling.acquire().await.ok();
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "an Event was not published");
        }
    });
}

/// Adds our finalizer. Must be done before anything is made at the broker, or a deletion in between would leave it there.
pub async fn add_finalizer(ctx: &QueueContext, queue: &Queue) -> Result<Queue, kube::Error> {
    let mut finalizers = queue.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    set_finalizers(ctx, queue, &finalizers).await
}

/// Removes our finalizer, after which the object may be gone.
pub async fn remove_finalizer(ctx: &QueueContext, queue: &Queue) -> Result<(), kube::Error> {
    let finalizers: Vec<String> = queue.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
    match set_finalizers(ctx, queue, &finalizers).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

async fn set_finalizers(ctx: &QueueContext, queue: &Queue, finalizers: &[String]) -> Result<Queue, kube::Error> {
    // With the version: another's finalizer that came meanwhile must not be overwritten.
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": queue.resource_version()}});
    let _pass = ctx.lanes.enter(&queue.namespace().unwrap_or_default()).await;
    count(ctx, "Queue");
    api(ctx, queue).patch(&queue.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await
}
