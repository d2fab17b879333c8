//! Planned work: decided by `entente_core::cluster::work`, done here.

use std::time::{Duration, Instant};

use entente_core::cluster::names::{self, Identity};
use entente_core::cluster::observation::{Seen, SeenPod};
use entente_core::cluster::status::SILENCE_LIMIT;
use entente_core::cluster::work::{self, Action, Decision, MembersWord, Standing, View, Weakest, Word, report};
use entente_core::cluster::{disruption_budget, stateful_set, work::Members};
use entente_crds::meta::{MANAGER, SWITCHOVER_ANNOTATION};
use entente_crds::{Broker, BrokerStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use super::context::BrokerContext;
use super::controller::Error;

/// Two answers closer than this are taken for one: the older of them says nothing of what was committed meanwhile.
const APART: Duration = Duration::from_millis(200);
/// A broker that takes longer is not well.
const ASK_TIMEOUT: Duration = Duration::from_secs(8);
/// Moving leaders has a limit of its own at the broker, which is shorter.
const ACT_TIMEOUT: Duration = Duration::from_secs(12);

/// What is known of the broker when work is decided.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its answer, or how often in a row it was silent; `None` if it could not be asked.
    pub answer: Option<Result<&'a Seen, u32>>,
}

/// The nodes as Kubernetes has them.
#[derive(Clone, Copy, Debug)]
pub struct Nodes<'a> {
    /// What they belong to.
    pub set: &'a StatefulSet,
    /// The pods, as far as it matters here.
    pub seen: &'a [SeenPod],
    /// The pods.
    pub pods: &'a [Pod],
}

/// Decides the next step and takes it.
pub async fn go_on(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    nodes: Nodes<'_>,
    asked: Asked<'_>,
    now: Timestamp,
) -> Result<Decision, Error> {
    let Nodes { set, seen: seen_pods, pods } = nodes;
    let size = stateful_set::size(broker, Some(set));
    let (members, weakest) = match asked.answer {
        Some(Ok(seen)) if size > 1 || seen.nodes.len() > 1 => members(ctx, broker, identity).await,
        _ => (MembersNow::Unknown, None),
    };
    let word = match asked.answer {
        Some(Ok(seen)) => Word::Told { seen, members: members.word() },
        Some(Err(times)) if times >= SILENCE_LIMIT => Word::Silent,
        Some(Err(_)) | None => Word::Missed,
    };
    let annotations = broker.metadata.annotations.as_ref();
    let mut decision = work::next(
        &View {
            declared: broker.spec.replicas,
            size,
            pods: seen_pods,
            word,
            work: before.work.as_ref(),
            asked: annotations.and_then(|all| all.get(SWITCHOVER_ANNOTATION)).map(String::as_str),
            answered: before.switchover.as_ref(),
            balance_due: report::is_balance_due(before),
            may_restart: disruption_budget::max_unavailable(broker) > 0,
        },
        now,
    );
    decision.weakest = weakest;
    let trouble = match &decision.action {
        None => None,
        Some(Action::Evict(pod)) => evict(ctx, identity, pod, pods).await?,
        Some(Action::Move(moves)) if moves.is_empty() => None,
        Some(Action::Move(moves)) => within(ctx.probe.move_leaders(broker, moves)).await,
        Some(Action::Change(changes)) if changes.is_empty() => None,
        Some(Action::Change(changes)) => within(ctx.probe.change_members(broker, changes)).await,
        Some(Action::Remove(node)) => within(ctx.probe.remove_node(broker, node)).await,
        Some(Action::Resize(size)) => resize(ctx, identity, set, *size).await?,
        Some(Action::Close { pod, most }) => {
            let node = match word {
                Word::Told { seen, .. } => seen.nodes.iter().find(|node| names::pod_of_node(&node.name) == pod),
                Word::Missed | Word::Silent => None,
            };
            match node {
                Some(node) => within(ctx.probe.close_connections(broker, &node.name, *most)).await,
                None => None,
            }
        }
    };
    // Courtesies to clients are bounded in time: what fails here delays, and stops nothing.
    if let (Some(trouble), Some(message)) = (trouble, &mut decision.message) {
        *message = format!("{message}; {trouble}");
    }
    Ok(decision)
}

