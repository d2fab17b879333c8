//! Takes nodes that do not answer out of the client Service, and in again: see `entente_core::cluster::serving`.
//!
//! Each round every node is tried at once, and none for longer than a fraction of a second, so that no Broker waits for another
//! (invariant I7).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_broker::rabbitmq::NodePulse;
use entente_core::cluster::serving::{self, Change, Node, Pulse};
use entente_core::cluster::{meta, names, observation};
use entente_core::object::is_paused;
use entente_crds::Broker;
use entente_crds::meta::{BROKER_LABEL, SERVING_LABEL};
use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::context::Namespaces;
use super::events;
use super::failover::{self, Lost};
use crate::links::Links;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_millis(300);
/// The API server may take longer; then the next round writes again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the guard works with.
pub struct Guard {
    /// The Kubernetes API.
    pub client: Client,
    /// Every Broker.
    pub brokers: Store<Broker>,
    /// Where the authority of a Broker's certificate is known.
    pub links: Arc<Links>,
    /// Namespaces in which Brokers may run.
    pub namespaces: Namespaces,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
    /// Where Events go.
    pub recorder: kube::runtime::events::Recorder,
}

/// One node, as far as it is known.
struct Known {
    address: SocketAddr,
    node: NodePulse,
    pulse: Pulse,
    last_answer: Instant,
    /// Whether it has served since it was lost, if it ever was.
    served: bool,
    /// Whether it was lost in this round.
    just_lost: bool,
}

impl Guard {
    /// Works until it is dropped.
    pub async fn run(self) {
        let pods = self.pods();
        let mut known: HashMap<String, Known> = HashMap::new();
        let mut rounds = interval(INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let mut by_broker: HashMap<(String, String), Vec<Arc<Pod>>> = HashMap::new();
            for store in &pods {
                for pod in store.state() {
                    let broker = pod.labels().get(BROKER_LABEL).cloned().unwrap_or_default();
                    by_broker.entry((pod.namespace().unwrap_or_default(), broker)).or_default().push(pod);
                }
            }
            let brokers: Vec<(Arc<Broker>, Vec<Arc<Pod>>)> = self
                .brokers
                .state()
                .into_iter()
                .filter(|broker| broker.meta().deletion_timestamp.is_none() && !is_paused(broker.as_ref()))
                .filter_map(|broker| {
                    let pods = by_broker.remove(&(broker.namespace()?, broker.name_any()))?;
                    (broker.spec.replicas > 1 || pods.len() > 1).then_some((broker, pods))
                })
                .collect();
            for (broker, pods) in &brokers {
                self.meet(broker, pods, &mut known).await;
            }
            let there: std::collections::HashSet<String> =
                brokers.iter().flat_map(|(_, pods)| pods.iter().filter_map(|pod| pod.uid())).collect();
            known.retain(|uid, _| there.contains(uid));
            listen(&mut known).await;
            join_all(brokers.iter().map(|(broker, pods)| self.keep(broker, pods, &known))).await;
        }
    }

    /// Pods of Brokers, in every namespace where these may run.
    fn pods(&self) -> Vec<Store<Pod>> {
        let follow = |api: Api<Pod>| {
            let (reader, writer) = reflector::store();
            let ours = format!("{}={}", meta::NAME_LABEL, meta::APPLICATION);
            let stream = watcher(api, watcher::Config::default().labels(&ours)).default_backoff().reflect(writer);
            tokio::spawn(stream.for_each(async |event| {
                if let Err(error) = event {
                    tracing::warn!(%error, "the watch of the nodes' pods was interrupted; it goes on by itself");
                }
            }));
            reader
        };
        match &self.namespaces {
            Namespaces::All => vec![follow(Api::all(self.client.clone()))],
            Namespaces::Only(names) => names.iter().map(|name| follow(Api::namespaced(self.client.clone(), name))).collect(),
        }
    }

