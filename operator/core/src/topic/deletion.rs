//! What the deletion of a Topic does at the broker, and when its finalizer goes.

use entente_crds::topic::TopicDeletionPolicy;

use super::subscribed;
use crate::object::Decision;
use crate::queue::deletion::{exchange_if_there, messages, policy_if_there, queue_if_there};
use crate::topology::names::{queue_policy, retained, topic_exchange, topic_policy, unrouted_queue};
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::Plan;

/// Decides from what was just read.
///
/// What `retention` has kept holds nothing up: it is no message that somebody has yet to consume, and whoever wanted it had
/// its copy. Could it keep the finalizer, no such Topic would ever go, as nobody can empty a stream.
pub fn decide(name: &str, policy: TopicDeletionPolicy, observed: &ObservedVirtualHost) -> Decision {
    let own = unrouted_queue(name);
    match policy {
        TopicDeletionPolicy::Retain => return Decision::Release,
        TopicDeletionPolicy::Delete => {}
        TopicDeletionPolicy::DeleteIfEmpty => {
            let subscriptions = subscribed(name, observed);
            if subscriptions > 0 {
                return Decision::Wait(format!(
                    "{subscriptions} Subscriptions are bound to it; delete them, or set spec.deletionPolicy to Delete (they keep the messages they have and get no more) or Retain (the exchange stays in the broker)"
                ));
            }
            match messages(&own, observed) {
                None => return Decision::Unknown,
                Some(0) => {}
                Some(messages) => {
                    return Decision::Wait(format!(
                        "{messages} messages that nobody subscribed to are in the queue {own}; consume them, or set spec.deletionPolicy to Delete (they are lost) or Retain (they stay in the broker)"
                    ));
                }
            }
        }
    }
    let mut plan = Plan::default();
    plan.step(exchange_if_there(&topic_exchange(name), observed));
    plan.step(exchange_if_there(&own, observed));
    let unrouted = queue_if_there(&own, observed);
    let close = policy == TopicDeletionPolicy::DeleteIfEmpty && !unrouted.is_empty();
    plan.step(unrouted);
    let kept = retained(name);
    plan.step(queue_if_there(&kept, observed));
    plan.step([topic_policy(name), queue_policy(&kept)].iter().flat_map(|policy| policy_if_there(policy, observed)).collect());
    if plan.is_empty() {
        return Decision::Release;
    }
    Decision::Delete { plan, only_if_empty: close }
}

#[cfg(test)]
mod tests {
    use entente_crds::Topic;
    use serde_json::json;

    use super::*;
    use crate::object::Object;
    use crate::topology::diff::diff;
    use crate::topology::model::Binding;
    use crate::topology::observed::Counts;

    fn broker(unrouted: i64) -> ObservedVirtualHost {
        let topic = Topic::new("t", serde_json::from_value(json!({"unrouted": "DeadLetter"})).unwrap());
        let mut seen = ObservedVirtualHost::default();
        let plan = diff(&Topic::desired(&topic.validate().unwrap()).usable, &seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        seen.queues.values_mut().for_each(|queue| queue.counts = Some(Counts { ready: unrouted, ..Counts::default() }));
        seen
    }

    #[test]
    fn everything_goes_and_nothing_else() {
        let mut seen = broker(0);
        let Decision::Delete { plan, only_if_empty } = decide("t", TopicDeletionPolicy::DeleteIfEmpty, &seen) else {
            panic!("nothing to delete")
        };
        assert!(only_if_empty);
        plan.actions().for_each(|action| seen.note(action));
        assert_eq!(seen, ObservedVirtualHost::default());
    }

    #[test]
    fn what_is_kept_goes_with_it_however_much_it_is() {
        let topic = Topic::new("t", serde_json::from_value(json!({"retention": {"maxAge": "1h"}})).unwrap());
        let mut seen = ObservedVirtualHost::default();
        let plan = diff(&Topic::desired(&topic.validate().unwrap()).usable, &seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        seen.queues.values_mut().for_each(|queue| queue.counts = Some(Counts { ready: 9, ..Counts::default() }));
        assert_eq!(decide("t", TopicDeletionPolicy::Retain, &seen), Decision::Release);
        for policy in [TopicDeletionPolicy::DeleteIfEmpty, TopicDeletionPolicy::Delete] {
            let Decision::Delete { plan, only_if_empty: false } = decide("t", policy, &seen) else { panic!("nothing to delete") };
            let mut after = seen.clone();
            plan.actions().for_each(|action| after.note(action));
            assert_eq!(after, ObservedVirtualHost::default());
        }
    }

    #[test]
    fn i1_subscriptions_and_messages_keep_the_finalizer() {
        let waits =
            |seen: &ObservedVirtualHost| matches!(decide("t", TopicDeletionPolicy::DeleteIfEmpty, seen), Decision::Wait(_));
        assert!(waits(&broker(1)));
        let mut subscribed = broker(0);
        subscribed.bindings.insert(Binding::new("topic.t", "subscription.n.s", "subscription.n.s"));
        assert!(waits(&subscribed));
        assert!(matches!(decide("t", TopicDeletionPolicy::Delete, &subscribed), Decision::Delete { only_if_empty: false, .. }));
        assert_eq!(decide("t", TopicDeletionPolicy::Retain, &subscribed), Decision::Release);
    }

    #[test]
    fn i5_an_unknown_count_is_not_zero() {
        let mut seen = broker(0);
        seen.queues.values_mut().for_each(|queue| queue.counts = None);
        assert_eq!(decide("t", TopicDeletionPolicy::DeleteIfEmpty, &seen), Decision::Unknown);
    }

    #[test]
    fn i4_what_never_was_at_the_broker_holds_nothing() {
        let nothing = ObservedVirtualHost::default();
        assert_eq!(decide("t", TopicDeletionPolicy::DeleteIfEmpty, &nothing), Decision::Release);
    }
}
