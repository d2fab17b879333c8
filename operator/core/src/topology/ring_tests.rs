//! Tests of rings.

use proptest::prelude::*;

use super::super::diff::{Desired, diff};
use super::super::model::{QueueDeclaration, QueueKind};
use super::*;

fn ring(count: usize, at_once: bool) -> Ring {
    let queues = (0..count).map(|number| format!("part.q.{number}")).collect();
    Ring { exchange: "part.q".into(), by: "customer".into(), queues, at_once }
}

fn desired(ring: &Ring) -> Desired {
    let queue = |name: &String| QueueDeclaration { name: name.clone(), kind: QueueKind::Quorum, arguments: Arguments::new() };
    Desired {
        exchanges: vec![ring.declaration()],
        queues: ring.queues.iter().map(queue).collect(),
        rings: vec![ring.clone()],
        ..Desired::default()
    }
}

fn apply(plan: &Plan, seen: &mut ObservedVirtualHost) {
    plan.actions().for_each(|action| seen.note(action));
    for queue in seen.queues.values_mut() {
        queue.counts.get_or_insert_default();
    }
}

fn made(count: usize) -> ObservedVirtualHost {
    let mut seen = ObservedVirtualHost::default();
    apply(&diff(&desired(&ring(count, false)), &seen.clone()).unwrap(), &mut seen);
    seen
}

fn fill(queue: &str, counts: Option<Counts>, seen: &mut ObservedVirtualHost) {
    seen.queues.get_mut(queue).unwrap().counts = counts;
}

fn bound(seen: &ObservedVirtualHost) -> usize {
    seen.bindings_from("part.q").count()
}

#[test]
fn the_exchange_hashes_by_the_property() {
    let ExchangeDeclaration { name, kind, arguments } = ring(2, false).declaration();
    assert_eq!(
        (name.as_str(), kind.as_str(), arguments["hash-header"].as_str()),
        ("part.q", "x-consistent-hash", Some("customer"))
    );
}

#[test]
fn a_new_ring_is_bound_in_order_and_with_equal_weight() {
    let plan = diff(&desired(&ring(3, false)), &ObservedVirtualHost::default()).unwrap();
    let words: Vec<Vec<String>> = plan.steps.iter().skip(1).map(|step| step.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(
        words,
        [["bind part.q to part.q.0 by \"1\""], ["bind part.q to part.q.1 by \"1\""], ["bind part.q to part.q.2 by \"1\""],]
    );
    assert_eq!(ring(3, false).joining(&made(3)), None);
}

#[test]
fn a_further_queue_is_made_at_once_and_joins_when_all_are_empty() {
    let mut seen = made(2);
    let grown = ring(4, false);
    fill("part.q.1", Some(Counts { ready: 3, unacknowledged: 1, consumers: 1 }), &mut seen);
    apply(&diff(&desired(&grown), &seen.clone()).unwrap(), &mut seen);
    assert_eq!((seen.queues.len(), bound(&seen)), (4, 2));
    let Joining { joined, queues, left, plan } = grown.joining(&seen).unwrap();
    assert_eq!((joined, queues, left), (2, 2, Some(4)));
    assert_eq!(plan.steps.len(), 2, "one after another");
    apply(&plan, &mut seen);
    assert_eq!(bound(&seen), 4);
    assert_eq!(grown.joining(&seen), None);
}

#[test]
fn i5_a_count_that_is_not_known_is_not_zero() {
    let mut seen = made(2);
    assert_eq!(ring(3, false).joining(&seen).unwrap().left, None, "the third is not there yet");
    apply(&diff(&desired(&ring(3, false)), &seen.clone()).unwrap(), &mut seen);
    assert_eq!(ring(3, false).joining(&seen).unwrap().left, Some(0));
    fill("part.q.0", None, &mut seen);
    assert_eq!(ring(3, false).joining(&seen).unwrap().left, None);
}

#[test]
fn at_once_waits_for_nothing() {
    let mut seen = made(2);
    fill("part.q.0", Some(Counts { ready: 3, ..Counts::default() }), &mut seen);
    assert_eq!(ring(3, true).joining(&seen), None);
    apply(&diff(&desired(&ring(3, true)), &seen.clone()).unwrap(), &mut seen);
    assert_eq!(bound(&seen), 3);
}

#[test]
fn i1_a_ring_without_bindings_is_bound_whatever_waits() {
    let mut seen = made(3);
    fill("part.q.0", Some(Counts { ready: 3, ..Counts::default() }), &mut seen);
    seen.note(&Action::DeleteExchange { name: "part.q".into() });
    let plan = diff(&desired(&ring(3, false)), &seen).unwrap();
    apply(&plan, &mut seen);
    assert_eq!(bound(&seen), 3);
}

#[test]
fn whatever_else_takes_messages_of_the_ring_goes() {
    let mut seen = made(2);
    for stray in [
        Binding::new("part.q", "part.q.0", "7"),
        Binding::new("part.q", "elsewhere", "1"),
        Binding::to_exchange("part.q", "amq.fanout", "1"),
    ] {
        seen.note(&Action::Bind(stray));
    }
    apply(&diff(&desired(&ring(2, false)), &seen.clone()).unwrap(), &mut seen);
    // RabbitMQ has forgotten the queue that was bound twice.
    assert_eq!(bound(&seen), 1);
    apply(&ring(2, false).joining(&seen).unwrap().plan, &mut seen);
    assert_eq!(seen, made(2));
}

proptest! {
    /// I6: whatever the steps of growth, drift and emptiness, the end is the ring that was declared, and then nothing is done.
    #[test]
    fn i6_a_ring_settles(first in 2usize..6, more in 0usize..4, lost in 0usize..8, messages in 0i64..2) {
        let mut seen = made(first);
        seen.note(&Action::DeleteQueue { name: format!("part.q.{lost}") });
        if seen.queues.contains_key("part.q.0") {
            fill("part.q.0", Some(Counts { ready: messages, ..Counts::default() }), &mut seen);
        }
        let wanted = ring(first + more, false);
        apply(&diff(&desired(&wanted), &seen.clone()).unwrap(), &mut seen);
        prop_assert!(diff(&desired(&wanted), &seen).unwrap().is_empty());
        if let Some(joining) = wanted.joining(&seen) {
            prop_assert_eq!(joining.joined + joining.queues, first + more);
            if joining.left == Some(0) {
                apply(&joining.plan, &mut seen);
            } else {
                prop_assert_eq!(joining.left, Some(messages));
                return Ok(());
            }
        }
        prop_assert!(diff(&desired(&wanted), &seen).unwrap().is_empty() && wanted.joining(&seen).is_none());
        prop_assert_eq!(bound(&seen), first + more);
    }
}
