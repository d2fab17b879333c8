//! What is done to the node that leads, and how it is undone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::machine::{execute, number_of, processes, script, signal};
use super::redundancy::{self, BrokerNode};
use crate::chance::Chance;
use crate::cluster::{Cluster, SYSTEM};
use crate::operator::{self, OPERATOR};
use crate::planned;
use crate::scene::Scene;
use crate::wait::{holds, seconds};

/// RabbitMQ's process.
const RABBITMQ: &str = "beam.smp";
/// Replicas of the operator before it was scaled to 0: on the Deployment itself, so that another run can bring them back.
const REPLICAS: &str = "entente.dev/chaos-replicas";

/// More than any disk has free.
const DISK_IS_FULL: &str = "rabbit_disk_monitor:set_disk_free_limit(1000000000000000).";
const DISK_AS_CONFIGURED: &str =
    "{ok, Limit} = application:get_env(rabbit, disk_free_limit), rabbit_disk_monitor:set_disk_free_limit(Limit).";

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// SIGKILL to RabbitMQ's process.
    Kill,
    /// SIGKILL to two of three at once: nobody has a majority until one is back.
    KillTwo,
    /// SIGKILL to all nodes at once.
    KillAll,
    /// The node says that its disk is full, for 5 to 15 s: RabbitMQ then takes no messages anywhere.
    DiskAlarm,
    /// The pod dies at once and its volume with it: the node comes back with an empty disk.
    DiskLoss,
    /// The pod is deleted, with its grace period.
    PodDelete,
    /// RabbitMQ's process is stopped for 1, 5 or 30 s, and goes on.
    Stop,
    /// The Kubernetes node is cut off for 10 to 20 s; everything on it runs on.
    Partition,
    /// Everything on the Kubernetes node dies, kubelet included; it starts again after 10 to 20 s.
    NodeKill,
    /// `Stop` with no operator before and meanwhile: what Kubernetes' own readiness gives, to compare with.
    StopPlain,
    /// `NodeKill` likewise.
    NodeKillPlain,
    /// SIGKILL, with the API server down before and for 10 s after.
    ApiServer,
    /// SIGKILL, with no operator before and for 10 s after.
    Operator,
    /// A switchover is asked for: planned work, no failure.
    Switchover,
    /// A rolling restart is asked for, of all nodes.
    Rolling,
    /// The same, and the operator that leads is killed 1 to 20 s after it was asked for.
    RollingOperator,
}

