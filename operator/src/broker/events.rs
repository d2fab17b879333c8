//! Events of a Broker: one for each change that people should hear of.

use entente_core::cluster::status::Transition;
use entente_crds::Broker;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::BrokerContext;

/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1000;

/// Publishes what changed. An Event that cannot be published is no reason to fail.
pub async fn publish(ctx: &BrokerContext, broker: &Broker, transitions: Vec<Transition>) {
    for Transition { warning, reason, note } in transitions {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason,
            note: Some(note.chars().take(NOTE_LIMIT).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &broker.object_ref(&())).await {
            tracing::warn!(%error, reason = event.reason, "event not published");
        }
    }
}
