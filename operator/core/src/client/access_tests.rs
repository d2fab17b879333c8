//! Tests of what entries come to.

use serde_json::{Value, json};

use super::super::validate::validate;
use super::*;

#[allow(clippy::needless_pass_by_value)] // a json! literal goes in
fn settings(access: Value) -> Settings {
    let mut client = entente_crds::Client::new("web", serde_json::from_value(json!({"access": access})).unwrap());
    client.metadata.namespace = Some("shop".into());
    validate(&client).unwrap()
}

#[allow(clippy::needless_pass_by_value)] // a json! literal goes in
fn entry(access: Value) -> Entry {
    settings(json!([access])).entries.remove(0)
}

fn queue(spec: Value) -> Queue {
    Queue::new("q", serde_json::from_value(spec).unwrap())
}

fn topic(spec: Value) -> Topic {
    Topic::new("t", serde_json::from_value(spec).unwrap())
}

#[allow(clippy::needless_pass_by_value)] // a json! literal goes in
fn subscription(topic: Value) -> Subscription {
    Subscription::new("s", serde_json::from_value(json!({"topicRef": topic})).unwrap())
}

const SHOP: Asker<'static> = Asker { namespace: "shop", labels: None };

fn names(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

#[test]
fn each_verb_of_a_queue_is_its_own_right() {
    let plain = queue(json!({}));
    let granted = |verbs: Value| {
        let entry = entry(json!({"name": "e", "queueRef": {"name": "q"}, "verbs": verbs}));
        grant(&entry, Found::Queue(&plain), true, SHOP).unwrap()
    };
    let send = granted(json!(["Send"]));
    assert_eq!((names(&send.rights.write), names(&send.rights.read)), (vec!["queue.q"], vec![]));
    assert_eq!(send.front.as_deref(), Some("q"));
    assert_eq!(send.addresses, [("", "/exchanges/queue.q".into()), (".send", "/exchanges/queue.q".into())].into());
    let receive = granted(json!(["Receive"]));
    assert_eq!((names(&receive.rights.write), names(&receive.rights.read)), (vec![], vec!["q", "q.dead"]));
    assert_eq!(receive.front, None);
    assert_eq!(receive.addresses, [("", "/queues/q".into()), (".dead", "/queues/q.dead".into())].into());
    let both = granted(json!(["Send", "Receive"]));
    assert_eq!(both.addresses[""], "/queues/q");
    assert_eq!(both.addresses[".send"], "/exchanges/queue.q");
}

#[test]
fn parts_are_sent_to_by_the_front_and_received_from_one_by_one() {
    let parted = queue(json!({"partitions": {"count": 3, "by": "customer"}}));
    let granted = |verbs: Value| {
        let entry = entry(json!({"name": "e", "queueRef": {"name": "q"}, "verbs": verbs}));
        grant(&entry, Found::Queue(&parted), true, SHOP).unwrap()
    };
    let send = granted(json!(["Send"]));
    assert_eq!(
        (names(&send.rights.write), names(&send.rights.read), names(&send.rights.parts)),
        (vec!["queue.q"], vec![], vec![])
    );
    assert_eq!(send.addresses, [("", "/exchanges/queue.q".into()), (".send", "/exchanges/queue.q".into())].into());
    assert_eq!((send.front, names(&send.exchanges)), (None, vec!["queue.q"]), "the Queue makes it itself");
    let receive = granted(json!(["Receive"]));
    assert_eq!((names(&receive.rights.read), names(&receive.rights.parts)), (vec!["q.dead"], vec!["q"]));
    assert_eq!(names(&receive.queues), ["part.q.0", "part.q.1", "part.q.2"]);
    let addresses = "/queues/part.q.0,/queues/part.q.1,/queues/part.q.2";
    assert_eq!(receive.addresses, [(".parts", addresses.into()), (".dead", "/queues/q.dead".into())].into());
    let both = granted(json!(["Send", "Receive"]));
    assert_eq!((both.addresses[""].as_str(), both.addresses[".parts"].as_str()), ("/exchanges/queue.q", addresses));
}

#[test]
fn only_a_stream_can_be_browsed() {
    let entry = entry(json!({"name": "e", "queueRef": {"name": "q"}, "verbs": ["Browse"]}));
    let refused = grant(&entry, Found::Queue(&queue(json!({}))), true, SHOP).unwrap_err();
    assert!(refused.reason == reasons::INVALID && refused.message.contains("no Stream"));
    let granted = grant(&entry, Found::Queue(&queue(json!({"type": "Stream"}))), true, SHOP).unwrap();
    assert_eq!(names(&granted.rights.read), ["q"]);
    assert_eq!(granted.addresses.len(), 1);
}

#[test]
fn topics_are_sent_to_and_subscriptions_received_from() {
    let send = entry(json!({"name": "e", "topicRef": {"name": "t"}, "verbs": ["Send"]}));
    let granted = grant(&send, Found::Topic(&topic(json!({}))), true, SHOP).unwrap();
    assert_eq!((names(&granted.rights.write), names(&granted.rights.read)), (vec!["topic.t"], vec![]));
    assert_eq!(granted.addresses[""], "/exchanges/topic.t");
    let receive = entry(json!({"name": "e", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]}));
    let found = subscription(json!({"name": "t", "namespace": "other"}));
    let open = topic(json!({"grants": [{"namespace": "shop", "verbs": ["Receive"]}]}));
    let granted = grant(&receive, Found::Subscription(&found, Some(&open)), true, SHOP).unwrap();
    assert_eq!(names(&granted.rights.read), ["subscription.shop.s", "subscription.shop.s.dead"]);
    assert_eq!(granted.addresses[""], "/queues/subscription.shop.s");
}