impl Nemesis {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::Kill,
        Self::KillTwo,
        Self::KillAll,
        Self::DiskAlarm,
        Self::DiskLoss,
        Self::PodDelete,
        Self::Stop,
        Self::Partition,
        Self::NodeKill,
        Self::StopPlain,
        Self::NodeKillPlain,
        Self::ApiServer,
        Self::Operator,
        Self::Switchover,
        Self::Rolling,
        Self::RollingOperator,
    ];

    /// As it is written in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillTwo => "kill-two",
            Self::KillAll => "kill-all",
            Self::DiskAlarm => "disk-alarm",
            Self::DiskLoss => "disk-loss",
            Self::PodDelete => "pod-delete",
            Self::Stop => "stop",
            Self::Partition => "partition",
            Self::NodeKill => "node-kill",
            Self::StopPlain => "stop-plain",
            Self::NodeKillPlain => "node-kill-plain",
            Self::ApiServer => "apiserver",
            Self::Operator => "operator",
            Self::Switchover => "switchover",
            Self::Rolling => "rolling",
            Self::RollingOperator => "rolling-operator",
        }
    }

    /// Whether it can strike this node. The first Kubernetes node is the machine itself, clients included.
    pub fn can_strike(self, node: &BrokerNode) -> bool {
        !matches!(self, Self::Partition | Self::NodeKill | Self::NodeKillPlain) || node.machine != "node0"
    }

    /// Whether there is no operator before and meanwhile.
    fn is_without_operator(self) -> bool {
        matches!(self, Self::Operator | Self::StopPlain | Self::NodeKillPlain)
    }

    /// Plans a failure: how long it lasts is the seed's choice.
    pub fn plan(self, victim: BrokerNode, chance: &mut Chance) -> Result<Fault> {
        let lasts = match self {
            Self::Kill | Self::KillTwo | Self::KillAll | Self::DiskLoss | Self::PodDelete | Self::Switchover | Self::Rolling => {
                Duration::ZERO
            }
            Self::DiskAlarm => Duration::from_millis(5_000 + chance.below(10_000)),
            Self::RollingOperator => Duration::from_millis(1_000 + chance.below(19_000)),
            Self::Stop | Self::StopPlain => seconds(*[1, 5, 30].get(chance.index(3)?).context("three lengths")?),
            Self::Partition | Self::NodeKill | Self::NodeKillPlain => Duration::from_millis(10_000 + chance.below(10_000)),
            Self::ApiServer | Self::Operator => seconds(10),
        };
        Ok(Fault { nemesis: self, victim, lasts })
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Nemesis {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|nemesis| nemesis.name() == text) {
            Some(nemesis) => Ok(nemesis),
            None => bail!("there is no nemesis {text}; there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// One failure of one node.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Of which kind.
    pub nemesis: Nemesis,
    /// Of which node.
    pub victim: BrokerNode,
    /// Time between the strike and the repair.
    pub lasts: Duration,
}

impl Fault {
    /// What must be so before the strike.
    pub async fn prepare(&self, cluster: &Cluster) -> Result<()> {
        if self.nemesis == Nemesis::ApiServer {
            script("apiserver.sh", &["stop"]).await?;
        }
        if self.nemesis.is_without_operator() {
            no_operator(cluster).await?;
        }
        Ok(())
    }

    /// Strikes. Returns what planned work was asked for.
    pub async fn strike(&self, cluster: &Cluster) -> Result<Option<String>> {
        match self.nemesis {
            Nemesis::Switchover => planned::ask_switchover(cluster, &self.victim.pod).await.map(Some),
            Nemesis::Rolling | Nemesis::RollingOperator => planned::ask_restart(cluster).await.map(Some),
            _ => self.fail(cluster).await.map(|()| None),
        }
    }

    async fn fail(&self, cluster: &Cluster) -> Result<()> {
        let rabbitmq = || processes(&self.victim.uid, RABBITMQ);
        match self.nemesis {
            Nemesis::Kill | Nemesis::ApiServer | Nemesis::Operator => signal("KILL", &rabbitmq()?).await,
            Nemesis::KillTwo => kill_with(cluster, &self.victim, 1).await,
            Nemesis::KillAll => kill_with(cluster, &self.victim, usize::MAX).await,
            Nemesis::DiskAlarm => execute(SYSTEM, &self.victim.pod, &["rabbitmqctl", "-q", "eval", DISK_IS_FULL]).await.map(drop),
            Nemesis::Stop | Nemesis::StopPlain => signal("STOP", &rabbitmq()?).await,
            Nemesis::DiskLoss => lose_disk(cluster, &self.victim).await,
            Nemesis::PodDelete => {
                cluster.pods(SYSTEM).delete(&self.victim.pod, &DeleteParams::default()).await?;
                Ok(())
            }
            Nemesis::Partition => script("node.sh", &["cut", number_of(&self.victim.machine)?]).await.map(drop),
            Nemesis::NodeKill | Nemesis::NodeKillPlain => {
                script("node.sh", &["kill", number_of(&self.victim.machine)?]).await.map(drop)
            }
            Nemesis::Switchover | Nemesis::Rolling | Nemesis::RollingOperator => Ok(()),
        }
    }

    /// Undoes it; of planned work, waits until it is done.
    pub async fn repair(&self, scene: &Scene, asked: Option<&str>) -> Result<()> {
        self.undo(scene, asked).await?;
        if self.nemesis.is_without_operator() {
            operator_again(&scene.cluster).await?;
        }
        Ok(())
    }

    async fn undo(&self, scene: &Scene, asked: Option<&str>) -> Result<()> {
        let asked = || asked.context("nothing was asked for");
        match self.nemesis {
            Nemesis::Switchover => planned::switched(&scene.cluster, asked()?).await.map(drop),
            Nemesis::Rolling => planned::restarted(&scene.cluster, asked()?).await.map(drop),
            Nemesis::RollingOperator => {
                operator::kill_leader(&scene.cluster).await?;
                planned::restarted(&scene.cluster, asked()?).await.map(drop)
            }
            Nemesis::Kill | Nemesis::KillTwo | Nemesis::KillAll | Nemesis::Operator => Ok(()),
            Nemesis::DiskAlarm => disk_has_room(&self.victim.pod).await,
            Nemesis::DiskLoss | Nemesis::PodDelete => redundancy::replaced(scene, &self.victim).await,
            Nemesis::Stop | Nemesis::StopPlain => signal("CONT", &processes(&self.victim.uid, RABBITMQ)?).await,
            Nemesis::Partition => script("node.sh", &["heal", number_of(&self.victim.machine)?]).await.map(drop),
            Nemesis::NodeKill | Nemesis::NodeKillPlain => {
                script("node.sh", &["restart", number_of(&self.victim.machine)?]).await.map(drop)
            }
            Nemesis::ApiServer => script("apiserver.sh", &["start"]).await.map(drop),
        }
    }
}

/// SIGKILL to this node and so many others, in one call.
async fn kill_with(cluster: &Cluster, victim: &BrokerNode, others: usize) -> Result<()> {
    let mut doomed = processes(&victim.uid, RABBITMQ)?;
    for node in redundancy::nodes(cluster).await?.iter().filter(|node| node.uid != victim.uid).take(others) {
        doomed.extend(processes(&node.uid, RABBITMQ)?);
    }
    signal("KILL", &doomed).await
}

/// The claim goes with the pod that uses it, and the StatefulSet makes both anew.
async fn lose_disk(cluster: &Cluster, victim: &BrokerNode) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), SYSTEM);
    claims.delete(&format!("data-{}", victim.pod), &DeleteParams::default()).await?;
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods(SYSTEM).delete(&victim.pod, &at_once).await?;
    Ok(())
}

