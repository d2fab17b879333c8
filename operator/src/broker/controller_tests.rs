use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::{Seen, SeenNode};
use entente_core::cluster::secrets as contents;
use entente_core::cluster::work::members::{Member, QueueMembers};
use entente_core::cluster::work::{Change, MemberChange, Members, Move};
use entente_crds::meta::{PAUSED_ANNOTATION, RESTART_ANNOTATION, SWITCHOVER_ANNOTATION};
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};

use super::*;
use crate::broker::testing::FakeApi;
use crate::broker::{BrokerProbe, BrokerSettings};

const BROKER: &str = "/apis/entente.dev/v1alpha1/namespaces/messaging/brokers/main";
const SET: &str = "/apis/apps/v1/namespaces/messaging/statefulsets/main-broker";
const CORE: &str = "/api/v1/namespaces/messaging";

/// A broker that answers what it is told to.
struct Scripted {
    seen: Mutex<Result<Seen, String>>,
    members: Mutex<Option<Members>>,
    done: Mutex<Vec<String>>,
}

#[async_trait]
impl BrokerProbe for Scripted {
    async fn probe(&self, _: &Broker) -> Result<Seen, String> {
        self.seen.lock().unwrap().clone()
    }

    async fn members(&self, _: &Broker) -> Result<Option<Members>, String> {
        Ok(self.members.lock().unwrap().clone())
    }

    async fn move_leaders(&self, _: &Broker, moves: &[Move]) -> Result<(), String> {
        self.done.lock().unwrap().push("moved".into());
        if let Some(members) = self.members.lock().unwrap().as_mut() {
            for step in moves {
                members
                    .queues
                    .iter_mut()
                    .filter(|queue| queue.name == step.queue)
                    .for_each(|queue| queue.leader = Some(step.to.clone()));
            }
        }
        Ok(())
    }

    async fn change_members(&self, _: &Broker, changes: &[MemberChange]) -> Result<(), String> {
        self.done.lock().unwrap().push("members".into());
        for queue in self.members.lock().unwrap().iter_mut().flat_map(|members| &mut members.queues) {
            for MemberChange { node, change, .. } in changes {
                match change {
                    Change::Remove => queue.members.retain(|member| member.node != *node),
                    Change::Add => {
                        queue.members.push(Member { node: node.clone(), runs: true, votes: true, written: 1, committed: 1 });
                    }
                }
            }
        }
        Ok(())
    }

    /// It stops when it is asked for the first time, and is forgotten the next time.
    async fn remove_node(&self, _: &Broker, node: &str) -> Result<(), String> {
        self.done.lock().unwrap().push("removed".into());
        let mut seen = self.seen.lock().unwrap();
        let Ok(seen) = seen.as_mut() else { return Err("nothing there".into()) };
        seen.nodes.retain(|known| known.running || known.name != node);
        seen.nodes.iter_mut().filter(|known| known.name == node).for_each(|known| known.running = false);
        Ok(())
    }

    async fn close_connections(&self, _: &Broker, node: &str, _: u32) -> Result<(), String> {
        self.done.lock().unwrap().push("closed".into());
        if let Some(members) = self.members.lock().unwrap().as_mut() {
            members.connections.remove(node);
        }
        Ok(())
    }

    async fn probe_external(&self, _: &Broker) -> Result<SeenExternal, Trouble> {
        let tags = vec!["administrator".to_owned()];
        match self.seen.lock().unwrap().clone() {
            Ok(Seen { nodes, version }) => Ok(SeenExternal {
                version,
                exchange_types: Vec::new(),
                nodes: nodes.into_iter().map(|node| (node, Some(Vec::new()))).collect(),
                tags,
            }),
            Err(why) => Err(Trouble::Silent(why)),
        }
    }
}

struct World {
    api: FakeApi,
    probe: Arc<Scripted>,
    ctx: BrokerContext,
}

impl World {
    fn new(spec: &Value) -> Self {
        let api = FakeApi::default();
        let probe = Arc::new(Scripted {
            seen: Mutex::new(Err("nothing there".into())),
            members: Mutex::default(),
            done: Mutex::default(),
        });
        let client = api.client();
        let settings = BrokerSettings {
            image: "broker:dev".into(),
            cluster_domain: "cluster.local".into(),
            operator_namespace: "entente-system".into(),
            namespaces: Namespaces::parse(["messaging"], "entente-system"),
        };
        let recorder = Recorder::new(client.clone(), Reporter { controller: "entente".into(), instance: None });
        let ctx = BrokerContext::new(client, settings, probe.clone(), recorder);
        let world = Self { api, probe, ctx };
        world.declare(spec, 1);
        world
    }

    fn declare(&self, spec: &Value, generation: i64) {
        let status = self.api.get(BROKER).map(|broker| broker["status"].clone()).unwrap_or_default();
        self.api.put(
            BROKER,
            json!({
                "apiVersion": "entente.dev/v1alpha1", "kind": "Broker",
                "metadata": {"name": "main", "namespace": "messaging", "uid": "b1", "generation": generation},
                "spec": spec, "status": status
            }),
        );
    }

