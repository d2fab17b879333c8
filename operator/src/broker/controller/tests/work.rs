//! Planned work, from the Broker to evictions.

use entente_crds::meta::{RESTART_ANNOTATION, SWITCHOVER_ANNOTATION};
use serde_json::json;

use super::world::{CORE, SET, World};
use crate::broker::controller::*;

#[tokio::test]
async fn a_change_restarts_one_node_and_waits_for_it() {
    let world = World::formed(&json!({})).await;
    world.declare(&json!({"additionalConfig": "heartbeat = 10"}), 2);
    world.set_seen_revision("new");
    world.look().await;
    let evictions = |writes: Vec<String>| writes.into_iter().filter(|write| write.ends_with("/eviction")).collect::<Vec<_>>();
    assert_eq!(evictions(world.api.take_writes()), [format!("POST {CORE}/pods/main-broker-2/eviction")]);
    world.set_seen_revision("new");
    world.look().await;
    assert!(evictions(world.api.take_writes()).is_empty(), "its successor is not there yet");
    world.start_pod(2, "new", true);
    world.answer([true, true, false]);
    world.look().await;
    assert!(evictions(world.api.take_writes()).is_empty(), "ready, and not yet a member");
    world.answer([true; 3]);
    world.look().await;
    assert_eq!(evictions(world.api.take_writes()), [format!("POST {CORE}/pods/main-broker-1/eviction")]);
}

#[tokio::test]
async fn i1_a_restart_moves_leaders_and_clients_first_and_another_operator_goes_on_with_it() {
    let mut world = World::formed(&json!({})).await;
    world.tell_members();
    world.annotate(RESTART_ANNOTATION, "monday");
    world.look().await;
    world.set_seen_revision("new");
    world.look_later().await;
    let work = world.broker().status.unwrap().work.unwrap();
    assert_eq!(work.node.as_deref(), Some("main-broker-2"));
    assert!(world.evictions().is_empty(), "a node that leads is not taken down");
    // The operator dies, and another one comes.
    world.ctx = world.another_operator();
    let mut evicted = Vec::new();
    for _ in 0..6 {
        world.look_later().await;
        evicted.extend(world.evictions());
        if !evicted.is_empty() {
            break;
        }
    }
    assert_eq!(evicted, [format!("POST {CORE}/pods/main-broker-2/eviction")]);
    assert_eq!(*world.probe.done.lock().unwrap(), ["moved", "closed"]);
    let status = world.broker().status.unwrap();
    assert_eq!(conditions::get(&status.conditions, types::PLANNED_WORK).unwrap().reason, "Restarting");
    assert_eq!(conditions::get(&status.conditions, types::LEADERS_BALANCED).unwrap().status, "False");
}

#[tokio::test]
async fn i1_a_node_that_is_too_many_is_emptied_before_the_set_gets_smaller() {
    let world = World::formed(&json!({"replicas": 3})).await;
    world.tell_members();
    world.declare(&json!({"replicas": 1}), 2);
    let replicas = || world.api.get(SET).unwrap()["spec"]["replicas"].as_i64();
    for _ in 0..12 {
        if replicas() != Some(3) {
            break;
        }
        world.look_later().await;
    }
    assert_eq!(replicas(), Some(2), "{:?}", world.broker().status);
    assert_eq!(*world.probe.done.lock().unwrap(), ["moved", "members", "closed", "removed", "removed"]);
    let status = world.broker().status.unwrap();
    assert_eq!(conditions::get(&status.conditions, types::PLANNED_WORK).unwrap().reason, "Removing");
    assert!(world.evictions().is_empty());
    // The next look writes what the nodes are told of their number.
    world.look().await;
    assert_eq!(world.api.get(&format!("{CORE}/configmaps/main-config")).unwrap()["data"]["replicas"], "2");
}

#[tokio::test]
async fn i6_a_switchover_is_done_once() {
    let world = World::formed(&json!({})).await;
    world.tell_members();
    world.annotate(SWITCHOVER_ANNOTATION, "main-broker-2");
    for _ in 0..4 {
        world.look_later().await;
    }
    let status = world.broker().status.unwrap();
    assert_eq!(status.switchover.unwrap().message, "main-broker-2 leads no queue");
    assert_eq!(*world.probe.done.lock().unwrap(), ["moved"]);
    world.api.take_writes();
    world.tell_members();
    world.look_later().await;
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn the_disruption_budget_has_the_last_word() {
    let world = World::formed(&json!({"disruption": {"maxUnavailable": 0}})).await;
    world.declare(&json!({"disruption": {"maxUnavailable": 0}, "additionalConfig": "heartbeat = 10"}), 2);
    world.set_seen_revision("new");
    world.look().await;
    assert!(!world.api.take_writes().iter().any(|write| write.ends_with("/eviction")));
    assert!(world.ready().2.contains("maxUnavailable is 0"), "{:?}", world.ready());
    world.declare(&json!({"additionalConfig": "heartbeat = 10"}), 3);
    world.set_seen_revision("new");
    world.api.refuse("/eviction", 429, "Cannot evict pod as it would violate the pod's disruption budget.");
    world.look().await;
    assert!(world.ready().2.contains("disruption budget"), "{:?}", world.ready());
}

#[tokio::test]
async fn volumes_grow_and_a_refusal_is_said_without_asking_again() {
    let world = World::formed(&json!({"storage": {"size": "1Gi"}})).await;
    let claim = format!("{CORE}/persistentvolumeclaims/data-main-broker-0");
    let put = |size: &str| {
        let spec = json!({"resources": {"requests": {"storage": size}}});
        world.api.put(&claim, json!({"metadata": {"name": "data-main-broker-0"}, "spec": spec}));
    };
    put("1Gi");
    world.api.refuse("data-main-broker-0", 403, "the storageclass must support resize");
    world.declare(&json!({"storage": {"size": "2Gi"}}), 2);
    world.look().await;
    let status = world.broker().status.unwrap();
    let grown = conditions::get(&status.conditions, status::VOLUMES_GROWN).unwrap();
    assert!(grown.message.contains("must support resize") && grown.message.contains("allowVolumeExpansion"), "{}", grown.message);
    let requested = |world: &World| {
        world.api.get(SET).unwrap()["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone()
    };
    assert_eq!(requested(&world), "1Gi", "Kubernetes refuses another size in the template");
    world.api.take_writes();
    world.look().await;
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
    world.api.allow("data-main-broker-0");
    world.declare(&json!({"storage": {"size": "3Gi"}}), 3);
    world.look().await;
    assert_eq!(world.api.get(&claim).unwrap()["spec"]["resources"]["requests"]["storage"], "3Gi");
    assert!(conditions::get(&world.broker().status.unwrap().conditions, status::VOLUMES_GROWN).is_none());
}
