//! What the deletion of a Queue does at the broker, and when its finalizer goes.

use entente_crds::queue::DeletionPolicy;

use super::parts;
use crate::object::Decision;
use crate::topology::foundation::DEAD_LETTER_EXCHANGE;
use crate::topology::names::{dead_letter_queue, front, hash_exchange, queue_policy};
use crate::topology::observed::{Counts, ObservedVirtualHost};
use crate::topology::plan::{Action, Plan};

/// Decides from what was just read. `name` is that of the queue at the broker, which need not be a Queue's.
pub fn decide(name: &str, policy: DeletionPolicy, observed: &ObservedVirtualHost) -> Decision {
    let dead = dead_letter_queue(name);
    if policy == DeletionPolicy::Retain {
        return Decision::Release;
    }
    if policy == DeletionPolicy::DeleteIfEmpty {
        let parts = parts::seen(name, observed).into_iter().map(|(part, _)| messages(part, observed));
        let all: Option<i64> = parts.chain([messages(name, observed)]).sum();
        match (all, messages(&dead, observed)) {
            (Some(0), Some(0)) => {}
            (Some(messages), Some(dead_lettered)) => {
                return Decision::Wait(format!(
                    "{messages} messages are in the queue and {dead_lettered} in its dead-letter queue; consume them, or set spec.deletionPolicy to Delete (they are lost) or Retain (they stay in the broker)"
                ));
            }
            _ => return Decision::Unknown,
        }
    }
    let mut plan = Plan::default();
    plan.step(exchange_if_there(&front(name), observed));
    plan.step(exchange_if_there(&hash_exchange(name), observed));
    // The queue first: its last dead letters still find their place.
    let parts = parts::seen(name, observed).into_iter().map(|(part, _)| Action::DeleteQueue { name: part.clone() });
    plan.step(queue_if_there(name, observed).into_iter().chain(parts).collect());
    plan.step(queue_if_there(&dead, observed));
    let mut rest: Vec<Action> = observed
        .bindings
        .iter()
        .filter(|seen| seen.source == DEAD_LETTER_EXCHANGE && seen.routing_key == name && seen.destination != dead)
        .map(|seen| Action::Unbind(seen.clone()))
        .collect();
    rest.extend(policy_if_there(&queue_policy(name), observed));
    plan.step(rest);
    if plan.is_empty() {
        return Decision::Release;
    }
    Decision::Delete { plan, only_if_empty: policy == DeletionPolicy::DeleteIfEmpty }
}

/// Messages in a queue; `None` where that is not known. A queue that is not there holds none.
pub fn messages(queue: &str, observed: &ObservedVirtualHost) -> Option<i64> {
    match observed.queues.get(queue) {
        None => Some(0),
        Some(seen) => seen.counts.map(Counts::messages),
    }
}

/// Deletes a queue that is there.
pub fn queue_if_there(name: &str, observed: &ObservedVirtualHost) -> Vec<Action> {
    observed.queues.contains_key(name).then(|| Action::DeleteQueue { name: name.to_owned() }).into_iter().collect()
}

/// Deletes an exchange that is there.
pub fn exchange_if_there(name: &str, observed: &ObservedVirtualHost) -> Vec<Action> {
    observed.exchanges.contains_key(name).then(|| Action::DeleteExchange { name: name.to_owned() }).into_iter().collect()
}

