//! `kubectl drain`, as a person does before work on a machine.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::machine::kubectl;
use crate::cluster::Cluster;

/// Marks a Kubernetes node that is closed here, so that no other is given back.
const DRAINED: &str = "entente.dev/chaos-drained";
/// A node of the Broker has 120 s to leave.
const LIMIT: Duration = Duration::from_secs(150);

/// Closes a Kubernetes node to new pods, as `kubectl cordon` does.
pub async fn cordon(cluster: &Cluster, machine: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let patch = json!({"metadata": {"annotations": {DRAINED: "true"}}, "spec": {"unschedulable": true}});
    nodes.patch(machine, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Drains a Kubernetes node, and returns when nothing of it is left.
pub async fn begin(cluster: &Cluster, machine: &str) -> Result<()> {
    cordon(cluster, machine).await?;
    kubectl(&["drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=140s"], LIMIT).await.map(drop)
}

/// Gives every Kubernetes node back that was closed or drained here, as `kubectl uncordon` does.
pub async fn end(cluster: &Cluster) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    for node in nodes.list(&ListParams::default()).await? {
        let drained = node.metadata.annotations.is_some_and(|all| all.contains_key(DRAINED));
        if let (true, Some(name)) = (drained, node.metadata.name) {
            let patch = json!({"metadata": {"annotations": {DRAINED: null}}, "spec": {"unschedulable": null}});
            nodes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
    }
    Ok(())
}
