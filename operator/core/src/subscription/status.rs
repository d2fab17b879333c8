//! What the status of a Subscription says: what that of a Queue says of its queue.

use entente_crds::Subscription;
use entente_crds::queue::QueueStatus;
use entente_crds::subscription::SubscriptionStatus;
use jiff::Timestamp;

use super::queue_of;
use super::validate::Settings;
use crate::contract::reference::Reference;
use crate::object::{Outcome, Place, set_outcome};
use crate::queue::status::locate;

/// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
pub fn status(
    subscription: &Subscription,
    outcome: &Outcome,
    place: Option<Place<'_, Settings>>,
    now: Timestamp,
) -> SubscriptionStatus {
    let last = subscription.status.clone().unwrap_or_default();
    let bound = bound(subscription, &last, place);
    let mut status = of_queue(last);
    let generation = subscription.metadata.generation;
    status.observed_generation = generation;
    if set_outcome(&mut status.conditions, outcome, "the subscription is as declared", generation, now)
        && let Some(Place { broker, virtual_host, settings, observed }) = place
    {
        let place = Place { broker, virtual_host, settings: settings.map(|settings| &settings.queue), observed };
        locate(&mut status, &queue_of(subscription), place, now);
    }
    SubscriptionStatus { contract: bound, ..of_subscription(status) }
}

/// The version that its queue is bound to, where it was seen; else what was known before. A version in Sunset takes in only
/// who is bound already.
fn bound(subscription: &Subscription, last: &SubscriptionStatus, place: Option<Place<'_, Settings>>) -> Option<String> {
    let reference = subscription.spec.contract_ref.as_ref()?;
    let Some(Place { settings: Some(settings), observed: Some(observed), .. }) = place else { return last.contract.clone() };
    let queue = queue_of(subscription);
    let is_bound = observed.bindings_from(&settings.exchange).any(|binding| binding.leads_to_queue(&queue));
    let key = || Reference::of(reference, &subscription.metadata.namespace.clone().unwrap_or_default()).key();
    is_bound.then(key)
}

fn of_queue(status: SubscriptionStatus) -> QueueStatus {
    let SubscriptionStatus {
        observed_generation,
        conditions,
        broker,
        virtual_host,
        contract: _, // not the queue's
        address,
        dead_letter_address,
        leader,
        members,
        online,
        backlog,
        scaling,
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
        contract: None,
        address,
        dead_letter_address,
        leader,
        members,
        online,
        backlog,
        scaling,
    }
}
