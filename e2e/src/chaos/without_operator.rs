//! An operator that is not there, or cannot reach the Broker.

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::machine::{number_of, script};
use crate::cluster::Cluster;
use crate::operator::{self, OPERATOR};
use crate::wait::seconds;

/// Replicas of the operator before it was scaled to 0: on the Deployment itself, so that another run can bring them back.
const REPLICAS: &str = "entente.dev/chaos-replicas";
/// So that the operator notices, and does what it then does, before the node is killed.
const NOTICED: u64 = 5;

/// Scales it to 0.
pub async fn stop(cluster: &Cluster) -> Result<()> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let patch = json!({"metadata": {"annotations": {REPLICAS: replicas.to_string()}}, "spec": {"replicas": 0}});
    cluster.deployments().patch(OPERATOR, &PatchParams::default(), &Patch::Merge(patch)).await?;
    operator::gone(cluster).await
}

/// Brings back as many as there were. Nothing to do where nobody took them away.
pub async fn end(cluster: &Cluster) -> Result<()> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let before =
        deployment.metadata.annotations.as_ref().and_then(|all| all.get(REPLICAS)).and_then(|text| text.parse::<i32>().ok());
    let Some(replicas) = before else { return Ok(()) };
    let patch = json!({"metadata": {"annotations": {REPLICAS: null}}, "spec": {"replicas": replicas}});
    cluster.deployments().patch(OPERATOR, &PatchParams::default(), &Patch::Merge(patch)).await?;
    operator::rolled_out(cluster).await
}

/// No operator runs while something is done; in the end as many do as before.
pub async fn during(cluster: &Cluster, work: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let outcome = match stop(cluster).await {
        Ok(()) => work().await,
        Err(error) => Err(error),
    };
    end(cluster).await?;
    outcome
}

/// What the operator's pods send to the Broker's nodes is lost; everything else arrives. Waits until that is noticed.
pub async fn cut(cluster: &Cluster) -> Result<()> {
    let address = |pod: &k8s_openapi::api::core::v1::Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let brokers: Vec<String> = cluster.broker_pods().await?.iter().filter_map(address).collect();
    for pod in operator::pods(cluster).await? {
        let machine = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        let Some(from) = address(&pod) else { continue };
        let mut arguments = vec!["block", number_of(&machine)?, &from];
        arguments.extend(brokers.iter().map(String::as_str));
        script("node.sh", &arguments).await?;
    }
    tokio::time::sleep(seconds(NOTICED)).await;
    Ok(())
}

/// Undoes that.
pub async fn reconnect() -> Result<()> {
    for line in script("node.sh", &["status"]).await?.lines() {
        if let Some((node, state)) = line.split_once(':')
            && state.contains("loses packets")
        {
            script("node.sh", &["heal", number_of(node)?]).await?;
        }
    }
    Ok(())
}