    /// Takes in nodes that are new, or have another address.
    async fn meet(&self, broker: &Broker, pods: &[Arc<Pod>], known: &mut HashMap<String, Known>) {
        for pod in pods {
            let (Some(uid), Some(address)) = (pod.uid(), address(broker, pod)) else { continue };
            if known.get(&uid).is_some_and(|known| known.address == address) {
                continue;
            }
            let Some(endpoint) = self.links.endpoint(&broker.uid().unwrap_or_default()).await else { continue };
            let uri = names::management_url(broker, &self.cluster_domain);
            match NodePulse::new(&uri, address, endpoint.ca.as_deref().map(str::as_bytes)) {
                Ok(node) => {
                    let (pulse, last_answer) = (Pulse::default(), Instant::now());
                    known.insert(uid, Known { address, node, pulse, last_answer, served: false, just_lost: false });
                }
                Err(error) => tracing::debug!(%error, pod = pod.name_any(), "the node cannot be tried"),
            }
        }
    }

    /// Of a node that was lost, and not by our hand, it is measured how long the others take to lead.
    fn measure(&self, broker: &Arc<Broker>, pod: &Pod, since: Instant, leaving: Option<&str>) {
        let pod = pod.name_any();
        if leaving != Some(&pod) {
            let lost = Lost { broker: Arc::clone(broker), pod, since };
            tokio::spawn(failover::measure(self.client.clone(), Arc::clone(&self.links), self.recorder.clone(), lost));
        }
    }

    /// Writes the labels that are to change.
    async fn keep(&self, broker: &Arc<Broker>, pods: &[Arc<Pod>], known: &HashMap<String, Known>) {
        let known: Vec<(&Arc<Pod>, &Known)> = pods
            .iter()
            .filter(|pod| pod.meta().deletion_timestamp.is_none())
            .filter_map(|pod| Some((pod, known.get(&pod.uid()?)?)))
            .collect();
        let pods: Vec<(&Arc<Pod>, String, Pulse)> =
            known.iter().map(|(pod, known)| (*pod, pod.name_any(), known.pulse)).collect();
        let nodes: Vec<Node<'_>> = pods
            .iter()
            .map(|(pod, name, pulse)| Node {
                pod: name,
                ready: observation::is_ready(pod),
                labelled: serving::is_labelled(pod),
                pulse: *pulse,
            })
            .collect();
        let leaving = broker.status.as_ref().and_then(serving::leaving);
        let is_sure = serving::is_sure(broker.spec.replicas, &nodes);
        for (pod, lost) in known.iter().filter(|(_, known)| known.just_lost && is_sure) {
            self.measure(broker, pod, lost.last_answer, leaving);
        }
        let changes = serving::changes(broker.spec.replicas, &nodes, leaving);
        join_all(changes.iter().map(|change| {
            let uid = pods.iter().find(|(_, name, _)| *name == change.pod).and_then(|(pod, ..)| pod.uid());
            self.write(broker, change, uid)
        }))
        .await;
    }

    async fn write(&self, broker: &Broker, change: &Change, uid: Option<String>) {
        let Change { pod, serve } = change;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &broker.namespace().unwrap_or_default());
        // With the UID: a pod of the same name may have taken its place.
        let patch = Patch::Merge(json!({"metadata": {"uid": uid, "labels": {SERVING_LABEL: serve.to_string()}}}));
        let params = PatchParams::default();
        match tokio::time::timeout(WRITE_TIMEOUT, api.patch_metadata(pod, &params, &patch)).await {
            Ok(Ok(_)) => {
                tracing::info!(broker = broker.name_any(), pod, serve, "the client Service changes");
                let (recorder, broker, change) = (self.recorder.clone(), broker.clone(), change.clone());
                tokio::spawn(async move { events::publish_serving(&recorder, &broker, &change).await });
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 404 || status.code == 409 => {}
            Ok(Err(error)) => tracing::warn!(%error, pod, serve, "the client Service cannot be changed; it is tried again"),
            Err(_) => tracing::warn!(pod, serve, "the API server does not answer; the client Service stays as it is"),
        }
    }
}

fn address(broker: &Broker, pod: &Pod) -> Option<SocketAddr> {
    let address = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(names::management_port(broker)).ok()?))
}

/// Tries every node once, all at the same time.
async fn listen(known: &mut HashMap<String, Known>) {
    join_all(known.values_mut().map(async |known| {
        let beat = known.node.beat(TIMEOUT).await;
        if beat == serving::Beat::Answered {
            known.last_answer = Instant::now();
        }
        known.pulse = known.pulse.after(beat, known.last_answer.elapsed());
        known.just_lost = known.served && known.pulse.is_lost();
        known.served = (known.served || known.pulse.is_back()) && !known.pulse.is_lost();
    }))
    .await;
}
