//! Planned work on the Broker `main`: asked for by an annotation, as a person does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use entente_crds::Broker;
use entente_crds::broker::{Switchover, SwitchoverOutcome};
use entente_crds::condition::types;
use entente_crds::meta::{RESTART_ANNOTATION, SWITCHOVER_ANNOTATION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, SYSTEM};
use crate::wait::{holds, seconds, until};

/// A restart of three nodes takes a minute or two.
const RESTARTED: Duration = Duration::from_mins(5);

/// Text that was never used before.
fn unique() -> Result<String> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string())
}

async fn annotate(cluster: &Cluster, key: &str, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    cluster.brokers(SYSTEM).patch("main", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The Broker `main`.
pub async fn broker(cluster: &Cluster) -> Result<Broker> {
    Ok(cluster.brokers(SYSTEM).get("main").await?)
}

/// Asks for a rolling restart. Returns what was asked.
pub async fn ask_restart(cluster: &Cluster) -> Result<String> {
    let asked = unique()?;
    annotate(cluster, RESTART_ANNOTATION, &asked).await?;
    Ok(asked)
}

/// By pod, the restart that it was made with.
async fn restarts(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let pods = cluster.broker_pods().await?;
    let restart = |pod: k8s_openapi::api::core::v1::Pod| {
        let annotations = pod.metadata.annotations.unwrap_or_default();
        Some((pod.metadata.name?, annotations.get(RESTART_ANNOTATION).cloned().unwrap_or_default()))
    };
    Ok(pods.into_iter().filter_map(restart).collect())
}

/// Waits until every node runs since that restart, and nothing is left to do.
pub async fn restarted(cluster: &Cluster, asked: &str) -> Result<Duration> {
    holds("every node is restarted", RESTARTED, async || {
        let restarts = restarts(cluster).await?;
        let left: Vec<&String> = restarts.iter().filter(|(_, made_with)| *made_with != asked).map(|(pod, _)| pod).collect();
        ensure!(restarts.len() == 3 && left.is_empty(), "{left:?} are left of {}", restarts.len());
        let status = broker(cluster).await?.status.context("no status")?;
        ensure!(status.work.is_none() && status.ready_nodes.as_deref() == Some("3/3"), "{:?}", status.work);
        Ok(true)
    })
    .await
}

/// Waits until nothing planned goes on: leaders that are spread after a failure would move while something is measured.
pub async fn settled(cluster: &Cluster) -> Result<Duration> {
    holds("leaders are spread", RESTARTED, async || {
        let status = broker(cluster).await?.status.context("no status")?;
        let due = |condition: &Condition| condition.type_ == types::LEADERS_BALANCED && condition.status == "False";
        Ok(status.work.is_none() && !status.conditions.iter().any(due))
    })
    .await
}

/// Has every node run this image, or the operator's own, and waits until all do, which `is_right` tells.
pub async fn run_image(cluster: &Cluster, image: Option<&str>, is_right: impl Fn(&str) -> bool) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"image": image}}));
    let generation = cluster.brokers(SYSTEM).patch("main", &PatchParams::default(), &patch).await?.metadata.generation;
    holds("every node runs the image", RESTARTED, async || {
        let status = broker(cluster).await?.status.context("no status")?;
        let pods = cluster.broker_pods().await?;
        let containers = pods.into_iter().filter_map(|pod| pod.spec).flat_map(|spec| spec.containers);
        let images: Vec<String> = containers.filter_map(|container| container.image).collect();
        let planned = status.conditions.iter().any(|condition| condition.type_ == types::PLANNED_WORK);
        let done = images.iter().all(|image| is_right(image)) && status.observed_generation == generation && !planned;
        ensure!(done && status.work.is_none(), "{images:?}, {:?}", status.work);
        Ok(status.ready_nodes.as_deref() == Some("3/3"))
    })
    .await
    .map(drop)
}

/// Declares how many nodes the Broker is to have.
pub async fn resize(cluster: &Cluster, replicas: i32) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    cluster.brokers(SYSTEM).patch("main", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Waits until it has so many, no pod and no member of the cluster is left over, and leaders are spread.
pub async fn resized(cluster: &Cluster, replicas: i32) -> Result<Duration> {
    let expected = usize::try_from(replicas)?;
    let changed = holds(&format!("the Broker has {replicas} nodes"), RESTARTED, async || {
        let status = broker(cluster).await?.status.context("no status")?;
        let pods = cluster.broker_pods().await?.len();
        let whole = status.ready_nodes.as_deref() == Some(&format!("{replicas}/{replicas}")) && status.nodes.len() == expected;
        ensure!(whole && pods == expected, "{:?}, {pods} pods, {:?}", status.ready_nodes, status.work);
        Ok(true)
    })
    .await?;
    Ok(changed + settled(cluster).await?)
}

/// Asks for a switchover away from a node. Returns what was asked.
pub async fn ask_switchover(cluster: &Cluster, pod: &str) -> Result<String> {
    let asked = format!("{pod} {}", unique()?);
    annotate(cluster, SWITCHOVER_ANNOTATION, &asked).await?;
    Ok(asked)
}

/// Waits until a switchover has ended.
pub async fn switched_over(cluster: &Cluster, asked: &str) -> Result<(Switchover, Duration)> {
    until("the switchover has ended", seconds(60), async || {
        let status = broker(cluster).await?.status.context("no status")?;
        Ok(status.switchover.filter(|switchover| switchover.asked == asked))
    })
    .await
}

/// The same, and that it is done.
pub async fn switched(cluster: &Cluster, asked: &str) -> Result<Duration> {
    let (Switchover { outcome, message, .. }, took) = switched_over(cluster, asked).await?;
    match outcome {
        SwitchoverOutcome::Done => Ok(took),
        SwitchoverOutcome::Incomplete | SwitchoverOutcome::Refused => bail!("{outcome:?}: {message}"),
    }
}
