//! `Broker → objects → observation → status`, again and again.
//!
//! Expected flow: a Broker appears; its Secrets, configuration, Services, budget, policy and pods
//! are made; the nodes form a cluster by themselves; the status follows. After that each look only
//! reads (invariant I6), until something differs.
//!
//! There is no finalizer: everything is owned by the Broker and collected with it, except the
//! volumes, which outlive it. So nothing here can hold up a deletion (invariant I4).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use entente_core::cluster::names::{self, Identity};
use entente_core::cluster::observation::SeenPod;
use entente_core::cluster::stateful_set;
use entente_core::cluster::status::{self, Answer, View};
use entente_core::cluster::validate::Refusal;
use entente_core::cluster::work::{Decision, report};
use entente_core::conditions;
use entente_core::object::is_paused;
use entente_crds::condition::{reasons, types};
use entente_crds::meta::MANAGER;
use entente_crds::{Broker, BrokerStatus};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Client, Resource};

use super::context::{BrokerContext, Namespaces};
use super::credentials::NoRandomness;
use super::{events, external, nodes, observe, work};
use crate::apply::ApplyError;
use crate::certificates::CertificateError;

/// How soon to look again at a Broker that is on its way.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// How soon to look again while planned work goes on: each step waits for what the one before has done.
const AT_WORK: Duration = Duration::from_millis(300);
/// How soon to look again at a Broker that is fine, or that waits for a person.
pub(super) const LATER: Duration = Duration::from_secs(15);

/// What one look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again if nothing happens before; `None` if only a change matters.
    pub again: Option<Duration>,
}

/// Why a look failed. It is repeated with growing pauses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API.
    #[error("cannot {what}: {source}")]
    Kubernetes {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// An object could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No password could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The object is not one that the API server stored.
    #[error("a Broker without name, namespace or uid")]
    NoIdentity,
}

impl Error {
    /// A failure of the Kubernetes API.
    pub(super) fn kubernetes(what: &'static str, source: kube::Error) -> Self {
        Self::Kubernetes { what, source: Box::new(source) }
    }
}

/// Why objects are not as declared: what a person must hear of, or a failure.
#[derive(Debug)]
pub enum Halt {
    /// For the status.
    Refused(Refusal),
    /// To be tried again.
    Failed(Error),
}

impl From<ApplyError> for Halt {
    /// Conflicts, missing rights and values that the API server refuses do not pass by themselves.
    fn from(error: ApplyError) -> Self {
        let reason = match &error {
            ApplyError::Foreign { .. } => reasons::CONFLICT,
            ApplyError::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 403 => reasons::FORBIDDEN,
                kube::Error::Api(status) if status.code == 422 || status.code == 400 => reasons::INVALID,
                _ => return Self::Failed(error.into()),
            },
            ApplyError::Serialise { .. } => return Self::Failed(error.into()),
        };
        Self::Refused(Refusal { reason, message: error.to_string() })
    }
}

impl From<CertificateError> for Halt {
    fn from(error: CertificateError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NoRandomness> for Halt {
    fn from(error: NoRandomness) -> Self {
        Self::Failed(error.into())
    }
}

/// One look at one Broker.
pub async fn reconcile(broker: &Broker, ctx: &BrokerContext) -> Result<Outcome, Error> {
    // On the heap: every caller's future would hold all the objects' otherwise.
    Box::pin(reconcile_one(broker, ctx)).await
}

async fn reconcile_one(broker: &Broker, ctx: &BrokerContext) -> Result<Outcome, Error> {
    let identity = names::identity(broker).ok_or(Error::NoIdentity)?;
    if broker.metadata.deletion_timestamp.is_some() {
        ctx.forget(identity.uid);
        return Ok(Outcome { again: None });
    }
    let now = Timestamp::now();
    let before = broker.status.clone().unwrap_or_default();
    if is_paused(broker) {
        write_status(ctx, broker, identity, &before, status::paused(&before, broker, now)).await?;
        return Ok(Outcome { again: None });
    }
    if !ctx.settings.namespaces.serve(identity.namespace) {
        // Once for each generation: where another installation serves that namespace, the two would
        // otherwise overwrite each other's word for ever.
        let generation = broker.metadata.generation;
        if ctx.remember(identity.uid, |memory| std::mem::replace(&mut memory.not_served, generation)) != generation {
            refuse(ctx, broker, identity, &before, &not_served(identity.namespace, &ctx.settings.namespaces), now).await?;
        }
        return Ok(Outcome { again: None });
    }
    if broker.spec.external.is_some() {
        return external::look(ctx, broker, identity, &before, now).await;
    }
    let live = match nodes::live(ctx, identity).await {
        Ok(live) => live,
        Err(Halt::Refused(refusal)) => return refuse(ctx, broker, identity, &before, &refusal, now).await,
        Err(Halt::Failed(error)) => return Err(error),
    };
    let (set, refusal) = match nodes::ensure(ctx, broker, identity, live.as_ref(), now).await {
        Ok(set) => (Some(set), None),
        Err(Halt::Refused(refusal)) => (live, Some(refusal)),
        Err(Halt::Failed(error)) => return Err(error),
    };
    let Some(set) = set else {
        let refusal = refusal.as_ref();
        let idle = idle(&before);
        let view = view(ctx, broker.spec.replicas, &[], Answer::NotAsked, refusal, &idle, None);
        return finish(ctx, broker, identity, &before, &view, now).await;
    };
    look(ctx, broker, identity, &before, &set, refusal.as_ref(), now).await
}

/// Looks at nodes that are there, also when the Broker as it is now declared is refused.
async fn look(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    set: &StatefulSet,
    refusal: Option<&Refusal>,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let (seen_pods, pods) = observe::pods(ctx, broker, identity, set).await?;
    let asked = if seen_pods.iter().any(|pod| pod.ready) { Some(observe::ask(ctx, broker, identity).await) } else { None };
    let answer = match &asked {
        None => Answer::NotAsked,
        Some(Ok(seen)) => Answer::Seen(seen),
        Some(Err((error, times))) => Answer::Silent { error, times: *times },
    };
    let (mut step, mut growth) = (idle(before), None);
    if refusal.is_none() {
        let answer = asked.as_ref().map(|answer| answer.as_ref().map_err(|(_, times)| *times));
        let nodes = work::Nodes { set, seen: &seen_pods, pods: &pods };
        step = work::go_on(ctx, broker, identity, before, nodes, work::Asked { answer }, now).await?;
        growth = observe::grow_volumes(ctx, broker, identity, now).await?;
    }
    let size = stateful_set::size(broker, Some(set));
    let view = view(ctx, size, &seen_pods, answer, refusal, &step, growth.as_deref());
    finish(ctx, broker, identity, before, &view, now).await
}

/// No work while the Broker is refused; what became of an earlier one stays.
fn idle(before: &BrokerStatus) -> Decision {
    Decision { switchover: before.switchover.clone(), ..Decision::default() }
}

fn view<'a>(
    ctx: &'a BrokerContext,
    size: i32,
    pods: &'a [SeenPod],
    answer: Answer<'a>,
    refusal: Option<&'a Refusal>,
    work: &'a Decision,
    growth_refused: Option<&'a str>,
) -> View<'a> {
    View { size, pods, answer, refusal, work, growth_refused, cluster_domain: &ctx.settings.cluster_domain }
}

