//! A visit to a Queue that is being deleted.
//!
//! Expected flow: read the counters afresh, delete what is to be deleted, remove the finalizer.
//!
//! Guarantees: a queue with messages is not deleted under `DeleteIfEmpty`; what cannot be deleted since it or the
//! way to it is gone (Broker, credentials, namespace) never holds the finalizer.
//!
//! Caveat: RabbitMQ has no deletion of a quorum queue that is conditional on its being empty. Between the last look and the
//! deletion a message could arrive; the queue is therefore closed to new messages first, see [`CLOSED`].

use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::queue::deletion::{Decision, decide};
use entente_core::queue::desired::{dead_letter_queue, own_policy};
use entente_core::queue::status::{Outcome, Place, status};
use entente_core::topology::foundation::owner_tag;
use entente_core::topology::model::{Arguments, Policy, QueueKind};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::{Action as Change, Plan};
use entente_crds::Queue;
use entente_crds::condition::reasons;
use entente_crds::meta::FINALIZER;
use entente_crds::queue::DeletionPolicy;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use serde_json::json;

use super::context::QueueContext;
use super::reconcile::{Error, OUTAGE};
use super::writes;
use crate::links::host::Host;
use crate::links::{Link, LinkError, NoLink};

/// How often a queue that is not empty is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Priority of the policy that closes a queue: above every other of ours.
const CLOSED: i64 = 1_000;
/// The counters of a quorum queue may be this old: three times the interval at which our Brokers publish them.
const QUORUM_LAG: Duration = Duration::from_secs(3);
/// Those of other queues: RabbitMQ's `collect_statistics_interval` and a little.
const STATISTICS_LAG: Duration = Duration::from_secs(6);

/// Visits.
pub async fn reconcile(queue: &Queue, ctx: &QueueContext) -> Result<Action, Error> {
    if !queue.finalizers().iter().any(|name| name == FINALIZER) {
        ctx.written.forget(queue);
        return Ok(Action::await_change());
    }
    if queue.spec.deletion_policy == DeletionPolicy::Retain {
        return release(ctx, queue, "the queue and its messages are kept in the broker, as deletionPolicy says").await;
    }
    if ctx.is_namespace_terminating(queue) {
        return release(ctx, queue, "the namespace is being deleted; the queue is kept in the broker as an orphan").await;
    }
    let Ok(broker) = ctx.broker(queue) else {
        return release(ctx, queue, "no Broker serves this Queue any more; nothing was deleted in a broker").await;
    };
    if broker.metadata.deletion_timestamp.is_some() {
        return release(ctx, queue, "its Broker is being deleted").await;
    }
    let link = match ctx.links.get(&broker).await {
        Ok(link) => link,
        Err(NoLink::NoCredentials(_)) => {
            return release(ctx, queue, "the Broker's credentials are gone; nothing was deleted in the broker").await;
        }
        Err(error) => return wait(ctx, queue, &error.to_string()).await,
    };
    let host = link.host(&queue.namespace().unwrap_or_default());
    match delete(ctx, queue, &link, &host).await {
        Ok(action) => action,
        Err(LinkError::Admin(AdminError::Unauthorized)) => {
            ctx.links.forget(&link.uid).await;
            release(ctx, queue, "the Broker's credentials are not accepted; nothing was deleted in the broker").await
        }
        Err(error) => wait(ctx, queue, &error.to_string()).await,
    }
}

async fn delete(ctx: &QueueContext, queue: &Queue, link: &Link, host: &Host) -> Result<Result<Action, Error>, LinkError> {
    let name = queue.name_any();
    let policy = queue.spec.deletion_policy;
    // Afresh, whatever the policy: a leader that was killed may have declared the queue after this one's last look.
    link.refresh(host).await?;
    let (ours, decision) = host.look(|observed| {
        let nothing = ObservedVirtualHost::default();
        let seen = observed.unwrap_or(&nothing);
        (seen.tags.contains(&owner_tag(&link.uid)), decide(&name, policy, seen))
    });
    if !ours {
        // Gone, or never ours: nothing of this Queue is there (invariant I2).
        return Ok(release(ctx, queue, "its virtual host is not there or not ours; nothing was deleted").await);
    }
    let plan = match decision {
        Decision::Release => return Ok(release(ctx, queue, "nothing of it was left in the broker").await),
        Decision::Unknown => return Ok(wait(ctx, queue, "the broker does not tell yet how many messages are left").await),
        Decision::Wait { messages, dead_lettered } => {
            open(link, host, &name).await?;
            return Ok(not_empty(ctx, queue, messages, dead_lettered).await);
        }
        Decision::Delete(plan) => plan,
    };
    if policy == DeletionPolicy::DeleteIfEmpty && !is_surely_empty(link, host, &name).await? {
        open(link, host, &name).await?;
        return Ok(wait(ctx, queue, "messages arrived while the queue was about to be deleted").await);
    }
    link.run(host, &plan).await?;
    open(link, host, &name).await?;
    Ok(release(ctx, queue, "deleted in the broker").await)
}

