//! What the deletion of a Queue does at the broker, and when its finalizer goes.

use entente_crds::queue::DeletionPolicy;

use super::desired::{dead_letter_queue, own_policy};
use crate::topology::foundation::DEAD_LETTER_EXCHANGE;
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::{Action, Plan};

/// What to do with a Queue that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing at the broker is held by the finalizer: remove it.
    Release,
    /// Run this plan, then remove the finalizer.
    Delete(Plan),
    /// Messages are left; keep the finalizer.
    Wait {
        /// Messages in the queue, delivered ones among them.
        messages: i64,
        /// Messages in its dead-letter queue.
        dead_lettered: i64,
    },
    /// Whether messages are left is not known; keep the finalizer. Unknown is not zero (invariant I5).
    Unknown,
}

/// Decides from what was just read. `observed` must be fresh where the policy is `DeleteIfEmpty`.
pub fn decide(name: &str, policy: DeletionPolicy, observed: &ObservedVirtualHost) -> Decision {
    if policy == DeletionPolicy::Retain {
        return Decision::Release;
    }
    let dead = dead_letter_queue(name);
    if policy == DeletionPolicy::DeleteIfEmpty {
        let messages = |queue: &str| match observed.queues.get(queue) {
            None => Some(0),
            Some(seen) => seen.counts.map(super::super::topology::observed::Counts::messages),
        };
        match (messages(name), messages(&dead)) {
            (Some(0), Some(0)) => {}
            (Some(messages), Some(dead_lettered)) => return Decision::Wait { messages, dead_lettered },
            _ => return Decision::Unknown,
        }
    }
    let mut plan = Plan::default();
    // The queue first: its last dead letters still find their place.
    plan.step(queue_if_there(name, observed));
    plan.step(queue_if_there(&dead, observed));
    let mut rest: Vec<Action> = observed
        .bindings
        .iter()
        .filter(|seen| seen.source == DEAD_LETTER_EXCHANGE && seen.routing_key == name && seen.destination != dead)
        .map(|seen| Action::Unbind(seen.clone()))
        .collect();
    if observed.policies.contains_key(&own_policy(name)) {
        rest.push(Action::DeletePolicy { name: own_policy(name) });
    }
    plan.step(rest);
    if plan.is_empty() { Decision::Release } else { Decision::Delete(plan) }
}

fn queue_if_there(name: &str, observed: &ObservedVirtualHost) -> Vec<Action> {
    observed.queues.contains_key(name).then(|| Action::DeleteQueue { name: name.to_owned() }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::queue::desired::desired;
    use crate::queue::validate::validate;
    use crate::topology::diff::diff;
    use crate::topology::observed::Counts;

    fn broker(spec: serde_json::Value, counts: Option<Counts>) -> ObservedVirtualHost {
        let queue = entente_crds::Queue::new("q", serde_json::from_value(spec).unwrap());
        let stages = desired(&validate(&queue).unwrap());
        let mut seen = ObservedVirtualHost::default();
        for stage in [&stages.usable, &stages.complete] {
            for action in diff(stage, &seen.clone()).unwrap().actions() {
                seen.note(action);
            }
        }
        seen.queues.values_mut().for_each(|queue| queue.counts = counts);
        seen
    }

    #[test]
    fn retain_touches_nothing() {
        assert_eq!(decide("q", DeletionPolicy::Retain, &broker(json!({}), None)), Decision::Release);
    }

    #[test]
    fn delete_takes_everything_that_was_made_and_nothing_else() {
        for spec in [json!({}), json!({"maxLength": 5}), json!({"deadLetter": {"queueRef": {"name": "p"}}})] {
            let mut seen = broker(spec, None);
            let Decision::Delete(plan) = decide("q", DeletionPolicy::Delete, &seen) else { panic!("nothing to delete") };
            plan.actions().for_each(|action| seen.note(action));
            assert!(seen.queues.is_empty() && seen.policies.is_empty() && seen.bindings.is_empty(), "{seen:?}");
        }
    }

    #[test]
    fn i1_messages_keep_the_finalizer() {
        let full = Counts { ready: 2, unacknowledged: 1, consumers: 1 };
        assert_eq!(
            decide("q", DeletionPolicy::DeleteIfEmpty, &broker(json!({}), Some(full))),
            Decision::Wait { messages: 3, dead_lettered: 3 }
        );
        let mut dead_only = broker(json!({}), Some(Counts::default()));
        dead_only.queues.get_mut("q.dead").unwrap().counts = Some(full);
        assert_eq!(decide("q", DeletionPolicy::DeleteIfEmpty, &dead_only), Decision::Wait { messages: 0, dead_lettered: 3 });
    }

    #[test]
    fn i5_an_unknown_count_is_not_zero() {
        assert_eq!(decide("q", DeletionPolicy::DeleteIfEmpty, &broker(json!({}), None)), Decision::Unknown);
    }

    #[test]
    fn i4_what_never_was_at_the_broker_holds_nothing() {
        for policy in [DeletionPolicy::DeleteIfEmpty, DeletionPolicy::Delete, DeletionPolicy::Retain] {
            assert_eq!(decide("q", policy, &ObservedVirtualHost::default()), Decision::Release);
        }
    }
}
