use entente_crds::Subscription;
use serde_json::json;

use super::super::validate::validate;
use super::*;
use crate::object::Object;
use crate::topology::diff::diff;

fn settings(from: &str) -> Settings {
    let spec = json!({"topicRef": {"name": "orders"}, "filter": {"sql": "a = 1"}, "from": from, "maxLength": 5});
    let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
    subscription.metadata.namespace = Some("shop".into());
    validate(&subscription).unwrap()
}

fn broker(retention: bool) -> ObservedVirtualHost {
    let spec = if retention { json!({"retention": {"maxAge": "1h"}}) } else { json!({}) };
    let topic = entente_crds::Topic::new("orders", serde_json::from_value(spec).unwrap());
    let mut seen = ObservedVirtualHost::default();
    let desired = entente_crds::Topic::desired(&topic.validate().unwrap()).usable;
    run(&diff(&desired, &seen).unwrap(), &mut seen);
    seen
}

fn run(plan: &Plan, seen: &mut ObservedVirtualHost) {
    plan.actions().for_each(|action| seen.note(action));
}

fn make(desired: &Desired, seen: &mut ObservedVirtualHost) {
    run(&diff(desired, seen).unwrap(), seen);
}

#[test]
fn the_mark_is_there_before_the_queue_and_each_step_is_told_from_what_is_there() {
    let settings = settings("Earliest");
    let queue = &settings.queue.name;
    let mut seen = broker(true);
    let State::New(first) = state(&settings, &seen) else { panic!("{:?}", state(&settings, &seen)) };
    run(&first, &mut seen);
    assert_eq!(state(&settings, &seen), State::Past);

    make(&unbound(&settings).usable, &mut seen);
    assert_eq!(state(&settings, &seen), State::Past);
    assert!(!seen.bindings.iter().any(|binding| binding.destination == *queue), "{seen:?}");

    make(&at_the_seam(&settings, 17), &mut seen);
    assert_eq!(state(&settings, &seen), State::Past, "as long as the queue may go");
    run(&keep_the_queue(queue), &mut seen);
    assert_eq!(state(&settings, &seen), State::Seam(17));

    run(&end(queue, 17), &mut seen);
    let State::Leftovers(rest) = state(&settings, &seen) else { panic!("{:?}", state(&settings, &seen)) };
    run(&rest, &mut seen);
    assert_eq!(state(&settings, &seen), State::Over);
    assert!(seen.queues.contains_key(queue));
}

/// I1: what is live is never deleted, wherever the operator was killed.
#[test]
fn i1_to_begin_anew_is_offered_only_before_the_queue_is_bound() {
    let settings = settings("Earliest");
    let mut seen = broker(true);
    let State::New(first) = state(&settings, &seen) else { panic!("not new") };
    run(&first, &mut seen);
    make(&unbound(&settings).usable, &mut seen);
    make(&at_the_seam(&settings, 3), &mut seen);
    run(&anew(&settings, &seen), &mut seen);
    assert!(!seen.queues.contains_key(&settings.queue.name));
    assert_eq!(state(&settings, &seen), State::Past, "and it begins again");
    assert!(!seen.queues.contains_key("subscription.shop.mail.seam"), "with an empty ledger");
}

#[test]
fn without_a_topic_or_without_its_retention_it_waits() {
    assert_eq!(state(&settings("Earliest"), &ObservedVirtualHost::default()), State::NoTopic);
    assert_eq!(state(&settings("2026-05-04T10:00:00Z"), &broker(false)), State::NotRetained);
    // What is left of what was kept has a gap.
    let mut stopped = broker(true);
    stopped.bindings.clear();
    assert_eq!(state(&settings("Earliest"), &stopped), State::NotRetained);
}

#[test]
fn latest_gets_no_past_and_a_queue_that_is_there_has_its_own() {
    assert_eq!(state(&settings("Latest"), &broker(true)), State::Over);
    let mut seen = broker(true);
    make(&unbound(&settings("Earliest")).usable, &mut seen);
    assert_eq!(state(&settings("Earliest"), &seen), State::Over);
}

#[test]
fn bounds_hold_only_from_when_the_past_is_there() {
    let settings = settings("Earliest");
    let bound = |stages: Stages| stages.usable.policies.iter().any(|policy| policy.definition.contains_key("max-length"));
    assert!(!bound(unbound(&settings)));
    assert!(bound(super::super::desired::desired(&settings)));
}

#[test]
fn the_end_leaves_what_the_subscription_is_declared_to_be() {
    let settings = settings("Earliest");
    let mut seen = broker(true);
    make(&unbound(&settings).usable, &mut seen);
    make(&at_the_seam(&settings, 17), &mut seen);
    let stages = super::super::desired::desired(&settings);
    let direct = super::super::desired::binding(&settings.topic, &settings.queue, &settings.arguments);
    run(&Plan::of(Action::Bind(direct)), &mut seen);
    run(&end(&settings.queue.name, 17), &mut seen);
    run(&leftovers(&settings.queue.name, &seen), &mut seen);
    for stage in [&stages.usable, &stages.complete] {
        make(stage, &mut seen);
    }
    let mut plain = broker(true);
    for stage in [&stages.usable, &stages.complete] {
        make(stage, &mut plain);
    }
    assert_eq!(seen, plain);
}