async fn disk_has_room(pod: &str) -> Result<()> {
    execute(SYSTEM, pod, &["rabbitmqctl", "-q", "eval", DISK_AS_CONFIGURED]).await.map(drop)
}

async fn no_operator(cluster: &Cluster) -> Result<()> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let patch = json!({"metadata": {"annotations": {REPLICAS: replicas.to_string()}}, "spec": {"replicas": 0}});
    cluster.deployments().patch(OPERATOR, &PatchParams::default(), &Patch::Merge(patch)).await?;
    holds("the operator is gone", seconds(60), async || Ok(operator::pods(cluster).await?.is_empty())).await.map(drop)
}

/// Brings back as many as there were. Nothing to do where nobody took them away.
async fn operator_again(cluster: &Cluster) -> Result<()> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let before =
        deployment.metadata.annotations.as_ref().and_then(|all| all.get(REPLICAS)).and_then(|text| text.parse::<i32>().ok());
    let Some(replicas) = before else { return Ok(()) };
    let patch = json!({"metadata": {"annotations": {REPLICAS: null}}, "spec": {"replicas": replicas}});
    cluster.deployments().patch(OPERATOR, &PatchParams::default(), &Patch::Merge(patch)).await?;
    operator::rolled_out(cluster).await
}

/// Undoes whatever any run, this or an earlier one, may have left. Everything is tried; the first failure is told.
pub async fn heal(cluster: &Cluster) -> Result<()> {
    let api_server = script("apiserver.sh", &["start"]).await.map(drop);
    let machines = heal_machines().await;
    let processes = wake(cluster).await;
    let operator = operator_again(cluster).await;
    api_server.and(machines).and(processes).and(operator)
}

async fn heal_machines() -> Result<()> {
    let mut outcome = Ok(());
    for line in script("node.sh", &["status"]).await?.lines() {
        let Some((node, state)) = line.split_once(':') else { continue };
        let number = number_of(node)?;
        let command = match state {
            _ if state.contains("=dead") => "restart",
            _ if state.contains("cut off") => "heal",
            _ => continue,
        };
        outcome = outcome.and(script("node.sh", &[command, number]).await.map(drop));
    }
    outcome
}

async fn wake(cluster: &Cluster) -> Result<()> {
    for node in redundancy::nodes(cluster).await? {
        let stopped = processes(&node.uid, RABBITMQ)?;
        if !stopped.is_empty() {
            // It may end at this very moment.
            let _ = signal("CONT", &stopped).await;
            let _ = disk_has_room(&node.pod).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(machine: &str) -> BrokerNode {
        BrokerNode { pod: "main-broker-0".into(), uid: "u".into(), machine: machine.into(), restarts: 0 }
    }

    #[test]
    fn the_machine_that_clients_are_on_is_not_cut_off() {
        for nemesis in Nemesis::ALL {
            assert!(nemesis.can_strike(&node("node1")));
            let needs_another = matches!(nemesis, Nemesis::Partition | Nemesis::NodeKill | Nemesis::NodeKillPlain);
            assert_eq!(nemesis.can_strike(&node("node0")), !needs_another);
        }
    }

    #[test]
    fn every_failure_is_bounded_and_repeated_by_its_seed() {
        for nemesis in Nemesis::ALL {
            assert_eq!(nemesis.name().parse::<Nemesis>().unwrap(), nemesis);
            let lengths = || {
                let mut chance = Chance::of(7);
                (0..20).map(|_| nemesis.plan(node("node1"), &mut chance).unwrap().lasts).collect::<Vec<_>>()
            };
            assert_eq!(lengths(), lengths());
            assert!(lengths().iter().all(|lasts| *lasts <= seconds(30)));
        }
    }
}
