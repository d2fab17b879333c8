//! A visit to an object that is being deleted.
//!
//! Expected flow: read the counters afresh, delete what is to be deleted, remove the finalizer.
//!
//! Guarantees: a queue with messages is not deleted under `DeleteIfEmpty`; what cannot be deleted since it or the
//! way to it is gone (Broker, credentials, namespace) never holds the finalizer.
//!
//! Caveat: RabbitMQ has no deletion of a quorum queue that is conditional on its being empty. Between the last look and the
//! deletion a message could arrive; the queue is therefore closed to new messages first, see [`CLOSED`], and the exchange in front of it
//! goes. Whoever may send past that exchange (no Client can) may still lose what he sends in the last moment.

use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::object::{Decision, Outcome, deletion as decide};
use entente_core::topology::foundation::owner_tag;
use entente_core::topology::model::{Arguments, Policy, QueueKind};
use entente_core::topology::names::{closing_policy, is_history};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::{Action as Change, Plan};
use entente_crds::Broker;
use entente_crds::condition::reasons;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use serde_json::json;

use super::context::Context;
use super::home::{Home, Kind};
use super::reconcile::{Error, OUTAGE, cut_off};
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
pub async fn reconcile<K: Kind>(object: &K, ctx: &Context<K>) -> Result<Action, Error> {
    if !writes::is_held(object) {
        ctx.written.forget(object);
        return Ok(Action::await_change());
    }
    if object.is_retained() {
        return release(ctx, object, "what it stands for is kept in the broker, with its messages, as deletionPolicy says").await;
    }
    if ctx.is_terminating(&object.namespace().unwrap_or_default()) {
        // One attempt: a namespace is never held up.
        if let Some(rest) = object.left_behind()
            && let Err(error) = cut_off(object, ctx, &rest).await
        {
            tracing::warn!(%error, "a queue that a namespace leaves in another's virtual host may still get messages");
        }
        return release(ctx, object, "the namespace is being deleted; what it stands for is kept in the broker as an orphan")
            .await;
    }
    let Ok(Home { broker, virtual_host }) = object.last_home(ctx) else {
        return release(ctx, object, "no Broker serves it any more; nothing was deleted in a broker").await;
    };
    if broker.metadata.deletion_timestamp.is_some() {
        return release(ctx, object, "its Broker is being deleted").await;
    }
    let link = match ctx.links.get(&broker).await {
        Ok(link) => link,
        Err(error) if no_credentials(&broker, &error) => {
            return release(ctx, object, "the Broker's credentials are gone; nothing was deleted in the broker").await;
        }
        Err(error) => return wait(ctx, object, &error.to_string()).await,
    };
    let host = link.host(&virtual_host);
    match delete(ctx, object, &link, &host).await {
        Ok(action) => action,
        Err(LinkError::Admin(AdminError::Unauthorized)) => {
            ctx.links.forget(&link.uid).await;
            release(ctx, object, "the Broker's credentials are not accepted; nothing was deleted in the broker").await
        }
        Err(error) => wait(ctx, object, &error.to_string()).await,
    }
}

async fn delete<K: Kind>(ctx: &Context<K>, object: &K, link: &Link, host: &Host) -> Result<Result<Action, Error>, LinkError> {
    ctx.replays.stop(link, host, &object.closes());
    // Afresh, whatever the policy: a leader that was killed may have declared something after this one's last look.
    link.refresh(host).await?;
    let (ours, decision) = host.look(|observed| {
        let nothing = ObservedVirtualHost::default();
        let seen = observed.unwrap_or(&nothing);
        (seen.tags.contains(&owner_tag(&link.uid)), decide(object, seen))
    });
    if !ours {
        // Gone, or never ours: nothing of this object is there (invariant I2).
        return Ok(release(ctx, object, "its virtual host is not there or not ours; nothing was deleted").await);
    }
    let closes = object.closes();
    let (plan, only_if_empty) = match decision {
        Decision::Release => return Ok(release(ctx, object, "nothing of its own was left in the broker").await),
        Decision::Unknown => return Ok(wait(ctx, object, "the broker does not tell yet how many messages are left").await),
        Decision::Wait(what) => {
            open(link, host, &closes).await?;
            return Ok(not_yet(ctx, object, &what).await);
        }
        Decision::Delete { plan, only_if_empty } => (plan, only_if_empty),
    };
    if only_if_empty && !is_surely_empty(link, host, object, &plan).await? {
        open(link, host, &closes).await?;
        return Ok(wait(ctx, object, "messages arrived while it was about to be deleted").await);
    }
    link.run(host, &plan).await?;
    open(link, host, &closes).await?;
    Ok(release(ctx, object, "deleted in the broker").await)
}

