//! The broker objects that a valid Topic stands for.

use entente_crds::topic::Unrouted;
use serde_json::json;

use super::validate::{Retained, Settings};
use crate::object::Stages;
use crate::taps;
use crate::topology::diff::{Claim, Desired};
use crate::topology::foundation::{DISCARD, OWN_POLICY_PRIORITY};
use crate::topology::model::{Arguments, Binding, ExchangeDeclaration, Policy, QueueDeclaration, QueueKind, SQL_EXCHANGE};
use crate::topology::names::{exactly, queue_policy, retained, topic_exchange, topic_policy, unrouted_queue};

/// Translates settings.
///
/// What nobody subscribes to passes the alternate exchange. That is set by a policy, so that it can change.
pub fn desired(settings: &Settings) -> Stages {
    let Settings { name, taps, unrouted, retained: kept } = settings;
    let mut usable = Desired {
        exchanges: vec![ExchangeDeclaration {
            name: topic_exchange(name),
            kind: SQL_EXCHANGE.to_owned(),
            arguments: Arguments::new(),
        }],
        claims: vec![taps::claim(&topic_exchange(name), taps)],
        ..Desired::default()
    };
    let own = unrouted_queue(name);
    match unrouted {
        Unrouted::Release => {
            usable.no_policies.push(topic_policy(name));
            no_longer(own, &mut usable);
        }
        Unrouted::Discard => {
            // A queue that holds nothing: what comes is taken and goes at once.
            let arguments =
                Arguments::from([("x-max-length".to_owned(), json!(0)), ("x-overflow".to_owned(), json!("drop-head"))]);
            lead_to(DISCARD, QueueDeclaration { name: DISCARD.to_owned(), kind: QueueKind::Classic, arguments }, &mut usable);
            usable.policies.push(alternate(name, DISCARD));
            no_longer(own, &mut usable);
        }
        Unrouted::DeadLetter => {
            let arguments = Arguments::new();
            lead_to(&own, QueueDeclaration { name: own.clone(), kind: QueueKind::Quorum, arguments }, &mut usable);
            usable.policies.push(alternate(name, &own));
        }
    }
    retain(name, *kept, &mut usable);
    Stages { usable, complete: Desired::default() }
}

/// The stream beside the topic takes everything. It is bound by a policy, so that its bounds can change.
///
/// Without retention it takes no more, and stays with what it has until the Topic goes: a history is not lost by an edit.
fn retain(topic: &str, kept: Option<Retained>, desired: &mut Desired) {
    let stream = retained(topic);
    let destination = kept.map(|_| stream.as_str());
    desired.claims.push(Claim::route(&topic_exchange(topic), &stream, destination));
    let Some(Retained { max_age, max_bytes }) = kept else { return };
    let mut definition = Arguments::from([(SEGMENT.to_owned(), json!(segment(max_bytes)))]);
    definition.extend(max_age.map(|seconds| ("max-age".to_owned(), json!(format!("{seconds}s")))));
    definition.extend(max_bytes.map(|bytes| ("max-length-bytes".to_owned(), json!(bytes))));
    desired.policies.push(Policy {
        name: queue_policy(&stream),
        pattern: exactly(&stream),
        apply_to: "streams".to_owned(),
        priority: OWN_POLICY_PRIORITY,
        definition,
    });
    desired.queues.push(QueueDeclaration { name: stream, kind: QueueKind::Stream, arguments: Arguments::new() });
}

/// The broker reads this one when the stream is made, and never again.
const SEGMENT: &str = "stream-max-segment-size-bytes";

/// Size of a stream's segments. The broker drops whole ones, and never the one that is written to: with its default of
/// 500 MB a bound of 100 MB would not be one.
fn segment(max_bytes: Option<u64>) -> u64 {
    max_bytes.map_or(64 << 20, |bytes| (bytes / 8).clamp(256 << 10, 500_000_000))
}

/// The binding that fills the stream. A Topic without it keeps nothing, whatever is left of what it kept.
pub fn keeping(topic: &str) -> Binding {
    let stream = retained(topic);
    Binding::new(&topic_exchange(topic), &stream, &stream)
}

/// An exchange that gives whatever comes to this one queue.
fn lead_to(exchange: &str, queue: QueueDeclaration, desired: &mut Desired) {
    let (name, arguments) = (exchange.to_owned(), Arguments::new());
    desired.exchanges.push(ExchangeDeclaration { name, kind: "fanout".to_owned(), arguments });
    desired.claims.push(Claim::route(exchange, "", Some(&queue.name)));
    desired.queues.push(queue);
}

/// The own queue goes when it is empty, and its exchange at once: the policy that led there goes before.
fn no_longer(own: String, desired: &mut Desired) {
    desired.surplus_exchanges.push(own.clone());
    desired.surplus_queues.push(own);
}

