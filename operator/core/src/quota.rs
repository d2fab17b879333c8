//! How much of a Broker one namespace may take: `limits.bytes`.
//!
//! The broker bounds how many queues and connections a virtual host has; it knows no bound for its bytes. But the bytes of each queue
//! are bounded by its policy, so that the sum of these bounds can be: where `limits.bytes` is set, each queue needs a bound,
//! and one that does not fit any more is refused. What is there already stays: a limit that comes later takes nothing away.
//!
//! Queues for dead letters are not counted. What comes to them was counted where it was before; they end when somebody reads
//! them or they are redriven.

use std::collections::BTreeMap;

use entente_crds::condition::reasons;

use crate::object::Refusal;
use crate::topology::diff::Desired;
use crate::topology::model::Policy;
use crate::topology::names::{DEAD_LETTER_SUFFIX, Owner, any_part, exactly, is_seam};
use crate::topology::observed::ObservedVirtualHost;

/// The setting of a policy that bounds a queue.
const BOUND: &str = "max-length-bytes";

/// What a virtual host takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Queues, those for dead letters among them, as `limits.queues` counts them.
    pub queues: u64,
    /// Sum of the bounds of its queues, in bytes.
    pub bytes: u64,
    /// Queues without a bound, without those for dead letters.
    pub unbounded: u64,
}

/// What a virtual host takes.
pub fn used(observed: &ObservedVirtualHost) -> Used {
    let bounds = Bounds::of(observed.policies.values());
    let mut used = sum(&bounds, observed.queues.keys());
    used.queues = u64::try_from(observed.queues.len()).unwrap_or(u64::MAX);
    used
}

/// Why an object may not become as desired, if it may not. `limit` is in bytes.
pub fn refusal(limit: Option<u64>, desired: &Desired, observed: &ObservedVirtualHost) -> Option<Refusal> {
    let limit = limit?;
    let seen = Bounds::of(observed.policies.values());
    let names = || desired.queues.iter().map(|queue| &queue.name);
    let before = sum(&seen, names().filter(|name| observed.queues.contains_key(*name)));
    let wanted = sum(&Bounds::of(&desired.policies), names());
    if wanted.unbounded > before.unbounded {
        let message = format!(
            "the Broker bounds the bytes of each namespace ({limit} by its limits.bytes), so that each queue needs a bound: set maxBytes (of a Topic with retention, retention.maxBytes)"
        );
        return Some(Refusal { reason: reasons::QUOTA_EXCEEDED, message });
    }
    let others = sum(&seen, observed.queues.keys()).bytes.saturating_sub(before.bytes);
    if wanted.bytes > before.bytes && others.saturating_add(wanted.bytes) > limit {
        let free = limit.saturating_sub(others);
        let message = format!(
            "{} bytes do not fit: the Broker allows this namespace {limit} bytes (its limits.bytes), of which other queues may take {others}; ask for at most {free}, delete queues or lower their maxBytes, or have the limit raised. It goes on by itself",
            wanted.bytes
        );
        return Some(Refusal { reason: reasons::QUOTA_EXCEEDED, message });
    }
    None
}

fn sum<'a>(bounds: &Bounds<'_>, queues: impl Iterator<Item = &'a String>) -> Used {
    let mut used = Used::default();
    for name in queues.filter(|name| !name.ends_with(DEAD_LETTER_SUFFIX) && !is_seam(name)) {
        used.queues += 1;
        match bounds.of_queue(name) {
            Some(bytes) => used.bytes = used.bytes.saturating_add(bytes),
            None => used.unbounded += 1,
        }
    }
    used
}

/// Bounds by the pattern of their policy: patterns of ours match one queue, or the parts of one Queue.
struct Bounds<'a>(BTreeMap<&'a str, u64>);

impl<'a> Bounds<'a> {
    fn of(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let bound = |policy: &'a Policy| Some((policy.pattern.as_str(), policy.definition.get(BOUND)?.as_u64()?));
        Self(policies.into_iter().filter_map(bound).collect())
    }

