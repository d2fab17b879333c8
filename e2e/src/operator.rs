//! The operator's pods, and what can happen to them.

use anyhow::{Context, Result};
use entente_broker::tls::client_config;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, SYSTEM};
use crate::wait::{holds, seconds, until};

/// Name of the operator's Deployment and of its Lease.
pub const OPERATOR: &str = "entente-operator";
const LEASE: &str = OPERATOR;

/// Pods that are not on their way out.
pub async fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let all = all_pods(cluster).await?;
    Ok(all.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

async fn all_pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let selector = ListParams::default().labels("app.kubernetes.io/instance=entente,app.kubernetes.io/component=operator");
    Ok(cluster.pods(SYSTEM).list(&selector).await?.items)
}

/// Waits until none is left, as after a scaling to 0. One that is being stopped answers to its end.
pub async fn gone(cluster: &Cluster) -> Result<()> {
    holds("the operator is gone", seconds(60), async || Ok(all_pods(cluster).await?.is_empty())).await.map(drop)
}

/// Name of the pod that leads, if one does.
pub async fn leader(cluster: &Cluster) -> Result<Option<String>> {
    let lease = cluster.leases().get_opt(LEASE).await?;
    let holder = lease.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty());
    let alive = pods(cluster).await?;
    Ok(holder.filter(|holder| alive.iter().any(|pod| pod.metadata.name.as_ref() == Some(holder))))
}

/// Makes another the holder of the lease, as if it had taken it over.
pub async fn give_lease_to(cluster: &Cluster, holder: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"holderIdentity": holder}}));
    cluster.leases().patch(LEASE, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// How often containers of the operator were restarted.
pub async fn restarts(cluster: &Cluster) -> Result<i32> {
    let statuses = pods(cluster).await?.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(statuses.map(|status| status.restart_count).sum())
}

/// Waits for a leader among the pods that live.
pub async fn await_leader(cluster: &Cluster) -> Result<String> {
    Ok(until("an operator leads", seconds(60), async || leader(cluster).await).await?.0)
}

/// Kills the leader as a crash does, without a word to it. Returns its name.
pub async fn kill_leader(cluster: &Cluster) -> Result<Option<String>> {
    let Some(name) = leader(cluster).await? else { return Ok(None) };
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods(SYSTEM).delete(&name, &at_once).await?;
    Ok(Some(name))
}

/// Replaces every pod in order, and waits for a new leader.
pub async fn restart(cluster: &Cluster) -> Result<()> {
    cluster.deployments().restart(OPERATOR).await?;
    rolled_out(cluster).await
}

/// Sets environment variables (`None` removes one), and waits until all pods have them.
pub async fn set_env(cluster: &Cluster, variables: &[(&str, Option<&str>)]) -> Result<()> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let template = deployment.spec.and_then(|spec| spec.template.spec).context("the Deployment has no pods")?;
    let mut env = template.containers.into_iter().next().and_then(|container| container.env).unwrap_or_default();
    for (name, value) in variables {
        env.retain(|variable| variable.name != *name);
        if let Some(value) = value {
            env.push(serde_json::from_value(json!({"name": name, "value": value}))?);
        }
    }
    let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": env}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch)?);
    cluster.deployments().patch(OPERATOR, &PatchParams::default(), &patch).await?;
    rolled_out(cluster).await
}

/// The value of an environment variable that the Deployment states itself.
pub async fn env(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    let deployment = cluster.deployments().get(OPERATOR).await?;
    let containers = deployment.spec.and_then(|spec| spec.template.spec).map(|spec| spec.containers).unwrap_or_default();
    let mut variables = containers.into_iter().filter_map(|container| container.env).flatten();
    Ok(variables.find(|variable| variable.name == name).and_then(|variable| variable.value))
}

/// Waits until every replica that is declared is there as declared, and one leads.
pub async fn rolled_out(cluster: &Cluster) -> Result<()> {
    holds("the operator's pods are replaced", seconds(120), async || {
        let deployment = cluster.deployments().get(OPERATOR).await?;
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let Some(status) = deployment.status else { return Ok(false) };
        let seen = status.observed_generation == deployment.metadata.generation;
        Ok(seen && status.updated_replicas == wanted && status.replicas == wanted && status.ready_replicas == wanted)
    })
    .await?;
    await_leader(cluster).await.map(drop)
}

/// The metrics of every pod.
pub async fn metrics(cluster: &Cluster) -> Result<Vec<String>> {
    let http =
        reqwest::Client::builder().no_proxy().timeout(seconds(5)).tls_backend_preconfigured(client_config(None)?).build()?;
    let mut texts = Vec::new();
    for pod in pods(cluster).await? {
        let Some(address) = pod.status.and_then(|status| status.pod_ip) else { continue };
        texts.push(http.get(format!("http://{address}:8080/metrics")).send().await?.error_for_status()?.text().await?);
    }
    Ok(texts)
}

/// All that the pods have logged, with what crashed containers logged before.
pub async fn logs(cluster: &Cluster) -> Result<String> {
    let mut text = String::new();
    // One that is only being made has said nothing.
    let started = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    for pod in pods(cluster).await?.into_iter().filter(started) {
        let name = pod.metadata.name.unwrap_or_default();
        text += &cluster.pods(SYSTEM).logs(&name, &LogParams::default()).await?;
        let earlier = LogParams { previous: true, ..LogParams::default() };
        text += &cluster.pods(SYSTEM).logs(&name, &earlier).await.unwrap_or_default();
    }
    Ok(text)
}