/// Deletes a policy that is there.
pub fn policy_if_there(name: &str, observed: &ObservedVirtualHost) -> Vec<Action> {
    observed.policies.contains_key(name).then(|| Action::DeletePolicy { name: name.to_owned() }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::deletion;
    use crate::queue::desired::desired;
    use crate::queue::validate::validate;
    use crate::topology::diff::diff;

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
        let tapped = json!({"taps": [{"name": "audit", "queueRef": {"name": "p"}}]});
        let parted = json!({"partitions": {"count": 12, "by": "k"}, "maxLength": 5});
        for spec in [json!({}), json!({"maxLength": 5}), json!({"deadLetter": {"queueRef": {"name": "p"}}}), tapped, parted] {
            let mut seen = broker(spec, None);
            let Decision::Delete { plan, .. } = decide("q", DeletionPolicy::Delete, &seen) else { panic!("nothing to delete") };
            plan.actions().for_each(|action| seen.note(action));
            assert!(seen.queues.is_empty() && seen.policies.is_empty(), "{seen:?}");
            assert!(seen.bindings.is_empty() && seen.exchanges.is_empty(), "{seen:?}");
        }
    }

    #[test]
    fn i1_messages_keep_the_finalizer() {
        let full = Counts { ready: 2, unacknowledged: 1, consumers: 1 };
        let wait = |seen: &ObservedVirtualHost| match decide("q", DeletionPolicy::DeleteIfEmpty, seen) {
            Decision::Wait(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(wait(&broker(json!({}), Some(full))).starts_with("3 messages are in the queue and 3 in its dead-letter"));
        let mut parts = broker(json!({"partitions": {"count": 3, "by": "k"}}), Some(Counts::default()));
        parts.queues.get_mut("part.q.0").unwrap().counts = Some(full);
        parts.queues.get_mut("part.q.2").unwrap().counts = Some(full);
        assert!(wait(&parts).starts_with("6 messages are in the queue and 0 in its dead-letter"));
        parts.queues.get_mut("part.q.1").unwrap().counts = None;
        assert_eq!(decide("q", DeletionPolicy::DeleteIfEmpty, &parts), Decision::Unknown);
        let mut dead_only = broker(json!({}), Some(Counts::default()));
        dead_only.queues.get_mut("q.dead").unwrap().counts = Some(full);
        assert!(wait(&dead_only).starts_with("0 messages are in the queue and 3"));
    }

    #[test]
    fn i5_an_unknown_count_is_not_zero() {
        assert_eq!(decide("q", DeletionPolicy::DeleteIfEmpty, &broker(json!({}), None)), Decision::Unknown);
    }

    #[test]
    fn i2_what_it_was_in_conflict_with_is_left_alone_and_holds_nothing() {
        let full = Counts { ready: 2, unacknowledged: 0, consumers: 0 };
        for policy in ["DeleteIfEmpty", "Delete"] {
            let spec = json!({"deletionPolicy": policy, "partitions": {"count": 3, "by": "k"}});
            let queue = |name: &str| entente_crds::Queue::new(name, serde_json::from_value(spec.clone()).unwrap());
            let mut seen = broker(spec.clone(), Some(Counts::default()));
            // Another's queue where a part should be.
            let theirs = seen.queues.get_mut("part.q.1").unwrap();
            (theirs.arguments, theirs.counts) = (crate::topology::model::Arguments::default(), Some(full));
            let Decision::Delete { plan, .. } = deletion(&queue("q"), &seen) else { panic!("nothing to delete") };
            plan.actions().for_each(|action| seen.note(action));
            assert_eq!(seen.queues.keys().collect::<Vec<_>>(), ["part.q.1"], "{policy}");
            assert_eq!(deletion(&queue("q"), &seen), Decision::Release, "{policy}");
        }
        let spec = json!({"deletionPolicy": "DeleteIfEmpty"});
        let mut seen = broker(spec.clone(), Some(full));
        seen.queues.get_mut("q").unwrap().arguments.clear();
        let queue = entente_crds::Queue::new("q", serde_json::from_value(spec).unwrap());
        assert_eq!(deletion(&queue, &seen), Decision::Release);
    }

    #[test]
    fn i4_what_never_was_at_the_broker_holds_nothing() {
        for policy in [DeletionPolicy::DeleteIfEmpty, DeletionPolicy::Delete, DeletionPolicy::Retain] {
            assert_eq!(decide("q", policy, &ObservedVirtualHost::default()), Decision::Release);
        }
    }
}
