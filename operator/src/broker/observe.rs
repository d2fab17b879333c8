//! Looks at the nodes, and does what follows from that alone: restarts that are due, and volumes that grow.

use std::time::Duration;

use entente_core::cluster::names::Identity;
use entente_core::cluster::observation::{self, Seen, SeenPod};
use entente_core::cluster::rollout::{self, Step};
use entente_core::cluster::{disruption_budget, meta, volumes};
use entente_crds::Broker;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions};

use super::context::BrokerContext;
use super::controller::Error;

/// A broker that takes longer is not well.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// A storage that refused to grow is asked again after this time, or when the Broker changes.
const GROWTH_PAUSE_SECONDS: i64 = 600;

/// The pods of the `StatefulSet`, with their uids in the order of [`SeenPod`].
pub async fn pods(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    set: &StatefulSet,
) -> Result<(Vec<SeenPod>, Vec<Pod>), Error> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), identity.namespace);
    let list = api
        .list(&ListParams::default().labels(&meta::selector_text(identity.name)))
        .await
        .map_err(|source| Error::kubernetes("list the broker's pods", source))?;
    Ok((observation::pods(broker, set, &list.items), list.items))
}

/// Asks the broker. `Err` holds why not, and how often in a row.
pub async fn ask(ctx: &BrokerContext, broker: &Broker, identity: Identity<'_>) -> Result<Seen, (String, u32)> {
    let answer = match tokio::time::timeout(PROBE_TIMEOUT, ctx.probe.probe(broker)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())),
    };
    ctx.remember(identity.uid, |memory| match answer {
        Ok(seen) => {
            memory.silences = 0;
            Ok(seen)
        }
        Err(error) => {
            memory.silences = memory.silences.saturating_add(1);
            Err((error, memory.silences))
        }
    })
}

/// Takes the next step of a restart that is due. The disruption budget has the last word.
pub async fn roll(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    seen_pods: &[SeenPod],
    pods: &[Pod],
    seen: Option<&Seen>,
) -> Result<Step, Error> {
    let step = rollout::next(broker.spec.replicas, seen_pods, seen);
    let Step::Replace(name) = &step else { return Ok(step) };
    let ready = seen_pods.iter().any(|pod| pod.name == *name && pod.ready);
    if ready && disruption_budget::max_unavailable(broker) == 0 {
        return Ok(Step::Wait {
            message: "a change waits: spec.disruption.maxUnavailable is 0, so no node may be restarted".to_owned(),
        });
    }
    let uid = pods.iter().find(|pod| pod.metadata.name.as_ref() == Some(name)).and_then(|pod| pod.metadata.uid.clone());
    let delete = DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::default() };
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), identity.namespace);
    match api.evict(name, &EvictParams { delete_options: Some(delete), ..EvictParams::default() }).await {
        Ok(_) => {
            tracing::info!(
                namespace = identity.namespace,
                broker = identity.name,
                pod = name,
                "node restarted to take up a change"
            );
            Ok(step)
        }
        Err(kube::Error::Api(status)) if status.code == 429 => {
            Ok(Step::Wait { message: format!("a change waits: the disruption budget does not allow to restart {name} now") })
        }
        // It is gone, or it is a new one: either way the next look tells.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(step),
        Err(source) => Err(Error::kubernetes("evict a pod to restart it", source)),
    }
}

/// Grows volumes that are smaller than declared. Returns why they do not grow, if so.
pub async fn grow_volumes(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), identity.namespace);
    let claims = api
        .list(&ListParams::default().labels(&meta::selector_text(identity.name)))
        .await
        .map_err(|source| Error::kubernetes("list the broker's volume claims", source))?;
    let names = volumes::to_grow(broker, &claims.items);
    if names.is_empty() {
        ctx.remember(identity.uid, |memory| memory.growth_refused = None);
        return Ok(None);
    }
    let generation = broker.metadata.generation;
    let refused = ctx.remember(identity.uid, |memory| memory.growth_refused.clone());
    if let Some((at_generation, at, why)) = refused
        && at_generation == generation
        && now.as_second() - at.as_second() < GROWTH_PAUSE_SECONDS
    {
        return Ok(Some(why));
    }
    for name in names {
        let patch = Patch::Merge(volumes::patch(&broker.spec.storage.size));
        match api.patch(&name, &PatchParams::default(), &patch).await {
            Ok(_) => tracing::info!(
                namespace = identity.namespace,
                broker = identity.name,
                claim = name,
                size = broker.spec.storage.size,
                "volume grows"
            ),
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 409 => {
                let why = format!(
                    "the volume {name} does not grow to {}: {}; use a StorageClass with allowVolumeExpansion, or set storage.size back",
                    broker.spec.storage.size, status.message
                );
                ctx.remember(identity.uid, |memory| memory.growth_refused = Some((generation, now, why.clone())));
                return Ok(Some(why));
            }
            Err(source) => return Err(Error::kubernetes("grow a volume claim", source)),
        }
    }
    Ok(None)
}
