//! Undoes whatever any run, this or an earlier one, may have left.

use anyhow::Result;

use super::fault::{NODES, RABBITMQ};
use super::machine::{number_of, processes, script, signal};
use super::{clock, disk, drain, redundancy, without_operator};
use crate::cluster::Cluster;
use crate::planned;

/// Everything is tried; the first failure is told.
pub async fn heal(cluster: &Cluster) -> Result<()> {
    let api_server = script("apiserver.sh", &["start"]).await.map(drop);
    let machines = machines().await;
    let drained = drain::end(cluster).await;
    let nodes = nodes(cluster).await;
    let operator = without_operator::end(cluster).await;
    let size = planned::resize(cluster, NODES).await;
    let clocks = clock::heal(cluster).await;
    api_server.and(machines).and(drained).and(nodes).and(operator).and(size).and(clocks)
}

async fn machines() -> Result<()> {
    let mut outcome = Ok(());
    for line in script("node.sh", &["status"]).await?.lines() {
        let Some((node, state)) = line.split_once(':') else { continue };
        let number = number_of(node)?;
        if state.contains("cut off") || state.contains("loses packets") {
            outcome = outcome.and(script("node.sh", &["heal", number]).await.map(drop));
        }
        if state.contains("=dead") {
            outcome = outcome.and(script("node.sh", &["restart", number]).await.map(drop));
        }
    }
    outcome
}

async fn nodes(cluster: &Cluster) -> Result<()> {
    for node in redundancy::nodes(cluster).await? {
        let rabbitmq = processes(&node.uid, RABBITMQ)?;
        if !rabbitmq.is_empty() {
            // It may end at this very moment.
            let _ = signal("CONT", &rabbitmq).await;
            let _ = disk::speed_up(&rabbitmq);
            let _ = disk::has_room(&node.pod).await;
        }
    }
    Ok(())
}