async fn refuse(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let idle = idle(before);
    let view = view(ctx, broker.spec.replicas, &[], Answer::NotAsked, Some(refusal), &idle, None);
    finish(ctx, broker, identity, before, &view, now).await
}

async fn finish(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    view: &View<'_>,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let after = status::next(before, broker, view, now);
    let ready = conditions::is_true(&after.conditions, types::READY);
    let missed = matches!(view.answer, Answer::Silent { .. });
    let balance_due = report::is_balance_due(&after);
    write_status(ctx, broker, identity, before, after).await?;
    if view.work.action.is_some() || view.work.work.is_some() {
        return Ok(Outcome { again: Some(AT_WORK) });
    }
    let on_the_way = (!ready && view.refusal.is_none()) || missed || balance_due || view.work.message.is_some();
    Ok(Outcome { again: Some(if on_the_way { SOON } else { LATER }) })
}

/// Writes the status if it changed, then tells people.
pub(super) async fn write_status(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    after: BrokerStatus,
) -> Result<(), Error> {
    let Some(patch) = status::patch(before, &after) else { return Ok(()) };
    let api: Api<Broker> = Api::namespaced(ctx.client.clone(), identity.namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(identity.name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => {
            events::publish(ctx, broker, status::transitions(before, &after)).await;
            Ok(())
        }
        // Deleted since it was read.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::kubernetes("write the status", source)),
    }
}

fn not_served(namespace: &str, namespaces: &Namespaces) -> Refusal {
    let served = match namespaces {
        Namespaces::All => "every namespace".to_owned(),
        Namespaces::Only(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    Refusal {
        reason: reasons::FORBIDDEN,
        message: format!(
            "this operator runs no Brokers in the namespace {namespace}, but in: {served}; create the Broker there, or add {namespace} to brokerNamespaces when installing the operator"
        ),
    }
}

/// Runs the controller until `shutdown` ends; then looks that are under way are finished.
pub async fn run(ctx: Arc<BrokerContext>, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let mut controller = Controller::new(Api::<Broker>::all(ctx.client.clone()), watcher::Config::default());
    match ctx.settings.namespaces.clone() {
        Namespaces::All => controller = own_all(controller, &ctx.client, None),
        Namespaces::Only(names) => {
            for name in names {
                controller = own_all(controller, &ctx.client, Some(&name));
            }
        }
    }
    controller
        .graceful_shutdown_on(shutdown)
        .run(
            |broker, ctx| async move {
                let outcome = reconcile(&broker, &ctx).await?;
                Ok::<_, Error>(outcome.again.map_or_else(Action::await_change, Action::requeue))
            },
            retry,
            ctx,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::warn!(%error, "broker controller");
            }
        })
        .await;
}

/// A failure is tried again after a fixed, short pause: it is one API server that all Brokers wait for.
fn retry(_broker: Arc<Broker>, _error: &Error, _ctx: Arc<BrokerContext>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

fn own_all(controller: Controller<Broker>, client: &Client, namespace: Option<&str>) -> Controller<Broker> {
    let controller = own::<StatefulSet>(controller, client, namespace);
    let controller = own::<Service>(controller, client, namespace);
    let controller = own::<Secret>(controller, client, namespace);
    let controller = own::<ConfigMap>(controller, client, namespace);
    let controller = own::<PodDisruptionBudget>(controller, client, namespace);
    own::<NetworkPolicy>(controller, client, namespace)
}

/// Watches the metadata of our objects of one kind. Nothing of them is kept: no Secret is in memory.
fn own<K>(controller: Controller<Broker>, client: &Client, namespace: Option<&str>) -> Controller<Broker>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let api: Api<PartialObjectMeta<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let ours = format!("{}={}", entente_core::cluster::meta::MANAGED_BY_LABEL, MANAGER);
    controller.owns(api, watcher::Config::default().labels(&ours))
}

#[cfg(test)]
mod tests;
