//! One failure: how it is done, and how it is undone.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::DeleteParams;

use super::disk::{self, Damage};
use super::machine::{number_of, processes, script, signal};
use super::redundancy::{self, BrokerNode};
use super::{clock, drain, nemesis::Nemesis, without_operator};
use crate::cluster::{Cluster, SYSTEM};
use crate::operator;
use crate::planned;
use crate::scene::Scene;

/// RabbitMQ's process.
pub const RABBITMQ: &str = "beam.smp";

/// How many nodes the Broker `main` has, and for a while.
pub const NODES: i32 = 3;
const MORE_NODES: i32 = 5;

/// One failure of one node.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Of which kind.
    pub nemesis: Nemesis,
    /// Of which node.
    pub victim: BrokerNode,
    /// Time between the strike and the repair.
    pub lasts: Duration,
    /// How, where there are several ways; else empty.
    pub way: &'static str,
}

impl Fault {
    /// What must be so before the strike.
    pub async fn prepare(&self, cluster: &Cluster) -> Result<()> {
        match self.nemesis {
            Nemesis::ApiServer => script("apiserver.sh", &["stop"]).await.map(drop),
            Nemesis::OperatorCut => without_operator::cut(cluster).await,
            nemesis if nemesis.is_without_operator() => without_operator::stop(cluster).await,
            _ => Ok(()),
        }
    }

    /// Strikes. Returns what planned work was asked for.
    pub async fn strike(&self, cluster: &Cluster) -> Result<Option<String>> {
        match self.nemesis {
            Nemesis::Switchover => planned::ask_switchover(cluster, &self.victim.pod).await.map(Some),
            Nemesis::Rolling | Nemesis::RollingOperator => planned::ask_restart(cluster).await.map(Some),
            Nemesis::Scale | Nemesis::ScaleOperator => planned::resize(cluster, MORE_NODES).await.map(|()| None),
            _ => self.fail(cluster).await.map(|()| None),
        }
    }

    async fn fail(&self, cluster: &Cluster) -> Result<()> {
        let rabbitmq = || processes(&self.victim.uid, RABBITMQ);
        match self.nemesis {
            Nemesis::Kill | Nemesis::ApiServer | Nemesis::Operator | Nemesis::OperatorCut => signal("KILL", &rabbitmq()?).await,
            Nemesis::ClockSkew => {
                clock::skew(&self.victim.pod, self.way).await?;
                signal("KILL", &rabbitmq()?).await
            }
            Nemesis::KillTwo => kill_with(cluster, &self.victim, 1).await,
            Nemesis::KillAll => kill_with(cluster, &self.victim, usize::MAX).await,
            Nemesis::DiskAlarm => disk::is_full(&self.victim.pod).await,
            Nemesis::SlowDisk => disk::slow_down(cluster, &self.victim, &rabbitmq()?).await,
            Nemesis::CorruptDisk => disk::corrupt(cluster, &self.victim, &rabbitmq()?, Damage::named(self.way)?).await,
            Nemesis::Stop | Nemesis::StopPlain => signal("STOP", &rabbitmq()?).await,
            Nemesis::DiskLoss => disk::lose(cluster, &self.victim).await,
            Nemesis::PodDelete => {
                cluster.pods(SYSTEM).delete(&self.victim.pod, &DeleteParams::default()).await?;
                Ok(())
            }
            Nemesis::Partition => self.node("cut").await,
            Nemesis::PartitionOneWay => self.node(self.way).await,
            Nemesis::NodeKill | Nemesis::NodeKillPlain => self.node("kill").await,
            Nemesis::Drain => drain::begin(cluster, &self.victim.machine).await,
            Nemesis::Switchover | Nemesis::Rolling | Nemesis::RollingOperator | Nemesis::Scale | Nemesis::ScaleOperator => Ok(()),
        }
    }

    /// Kills the operator that leads, in the middle of planned work, where that is what this is about.
    async fn kill_operator(&self, cluster: &Cluster) -> Result<()> {
        match self.nemesis {
            Nemesis::RollingOperator | Nemesis::ScaleOperator => operator::kill_leader(cluster).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn node(&self, command: &str) -> Result<()> {
        script("node.sh", &[command, number_of(&self.victim.machine)?]).await.map(drop)
    }

    /// Undoes it; of planned work, waits until it is done.
    pub async fn repair(&self, scene: &Scene, asked: Option<&str>) -> Result<()> {
        self.undo(scene, asked).await?;
        if self.nemesis.is_without_operator() {
            without_operator::end(&scene.cluster).await?;
        }
        Ok(())
    }

    async fn undo(&self, scene: &Scene, asked: Option<&str>) -> Result<()> {
        let asked = || asked.context("nothing was asked for");
        match self.nemesis {
            Nemesis::Switchover => planned::switched(&scene.cluster, asked()?).await.map(drop),
            Nemesis::Rolling | Nemesis::RollingOperator => {
                self.kill_operator(&scene.cluster).await?;
                planned::restarted(&scene.cluster, asked()?).await.map(drop)
            }
            Nemesis::Scale | Nemesis::ScaleOperator => {
                self.kill_operator(&scene.cluster).await?;
                planned::resized(&scene.cluster, MORE_NODES).await?;
                planned::resize(&scene.cluster, NODES).await?;
                tokio::time::sleep(self.lasts).await;
                self.kill_operator(&scene.cluster).await?;
                planned::resized(&scene.cluster, NODES).await.map(drop)
            }
            Nemesis::Kill | Nemesis::KillTwo | Nemesis::KillAll | Nemesis::Operator => Ok(()),
            Nemesis::ClockSkew => clock::correct(&self.victim.pod).await,
            Nemesis::DiskAlarm => disk::has_room(&self.victim.pod).await,
            Nemesis::SlowDisk => disk::speed_up(&processes(&self.victim.uid, RABBITMQ)?),
            Nemesis::CorruptDisk => disk::back(&scene.cluster, &self.victim).await,
            Nemesis::DiskLoss | Nemesis::PodDelete => redundancy::replaced(scene, &self.victim).await,
            Nemesis::Stop | Nemesis::StopPlain => signal("CONT", &processes(&self.victim.uid, RABBITMQ)?).await,
            Nemesis::Partition | Nemesis::PartitionOneWay => self.node("heal").await,
            Nemesis::NodeKill | Nemesis::NodeKillPlain => self.node("restart").await,
            Nemesis::ApiServer => script("apiserver.sh", &["start"]).await.map(drop),
            Nemesis::OperatorCut => without_operator::reconnect().await,
            Nemesis::Drain => {
                drain::end(&scene.cluster).await?;
                redundancy::replaced(scene, &self.victim).await
            }
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
