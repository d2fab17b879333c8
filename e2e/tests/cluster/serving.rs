//! The client Service leaves out a node that does not answer, long before Kubernetes itself would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use entente_crds::broker::Failover;
use entente_e2e::chaos::machine;
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::planned;
use entente_e2e::process::BrokerProcess;
use entente_e2e::wait::{holds, seconds, until};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

const NODE: &str = "main-broker-2";

/// Whether new connections to the Service may go to this address.
async fn is_served(cluster: &Cluster, address: &str) -> Result<bool> {
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let slices = slices.list(&ListParams::default().labels("kubernetes.io/service-name=main")).await?;
    let endpoints = slices.items.iter().flat_map(|slice| &slice.endpoints);
    let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
        endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
    };
    Ok(endpoints.filter(ready).any(|endpoint| endpoint.addresses.iter().any(|known| known == address)))
}

async fn all_served(cluster: &Cluster) -> Result<()> {
    holds("every node is in the Service", seconds(120), async || {
        for ordinal in 0..3 {
            let pod = cluster.pods(SYSTEM).get(&format!("main-broker-{ordinal}")).await?;
            ensure!(is_served(cluster, &address(&pod)?).await?, "main-broker-{ordinal} is not in the Service");
        }
        Ok(true)
    })
    .await
    .map(drop)
}

fn address(pod: &Pod) -> Result<String> {
    pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("a pod without address")
}

async fn left_out(cluster: &Cluster, signal: &str) -> Result<Duration> {
    let pod = cluster.pods(SYSTEM).get(NODE).await?;
    let address = address(&pod)?;
    let process = BrokerProcess::of(&pod)?;
    process.signal(signal).await?;
    let took = holds("the node is left out", seconds(30), async || Ok(!is_served(cluster, &address).await?)).await;
    if signal == "STOP" {
        process.signal("CONT").await?;
    }
    took
}

async fn failovers(cluster: &Cluster) -> Result<Vec<Failover>> {
    Ok(planned::broker(cluster).await?.status.context("no status")?.failovers)
}

/// Waits until the status tells of another failover of that node.
async fn failed_over(cluster: &Cluster, before: &[Failover]) -> Result<()> {
    let told = until("the status tells of the failover", seconds(30), async || {
        Ok(failovers(cluster).await?.into_iter().find(|failover| failover.node == NODE && !before.contains(failover)))
    });
    let (Failover { recovered_millis, .. }, _) = told.await?;
    println!("every queue had a leader after {recovered_millis} ms");
    ensure!((1..60_000).contains(&recovered_millis), "{recovered_millis}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_left_out_within_a_second_and_comes_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    all_served(&cluster).await?;
    for signal in ["STOP", "STOP", "STOP", "KILL"] {
        let before = failovers(&cluster).await?;
        let took = left_out(&cluster, signal).await?;
        println!("{signal}: left out after {took:?}");
        // One that stood still for a moment was not lost.
        if signal == "KILL" {
            failed_over(&cluster, &before).await?;
        }
        // One second by design; this machine's cores are shared with all that the test runs. Kubernetes' own probe would never notice a
        // process that is stopped: the kernel takes connections for it.
        ensure!(took < seconds(10), "{signal}: it took {took:?}");
        all_served(&cluster).await?;
    }
    Ok(())
}

/// A zone that burns down takes one node of three.
#[tokio::test]
async fn each_node_is_in_a_zone_of_its_own() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let machines: Api<Node> = Api::all(cluster.client.clone());
    let zone = |machine: &Node| machine.labels().get("topology.kubernetes.io/zone").cloned();
    let all: BTreeMap<_, _> =
        machines.list(&ListParams::default()).await?.iter().map(|one| (one.name_any(), zone(one))).collect();
    let zones: BTreeSet<_> = all.values().flatten().collect();
    ensure!(zones.len() >= 3, "the cluster has too few zones to tell: {all:?}");
    let nodes = cluster.broker_pods().await?;
    let of = |pod: &Pod| pod.spec.as_ref()?.node_name.as_ref().and_then(|machine| all.get(machine)).cloned().flatten();
    let taken: BTreeSet<_> = nodes.iter().filter_map(of).collect();
    ensure!(nodes.len() == 3 && taken.len() == 3, "{taken:?} of {all:?}");
    Ok(())
}

/// Nodes lose it as soon as they call one that has another: the first of a rolling restart would have what the last one had.
#[tokio::test]
async fn every_node_gives_a_silent_one_up_after_15_seconds() -> Result<()> {
    let cluster = Cluster::connect().await?;
    for pod in cluster.broker_pods().await? {
        let name = pod.name_any();
        holds(&format!("{name} has the configured net_ticktime"), seconds(10), async || {
            let told = machine::evaluate(&name, "net_kernel:get_net_ticktime().").await?;
            ensure!(told.trim() == "15", "{told}");
            Ok(true)
        })
        .await?;
    }
    Ok(())
}
