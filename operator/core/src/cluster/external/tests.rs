use entente_crds::broker::TlsMode;
use entente_crds::queue::LocalRef;
use entente_crds::{BrokerStatus, Queue, Subscription, Topic};
use jiff::Timestamp;
use serde_json::json;

use super::status::{Look, next};
use super::*;
use crate::cluster::testing::broker;
use crate::cluster::validate::{Refusal, validate};
use crate::object::{Object, Reported};

fn external() -> Broker {
    let external =
        External { uri: "https://rabbit.example:15671".into(), secret_ref: LocalRef { name: "s".into() }, amqp_uri: None };
    let mut broker = broker("main", "messaging", |spec| spec.external = Some(external));
    broker.metadata.generation = Some(1);
    broker
}

fn seen(plugins: &[&str]) -> SeenExternal {
    let node = SeenNode { name: "rabbit@a".into(), running: true, alarms: Vec::new() };
    let filters = |plugin: &&str| (*plugin == FILTER_PLUGIN).then(|| SQL_EXCHANGE.to_owned());
    let exchange_types = plugins.iter().filter_map(filters).collect();
    SeenExternal {
        version: "4.3.6".into(),
        exchange_types,
        nodes: vec![(node, Some(plugins.iter().map(|plugin| (*plugin).to_owned()).collect()))],
        tags: vec!["administrator".into()],
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition<'a>(status: &'a BrokerStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let found = conditions::get(&status.conditions, type_).unwrap();
    (&found.status, &found.reason, &found.message)
}

/// Looks, and puts the status in its place.
fn look(broker: &mut Broker, look: Look<'_>) -> BrokerStatus {
    let before = broker.status.clone().unwrap_or_default();
    let after = next(&before, broker, look, at(1));
    broker.status = Some(after.clone());
    after
}

#[test]
fn settings_of_nodes_are_refused_beside_external() {
    assert_eq!(validate(&external()), Ok(()));
    let mut main = external();
    main.spec.replicas = 1;
    main.spec.channels.mqtt = true;
    main.spec.tls.mode = TlsMode::Disabled;
    main.spec.additional_config = Some("a = b".into());
    let refusal = validate(&main).unwrap_err();
    assert_eq!(refusal.reason, reasons::INVALID);
    assert!(refusal.message.contains("replicas, tls, channels, additionalConfig say how nodes are run"), "{}", refusal.message);
    let mut main = external();
    main.spec.external.as_mut().unwrap().uri = "http://127.0.0.1:8080".into();
    assert!(validate(&main).unwrap_err().message.contains("own machine"));
}

#[test]
fn what_it_lacks_is_a_condition_and_it_serves_all_the_same() {
    let mut main = external();
    let status = look(&mut main, Look::Seen(&seen(&["rabbitmq_management"])));
    assert_eq!(condition(&status, types::READY).0, "True");
    let (is, reason, message) = condition(&status, types::FILTERS_SUPPORTED);
    assert_eq!((is, reason), ("False", reasons::PLUGIN_MISSING));
    assert!(message.contains("rabbit@a") && message.contains("enable"), "{message}");
    assert_eq!(condition(&status, types::EVENTS_HEARD).1, reasons::RESYNC_ONLY);
    assert_eq!((status.version.as_deref(), status.ready_nodes.as_deref()), (Some("4.3.6"), Some("1/1")));
    assert_eq!(status.endpoints.unwrap().amqp, "amqps://rabbit.example:5671");
    let status = look(&mut main, Look::Seen(&seen(&[FILTER_PLUGIN])));
    assert_eq!(condition(&status, types::FILTERS_SUPPORTED).0, "True");
}

#[test]
fn a_node_without_the_plugin_is_enough_for_a_no() {
    let mut two = seen(&[FILTER_PLUGIN]);
    two.nodes.push((SeenNode { name: "rabbit@b".into(), running: true, alarms: Vec::new() }, Some(Vec::new())));
    assert_eq!(two.without_filters().unwrap(), ["rabbit@b"]);
    two.nodes[1].0.running = false;
    assert!(two.without_filters().unwrap().is_empty(), "one that is down says nothing");
    two.nodes[0].1 = None;
    assert_eq!(two.without_filters(), None, "not said yet");
    let mut main = external();
    look(&mut main, Look::Seen(&seen(&[FILTER_PLUGIN])));
    let after = look(&mut main, Look::Seen(&two));
    assert_eq!(condition(&after, types::FILTERS_SUPPORTED).0, "True", "as last seen");
    two.exchange_types.clear();
    assert_eq!(two.without_filters().unwrap(), ["the node that answers"], "it knows that at once");
}

#[test]
fn i6_a_second_look_changes_nothing() {
    let mut main = external();
    let first = look(&mut main, Look::Seen(&seen(&[])));
    assert_eq!(next(&first, &main, Look::Seen(&seen(&[])), at(60)), first);
    let trouble = Trouble::Credentials;
    let refused = look(&mut main, Look::Failed { trouble: &trouble, times: 1 });
    assert_eq!(next(&refused, &main, Look::Failed { trouble: &trouble, times: 2 }, at(60)), refused);
}

#[test]
fn each_trouble_says_what_to_do() {
    let unreachable = (reasons::BROKER_UNREACHABLE, "Unknown");
    for (trouble, (reason, is), part) in [
        (Trouble::Secret("the Secret s does not exist".into()), (reasons::CREDENTIALS_REFUSED, "False"), "username, password"),
        (Trouble::Credentials, (reasons::CREDENTIALS_REFUSED, "False"), "the Secret s"),
        (Trouble::NotRabbitMq, (reasons::NOT_RABBITMQ, "False"), "15671"),
        (Trouble::Silent("refused".into()), unreachable, "refused"),
    ] {
        let mut main = external();
        let status = look(&mut main, Look::Failed { trouble: &trouble, times: 1 });
        let (status_, reason_, message) = condition(&status, types::READY);
        assert_eq!((status_, reason_), (is, reason), "{trouble:?}");
        assert!(message.contains(part), "{message}");
    }
    let mut tagless = seen(&[]);
    tagless.tags = vec!["monitoring".into()];
    assert!(condition(&look(&mut external(), Look::Seen(&tagless)), types::READY).2.contains("administrator"));
    let old = SeenExternal { version: "4.2.9".into(), ..seen(&[]) };
    assert_eq!(condition(&look(&mut external(), Look::Seen(&old)), types::READY).1, crate::cluster::status::VERSION_MISMATCH);
    let newer = SeenExternal { version: "5.0.0".into(), ..seen(&[]) };
    assert_eq!(condition(&look(&mut external(), Look::Seen(&newer)), types::READY).0, "True");
}

#[test]
fn i5_a_silence_is_no_answer() {
    let mut main = external();
    look(&mut main, Look::Seen(&seen(&[])));
    let silent = Trouble::Silent("time-out".into());
    let hiccup = look(&mut main, Look::Failed { trouble: &silent, times: 1 });
    assert_eq!(condition(&hiccup, types::READY).0, "True", "one silence is a hiccup");
    let down = look(&mut main, Look::Failed { trouble: &silent, times: SILENCES });
    assert_eq!(condition(&down, types::READY).0, "Unknown");
    assert_eq!(condition(&down, types::FILTERS_SUPPORTED).0, "False", "as last seen");
    assert_eq!(down.version.as_deref(), Some("4.3.6"));
    assert_eq!(barrier(&main), None, "the link itself finds out when it is back");
}

const SILENCES: u32 = crate::cluster::status::SILENCE_LIMIT;

#[test]
fn nothing_asks_a_rabbitmq_that_was_not_seen_to_be_one() {
    let mut main = external();
    assert!(barrier(&main).is_some(), "not seen yet");
    look(&mut main, Look::Seen(&seen(&[])));
    assert_eq!(barrier(&main), None);
    main.metadata.generation = Some(2);
    assert!(barrier(&main).is_some(), "another address perhaps");
    for trouble in [Trouble::Credentials, Trouble::NotRabbitMq, Trouble::Secret("gone".into())] {
        look(&mut main, Look::Failed { trouble: &trouble, times: 1 });
        assert_eq!(barrier(&main).unwrap().reason, reasons::BROKER_NOT_READY, "{trouble:?}");
    }
    let refusal = Refusal { reason: reasons::INVALID, message: "no".into() };
    look(&mut main, Look::Refused(&refusal));
    assert!(barrier(&main).unwrap().message.contains("no"));
    assert_eq!(barrier(&broker("main", "messaging", |_| {})), None, "one that Entente runs");
}

#[test]
fn only_what_filters_needs_filters() {
    let mut main = external();
    look(&mut main, Look::Seen(&seen(&[])));
    let queue = |spec: serde_json::Value| {
        let settings = Queue::new("q", serde_json::from_value(spec).unwrap()).validate().unwrap();
        Queue::desired(&settings).usable
    };
    assert_eq!(lacks_filters(&main, &queue(json!({})), Queue::KIND), None);
    let tapped = queue(json!({"taps": [{"name": "a", "queueRef": {"name": "p"}}]}));
    let refusal = lacks_filters(&main, &tapped, Queue::KIND).unwrap();
    assert_eq!(refusal.reason, reasons::FILTERS_NOT_SUPPORTED);
    assert!(refusal.message.contains(FILTER_PLUGIN) && refusal.message.contains("remove spec.taps"), "{}", refusal.message);
    let spec = json!({"topicRef": {"name": "t"}});
    let mut subscription = Subscription::new("s", serde_json::from_value(spec).unwrap());
    subscription.metadata.namespace = Some("shop".into());
    let subscription = subscription.validate().unwrap();
    assert!(lacks_filters(&main, &Subscription::desired(&subscription).usable, Subscription::KIND).is_some());
    let topic = Topic::new("t", serde_json::from_value(json!({})).unwrap()).validate().unwrap();
    assert!(lacks_filters(&main, &Topic::desired(&topic).usable, Topic::KIND).is_some());
    look(&mut main, Look::Seen(&seen(&[FILTER_PLUGIN])));
    assert_eq!(lacks_filters(&main, &tapped, Queue::KIND), None);
    assert_eq!(lacks_filters(&broker("main", "messaging", |_| {}), &tapped, Queue::KIND), None, "ours always have it");
}
