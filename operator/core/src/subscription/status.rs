//! What the status of a Subscription says: what that of a Queue says of its queue.

use entente_crds::Subscription;
use entente_crds::condition::reasons;
use entente_crds::queue::QueueStatus;
use entente_crds::subscription::SubscriptionStatus;
use jiff::Timestamp;

use super::queue_of;
use super::validate::Settings;
use crate::contract::reference::Reference;
use crate::object::{Outcome, Place, set_outcome};
use crate::queue::quorum;
use crate::queue::status::locate;

/// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
pub fn status(
    subscription: &Subscription,
    outcome: &Outcome,
    place: Option<Place<'_, Settings>>,
    now: Timestamp,
) -> SubscriptionStatus {
    let last = subscription.status.clone().unwrap_or_default();
    let (replayed, bound) = (last.replayed, bound(subscription, outcome, &last, place));
    let mut status = of_queue(last);
    let generation = subscription.metadata.generation;
    status.observed_generation = generation;
    if set_outcome(&mut status.conditions, outcome, "the subscription is as declared", generation, now)
        && let Some(Place { broker, virtual_host, settings, observed }) = place
    {
        let place = Place { broker, virtual_host, settings: settings.map(|settings| &settings.queue), observed };
        locate(&mut status, &queue_of(subscription), place, now);
        quorum::tell(&mut status, outcome, place, now);
    }
    SubscriptionStatus { contract: bound, replayed, ..of_subscription(status) }
}

/// The version that its queue is bound to. A version in Sunset takes in only who is bound already, so that one is not forgotten
/// while the broker lacks something, and is once the contract no longer lets it be bound.
fn bound(
    subscription: &Subscription,
    outcome: &Outcome,
    last: &SubscriptionStatus,
    place: Option<Place<'_, Settings>>,
) -> Option<String> {
    let reference = subscription.spec.contract_ref.as_ref()?;
    if let Outcome::NotReady { reason: reasons::CONTRACT_NOT_USABLE | reasons::VERSION_RETIRED, .. } = outcome {
        return None;
    }
    let Some(Place { settings: Some(settings), observed: Some(observed), .. }) = place else { return last.contract.clone() };
    let queue = queue_of(subscription);
    let is_bound = observed.bindings_from(&settings.exchange).any(|binding| binding.leads_to_queue(&queue));
    let key = || Reference::of(reference, subscription.metadata.namespace.as_deref().unwrap_or_default()).key();
    if is_bound { Some(key()) } else { last.contract.clone() }
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
        failures_survived,
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
        failures_survived,
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
        failures_survived,
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
        failures_survived,
        backlog,
        scaling,
        replayed: None,
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::Broker;
    use serde_json::json;

    use super::super::validate::validate;
    use super::*;
    use crate::topology::model::Binding;
    use crate::topology::observed::ObservedVirtualHost;

    #[test]
    fn what_it_is_bound_to_is_remembered_until_it_may_not_be() {
        let spec = json!({"contractRef": {"name": "orders", "version": "v1", "operation": "placed"}});
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("shop".into());
        let settings = validate(&subscription).unwrap();
        let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
        let mut visit = |outcome: &Outcome, seen: Option<&ObservedVirtualHost>| {
            let place =
                seen.map(|seen| Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(seen) });
            subscription.status = Some(status(&subscription, outcome, place, Timestamp::UNIX_EPOCH));
            subscription.status.clone().unwrap().contract
        };
        let (nothing, mut seen) = (ObservedVirtualHost::default(), ObservedVirtualHost::default());
        seen.bindings.insert(Binding::new("contract.orders.v1.placed.out", "subscription.shop.mail", ""));
        let refused = |reason| Outcome::NotReady { reason, message: String::new() };
        let bound = Some("shop/orders/v1/placed".to_owned());
        assert_eq!(visit(&Outcome::Ready, Some(&nothing)), None);
        assert_eq!(visit(&Outcome::Ready, Some(&seen)), bound);
        assert_eq!(visit(&refused(reasons::TOPIC_NOT_READY), Some(&nothing)), bound, "somebody deleted it behind our back");
        assert_eq!(visit(&refused(reasons::VERSION_NOT_OFFERED), None), bound);
        assert_eq!(visit(&refused(reasons::CONTRACT_NOT_USABLE), None), None);
    }
}
