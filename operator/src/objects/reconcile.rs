//! One visit to an object.

use std::sync::Arc;
use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::cluster::external::{barrier, lacks_filters};
use entente_core::conditions::is_true;
use entente_core::object::{Outcome, Place, Refusal, Stages, is_paused};
use entente_core::quota;
use entente_core::topology::diff::{Conflict, Desired, diff, waiting};
use entente_core::topology::foundation::{limits, owner_tag, virtual_host};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::Plan;
use entente_crds::Broker;
use entente_crds::condition::{reasons, types};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::context::Context;
use super::growth::{self, Growth, grow};
use super::home::{Home, Kind};
use super::{deletion, writes};
use crate::links::host::Host;
use crate::links::{Link, LinkError, NoLink};
use crate::visits::Repeated;
use crate::visits::vanished::clean_up;

/// A missing Broker is watched for; this is for what the watch cannot show.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Something outside must happen first.
const WAIT: Duration = Duration::from_secs(5);
/// The broker does not answer. Cheap, as the breaker answers for it.
pub const OUTAGE: Duration = Duration::from_secs(2);
/// How often it is told how far the past is.
const PROGRESS: Duration = Duration::from_secs(1);
/// Work that nobody waits for, while others wait.
const HOLD_BACK: Duration = Duration::from_secs(1);
/// After this it is done all the same.
const HELD_BACK_AT_MOST: Duration = Duration::from_secs(30);
/// The queues say that they are unseen when their Broker has been silent for so long.
pub const SILENCE: Duration = Duration::from_secs(10);

/// A write to the API server failed; the visit is repeated.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not take a write: {0}")]
pub struct Error(#[from] pub kube::Error);

impl Repeated for Error {
    fn of_api_server(&self) -> Option<&kube::Error> {
        Some(&self.0)
    }
}

/// Visits an object.
pub async fn reconcile<K: Kind>(object: &K, ctx: &Context<K>) -> Result<Action, Error> {
    let object = ctx.written.refresh(object);
    if object.meta().deletion_timestamp.is_some() {
        return deletion::reconcile(&object, ctx).await;
    }
    if is_paused(&object) {
        return end(ctx, &object, &Outcome::Paused, None, Action::await_change()).await;
    }
    let settings = match object.validate() {
        Ok(settings) => settings,
        Err(Refusal { reason, message }) => {
            return end(ctx, &object, &Outcome::NotReady { reason, message }, None, Action::await_change()).await;
        }
    };
    let Home { broker, virtual_host } = match object.home(ctx) {
        Ok(home) => home,
        Err(unresolved) => {
            if let Some(rest) = object.expelled(&unresolved)
                && let Err(error) = cut_off(&object, ctx, &rest).await
            {
                tracing::warn!(%error, "what may no longer be used is still in use; this is tried again");
                return Ok(Action::requeue(OUTAGE));
            }
            let outcome = Outcome::NotReady { reason: unresolved.reason, message: unresolved.message };
            return end(ctx, &object, &outcome, None, Action::requeue(LOOK_AGAIN)).await;
        }
    };
    // What is to be seen at once is not asked of the broker again and again.
    let stands_in_the_way = barrier(&broker).or_else(|| lacks_filters(&broker, &K::desired(&settings).usable, K::KIND));
    if let Some(Refusal { reason, message }) = stands_in_the_way {
        let place = Place { broker: &broker, virtual_host: &virtual_host, settings: Some(&settings), observed: None };
        return end(ctx, &object, &Outcome::NotReady { reason, message }, Some(place), Action::requeue(LOOK_AGAIN)).await;
    }
    let link = match ctx.links.get(&broker).await {
        Ok(link) => link,
        Err(no_link) => {
            let outcome = not_linked(&broker, &no_link);
            let place = Place { broker: &broker, virtual_host: &virtual_host, settings: Some(&settings), observed: None };
            return end(ctx, &object, &outcome, Some(place), Action::requeue(OUTAGE)).await;
        }
    };
    let host = link.host(&virtual_host);
    let visit = Visit { ctx, broker: &broker, settings: &settings, link: &link, host: &host };
    visit.serve(object).await
}

/// Ends at the broker what an object may no longer use.
pub async fn cut_off<K: Kind>(object: &K, ctx: &Context<K>, rest: &Desired) -> Result<(), LinkError> {
    if !writes::is_held(object) {
        return Ok(());
    }
    let Ok(Home { broker, virtual_host }) = object.last_home(ctx) else { return Ok(()) };
    // Without a way to the broker there is nothing to do; the object is visited again when its Broker changes.
    let Ok(link) = ctx.links.get(&broker).await else { return Ok(()) };
    let host = link.host(&virtual_host);
    link.know(&host).await?;
    let owner = owner_tag(&link.uid);
    // What is not ours is left alone (invariant I2).
    let plan = host.look(|seen| seen.filter(|seen| seen.tags.contains(&owner)).map(|seen| diff(rest, seen)));
    match plan {
        Some(Ok(plan)) => link.run(&host, &plan).await,
        _ => Ok(()),
    }
}

async fn end<K: Kind>(
    ctx: &Context<K>,
    object: &K,
    outcome: &Outcome,
    place: Option<Place<'_, K::Settings>>,
    action: Action,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let mut new = object.next_status(outcome, place, now);
    if *outcome != Outcome::Paused {
        object.amend(ctx, &mut new, now);
    }
    writes::status(ctx, object, new).await?;
    Ok(action)
}

/// Why there is no way to a Broker, for the status.
pub fn not_linked(broker: &Broker, no_link: &NoLink) -> Outcome {
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

/// Whether a Broker says that it serves.
pub fn is_ready(broker: &Broker) -> bool {
    broker.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY))
}