    fn broker(&self) -> Broker {
        serde_json::from_value(self.api.get(BROKER).unwrap()).unwrap()
    }

    async fn look(&self) -> Outcome {
        reconcile(&self.broker(), &self.ctx).await.unwrap()
    }

    fn ready(&self) -> (String, String, String) {
        let status = self.broker().status.unwrap();
        let ready = conditions::get(&status.conditions, types::READY).unwrap();
        (ready.status.clone(), ready.reason.clone(), ready.message.clone())
    }

    /// Plays the `StatefulSet` controller and the kubelets: pods of the present template, ready.
    fn start_pods(&self) {
        let revision = self.api.get(SET).unwrap()["spec"]["template"].to_string().len().to_string();
        for ordinal in 0..3 {
            self.start_pod(ordinal, &revision, true);
        }
        self.set_seen_revision(&revision);
        self.answer([true; 3]);
    }

    fn start_pod(&self, ordinal: usize, revision: &str, ready: bool) {
        let uid = self.api.get(SET).unwrap()["metadata"]["uid"].clone();
        self.api.put(
            &format!("{CORE}/pods/main-broker-{ordinal}"),
            json!({
                "metadata": {
                    "name": format!("main-broker-{ordinal}"), "namespace": "messaging",
                    "labels": {"controller-revision-hash": revision},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "main-broker", "uid": uid}]
                },
                "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}
            }),
        );
    }

    fn set_seen_revision(&self, revision: &str) {
        self.api.change(SET, |set| {
            set["metadata"]["generation"] = json!(1);
            set["status"] = json!({"replicas": 3, "observedGeneration": 1, "updateRevision": revision});
        });
    }

    fn answer(&self, running: [bool; 3]) {
        let node = |(ordinal, running): (usize, bool)| SeenNode {
            name: format!("rabbit@main-broker-{ordinal}.main-nodes.messaging.svc.cluster.local"),
            running,
            alarms: Vec::new(),
        };
        let nodes = running.into_iter().enumerate().map(node).collect();
        *self.probe.seen.lock().unwrap() = Ok(Seen { nodes, version: "4.3.6".into() });
    }

    /// One queue, led by the last node, with a member in sync on each; a connection there.
    fn tell_members(&self) {
        let node = |ordinal: usize| format!("rabbit@main-broker-{ordinal}.main-nodes.messaging.svc.cluster.local");
        let members =
            (0..3).map(|ordinal| Member { node: node(ordinal), runs: true, votes: true, written: 1, committed: 1 }).collect();
        let queue = QueueMembers { virtual_host: "shop".into(), name: "q".into(), leader: Some(node(2)), members };
        let connections = [(node(2), 1)].into();
        *self.probe.members.lock().unwrap() = Some(Members { queues: vec![queue], connections, bound: Some(BTreeMap::new()) });
    }

    fn annotate(&self, key: &str, value: &str) {
        self.api.change(BROKER, |broker| broker["metadata"]["annotations"] = json!({key: value}));
    }

    fn evictions(&self) -> Vec<String> {
        self.api.take_writes().into_iter().filter(|write| write.ends_with("/eviction")).collect()
    }

    /// Looks, far enough apart for the broker's answers to be compared.
    async fn look_later(&self) {
        tokio::time::sleep(Duration::from_millis(210)).await;
        self.look().await;
    }

    async fn formed(spec: &Value) -> Self {
        let world = Self::new(spec);
        world.look().await;
        world.start_pods();
        world.look().await;
        assert_eq!(world.ready().0, "True", "{:?}", world.ready());
        world.api.take_writes();
        world
    }

    fn secret(&self, name: &str) -> k8s_openapi::api::core::v1::Secret {
        serde_json::from_value(self.api.get(&format!("{CORE}/secrets/{name}")).unwrap()).unwrap()
    }
}

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
    let ctx = BrokerContext::new(world.api.client(), world.ctx.settings.clone(), world.probe.clone(), world.ctx.recorder.clone());
    reconcile(&world.broker(), &ctx).await.unwrap();
    assert_eq!(world.api.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn i2_a_secret_in_the_way_is_a_conflict_and_stays() {
    for name in ["main-admin", "main-cookie", "main-ca", "main-tls"] {
        let world = World::new(&json!({}));
        let path = format!("{CORE}/secrets/{name}");
        world.api.put(&path, json!({"metadata": {"name": name}, "data": {"password": "dGhlaXJz"}}));
        assert_eq!(world.look().await, Outcome { again: Some(LATER) });
        let (status, reason, message) = world.ready();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Conflict"));
        assert!(message.contains(name), "{message}");
        assert_eq!(world.api.get(&path).unwrap()["data"], json!({"password": "dGhlaXJz"}));
        assert!(world.api.get(SET).is_none(), "no node without its secrets");
    }
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
    let ctx = BrokerContext::new(world.api.client(), settings, world.probe.clone(), world.ctx.recorder.clone());
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
async fn a_password_is_drawn_once_and_anew_only_without_a_secret() {
    let world = World::formed(&json!({})).await;
    let password = |world: &World| contents::text(&world.secret("main-admin"), "password").unwrap();
    let cookie = |world: &World| contents::text(&world.secret("main-cookie"), "cookie").unwrap();
    let (first, first_cookie) = (password(&world), cookie(&world));
    assert!(first.len() >= 32 && first_cookie.len() >= 32);
    world.look().await;
    assert_eq!((password(&world), cookie(&world)), (first.clone(), first_cookie));
    let template = |world: &World| world.api.get(SET).unwrap()["spec"]["template"].clone();
    let before = template(&world);
    world.api.remove(&format!("{CORE}/secrets/main-admin"));
    world.look().await;
    assert_ne!(password(&world), first);
    assert_ne!(template(&world), before, "nodes must restart to take it up");
}

#[tokio::test]
async fn a_changed_password_is_brought_into_what_rabbitmq_reads() {
    let world = World::formed(&json!({})).await;
    world.api.change(&format!("{CORE}/secrets/main-admin"), |secret| secret["data"]["password"] = json!("bmV3"));
    world.look().await;
    let secret = world.secret("main-admin");
    assert!(contents::text(&secret, "admin.conf").unwrap().contains("default_pass = new\n"));
    assert_eq!(contents::text(&secret, "password").as_deref(), Some("new"));
}

#[tokio::test]
async fn a_lost_certificate_comes_back_under_the_same_authority() {
    let world = World::formed(&json!({})).await;
    let authority = contents::text(&world.secret("main-ca"), "ca.crt");
    let set = world.api.get(SET).unwrap();
    world.api.remove(&format!("{CORE}/secrets/main-tls"));
    world.look().await;
    assert_eq!(contents::text(&world.secret("main-tls"), "ca.crt"), authority);
    assert_eq!(world.api.get(SET).unwrap(), set, "a certificate restarts nobody");
    world.api.remove(&format!("{CORE}/secrets/main-ca"));
    world.look().await;
    let renewed = contents::text(&world.secret("main-ca"), "ca.crt");
    assert_ne!(renewed, authority);
    assert_eq!(contents::text(&world.secret("main-tls"), "ca.crt"), renewed);
}

#[tokio::test]
async fn an_own_certificate_must_be_there() {
    let world = World::new(&json!({"tls": {"mode": "Secret", "secretRef": {"name": "mine"}}}));
    world.look().await;
    let (_, reason, message) = world.ready();
    assert_eq!(reason, "Invalid");
    assert!(message.contains("mine") && message.contains("tls.key"), "{message}");
    let data = json!({"tls.crt": "eA==", "tls.key": "eA==", "ca.crt": "eA=="});
    world.api.put(&format!("{CORE}/secrets/mine"), json!({"metadata": {"name": "mine"}, "data": data}));
    world.look().await;
    assert_eq!(world.ready().1, "Starting");
    assert!(world.api.get(&format!("{CORE}/secrets/main-tls")).is_none());
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
    world.ctx =
        BrokerContext::new(world.api.client(), world.ctx.settings.clone(), world.probe.clone(), world.ctx.recorder.clone());
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

#[tokio::test]
async fn i8_no_credential_gets_into_status_or_events() {
    let world = World::formed(&json!({})).await;
    let password = contents::text(&world.secret("main-admin"), "password").unwrap();
    let broker = world.api.get(BROKER).unwrap().to_string();
    let set = world.api.get(SET).unwrap().to_string();
    assert!(!broker.contains(&password) && !set.contains(&password));
}

#[tokio::test]
async fn of_an_external_broker_nothing_is_made() {
    let world = World::new(&json!({"external": {"uri": "https://rabbit.example:15671", "secretRef": {"name": "s"}}}));
    world.look().await;
    assert_eq!(world.ready().1, reasons::BROKER_UNREACHABLE);
    world.answer([true; 3]);
    assert_eq!(world.look().await, Outcome { again: Some(LATER) });
    assert_eq!(world.ready().0, "True", "{:?}", world.ready());
    let written = world.api.take_writes();
    let is_word = |write: &String| *write == format!("PATCH {BROKER}/status") || write.ends_with("/events");
    assert!(written.iter().all(is_word), "{written:?}");
    // I6
    world.look().await;
    assert!(world.api.take_writes().is_empty());
    // An answer that does not come is a hiccup, several are a fact, and the reason stays while it is left alone.
    let silent = |why: &str| *world.probe.seen.lock().unwrap() = Err(why.to_owned());
    silent("refused");
    assert_eq!(world.look().await, Outcome { again: Some(SOON) });
    assert_eq!(world.ready().0, "True");
    silent("");
    world.look().await;
    world.look().await;
    assert!(world.ready().2.contains("(refused)"), "{:?}", world.ready());
    world.api.take_writes();
    world.look().await;
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn an_external_broker_with_settings_of_nodes_is_refused() {
    let world =
        World::new(&json!({"replicas": 1, "external": {"uri": "https://rabbit.example:15671", "secretRef": {"name": "s"}}}));
    assert_eq!(world.look().await, Outcome { again: None });
    let (_, reason, message) = world.ready();
    assert!(reason == reasons::INVALID && message.contains("replicas"), "{message}");
}
