//! Objects that went although our finalizer was on them.
//!
//! The API server can do that: a DELETE that read the object just before the finalizer was added removes it all the
//! same, and what was made at the broker in that moment belongs to nobody.

use std::time::Duration;

use entente_core::object::Reported;
use entente_crds::meta::FINALIZER;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::Visitor;

/// Wait before another attempt, while the broker does not answer or messages are left.
const PAUSE: Duration = Duration::from_secs(2);
/// Then it stays in the broker, as an orphan.
const ATTEMPTS: u32 = 30;

/// The object of a watch event that says that it went in spite of our finalizer.
pub fn vanished<K: Resource, E>(event: &Result<Event<K>, E>) -> Option<&K> {
    let Ok(Event::Delete(object)) = event else { return None };
    // The event shows the object as it was last stored. One whose deletion waited for finalizers has a deletion time there.
    let held = object.meta().deletion_timestamp.is_none() && object.finalizers().iter().any(|name| name == FINALIZER);
    held.then_some(object)
}

/// Does what the deletion of such an object would have done.
pub async fn clean_up<V: Visitor>(visitor: &V, object: &V::Object) {
    let (kind, namespace, name) = (V::Object::KIND, object.namespace().unwrap_or_default(), object.name_any());
    tracing::info!(kind, namespace, name, "it went in spite of its finalizer; what it left in the broker is cleaned up");
    for _ in 0..ATTEMPTS {
        // What must wait writes so into the status, and fails as there is no such object.
        if visitor.delete(object).await.is_ok() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(kind, namespace, name, "what it left stays in the broker: messages are left, or the broker did not answer");
}

#[cfg(test)]
mod tests {
    use entente_crds::Queue;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn event(finalizer: &str, deleted: Option<Timestamp>) -> Event<Queue> {
        let mut queue = Queue::new("q", entente_crds::queue::QueueSpec::default());
        queue.metadata.finalizers = Some(vec![finalizer.to_owned()]);
        queue.metadata.deletion_timestamp = deleted.map(Time);
        Event::Delete(queue)
    }

    #[test]
    fn only_what_went_without_waiting_for_our_finalizer_vanished() {
        let went = |event: Event<Queue>| vanished(&Ok::<_, ()>(event)).is_some();
        assert!(went(event(FINALIZER, None)));
        assert!(!went(event(FINALIZER, Some(Timestamp::UNIX_EPOCH))));
        assert!(!went(event("others", None)));
        assert!(!went(Event::InitDone));
        assert!(vanished::<Queue, _>(&Err(())).is_none());
    }
}
