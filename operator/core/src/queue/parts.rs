//! A Queue with partitions: several queues, and a value of a property always in the same one.
//!
//! ```text
//! queue.<q> ──► part.<q> ──► part.<q>.0
//!     │                 └──► part.<q>.1 …
//!     └──► taps
//! ```
//!
//! One sends to the front, as to every Queue with taps. It has one binding to the exchange that hashes, which gives every
//! message to exactly one part: a message without the property, or with a value that cannot be hashed, is one without a
//! value, and these go to one part as those of any other value do. So none is ever without a place.

use entente_crds::queue::Grow;

use super::validate::{MOST_PARTS, Parts, Settings};
use crate::topology::diff::{Claim, Desired, Scope};
use crate::topology::model::Binding;
use crate::topology::names::{front, hash_exchange, part, part_number, parts_prefix};
use crate::topology::observed::{ObservedQueue, ObservedVirtualHost};
use crate::topology::ring::Ring;

/// Names of the parts.
pub fn names(queue: &str, count: usize) -> Vec<String> {
    (0..count.min(MOST_PARTS)).map(|number| part(queue, number)).collect()
}

/// The exchange that hashes, and what it leads to.
pub fn ring(queue: &str, parts: &Parts) -> Ring {
    let Parts { count, by, grow } = parts;
    Ring { exchange: hash_exchange(queue), by: by.clone(), queues: names(queue, *count), at_once: *grow == Grow::AtOnce }
}

/// The way from the front to the parts.
pub fn spread(queue: &str, parts: &Parts, usable: &mut Desired) {
    let (source, ring) = (front(queue), ring(queue, parts));
    usable.exchanges.push(ring.declaration());
    usable.claims.push(Claim {
        scope: Scope::Key { source: source.clone(), routing_key: queue.to_owned() },
        bindings: vec![Binding::to_exchange(&source, &ring.exchange, queue)],
    });
    usable.rings.push(ring);
}

/// Queues that another `spec.partitions` made, and that this one would leave with their messages.
///
/// The API refuses such a change. But a Queue can be made anew over what another left in the broker.
pub fn stranded(settings: &Settings) -> Vec<String> {
    let Settings { name, parts, .. } = settings;
    match parts {
        // Parts are made from the first one on.
        None => vec![part(name, 0)],
        Some(Parts { count, .. }) => {
            (*count..MOST_PARTS).map(|number| part(name, number)).chain(std::iter::once(name.clone())).collect()
        }
    }
}

/// The parts that are there, in order.
pub fn seen<'a>(queue: &'a str, observed: &'a ObservedVirtualHost) -> Vec<(&'a String, &'a ObservedQueue)> {
    let prefix = parts_prefix(queue);
    let all = observed.queues.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
    let mut parts: Vec<_> = all.filter_map(|(name, seen)| Some((part_number(queue, name)?, name, seen))).collect();
    parts.sort_by_key(|(number, ..)| *number);
    parts.into_iter().map(|(_, name, seen)| (name, seen)).collect()
}

#[cfg(test)]
mod tests {
    use entente_crds::Queue;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{Object, Stages};
    use crate::topology::diff::diff;

    fn stages(spec: Value) -> Stages {
        Queue::desired(&Queue::new("q", serde_json::from_value(spec).unwrap()).validate().unwrap())
    }

    fn made(spec: Value) -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        let Stages { usable, complete } = stages(spec);
        for stage in [usable, complete] {
            diff(&stage, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        }
        seen
    }

    fn bindings(seen: &ObservedVirtualHost) -> Vec<(&str, &str)> {
        seen.bindings.iter().map(|binding| (binding.source.as_str(), binding.destination.as_str())).collect()
    }

    #[test]
    fn each_part_has_what_a_queue_has() {
        let spec = json!({"partitions": {"count": 2, "by": "customer"}, "singleActiveConsumer": true, "maxLength": 7});
        let seen = made(spec);
        assert_eq!(seen.queues.keys().collect::<Vec<_>>(), ["part.q.0", "part.q.1", "q.dead"]);
        for (name, queue) in super::seen("q", &seen) {
            assert_eq!(queue.arguments["x-single-active-consumer"], json!(true), "{name}");
            assert_eq!(queue.arguments["x-dead-letter-routing-key"], json!("q"), "{name}");
        }
        let policy = &seen.policies["entente.queue.q"];
        assert_eq!((policy.pattern.as_str(), policy.definition["max-length"].clone()), ("^part\\.q\\.[0-9]+$", json!(7)));
        assert_eq!(bindings(&seen), [("part.q", "part.q.0"), ("part.q", "part.q.1"), ("queue.q", "part.q"),]);
    }

    #[test]
    fn parts_with_default_settings_share_the_policy() {
        let Stages { usable, .. } = stages(json!({"partitions": {"count": 2, "by": "k"}}));
        assert!(usable.policies.is_empty());
    }

    #[test]
    fn the_parts_are_bound_before_the_front_leads_to_them() {
        let tapped = json!({"partitions": {"count": 2, "by": "k"}, "taps": [{"name": "a", "queueRef": {"name": "audit"}}]});
        let plan = diff(&stages(tapped).usable, &ObservedVirtualHost::default()).unwrap();
        let at = |word: &str| plan.actions().position(|action| action.to_string().starts_with(word)).unwrap();
        assert!(at("bind part.q to part.q.1") < at("bind queue.q to part.q by"));
    }

    #[test]
    fn taps_stand_beside_the_parts() {
        let spec = json!({"partitions": {"count": 2, "by": "k"}, "taps": [{"name": "a", "queueRef": {"name": "audit"}}]});
        let Stages { usable, .. } = stages(spec);
        let destinations: Vec<&str> =
            usable.claims.iter().flat_map(|claim| &claim.bindings).map(|binding| binding.destination.as_str()).collect();
        assert_eq!(destinations, ["part.q", "audit"]);
    }

    #[test]
    fn i1_fewer_parts_than_there_are_is_a_conflict_and_changes_nothing() {
        let three = made(json!({"partitions": {"count": 3, "by": "k"}}));
        let two = stages(json!({"partitions": {"count": 2, "by": "k"}})).usable;
        assert_eq!(diff(&two, &three).unwrap_err().name, "part.q.2");
        let plain = stages(json!({})).usable;
        assert_eq!(diff(&plain, &three).unwrap_err().name, "part.q.0");
        assert_eq!(diff(&two, &made(json!({}))).unwrap_err().name, "q");
    }

    #[test]
    fn i2_another_property_is_a_conflict() {
        let seen = made(json!({"partitions": {"count": 2, "by": "k"}}));
        let conflict = diff(&stages(json!({"partitions": {"count": 2, "by": "other"}})).usable, &seen).unwrap_err();
        assert_eq!((conflict.what, conflict.name.as_str()), ("exchange", "part.q"));
    }

    #[test]
    fn parts_are_seen_in_the_order_of_their_numbers() {
        let mut seen = made(json!({"partitions": {"count": 12, "by": "k"}}));
        seen.queues.insert("part.q.x".into(), seen.queues["part.q.1"].clone());
        seen.queues.insert("part.qq.1".into(), seen.queues["part.q.1"].clone());
        let names: Vec<&String> = super::seen("q", &seen).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, super::names("q", 12).iter().collect::<Vec<_>>());
    }
}
