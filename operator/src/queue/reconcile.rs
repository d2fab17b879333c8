//! One visit to a Queue.

use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::conditions::is_true;
use entente_core::queue::desired::{Stages, desired};
use entente_core::queue::status::{Outcome, Place, status};
use entente_core::queue::validate::{Settings, validate};
use entente_core::topology::diff::{Conflict, Desired, diff};
use entente_core::topology::foundation::{limits, virtual_host};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::Plan;
use entente_crds::condition::{reasons, types};
use entente_crds::meta::{FINALIZER, PAUSED_ANNOTATION};
use entente_crds::{Broker, Queue};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::context::QueueContext;
use super::vanished::clean_up;
use super::{deletion, writes};
use crate::links::host::Host;
use crate::links::{Link, LinkError, NoLink};

/// A missing Broker is watched for; this is for what the watch cannot show.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Something outside must happen first.
const WAIT: Duration = Duration::from_secs(5);
/// The broker does not answer. Cheap, as the breaker answers for it.
pub const OUTAGE: Duration = Duration::from_secs(2);
/// Work that nobody waits for, while others wait.
const HOLD_BACK: Duration = Duration::from_secs(1);
/// After this it is done all the same.
const HELD_BACK_AT_MOST: Duration = Duration::from_secs(30);
/// The queues say that they are unseen when their Broker has been silent for so long.
const SILENCE: Duration = Duration::from_secs(10);

/// A write to the API server failed; the visit is repeated.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not take a write: {0}")]
pub struct Error(#[from] pub kube::Error);

impl Error {
    /// Whether there is no such object any more.
    fn is_gone(&self) -> bool {
        matches!(&self.0, kube::Error::Api(status) if status.code == 404)
    }
}

/// Visits a Queue.
pub async fn reconcile(queue: &Queue, ctx: &QueueContext) -> Result<Action, Error> {
    let queue = ctx.written.refresh(queue);
    if queue.metadata.deletion_timestamp.is_some() {
        return deletion::reconcile(&queue, ctx).await;
    }
    if queue.annotations().get(PAUSED_ANNOTATION).is_some_and(|value| value == "true") {
        return end(ctx, &queue, &Outcome::Paused, None, Action::await_change()).await;
    }
    let settings = match validate(&queue) {
        Ok(settings) => settings,
        Err(refusal) => {
            let outcome = Outcome::NotReady { reason: refusal.reason, message: refusal.message };
            return end(ctx, &queue, &outcome, None, Action::await_change()).await;
        }
    };
    let broker = match ctx.broker(&queue) {
        Ok(broker) => broker,
        Err(unresolved) => {
            let outcome = Outcome::NotReady { reason: unresolved.reason, message: unresolved.message };
            return end(ctx, &queue, &outcome, None, Action::requeue(LOOK_AGAIN)).await;
        }
    };
    let link = match ctx.links.get(&broker).await {
        Ok(link) => link,
        Err(no_link) => {
            let outcome = not_linked(&broker, &no_link);
            return end(ctx, &queue, &outcome, Some((&broker, &settings, None)), Action::requeue(OUTAGE)).await;
        }
    };
    let host = link.host(&queue.namespace().unwrap_or_default());
    let visit = Visit { ctx, broker: &broker, settings: &settings, link: &link, host: &host };
    visit.serve(queue).await
}

type Known<'a> = Option<(&'a Broker, &'a Settings, Option<&'a ObservedVirtualHost>)>;

async fn end(ctx: &QueueContext, queue: &Queue, outcome: &Outcome, known: Known<'_>, action: Action) -> Result<Action, Error> {
    let place = known.map(|(broker, settings, observed)| Place { broker, settings: Some(settings), observed });
    writes::status(ctx, queue, status(queue, outcome, place, Timestamp::now())).await?;
    Ok(action)
}

fn not_linked(broker: &Broker, no_link: &NoLink) -> Outcome {
    match no_link {
        NoLink::NoCredentials(_) if !is_ready(broker) => Outcome::NotReady {
            reason: reasons::BROKER_NOT_READY,
            message: "the Broker is being set up; this goes on by itself once it serves".to_owned(),
        },
        NoLink::NoCredentials(_) | NoLink::BadCredentials(..) => {
            Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message: no_link.to_string() }
        }
        NoLink::Api(_) => Outcome::Unseen { reason: reasons::FORBIDDEN, message: no_link.to_string() },
    }
}

fn is_ready(broker: &Broker) -> bool {
    broker.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY))
}

struct Visit<'a> {
    ctx: &'a QueueContext,
    broker: &'a Broker,
    settings: &'a Settings,
    link: &'a Link,
    host: &'a Host,
}

