//! The Broker's nodes, and whether every queue has all of its copies.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::time::timeout;

use super::machine;
use crate::cluster::{Cluster, SYSTEM};
use crate::scene::Scene;
use crate::wait::{holds, seconds, until};

/// An answer that takes longer comes from a node that hangs; another connection may meet another one.
const ANSWER: Duration = Duration::from_secs(2);
/// How long redundancy is waited for.
pub const PATIENCE: Duration = Duration::from_mins(4);

/// A node of the Broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerNode {
    /// Its pod.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The Kubernetes node, such as `node1`.
    pub machine: String,
    /// How often its container was started again.
    pub restarts: i32,
}

impl BrokerNode {
    /// Whether RabbitMQ calls it so.
    pub fn is_called(&self, node: &str) -> bool {
        node.strip_prefix("rabbit@").and_then(|host| host.split('.').next()) == Some(&self.pod)
    }
}

/// Nodes of the Broker `main` that are not on their way out, by name.
pub async fn nodes(cluster: &Cluster) -> Result<Vec<BrokerNode>> {
    let pods = cluster.broker_pods().await?;
    let mut nodes = Vec::new();
    for pod in pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        nodes.push(BrokerNode {
            pod: pod.metadata.name.unwrap_or_default(),
            uid: pod.metadata.uid.unwrap_or_default(),
            machine: pod.spec.and_then(|spec| spec.node_name).unwrap_or_default(),
            restarts: statuses.iter().map(|status| status.restart_count).sum(),
        });
    }
    nodes.sort_by(|a, b| a.pod.cmp(&b.pod));
    Ok(nodes)
}

/// The node that leads each queue of the virtual host; of a classic queue the one that has it.
pub async fn leaders(scene: &Scene) -> Result<BTreeMap<String, String>> {
    let path = format!("queues/{}?disable_stats=true", scene.namespace);
    let queues = ask(scene, &path).await?;
    let all = queues.as_array().cloned().unwrap_or_default();
    let text = |queue: &Value, key: &str| queue[key].as_str().map(ToOwned::to_owned);
    Ok(all
        .iter()
        .filter_map(|queue| Some((text(queue, "name")?, text(queue, "leader").or_else(|| text(queue, "node"))?)))
        .collect())
}

async fn ask(scene: &Scene, path: &str) -> Result<Value> {
    let answer = timeout(ANSWER, scene.broker.get(path)).await.with_context(|| format!("{path}: no answer within {ANSWER:?}"))?;
    answer?.with_context(|| format!("{path}: there is none"))
}

/// Makes a node the leader of every quorum queue of the virtual host.
pub async fn lead(scene: &Scene, node: &BrokerNode) -> Result<()> {
    let expression = format!(
        "[rabbit_quorum_queue:transfer_leadership(Q, node()) || Q <- rabbit_amqqueue:list(<<\"{}\">>), \
         amqqueue:get_type(Q) =:= rabbit_quorum_queue].",
        scene.namespace
    );
    machine::evaluate(&node.pod, &expression).await.map(drop)
}

/// Waits until every member of every queue is there, and has on its disk all that was committed when it was first seen to be.
pub async fn whole(scene: &Scene, queues: &[String], limit: Duration) -> Result<Duration> {
    let mut goals: BTreeMap<&str, u64> = BTreeMap::new();
    holds("every queue has all of its copies", limit, async || {
        for queue in queues {
            let members = ask(scene, &format!("queues/quorum/{}/{queue}/status", scene.namespace)).await?;
            let (committed, written) = progress(&members).with_context(|| queue.clone())?;
            let goal = *goals.entry(queue).or_insert(committed);
            ensure!(written >= goal, "{queue}: a member has {written} of {goal}");
        }
        Ok(true)
    })
    .await
}

/// The leader's last committed entry, and the last one that every member has written. Fails while a member does not run.
fn progress(members: &Value) -> Result<(u64, u64)> {
    let members = members.as_array().context("no members are told")?;
    ensure!(members.len() >= 3, "{} members", members.len());
    let (mut committed, mut written) = (None, u64::MAX);
    for member in members {
        match member["Raft State"].as_str() {
            Some("leader") => committed = member["Commit Index"].as_u64(),
            Some("follower") => {}
            other => bail!("{} is {}", member["Node Name"], other.unwrap_or("in no state")),
        }
        // What a snapshot holds is on the disk too, and no entry is written for it.
        let entries = member["Last Written"].as_u64().context("a member has written nothing")?;
        written = written.min(entries.max(member["Snapshot Index"].as_u64().unwrap_or_default()));
    }
    Ok((committed.context("there is no leader")?, written))
}

/// Whether Kubernetes calls a pod of the Broker ready.
pub async fn is_ready(cluster: &Cluster, pod: &str) -> Result<bool> {
    let status = cluster.pods(SYSTEM).get(pod).await?.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}

/// Waits until another pod of that name runs.
pub async fn replaced(scene: &Scene, node: &BrokerNode) -> Result<()> {
    let ask = async || {
        let others = nodes(&scene.cluster).await?;
        anyhow::Ok(others.into_iter().find(|other| other.pod == node.pod && other.uid != node.uid && !other.machine.is_empty()))
    };
    until(&format!("{} is replaced", node.pod), seconds(120), ask).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(state: &str, written: u64, committed: u64) -> Value {
        json!({"Node Name": "rabbit@a", "Raft State": state, "Last Written": written, "Commit Index": committed})
    }

    #[test]
    fn a_queue_is_as_far_as_its_slowest_member() {
        let members = json!([member("follower", 5, 5), member("leader", 9, 8), member("follower", 7, 6)]);
        assert_eq!(progress(&members).unwrap(), (8, 5));
    }

    #[test]
    fn what_a_snapshot_holds_is_written() {
        let mut by_snapshot = member("follower", 5, 9);
        by_snapshot["Snapshot Index"] = json!(9);
        let members = json!([by_snapshot, member("leader", 9, 9), member("follower", 9, 9)]);
        assert_eq!(progress(&members).unwrap(), (9, 9));
    }

    #[test]
    fn a_member_that_does_not_run_is_none() {
        for state in ["noproc", "timeout", "candidate", "recover"] {
            assert!(progress(&json!([member("leader", 9, 8), member("follower", 9, 8), member(state, 9, 8)])).is_err());
        }
        assert!(progress(&json!([member("leader", 9, 8), member("follower", 9, 8)])).is_err(), "two members are too few");
        assert!(progress(&json!([member("follower", 9, 8), member("follower", 9, 8), member("follower", 9, 8)])).is_err());
    }

    #[test]
    fn nodes_are_told_apart_by_their_pod() {
        let node = BrokerNode { pod: "main-broker-1".into(), uid: String::new(), machine: String::new(), restarts: 0 };
        assert!(node.is_called("rabbit@main-broker-1.main-nodes.entente-system.svc.cluster.local"));
        assert!(!node.is_called("rabbit@main-broker-10.main-nodes") && !node.is_called("main-broker-1"));
    }
}
