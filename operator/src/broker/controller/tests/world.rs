//! A Broker under the controller, with an API server in memory and a broker that answers by script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::{Seen, SeenNode};
use entente_core::cluster::work::members::{Member, QueueMembers};
use entente_core::cluster::work::{Change, MemberChange, Members, Move};
use entente_core::conditions;
use entente_crds::Broker;
use entente_crds::condition::types;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};

use crate::broker::controller::{Outcome, reconcile};
use crate::broker::testing::FakeApi;
use crate::broker::{BrokerContext, BrokerProbe, BrokerSettings, Namespaces};

pub const BROKER: &str = "/apis/entente.dev/v1alpha1/namespaces/messaging/brokers/main";
pub const SET: &str = "/apis/apps/v1/namespaces/messaging/statefulsets/main-broker";
pub const CORE: &str = "/api/v1/namespaces/messaging";

/// A broker that answers what it is told to.
pub struct Scripted {
    pub seen: Mutex<Result<Seen, String>>,
    pub members: Mutex<Option<Members>>,
    pub done: Mutex<Vec<String>>,
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

pub struct World {
    pub api: FakeApi,
    pub probe: Arc<Scripted>,
    pub ctx: BrokerContext,
}

impl World {
    pub fn new(spec: &Value) -> Self {
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

    pub fn declare(&self, spec: &Value, generation: i64) {
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

    pub fn broker(&self) -> Broker {
        serde_json::from_value(self.api.get(BROKER).unwrap()).unwrap()
    }

    /// What an operator knows that has just been started: nothing.
    pub fn another_operator(&self) -> BrokerContext {
        self.another_installation(self.ctx.settings.clone())
    }

    pub fn another_installation(&self, settings: BrokerSettings) -> BrokerContext {
        BrokerContext::new(self.api.client(), settings, self.probe.clone(), self.ctx.recorder.clone())
    }

    pub async fn look(&self) -> Outcome {
        reconcile(&self.broker(), &self.ctx).await.unwrap()
    }

    pub fn ready(&self) -> (String, String, String) {
        let status = self.broker().status.unwrap();
        let ready = conditions::get(&status.conditions, types::READY).unwrap();
        (ready.status.clone(), ready.reason.clone(), ready.message.clone())
    }

    /// Plays the `StatefulSet` controller and the kubelets: pods of the present template, ready.
    pub fn start_pods(&self) {
        let revision = self.api.get(SET).unwrap()["spec"]["template"].to_string().len().to_string();
        for ordinal in 0..3 {
            self.start_pod(ordinal, &revision, true);
        }
        self.set_seen_revision(&revision);
        self.answer([true; 3]);
    }

    pub fn start_pod(&self, ordinal: usize, revision: &str, ready: bool) {
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

    pub fn set_seen_revision(&self, revision: &str) {
        self.api.change(SET, |set| {
            set["metadata"]["generation"] = json!(1);
            set["status"] = json!({"replicas": 3, "observedGeneration": 1, "updateRevision": revision});
        });
    }

    pub fn answer(&self, running: [bool; 3]) {
        let node = |(ordinal, running): (usize, bool)| SeenNode {
            name: format!("rabbit@main-broker-{ordinal}.main-nodes.messaging.svc.cluster.local"),
            running,
            alarms: Vec::new(),
        };
        let nodes = running.into_iter().enumerate().map(node).collect();
        *self.probe.seen.lock().unwrap() = Ok(Seen { nodes, version: "4.3.6".into() });
    }

    /// One queue, led by the last node, with a member in sync on each; a connection there.
    pub fn tell_members(&self) {
        let node = |ordinal: usize| format!("rabbit@main-broker-{ordinal}.main-nodes.messaging.svc.cluster.local");
        let members =
            (0..3).map(|ordinal| Member { node: node(ordinal), runs: true, votes: true, written: 1, committed: 1 }).collect();
        let queue = QueueMembers { virtual_host: "shop".into(), name: "q".into(), leader: Some(node(2)), members };
        let connections = [(node(2), 1)].into();
        *self.probe.members.lock().unwrap() = Some(Members { queues: vec![queue], connections, bound: Some(BTreeMap::new()) });
    }

    pub fn annotate(&self, key: &str, value: &str) {
        self.api.change(BROKER, |broker| broker["metadata"]["annotations"] = json!({key: value}));
    }

    pub fn evictions(&self) -> Vec<String> {
        self.api.take_writes().into_iter().filter(|write| write.ends_with("/eviction")).collect()
    }

    /// Looks, far enough apart for the broker's answers to be compared.
    pub async fn look_later(&self) {
        tokio::time::sleep(Duration::from_millis(210)).await;
        self.look().await;
    }

    pub async fn formed(spec: &Value) -> Self {
        let world = Self::new(spec);
        world.look().await;
        world.start_pods();
        world.look().await;
        assert_eq!(world.ready().0, "True", "{:?}", world.ready());
        world.api.take_writes();
        world
    }

    pub fn secret(&self, name: &str) -> k8s_openapi::api::core::v1::Secret {
        serde_json::from_value(self.api.get(&format!("{CORE}/secrets/{name}")).unwrap()).unwrap()
    }
}
