//! What the status of a Subscription says: what that of a Queue says of its queue.

use entente_crds::Subscription;
use entente_crds::queue::QueueStatus;
use entente_crds::subscription::SubscriptionStatus;
use jiff::Timestamp;

use super::queue_of;
use super::validate::Settings;
use crate::object::{Outcome, Place, set_outcome};
use crate::queue::status::locate;

/// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
pub fn status(
    subscription: &Subscription,
    outcome: &Outcome,
    place: Option<Place<'_, Settings>>,
    now: Timestamp,
) -> SubscriptionStatus {
    let replayed = subscription.status.as_ref().and_then(|status| status.replayed);
    let mut status = of_queue(subscription.status.clone().unwrap_or_default());
    let generation = subscription.metadata.generation;
    status.observed_generation = generation;
    if set_outcome(&mut status.conditions, outcome, "the subscription is as declared", generation, now)
        && let Some(Place { broker, virtual_host, settings, observed }) = place
    {
        let place = Place { broker, virtual_host, settings: settings.map(|settings| &settings.queue), observed };
        locate(&mut status, &queue_of(subscription), place, now);
    }
    SubscriptionStatus { replayed, ..of_subscription(status) }
}

fn of_queue(status: SubscriptionStatus) -> QueueStatus {
    let SubscriptionStatus {
        observed_generation,
        conditions,
        broker,
        virtual_host,
        address,
        dead_letter_address,
        leader,
        members,
        online,
        backlog,
        scaling,
        // A queue has no such thing.
        replayed: _,
    } = status;
    QueueStatus {
        observed_generation,
        conditions,
        broker,
        virtual_host,
        address,
        send_address: None,
        dead_letter_address,
        leader,
        members,
        online,
        partitions: Vec::new(),
        backlog,
        scaling,
    }
}

fn of_subscription(status: QueueStatus) -> SubscriptionStatus {
    let QueueStatus {
        observed_generation,
        conditions,
        broker,
        virtual_host,
        address,
        // One sends to the Topic.
        send_address: _,
        dead_letter_address,
        leader,
        members,
        online,
        partitions: _,
        backlog,
        scaling,
    } = status;
    SubscriptionStatus {
        observed_generation,
        conditions,
        broker,
        virtual_host,
        address,
        dead_letter_address,
        leader,
        members,
        online,
        backlog,
        scaling,
        replayed: None,
    }
}