struct Visit<'a, K: Kind> {
    ctx: &'a Context<K>,
    broker: &'a Broker,
    settings: &'a K::Settings,
    link: &'a Arc<Link>,
    host: &'a Arc<Host>,
}

impl<K: Kind> Visit<'_, K> {
    async fn serve(&self, mut object: K) -> Result<Action, Error> {
        if let Some(silence) = self.link.down_for().filter(|silence| *silence >= SILENCE) {
            // Rounded, so that the message and with it the status does not change at each visit.
            let _ = silence;
            let message = "the broker does not answer; what is told here was last seen before".to_owned();
            let outcome = Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message };
            return self.end(&object, &outcome, Action::requeue(OUTAGE)).await;
        }
        if let Err(error) = self.link.know(self.host).await {
            return self.fail(&object, &error).await;
        }
        // The finalizer stands before the first write to the broker, and only then: what was never made holds nothing up.
        let is_new = !writes::is_held(&object);
        let awaited = is_new.then(|| self.ctx.activity.begin());
        if is_new {
            let status = object.last_status().cloned();
            object = writes::add_finalizer(self.ctx, &object).await?;
            object.set_last_status(status);
        }
        let result = self.keep(&object).await;
        // Nobody waits for a clean-up, which may take a minute.
        drop(awaited);
        if result.as_ref().is_err_and(Error::is_gone) {
            // It went while this visit made what it stands for: whoever looked before did not find it.
            clean_up(self.ctx, &object).await;
        }
        result
    }

    /// Makes it as declared, and says so.
    async fn keep(&self, object: &K) -> Result<Action, Error> {
        let Stages { usable, complete } = K::desired(self.settings);
        let owned = virtual_host(&self.host.name, &self.link.uid);
        if let Err(error) = self.link.lay_foundation(self.host, &owned, &limits(&self.broker.spec.limits)).await {
            return self.fail(object, &error).await;
        }
        let limit = self.broker.spec.limits.bytes.as_ref().and_then(|bytes| bytes.as_bytes().ok());
        // Two that fit one by one may not fit both.
        let alone = if limit.is_some() { Some(self.host.bytes.lock().await) } else { None };
        let over = self.host.look(|seen| quota::refusal(limit, &usable, seen.unwrap_or(&ObservedVirtualHost::default())));
        if let Some(Refusal { reason, message }) = over {
            return self.end(object, &Outcome::NotReady { reason, message }, Action::requeue(WAIT)).await;
        }
        if let Some(settings) = K::begins(self.settings) {
            let access = self.ctx.links.access_to(&self.link.uid).await;
            match self.ctx.replays.turn(access, self.link, self.host, settings, object.replayed()).await {
                Ok(None) => {}
                Ok(Some(wait)) => return self.replays(object, wait).await,
                Err(error) => return self.fail(object, &error).await,
            }
        }
        let plan = match self.plan(&usable) {
            Ok(plan) => plan,
            Err(conflict) => return self.conflict(object, &conflict).await,
        };
        let awaited = (!plan.is_empty()).then(|| self.ctx.activity.begin());
        if let Err(error) = self.link.run(self.host, &plan).await {
            return self.refused(object, &usable, &error).await;
        }
        drop(alone);
        let blocked = self.host.look(|seen| seen.and_then(|seen| K::blocked(self.settings, seen)));
        if let Some(Refusal { reason, message }) = blocked {
            // A member that is back is observed, and wakes it; thousands that look at each moment meanwhile help nobody.
            let again = if reason == reasons::QUORUM_LOST { LOOK_AGAIN } else { WAIT };
            return self.end(object, &Outcome::NotReady { reason, message }, Action::requeue(again)).await;
        }
        self.end(object, &Outcome::Ready, Action::await_change()).await?;
        let growth = match grow(self.link, self.host, &usable).await {
            Ok(growth) => growth,
            Err(error) => return self.fail(&self.ctx.written.refresh(object), &error).await,
        };
        let waits = self.waits(&usable) || self.waits(&complete);
        let rest = match growth {
            Growth::Waits => Action::requeue(growth::LOOK_AGAIN),
            _ if waits => Action::requeue(WAIT),
            _ => Action::requeue(LOOK_AGAIN),
        };
        if growth != Growth::Complete {
            self.end(&self.ctx.written.refresh(object), &Outcome::Ready, Action::await_change()).await?;
        }
        self.complete(object, &complete, awaited.is_some(), rest).await
    }

    /// What an object needs soon after it can be used, see [`Stages`].
    async fn complete(&self, object: &K, complete: &Desired, just_made: bool, rest: Action) -> Result<Action, Error> {
        let plan = match self.plan(complete) {
            Ok(plan) => plan,
            Err(conflict) => return self.conflict(object, &conflict).await,
        };
        if plan.is_empty() {
            return Ok(rest);
        }
        let age = object.creation_timestamp().map_or(HELD_BACK_AT_MOST, |created| {
            Duration::try_from(Timestamp::now().duration_since(created.0)).unwrap_or_default()
        });
        if just_made || (self.ctx.activity.is_busy() && age < HELD_BACK_AT_MOST) {
            return Ok(Action::requeue(HOLD_BACK));
        }
        let object = self.ctx.written.refresh(object);
        match self.link.run(self.host, &plan).await {
            Ok(()) => self.end(&object, &Outcome::Ready, rest).await,
            Err(error) => self.refused(&object, complete, &error).await,
        }
    }

    /// A refusal mostly means that something is there which was not when last looked: a fresh look can say what.
    async fn refused(&self, object: &K, desired: &Desired, error: &LinkError) -> Result<Action, Error> {
        let refusal = matches!(error, LinkError::Admin(AdminError::Refused { .. } | AdminError::NotFound(_)));
        if refusal
            && self.link.refresh(self.host).await.is_ok()
            && let Err(conflict) = self.plan(desired)
        {
            return self.conflict(object, &conflict).await;
        }
        self.fail(object, error).await
    }

    /// Whether a binding waits for an object of somebody else.
    fn waits(&self, desired: &Desired) -> bool {
        let nothing = ObservedVirtualHost::default();
        self.host.look(|seen| !waiting(desired, seen.unwrap_or(&nothing)).is_empty())
    }

    fn plan(&self, desired: &Desired) -> Result<Plan, Conflict> {
        let nothing = ObservedVirtualHost::default();
        self.host.look(|seen| diff(desired, seen.unwrap_or(&nothing)))
    }

    async fn conflict(&self, object: &K, conflict: &Conflict) -> Result<Action, Error> {
        let outcome = Outcome::NotReady { reason: reasons::CONFLICT, message: conflict.to_string() };
        self.end(object, &outcome, Action::requeue(LOOK_AGAIN)).await
    }

    async fn fail(&self, object: &K, error: &LinkError) -> Result<Action, Error> {
        let message = error.to_string();
        let (outcome, again) = match error {
            LinkError::NotOurs(_) => (Outcome::NotReady { reason: reasons::CONFLICT, message }, WAIT),
            _ if error.is_outage() && !is_ready(self.broker) => {
                let message = "the Broker does not serve yet; this goes on by itself once it does".to_owned();
                (Outcome::NotReady { reason: reasons::BROKER_NOT_READY, message }, OUTAGE)
            }
            _ if error.is_outage() => {
                // A moment's silence is no news: the status says so when it lasts.
                if object.last_status().is_some() {
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
        self.end(object, &outcome, Action::requeue(again)).await
    }

    /// Says how far the past is. The visit has not waited for it.
    async fn replays(&self, object: &K, wait: Refusal) -> Result<Action, Error> {
        let Refusal { reason, message } = wait;
        let again = if reason == reasons::REPLAYING { PROGRESS } else { WAIT };
        self.end(object, &Outcome::NotReady { reason, message }, Action::requeue(again)).await
    }

    async fn end(&self, object: &K, outcome: &Outcome, action: Action) -> Result<Action, Error> {
        writes::status(self.ctx, object, self.status(object, outcome)).await?;
        Ok(action)
    }

    fn status(&self, object: &K, outcome: &Outcome) -> K::Status {
        let now = Timestamp::now();
        let mut new = self.host.look(|observed| {
            let place = Place { broker: self.broker, virtual_host: &self.host.name, settings: Some(self.settings), observed };
            object.next_status(outcome, Some(place), now)
        });
        object.amend(self.ctx, &mut new, now);
        if let Some(replayed) = self.ctx.replays.replayed(self.link, self.host, &object.closes()) {
            K::note_replayed(&mut new, replayed);
        }
        new
    }
}