#[test]
fn i3_a_subscription_gives_nothing_once_its_topic_grants_nothing() {
    let receive = entry(json!({"name": "e", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]}));
    let found = subscription(json!({"name": "t", "namespace": "other"}));
    let refused = |topic: Option<&Topic>| grant(&receive, Found::Subscription(&found, topic), true, SHOP).unwrap_err();
    let closed = topic(json!({"grants": [{"namespace": "shop", "verbs": ["Send"]}]}));
    assert_eq!(refused(Some(&closed)), refused(None));
    assert_eq!(refused(None).reason, reasons::ACCESS_NOT_GRANTED);
}

#[test]
fn i3_absent_and_forbidden_sound_alike() {
    let queues = entry(json!({"name": "e", "queueRef": {"name": "q", "namespace": "other"}, "verbs": ["Send", "Receive"]}));
    let topics = entry(json!({"name": "e", "topicRef": {"name": "t", "namespace": "other"}, "verbs": ["Send"]}));
    // Half of what is asked for is not enough, and the other Broker of a forbidden one is nobody's business.
    for grants in [
        json!([]),
        json!([{"namespace": "shop", "verbs": ["Send"]}]),
        json!([{"namespace": "billing", "verbs": ["Send", "Receive"]}]),
    ] {
        let closed = queue(json!({"grants": grants}));
        for same_broker in [true, false] {
            assert_eq!(grant(&queues, Found::Queue(&closed), same_broker, SHOP), grant(&queues, Found::Nothing, true, SHOP));
        }
    }
    assert_eq!(grant(&topics, Found::Topic(&topic(json!({}))), true, SHOP), grant(&topics, Found::Nothing, true, SHOP));
    let message = grant(&queues, Found::Nothing, true, SHOP).unwrap_err().message;
    assert!(
        message.starts_with("the Queue other/q does not exist or does not grant Send and Receive to this namespace"),
        "{message}"
    );
}

#[test]
fn i3_with_a_grant_another_namespaces_queue_can_be_used() {
    let entry = entry(json!({"name": "e", "queueRef": {"name": "q", "namespace": "other"}, "verbs": ["Send"]}));
    let open = queue(json!({"grants": [{"namespace": "shop", "verbs": ["Send"]}]}));
    assert!(grant(&entry, Found::Queue(&open), true, SHOP).is_ok());
    assert_eq!(grant(&entry, Found::Queue(&open), false, SHOP).unwrap_err().reason, reasons::INVALID);
}

#[test]
fn everything_is_in_one_virtual_host() {
    let access = json!([
        {"name": "a", "queueRef": {"name": "q"}, "verbs": ["Send"]},
        {"name": "b", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]},
    ]);
    let settings = settings(access);
    let queue = queue(json!({}));
    let (near, far) = (subscription(json!({"name": "t"})), subscription(json!({"name": "t", "namespace": "other"})));
    let place = |found: &Subscription| place(&settings, &[Found::Queue(&queue), Found::Subscription(found, None)]);
    assert_eq!(place(&near), Ok("shop".into()));
    let refusal = place(&far).unwrap_err();
    assert!(refusal.reason == reasons::INVALID && refusal.message.contains("other, shop"));
}