/// Closes the queue to new messages, lets the counters catch up, and looks again.
///
/// The counters lag behind by seconds, so that a message accepted a moment ago may not be among them.
async fn is_surely_empty(link: &Link, host: &Host, name: &str) -> Result<bool, LinkError> {
    let queues = [name.to_owned(), dead_letter_queue(name)];
    let kinds: Vec<QueueKind> = host.look(|seen| {
        let seen = seen.iter().flat_map(|seen| queues.iter().filter_map(|queue| seen.queues.get(queue)));
        seen.map(|queue| queue.kind).collect()
    });
    if kinds.is_empty() {
        return Ok(true);
    }
    let lag = if kinds.iter().all(|kind| *kind == QueueKind::Quorum) { QUORUM_LAG } else { STATISTICS_LAG };
    let mut plan = Plan::default();
    plan.step(vec![Change::PutPolicy(closing(name))]);
    link.run(host, &plan).await?;
    tokio::time::sleep(lag).await;
    for queue in &queues {
        if link.read(|admin| admin.has_ready_message(&host.name, queue)).await? {
            return Ok(false);
        }
    }
    link.refresh(host).await?;
    let decision = host.look(|seen| seen.map(|seen| decide(name, DeletionPolicy::DeleteIfEmpty, seen)));
    Ok(matches!(decision, Some(Decision::Delete(_))))
}

/// A queue may hold nothing and refuses what comes. Consumers are not disturbed.
fn closing(name: &str) -> Policy {
    Policy {
        name: closing_name(name),
        pattern: format!("^{name}$"),
        apply_to: "queues".to_owned(),
        priority: CLOSED,
        definition: Arguments::from([
            ("max-length".to_owned(), json!(0)),
            ("overflow".to_owned(), json!("reject-publish")),
            ("dead-letter-strategy".to_owned(), json!("at-least-once")),
        ]),
    }
}

fn closing_name(name: &str) -> String {
    format!("{}.closed", own_policy(name))
}

/// Takes the closing policy away, if it is there.
async fn open(link: &Link, host: &Host, name: &str) -> Result<(), LinkError> {
    let policy = closing_name(name);
    if !host.look(|seen| seen.is_some_and(|seen| seen.policies.contains_key(&policy))) {
        return Ok(());
    }
    let mut plan = Plan::default();
    plan.step(vec![Change::DeletePolicy { name: policy }]);
    link.run(host, &plan).await
}

async fn release(ctx: &QueueContext, queue: &Queue, note: &str) -> Result<Action, Error> {
    writes::remove_finalizer(ctx, queue).await?;
    writes::tell(ctx, queue, EventType::Normal, "Deleted", note);
    ctx.written.forget(queue);
    Ok(Action::await_change())
}

async fn not_empty(ctx: &QueueContext, queue: &Queue, messages: i64, dead_lettered: i64) -> Result<Action, Error> {
    let message = format!(
        "deletion waits: {messages} messages are in the queue and {dead_lettered} in its dead-letter queue; consume them, or set spec.deletionPolicy to Delete (they are lost) or Retain (they stay in the broker)"
    );
    let outcome = Outcome::NotReady { reason: reasons::NOT_EMPTY, message };
    end(ctx, queue, &outcome, LOOK_AGAIN).await
}

async fn wait(ctx: &QueueContext, queue: &Queue, why: &str) -> Result<Action, Error> {
    let outcome = Outcome::NotReady { reason: reasons::DELETING, message: format!("deletion waits: {why}") };
    end(ctx, queue, &outcome, OUTAGE).await
}

async fn end(ctx: &QueueContext, queue: &Queue, outcome: &Outcome, again: Duration) -> Result<Action, Error> {
    writes::status(ctx, queue, status(queue, outcome, None::<Place<'_>>, Timestamp::now())).await?;
    Ok(Action::requeue(again))
}