impl Visit<'_> {
    async fn serve(&self, mut queue: Queue) -> Result<Action, Error> {
        if let Some(silence) = self.link.down_for().filter(|silence| *silence >= SILENCE) {
            // Rounded, so that the message and with it the status does not change at each visit.
            let _ = silence;
            let message = "the broker does not answer; what is told here was last seen before".to_owned();
            let outcome = Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message };
            return self.end(&queue, &outcome, Action::requeue(OUTAGE)).await;
        }
        if let Err(error) = self.link.know(self.host).await {
            return self.fail(&queue, &error).await;
        }
        // The finalizer stands before the first write to the broker, and only then: what was never made holds nothing up.
        let is_new = !queue.finalizers().iter().any(|name| name == FINALIZER);
        let awaited = is_new.then(|| self.ctx.activity.begin());
        if is_new {
            let status = queue.status.take();
            queue = writes::add_finalizer(self.ctx, &queue).await?;
            queue.status = status;
        }
        let result = self.keep(&queue).await;
        // Nobody waits for a clean-up, which may take a minute.
        drop(awaited);
        if result.as_ref().is_err_and(Error::is_gone) {
            // It went while this visit made its queue: whoever looked before did not find it.
            clean_up(&queue, self.ctx).await;
        }
        result
    }

    /// Makes the queue as declared, and says so.
    async fn keep(&self, queue: &Queue) -> Result<Action, Error> {
        let Stages { usable, complete } = desired(self.settings);
        let owned = virtual_host(&self.host.name, &self.link.uid);
        if let Err(error) = self.link.lay_foundation(self.host, &owned, &limits(&self.broker.spec.limits)).await {
            return self.fail(queue, &error).await;
        }
        let plan = match self.plan(&usable) {
            Ok(plan) => plan,
            Err(conflict) => return self.conflict(queue, &conflict).await,
        };
        let awaited = (!plan.is_empty()).then(|| self.ctx.activity.begin());
        if let Err(error) = self.link.run(self.host, &plan).await {
            return self.refused(queue, &usable, &error).await;
        }
        self.end(queue, &Outcome::Ready, Action::await_change()).await?;
        self.complete(queue, &complete, awaited.is_some()).await
    }

    /// What a queue needs soon after it can be used, see [`Stages`].
    async fn complete(&self, queue: &Queue, complete: &Desired, just_made: bool) -> Result<Action, Error> {
        let plan = match self.plan(complete) {
            Ok(plan) => plan,
            Err(conflict) => return self.conflict(queue, &conflict).await,
        };
        let missing_target = complete.routes.iter().filter_map(|route| route.destination.as_ref()).any(|target| {
            let declared = complete.queues.iter().any(|queue| queue.name == *target);
            !declared && self.host.look(|seen| seen.is_none_or(|seen| !seen.queues.contains_key(target)))
        });
        let rest = if missing_target { Action::requeue(WAIT) } else { Action::requeue(LOOK_AGAIN) };
        if plan.is_empty() {
            return Ok(rest);
        }
        let age = queue.creation_timestamp().map_or(HELD_BACK_AT_MOST, |created| {
            Duration::try_from(Timestamp::now().duration_since(created.0)).unwrap_or_default()
        });
        if just_made || (self.ctx.activity.is_busy() && age < HELD_BACK_AT_MOST) {
            return Ok(Action::requeue(HOLD_BACK));
        }
        let queue = self.ctx.written.refresh(queue);
        match self.link.run(self.host, &plan).await {
            Ok(()) => self.end(&queue, &Outcome::Ready, rest).await,
            Err(error) => self.refused(&queue, complete, &error).await,
        }
    }

    /// A refusal mostly means that something is there which was not when last looked: a fresh look can say what.
    async fn refused(&self, queue: &Queue, desired: &Desired, error: &LinkError) -> Result<Action, Error> {
        let refusal = matches!(error, LinkError::Admin(AdminError::Refused { .. } | AdminError::NotFound(_)));
        if refusal
            && self.link.refresh(self.host).await.is_ok()
            && let Err(conflict) = self.plan(desired)
        {
            return self.conflict(queue, &conflict).await;
        }
        self.fail(queue, error).await
    }

    fn plan(&self, desired: &Desired) -> Result<Plan, Conflict> {
        let nothing = ObservedVirtualHost::default();
        self.host.look(|seen| diff(desired, seen.unwrap_or(&nothing)))
    }

    async fn conflict(&self, queue: &Queue, conflict: &Conflict) -> Result<Action, Error> {
        let outcome = Outcome::NotReady { reason: reasons::CONFLICT, message: conflict.to_string() };
        self.end(queue, &outcome, Action::requeue(LOOK_AGAIN)).await
    }

    async fn fail(&self, queue: &Queue, error: &LinkError) -> Result<Action, Error> {
        let message = error.to_string();
        let (outcome, again) = match error {
            LinkError::NotOurs(_) => (Outcome::NotReady { reason: reasons::CONFLICT, message }, WAIT),
            _ if error.is_outage() && !is_ready(self.broker) => {
                let message = "the Broker does not serve yet; this goes on by itself once it does".to_owned();
                (Outcome::NotReady { reason: reasons::BROKER_NOT_READY, message }, OUTAGE)
            }
            _ if error.is_outage() => {
                // A moment's silence is no news: the status says so when it lasts.
                if queue.status.is_some() {
                    return Ok(Action::requeue(OUTAGE));
                }
                (Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message }, OUTAGE)
            }
            LinkError::Admin(AdminError::Unauthorized) => {
                self.ctx.links.forget(&self.link.uid).await;
                (Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message }, WAIT)
            }
            _ => (Outcome::NotReady { reason: reasons::BROKER_REFUSED, message }, WAIT),
        };
        self.end(queue, &outcome, Action::requeue(again)).await
    }

    async fn end(&self, queue: &Queue, outcome: &Outcome, action: Action) -> Result<Action, Error> {
        let new = self.host.look(|observed| {
            let place = Place { broker: self.broker, settings: Some(self.settings), observed };
            status(queue, outcome, Some(place), Timestamp::now())
        });
        writes::status(self.ctx, queue, new).await?;
        Ok(action)
    }
}