/// Whether nothing is left that could be logged in with. An own Secret that was spoilt is made anew; an external Broker's may
/// stay so, and must hold nothing up (invariant I4).
pub fn no_credentials(broker: &Broker, error: &NoLink) -> bool {
    match error {
        NoLink::NoCredentials(_) => true,
        NoLink::BadCredentials(..) => broker.spec.external.is_some(),
        NoLink::Api(_) => false,
    }
}

/// Closes the queue to new messages, lets the counters catch up, and looks again.
///
/// The counters lag behind by seconds, so that a message accepted a moment ago may not be among them.
async fn is_surely_empty<K: Kind>(link: &Link, host: &Host, object: &K, deletion: &Plan) -> Result<bool, LinkError> {
    let deleted = |action: &Change| match action {
        // What holds but copies of what has been is never empty, and nobody can empty it.
        Change::DeleteQueue { name } if !is_history(name) => Some(name.clone()),
        _ => None,
    };
    let queues: Vec<String> = deletion.actions().filter_map(deleted).collect();
    let kinds: Vec<QueueKind> = host.look(|seen| {
        let seen = seen.iter().flat_map(|seen| queues.iter().filter_map(|queue| seen.queues.get(queue)));
        seen.map(|queue| queue.kind).collect()
    });
    if kinds.is_empty() {
        return Ok(true);
    }
    link.run(host, &Plan::of(Change::PutPolicy(closing(&object.closes(), object.closing_pattern())))).await?;
    // The way that Clients send by goes first: a bound of nothing does not close a quorum queue whose consumers keep it empty
    // (seen: each message sent in turn was accepted), and what is accepted after the last look would be lost.
    let ways = deletion.actions().filter(|action| matches!(action, Change::DeleteExchange { .. })).cloned().collect();
    let mut closed = Plan::default();
    closed.step(ways);
    link.run(host, &closed).await?;
    tokio::time::sleep(lag(&kinds)).await;
    for queue in &queues {
        if link.read(|admin| admin.has_ready_message(&host.name, queue)).await? {
            return Ok(false);
        }
    }
    link.refresh(host).await?;
    let decision = host.look(|seen| seen.map(|seen| decide(object, seen)));
    Ok(matches!(decision, Some(Decision::Delete { .. })))
}

/// How old the counters of queues of these kinds may be.
pub fn lag(kinds: &[QueueKind]) -> Duration {
    if kinds.iter().all(|kind| *kind == QueueKind::Quorum) { QUORUM_LAG } else { STATISTICS_LAG }
}

/// The queue may hold nothing and refuses what comes. Consumers are not disturbed.
fn closing(name: &str, pattern: String) -> Policy {
    Policy {
        name: closing_policy(name),
        pattern,
        apply_to: "queues".to_owned(),
        priority: CLOSED,
        definition: Arguments::from([
            ("max-length".to_owned(), json!(0)),
            ("overflow".to_owned(), json!("reject-publish")),
            ("dead-letter-strategy".to_owned(), json!("at-least-once")),
        ]),
    }
}

/// Takes the closing policy away, if it is there.
async fn open(link: &Link, host: &Host, name: &str) -> Result<(), LinkError> {
    let policy = closing_policy(name);
    if !host.look(|seen| seen.is_some_and(|seen| seen.policies.contains_key(&policy))) {
        return Ok(());
    }
    link.run(host, &Plan::of(Change::DeletePolicy { name: policy })).await
}

async fn release<K: Kind>(ctx: &Context<K>, object: &K, note: &str) -> Result<Action, Error> {
    writes::remove_finalizer(ctx, object).await?;
    writes::tell(ctx, object, EventType::Normal, "Deleted", note);
    ctx.written.forget(object);
    Ok(Action::await_change())
}

async fn not_yet<K: Kind>(ctx: &Context<K>, object: &K, what: &str) -> Result<Action, Error> {
    let outcome = Outcome::NotReady { reason: reasons::NOT_EMPTY, message: format!("deletion waits: {what}") };
    end(ctx, object, &outcome, LOOK_AGAIN).await
}

async fn wait<K: Kind>(ctx: &Context<K>, object: &K, why: &str) -> Result<Action, Error> {
    let outcome = Outcome::NotReady { reason: reasons::DELETING, message: format!("deletion waits: {why}") };
    end(ctx, object, &outcome, OUTAGE).await
}

async fn end<K: Kind>(ctx: &Context<K>, object: &K, outcome: &Outcome, again: Duration) -> Result<Action, Error> {
    writes::status(ctx, object, object.next_status(outcome, None, Timestamp::now())).await?;
    Ok(Action::requeue(again))
}