enum MembersNow {
    Known(Standing),
    Unknown,
    NotServed,
}

impl MembersNow {
    fn word(&self) -> MembersWord<'_> {
        match self {
            Self::Known(standing) => MembersWord::Known(standing),
            Self::Unknown => MembersWord::Unknown,
            Self::NotServed => MembersWord::NotServed,
        }
    }
}

async fn members(ctx: &BrokerContext, broker: &Broker, identity: Identity<'_>) -> (MembersNow, Option<Weakest>) {
    let asked_at = Instant::now();
    let answer = match tokio::time::timeout(ASK_TIMEOUT, ctx.probe.members(broker)).await {
        Ok(Ok(Some(members))) => members,
        Ok(Ok(None)) => return (MembersNow::NotServed, None),
        Ok(Err(error)) => {
            tracing::debug!(%error, broker = identity.name, "the broker does not tell how members stand");
            return (MembersNow::Unknown, None);
        }
        Err(_) => return (MembersNow::Unknown, None),
    };
    let weakest = answer.weakest();
    (ctx.remember(identity.uid, |memory| compare(&mut memory.members, answer, asked_at)), weakest)
}

/// Compares with the answer before, and keeps the newer one for the next time.
fn compare(known: &mut Option<(Instant, Members)>, answer: Members, now: Instant) -> MembersNow {
    match known {
        Some((at, _)) if now.duration_since(*at) < APART => MembersNow::Unknown,
        Some((_, before)) => {
            let standing = Standing::new(&answer, before);
            *known = Some((now, answer));
            MembersNow::Known(standing)
        }
        None => {
            *known = Some((now, answer));
            MembersNow::Unknown
        }
    }
}

async fn within(act: impl Future<Output = Result<(), String>>) -> Option<String> {
    match tokio::time::timeout(ACT_TIMEOUT, act).await {
        Ok(outcome) => outcome.err(),
        Err(_) => Some(format!("the broker did not answer within {} s", ACT_TIMEOUT.as_secs())),
    }
}

/// Evicts a pod. The disruption budget has the last word; what it says is returned.
async fn evict(ctx: &BrokerContext, identity: Identity<'_>, name: &str, pods: &[Pod]) -> Result<Option<String>, Error> {
    // With the UID: one of the same name that has taken its place is not meant.
    let uid = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name)).and_then(|pod| pod.metadata.uid.clone());
    let delete = DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::default() };
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), identity.namespace);
    match api.evict(name, &EvictParams { delete_options: Some(delete), ..EvictParams::default() }).await {
        Ok(_) => {
            let (namespace, broker) = (identity.namespace, identity.name);
            tracing::info!(namespace, broker, pod = name, "node restarted to take up a change");
            Ok(None)
        }
        Err(kube::Error::Api(status)) if status.code == 429 => {
            Ok(Some(format!("the disruption budget does not allow to restart {name} now")))
        }
        // It is gone, or it is a new one: either way the next look tells.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
        Err(source) => Err(Error::kubernetes("evict a pod to restart it", source)),
    }
}

/// Lets the `StatefulSet` have so many nodes. Its controller deletes the pod of the last one.
async fn resize(ctx: &BrokerContext, identity: Identity<'_>, set: &StatefulSet, size: i32) -> Result<Option<String>, Error> {
    let api: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), identity.namespace);
    // With the version that was looked at: another operator may have changed the number meanwhile.
    let version = &set.metadata.resource_version;
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": size}}));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(&names::stateful_set(identity.name), &params, &patch).await {
        Ok(_) => {
            let (namespace, broker) = (identity.namespace, identity.name);
            tracing::info!(namespace, broker, size, "a node was removed");
            Ok(None)
        }
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
        Err(source) => Err(Error::kubernetes("remove a node from the StatefulSet", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_with_one_that_is_older() {
        let mut known = None;
        let begin = Instant::now();
        assert!(matches!(compare(&mut known, Members::default(), begin), MembersNow::Unknown));
        assert!(matches!(compare(&mut known, Members::default(), begin + APART / 2), MembersNow::Unknown));
        assert!(matches!(compare(&mut known, Members::default(), begin + APART), MembersNow::Known(_)));
        assert!(matches!(compare(&mut known, Members::default(), begin + APART * 3 / 2), MembersNow::Unknown));
    }
}
