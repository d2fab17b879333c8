//! Keeps the Kubernetes objects of a Broker as declared.

use entente_core::cluster::names::{self, Identity};
use entente_core::cluster::{Inputs, config_map, disruption_budget, network_policy, services, stateful_set, validate};
use entente_crds::Broker;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::context::BrokerContext;
use super::controller::Halt;
use super::secrets;
use crate::apply::{apply, read_own};

/// Applies everything a Broker is made of, what others need first, and returns the `StatefulSet` as stored.
///
/// `live` is the `StatefulSet` that is there.
pub async fn ensure(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    live: Option<&StatefulSet>,
    now: Timestamp,
) -> Result<StatefulSet, Halt> {
    validate::validate(broker).map_err(Halt::Refused)?;
    if let Some(live) = live {
        validate::validate_change(broker, live).map_err(Halt::Refused)?;
    }
    let (client, settings) = (&ctx.client, &ctx.settings);
    let credentials = secrets::ensure(client, broker, identity, &settings.cluster_domain, now).await?;
    let inputs = Inputs {
        size: stateful_set::size(broker, live),
        image: &settings.image,
        cluster_domain: &settings.cluster_domain,
        operator_namespace: &settings.operator_namespace,
        credentials: Some(&credentials),
        live_storage: live.and_then(stateful_set::storage_of),
        live_restart: live.and_then(stateful_set::restart_of),
    };
    apply(client, identity, &config_map::build(broker, identity, &inputs)).await?;
    apply(client, identity, &services::headless(broker, identity)).await?;
    apply(client, identity, &services::client(broker, identity)).await?;
    apply(client, identity, &disruption_budget::build(broker, identity)).await?;
    apply(client, identity, &network_policy::build(broker, identity, inputs.operator_namespace)).await?;
    let (_, set) = apply(client, identity, &stateful_set::build(broker, identity, &inputs)).await?;
    Ok(set)
}

/// The `StatefulSet` that is there, if it is this Broker's.
pub async fn live(ctx: &BrokerContext, identity: Identity<'_>) -> Result<Option<StatefulSet>, Halt> {
    Ok(read_own::<StatefulSet>(&ctx.client, identity, &names::stateful_set(identity.name)).await?)
}