    fn of_queue(&self, name: &str) -> Option<u64> {
        let parts = || match Owner::of_queue(name)? {
            Owner::Queue(queue) if queue != name => self.0.get(any_part(&queue).as_str()),
            _ => None,
        };
        self.0.get(exactly(name).as_str()).or_else(parts).copied()
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::{Queue, Topic};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;
    use crate::topology::diff::diff;

    fn queue(name: &str, spec: Value) -> Desired {
        Queue::desired(&Queue::new(name, serde_json::from_value(spec).unwrap()).validate().unwrap()).usable
    }

    fn topic(spec: Value) -> Desired {
        Topic::desired(&Topic::new("t", serde_json::from_value(spec).unwrap()).validate().unwrap()).usable
    }

    fn make(desired: &Desired, seen: &mut ObservedVirtualHost) {
        diff(desired, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
    }

    const LIMIT: Option<u64> = Some(100);

    fn word(desired: &Desired, seen: &ObservedVirtualHost) -> Option<String> {
        refusal(LIMIT, desired, seen).map(|refusal| refusal.message)
    }

    #[test]
    fn what_does_not_fit_is_refused_and_told_what_would() {
        let mut seen = ObservedVirtualHost::default();
        make(&queue("a", json!({"maxBytes": "60"})), &mut seen);
        assert_eq!(word(&queue("b", json!({"maxBytes": "40"})), &seen), None);
        let message = word(&queue("b", json!({"maxBytes": "41"})), &seen).unwrap();
        assert!(message.contains("at most 40"), "{message}");
        assert_eq!(used(&seen), Used { queues: 1, bytes: 60, unbounded: 0 });
        assert_eq!(refusal(None, &queue("b", json!({})), &seen), None, "without a limit nothing is");
    }

    #[test]
    fn each_part_counts_and_so_does_what_a_topic_keeps() {
        let mut seen = ObservedVirtualHost::default();
        let parts = json!({"maxBytes": "30", "partitions": {"count": 3, "by": "customer"}});
        make(&queue("p", parts), &mut seen);
        assert_eq!(used(&seen).bytes, 90);
        assert!(word(&queue("q", json!({"maxBytes": "11"})), &seen).is_some());
        assert!(word(&topic(json!({"retention": {"maxAge": "1h"}})), &seen).unwrap().contains("retention.maxBytes"));
        assert!(word(&topic(json!({"retention": {"maxBytes": "1Mi"}})), &seen).is_some());
        assert_eq!(word(&topic(json!({})), &seen), None);
    }

    #[test]
    fn a_limit_that_comes_later_takes_nothing_away_and_lets_nothing_grow() {
        let mut seen = ObservedVirtualHost::default();
        let (big, free) = (queue("big", json!({"maxBytes": "500"})), queue("free", json!({})));
        make(&big, &mut seen);
        make(&free, &mut seen);
        assert_eq!((word(&big, &seen), word(&free, &seen)), (None, None));
        assert_eq!(word(&queue("big", json!({"maxBytes": "400"})), &seen), None, "less is always allowed");
        assert!(word(&queue("big", json!({"maxBytes": "501"})), &seen).is_some());
        assert!(word(&queue("big", json!({})), &seen).is_some(), "a bound is not dropped");
        assert!(word(&queue("new", json!({})), &seen).unwrap().contains("maxBytes"));
    }

    proptest! {
        /// Whatever is asked for, in whatever order: what was admitted never comes to more than the limit.
        #[test]
        fn admitted_bounds_never_exceed_the_limit(asked in prop::collection::vec(("[a-e]", 1u64..80), 1..20)) {
            let mut seen = ObservedVirtualHost::default();
            for (name, bytes) in asked {
                let wanted = queue(&name, json!({"maxBytes": bytes.to_string()}));
                if refusal(LIMIT, &wanted, &seen).is_none() {
                    make(&wanted, &mut seen);
                }
                prop_assert!(used(&seen).bytes <= 100);
            }
        }
    }
}
