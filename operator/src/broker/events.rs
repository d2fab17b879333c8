//! Events of a Broker: one for each change that people should hear of.

use entente_core::cluster::serving::Change;
use entente_core::cluster::status::Transition;
use entente_crds::Broker;
use entente_crds::broker::Failover;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder};

use super::context::BrokerContext;

/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1000;

/// Publishes what changed. An Event that cannot be published is no reason to fail.
pub async fn publish(ctx: &BrokerContext, broker: &Broker, transitions: Vec<Transition>) {
    publish_to(&ctx.recorder, broker, transitions).await;
}

/// Publishes that the client Service took a node out, or in again.
pub async fn publish_serving(recorder: &Recorder, broker: &Broker, change: &Change) {
    let Change { pod, serve } = change;
    let (reason, note) = if *serve {
        ("NodeInService", format!("{pod} answers again; new connections may go to it"))
    } else {
        ("NodeOutOfService", format!("{pod} does not answer; new connections go to the other nodes"))
    };
    let transition = Transition { warning: !serve, pod: Some(pod.clone()), reason: reason.to_owned(), note };
    publish_to(recorder, broker, vec![transition]).await;
}

/// Publishes that a node was lost, and how long it took the others to lead.
pub async fn publish_failover(recorder: &Recorder, broker: &Broker, failover: &Failover) {
    let Failover { node, at: _, recovered_millis } = failover;
    let note = format!("{node} was lost; every queue had a leader {recovered_millis} ms after its last answer");
    let transition = Transition { warning: true, pod: Some(node.clone()), reason: "FailedOver".to_owned(), note };
    publish_to(recorder, broker, vec![transition]).await;
}

async fn publish_to(recorder: &Recorder, broker: &Broker, transitions: Vec<Transition>) {
    for Transition { warning, pod, reason, note } in transitions {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason,
            note: Some(note.chars().take(NOTE_LIMIT).collect()),
            action: "Reconcile".to_owned(),
            // Events of one reason are counted as one, unless they are about different objects.
            secondary: pod.map(|name| ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: broker.metadata.namespace.clone(),
                name: Some(name),
                ..ObjectReference::default()
            }),
        };
        if let Err(error) = recorder.publish(&event, &broker.object_ref(&())).await {
            tracing::warn!(%error, reason = event.reason, "event not published");
        }
    }
}