fn alternate(topic: &str, exchange: &str) -> Policy {
    Policy {
        name: topic_policy(topic),
        pattern: exactly(&topic_exchange(topic)),
        apply_to: "exchanges".to_owned(),
        priority: OWN_POLICY_PRIORITY,
        definition: Arguments::from([("alternate-exchange".to_owned(), json!(exchange))]),
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::Topic;

    use super::super::validate::validate;
    use super::*;
    use crate::topology::diff::diff;
    use crate::topology::observed::{Counts, ObservedVirtualHost};

    fn usable(spec: serde_json::Value) -> Desired {
        desired(&validate(&Topic::new("t", serde_json::from_value(spec).unwrap())).unwrap()).usable
    }

    fn words(desired: &Desired, seen: &ObservedVirtualHost) -> Vec<String> {
        diff(desired, seen).unwrap().actions().map(ToString::to_string).collect()
    }

    #[test]
    fn the_smallest_topic_is_an_exchange() {
        assert_eq!(words(&usable(json!({})), &ObservedVirtualHost::default()), ["declare exchange topic.t"]);
    }

    #[test]
    fn what_nobody_subscribes_to_goes_where_it_is_declared_to_and_that_can_change() {
        let mut seen = ObservedVirtualHost::default();
        let mut become_ = |unrouted: &str| {
            let plan = diff(&usable(json!({"unrouted": unrouted})), &seen).unwrap();
            plan.actions().for_each(|action| seen.note(action));
            seen.queues.values_mut().for_each(|queue| queue.counts = Some(Counts::default()));
            plan.actions().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            become_("DeadLetter"),
            [
                "set policy entente.topic.t",
                "declare exchange topic.t",
                "declare exchange topic.t.dead",
                "declare quorum queue topic.t.dead",
                "bind topic.t.dead to topic.t.dead by \"\"",
            ]
        );
        assert_eq!(
            become_("Discard"),
            [
                "set policy entente.topic.t",
                "declare exchange entente.discard",
                "declare classic queue entente.discard",
                "bind entente.discard to entente.discard by \"\"",
                "delete queue topic.t.dead",
                "delete exchange topic.t.dead",
            ]
        );
        assert_eq!(become_("Release"), ["delete policy entente.topic.t"]);
        assert!(become_("Release").is_empty());
    }

    #[test]
    fn i1_unrouted_messages_are_kept_when_their_place_is_no_longer_wanted() {
        let mut seen = ObservedVirtualHost::default();
        let plan = diff(&usable(json!({"unrouted": "DeadLetter"})), &seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        seen.queues.get_mut("topic.t.dead").unwrap().counts = Some(Counts { ready: 1, ..Counts::default() });
        let words = words(&usable(json!({"unrouted": "Release"})), &seen);
        assert_eq!(words, ["delete policy entente.topic.t", "delete exchange topic.t.dead"]);
    }

    #[test]
    fn what_is_kept_has_bounds_that_can_change() {
        let mut seen = ObservedVirtualHost::default();
        let mut become_ = |spec: serde_json::Value| {
            let plan = diff(&usable(spec), &seen).unwrap();
            plan.actions().for_each(|action| seen.note(action));
            plan.actions().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            become_(json!({"retention": {"maxAge": "1h"}})),
            [
                "set policy entente.queue.topic.t.retained",
                "declare exchange topic.t",
                "declare stream queue topic.t.retained",
                "bind topic.t to topic.t.retained by \"topic.t.retained\"",
            ]
        );
        assert_eq!(become_(json!({"retention": {"maxBytes": "8Mi"}})), ["set policy entente.queue.topic.t.retained"]);
        let none = Vec::<String>::new();
        assert_eq!(become_(json!({"retention": {"maxBytes": "8Mi"}})), none);
        assert_eq!(become_(json!({})), ["unbind topic.t from topic.t.retained by \"topic.t.retained\""]);
        assert_eq!(become_(json!({})), none, "its policy and what it holds stay");
        assert!(!seen.bindings.contains(&keeping("t")));
        assert_eq!(seen.policies["entente.queue.topic.t.retained"].definition["max-length-bytes"], 8 << 20);
    }

    #[test]
    fn segments_are_small_enough_for_the_bound() {
        for (bytes, size) in
            [(None, 64 << 20), (Some(1 << 20), 256 << 10), (Some(1 << 30), 128 << 20), (Some(1 << 40), 500_000_000)]
        {
            assert_eq!(segment(bytes), size);
        }
    }

    #[test]
    fn a_tap_waits_for_its_queue() {
        let tapped = usable(json!({"taps": [{"name": "audit", "queueRef": {"name": "a"}}]}));
        let mut seen = ObservedVirtualHost::default();
        assert_eq!(words(&tapped, &seen), ["declare exchange topic.t"]);
        seen.note(&crate::topology::plan::Action::DeclareQueue(QueueDeclaration {
            name: "a".into(),
            kind: QueueKind::Quorum,
            arguments: Arguments::new(),
        }));
        assert_eq!(words(&tapped, &seen), ["declare exchange topic.t", "bind topic.t to a by \"tap.audit\""]);
    }
}
