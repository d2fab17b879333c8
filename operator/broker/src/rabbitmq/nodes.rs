//! Planned work on nodes, over the endpoints that the broker image's plugin `rabbitmq_entente_nodes` adds to the HTTP API.

use std::collections::BTreeMap;

use async_trait::async_trait;
use entente_core::cluster::work::members::{Member, QueueMembers};
use entente_core::cluster::work::{Bound, Change, MemberChange, Members, Move};
use serde::Deserialize;
use serde_json::{Value, json};

use super::RabbitMq;
use super::http::{Path, path};
use crate::admin::AdminError;
use crate::nodes::NodeAdmin;

/// A node without the plugin runs.
const NOT_SERVED: u16 = 501;

#[derive(Deserialize)]
struct Answer {
    queues: Vec<Queue>,
    connections: BTreeMap<String, u32>,
    bound: Option<BTreeMap<String, SeenBound>>,
}

#[derive(Deserialize)]
struct SeenBound {
    count: u32,
    example: String,
}

#[derive(Deserialize)]
struct Queue {
    vhost: String,
    name: String,
    leader: Option<String>,
    members: Vec<SeenMember>,
}

#[derive(Deserialize)]
struct SeenMember {
    node: String,
    runs: bool,
    votes: bool,
    written: u64,
    committed: u64,
}

impl From<Answer> for Members {
    fn from(answer: Answer) -> Self {
        let Answer { queues, connections, bound } = answer;
        let told = |(node, SeenBound { count, example })| (node, Bound { count, example });
        Self {
            queues: queues.into_iter().map(Into::into).collect(),
            connections,
            bound: bound.map(|all| all.into_iter().map(told).collect()),
        }
    }
}

impl From<Queue> for QueueMembers {
    fn from(queue: Queue) -> Self {
        let Queue { vhost, name, leader, members } = queue;
        let member = |seen| {
            let SeenMember { node, runs, votes, written, committed } = seen;
            Member { node, runs, votes, written, committed }
        };
        Self { virtual_host: vhost, name, leader, members: members.into_iter().map(member).collect() }
    }
}

#[derive(Deserialize)]
struct Moved {
    failed: Vec<Failure>,
}

impl Moved {
    fn told(self) -> Vec<String> {
        let told = |failure| {
            let Failure { vhost, queue, reason } = failure;
            format!("{vhost}/{queue}: {reason}")
        };
        self.failed.into_iter().map(told).collect()
    }
}

#[derive(Deserialize)]
struct Failure {
    vhost: String,
    queue: String,
    reason: String,
}

#[derive(Deserialize)]
struct Closed {
    closed: u32,
}

fn place(what: &str) -> Result<Path, AdminError> {
    path(&["entente", what])
}

#[async_trait]
impl NodeAdmin for RabbitMq {
    async fn members(&self) -> Result<Option<Members>, AdminError> {
        match self.http.get::<Answer>(&place("members")?).await {
            Ok(answer) => Ok(Some(answer.into())),
            Err(AdminError::NotFound(_) | AdminError::Failed { status: NOT_SERVED, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn move_leaders(&self, moves: &[Move]) -> Result<Vec<String>, AdminError> {
        let moves: Vec<Value> = moves
            .iter()
            .map(|Move { virtual_host, queue, to }| json!({"vhost": virtual_host, "queue": queue, "to": to}))
            .collect();
        let answer: Moved = self.http.post_for(&place("leaders")?, &json!({"moves": moves})).await?;
        Ok(answer.told())
    }

    async fn change_members(&self, changes: &[MemberChange]) -> Result<Vec<String>, AdminError> {
        let changes: Vec<Value> = changes
            .iter()
            .map(|MemberChange { virtual_host, queue, node, change }| {
                let change = match change {
                    Change::Add => "add",
                    Change::Remove => "remove",
                };
                json!({"vhost": virtual_host, "queue": queue, "node": node, "change": change})
            })
            .collect();
        let answer: Moved = self.http.post_for(&place("members")?, &json!({"changes": changes})).await?;
        Ok(answer.told())
    }

    async fn remove_node(&self, node: &str) -> Result<(), AdminError> {
        let _: Value = self.http.post_for(&place("removal")?, &json!({"node": node})).await?;
        Ok(())
    }

    async fn close_connections(&self, node: &str, most: u32) -> Result<u32, AdminError> {
        let closed: Closed = self.http.post_for(&place("connections")?, &json!({"node": node, "most": most})).await?;
        Ok(closed.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i5_a_queue_without_leader_and_a_member_that_does_not_run_are_told_apart_from_those_that_do() {
        let answer: Answer = serde_json::from_value(json!({
            "queues": [{"vhost": "shop", "name": "q", "leader": null, "members": [
                {"node": "rabbit@a", "runs": true, "votes": true, "written": 7, "committed": 6},
                {"node": "rabbit@b", "runs": false, "votes": false, "written": 0, "committed": 0}]}],
            "connections": {"rabbit@a": 3}
        }))
        .unwrap();
        let members = Members::from(answer);
        let queue = &members.queues[0];
        assert_eq!((queue.virtual_host.as_str(), queue.name.as_str(), queue.leader.as_deref()), ("shop", "q", None));
        assert_eq!(queue.members[0], Member { node: "rabbit@a".into(), runs: true, votes: true, written: 7, committed: 6 });
        assert!(!queue.members[1].votes);
        assert_eq!(members.connections["rabbit@a"], 3);
        assert!(serde_json::from_value::<Answer>(json!({"queues": []})).is_err(), "half an answer is none");
    }
}