fn observed(queues: &[&str]) -> ObservedVirtualHost {
    use crate::topology::model::{Arguments, QueueDeclaration, QueueKind};
    let mut seen = ObservedVirtualHost::default();
    for name in queues {
        let queue = QueueDeclaration { name: (*name).into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        seen.note(&crate::topology::plan::Action::DeclareQueue(queue));
    }
    seen
}

#[test]
fn an_entry_that_may_not_be_used_takes_nothing_from_the_others() {
    let good = entry(json!({"name": "good", "queueRef": {"name": "q"}, "verbs": ["Send", "Receive"]}));
    let bad = entry(json!({"name": "bad", "queueRef": {"name": "p", "namespace": "other"}, "verbs": ["Send"]}));
    let queue = queue(json!({}));
    let results = [(&good, grant(&good, Found::Queue(&queue), true, SHOP)), (&bad, grant(&bad, Found::Nothing, true, SHOP))];
    let summary = sum(&results, Some(&observed(&["q"])));
    assert_eq!(names(&summary.rights.write), ["queue.q"]);
    assert_eq!(summary.addresses.keys().collect::<Vec<_>>(), ["address.good", "address.good.dead", "address.good.send"]);
    assert_eq!(summary.unusable.len(), 1);
    assert!(summary.unusable[0].message.starts_with("access bad: the Queue other/p"));
    assert_eq!(names(&summary.fronts), ["q"]);
    assert!(summary.missing.is_empty());
}

#[test]
fn what_is_not_in_the_broker_yet_has_its_rights_and_is_waited_for() {
    let entry = entry(json!({"name": "e", "queueRef": {"name": "q"}, "verbs": ["Send"]}));
    let queue = queue(json!({}));
    let results = [(&entry, grant(&entry, Found::Queue(&queue), true, SHOP))];
    for seen in [None, Some(&observed(&[]))] {
        let summary = sum(&results, seen);
        assert_eq!(summary.missing, ["the queue q"]);
        assert!(summary.fronts.is_empty() && !summary.rights.is_empty());
    }
}

#[test]
fn entries_whose_names_the_broker_would_not_take_are_refused_and_not_the_rest() {
    let long = |number: usize| format!("{}{number:02}", "q".repeat(60));
    let access: Vec<Value> = (0..20)
        .map(|number| json!({"name": format!("e{number}"), "queueRef": {"name": long(number)}, "verbs": ["Receive"]}))
        .collect();
    let settings = settings(json!(access));
    let queue = queue(json!({}));
    let results: Vec<_> = settings.entries.iter().map(|entry| (entry, grant(entry, Found::Queue(&queue), true, SHOP))).collect();
    let summary = sum(&results, None);
    assert!(summary.rights.fit() && summary.rights.read.len() > 20);
    assert!(summary.unusable.len() > 4 && summary.unusable[0].message.contains("1024 bytes"));
}

fn orders(state: &str) -> ServiceContract {
    let spec = json!({
        "owner": "orders",
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": [{"name": "v1", "messages": [{"operation": "placed", "format": "Opaque", "schema": "x"}]}],
    });
    let mut contract = ServiceContract::new("orders", serde_json::from_value(spec).unwrap());
    let at = "2026-01-01T00:00:00Z";
    contract.status = Some(
        serde_json::from_value(json!({"versions": [{"name": "v1", "state": state, "since": at, "watchedAt": at}]})).unwrap(),
    );
    contract
}

#[test]
fn under_a_contract_one_sends_to_its_version() {
    let reference = json!({"name": "orders", "version": "v1", "operation": "placed"});
    let entry = entry(json!({"name": "e", "contractRef": reference, "verbs": ["Send"]}));
    let granted = grant(&entry, Found::Contract(&orders("Active"), false), true, SHOP).unwrap();
    assert_eq!((names(&granted.rights.write), names(&granted.rights.read)), (vec!["contract.orders.v1.placed"], vec![]));
    assert_eq!(granted.addresses[""], "/exchanges/contract.orders.v1.placed");
    let summary = sum(&[(&entry, Ok(granted))], None);
    assert_eq!(summary.contracts, ["shop/orders/v1/placed".to_owned()].into());
    let reason =
        |state, held| grant(&entry, Found::Contract(&orders(state), held), true, SHOP).map_err(|error| error.reason).err();
    assert_eq!((reason("Sunset", true), reason("Sunset", false)), (None, Some(reasons::VERSION_SUNSET)));
    assert_eq!(reason("Retired", true), Some(reasons::VERSION_RETIRED));
}

#[test]
fn i3_a_contract_that_is_absent_and_one_that_is_forbidden_are_one_answer() {
    let reference = json!({"name": "orders", "namespace": "other", "version": "v1", "operation": "placed"});
    let entry = entry(json!({"name": "e", "contractRef": reference, "verbs": ["Send"]}));
    let forbidden = grant(&entry, Found::Contract(&orders("Active"), true), true, SHOP);
    assert_eq!(forbidden, grant(&entry, Found::Nothing, true, SHOP));
    assert_eq!(forbidden.unwrap_err().reason, reasons::CONTRACT_NOT_USABLE);
}

#[test]
fn whoever_reads_from_a_subscription_goes_on_until_its_version_is_retired() {
    let spec = json!({"contractRef": {"name": "orders", "version": "v1", "operation": "placed"}});
    let found = Subscription::new("s", serde_json::from_value(spec).unwrap());
    let entry = entry(json!({"name": "e", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]}));
    let ask = |contract: Option<&ServiceContract>| {
        grant(&entry, Found::Subscribed(&found, contract), true, SHOP)
            .map(|granted| granted.rights.read.len())
            .map_err(|error| error.reason)
    };
    assert_eq!((ask(Some(&orders("Active"))), ask(Some(&orders("Sunset")))), (Ok(2), Ok(2)));
    assert_eq!(ask(Some(&orders("Retired"))), Err(reasons::VERSION_RETIRED));
    assert_eq!(ask(None), Err(reasons::CONTRACT_NOT_USABLE));
}
