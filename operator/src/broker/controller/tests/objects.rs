//! A Broker's objects and its status: what is made, what is left alone, what is said.

use entente_crds::meta::PAUSED_ANNOTATION;
use serde_json::json;

use super::world::{BROKER, CORE, SET, World};
use crate::broker::BrokerSettings;
use crate::broker::controller::*;

#[tokio::test]
async fn a_new_broker_gets_all_its_objects_and_says_that_it_starts() {
    let world = World::new(&json!({}));
    assert_eq!(world.look().await, Outcome { again: Some(SOON) });
    for path in [
        "secrets/main-admin",
        "secrets/main-cookie",
        "secrets/main-ca",
        "secrets/main-tls",
        "configmaps/main-config",
        "services/main",
        "services/main-nodes",
    ] {
        assert!(world.api.get(&format!("{CORE}/{path}")).is_some(), "{path}");
    }
    assert!(world.api.get(SET).is_some());
    assert_eq!((world.ready().0.as_str(), world.ready().1.as_str()), ("False", "Starting"));
}

#[tokio::test]
async fn i6_a_formed_broker_is_only_read() {
    let world = World::formed(&json!({})).await;
    for _ in 0..3 {
        assert_eq!(world.look().await, Outcome { again: Some(LATER) });
    }
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn i6_a_new_operator_finds_nothing_to_do() {
    let world = World::formed(&json!({})).await;
    let ctx = world.another_operator();
    reconcile(&world.broker(), &ctx).await.unwrap();
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn i2_a_stateful_set_in_the_way_is_a_conflict() {
    let world = World::new(&json!({}));
    world.api.put(SET, json!({"metadata": {"name": "main-broker"}, "spec": {"selector": {}, "template": {}}}));
    world.look().await;
    assert_eq!(world.ready().1, "Conflict");
    assert!(!world.api.take_writes().iter().any(|write| write.contains("statefulsets")));
}

#[tokio::test]
async fn another_namespace_is_not_served() {
    let world = World::new(&json!({}));
    let settings = BrokerSettings { namespaces: Namespaces::parse(["other"], "x"), ..world.ctx.settings.clone() };
    let ctx = world.another_installation(settings);
    assert_eq!(reconcile(&world.broker(), &ctx).await.unwrap(), Outcome { again: None });
    let (_, reason, message) = world.ready();
    assert_eq!(reason, "Forbidden");
    assert!(message.contains("other") && message.contains("messaging"), "{message}");
    assert!(world.api.get(SET).is_none());
    // Another installation serves it: its word stands.
    world.look().await;
    assert_eq!(world.ready().1, "Starting");
    world.api.take_writes();
    reconcile(&world.broker(), &ctx).await.unwrap();
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn missing_rights_are_said() {
    let world = World::new(&json!({}));
    world.api.refuse("/secrets", 403, "secrets is forbidden: User \"x\" cannot create");
    assert_eq!(world.look().await, Outcome { again: Some(LATER) });
    let (_, reason, message) = world.ready();
    assert_eq!(reason, "Forbidden");
    assert!(message.contains("main-admin") && message.contains("cannot create"), "{message}");
    world.api.allow("/secrets");
    world.look().await;
    assert_eq!(world.ready().1, "Starting");
}

#[tokio::test]
async fn an_invalid_change_is_said_and_the_nodes_stay() {
    let world = World::formed(&json!({"replicas": 3})).await;
    let set = world.api.get(SET).unwrap();
    world.declare(&json!({"replicas": 3, "storage": {"size": "1Gi"}}), 2);
    world.look().await;
    let (status, reason, message) = world.ready();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"));
    assert!(message.contains("can only grow"), "{message}");
    assert_eq!(world.api.get(SET).unwrap(), set);
    let status = world.broker().status.unwrap();
    assert_eq!(status.observed_generation, Some(2));
    assert!(conditions::is_true(&status.conditions, types::CLUSTER_FORMED));
}

#[tokio::test]
async fn paused_means_no_write_but_the_word_paused() {
    let world = World::formed(&json!({})).await;
    world.api.change(BROKER, |broker| broker["metadata"]["annotations"] = json!({PAUSED_ANNOTATION: "true"}));
    world.api.remove(&format!("{CORE}/services/main"));
    assert_eq!(world.look().await, Outcome { again: None });
    assert_eq!(world.api.take_writes(), [format!("PATCH {BROKER}/status")]);
    world.look().await;
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
    world.api.change(BROKER, |broker| broker["metadata"]["annotations"] = json!({}));
    world.look().await;
    assert!(world.api.get(&format!("{CORE}/services/main")).is_some());
    let status = world.broker().status.unwrap();
    assert!(conditions::get(&status.conditions, types::RECONCILING).is_none());
}

#[tokio::test]
async fn i4_a_deleted_broker_is_left_to_the_garbage_collector() {
    let world = World::formed(&json!({})).await;
    world.api.change(BROKER, |broker| broker["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    world.api.remove(&format!("{CORE}/services/main"));
    assert_eq!(world.look().await, Outcome { again: None });
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn i5_a_missed_answer_changes_nothing_at_first() {
    let world = World::formed(&json!({})).await;
    *world.probe.seen.lock().unwrap() = Err("connection refused".into());
    for _ in 0..2 {
        assert_eq!(world.look().await, Outcome { again: Some(SOON) });
        assert_eq!(world.api.take_writes(), Vec::<String>::new());
    }
    world.look().await;
    assert_eq!((world.ready().0.as_str(), world.ready().1.as_str()), ("Unknown", "BrokerUnreachable"));
    world.answer([true; 3]);
    world.look().await;
    assert_eq!(world.ready().0, "True");
}

#[tokio::test]
async fn the_loss_of_a_node_is_told_once() {
    let world = World::formed(&json!({})).await;
    world.answer([true, true, false]);
    world.look().await;
    let events = |writes: Vec<String>| writes.iter().filter(|write| write.contains("events")).count();
    assert_eq!(events(world.api.take_writes()), 2, "NodeLost and NodesMissing");
    assert_eq!(world.ready().1, "NodesMissing");
    world.look().await;
    assert_eq!(events(world.api.take_writes()), 0);
}
