//! What probes saw of a contract, for its status and as figures.

use std::sync::Arc;

use entente_core::contract::assurances::report::{report, settle};
use entente_core::contract::assurances::targets;
use entente_crds::ServiceContract;
use entente_crds::service_contract::{Assurances, AssurancesStatus, VersionState};
use jiff::Timestamp;
use kube::ResourceExt;

use super::ContractContext;
use crate::links::Link;
use crate::links::host::Host;
use crate::metrics::Assured;
use crate::objects::Kind;

/// All that a contract can be measured by.
const ALL: [&str; 4] = ["availability", "latencyP99", "rpo", "rto"];

/// What the status says of the contract's assurances from now on. Where it has some, and an active version, it is probed from now on.
pub async fn measured(contract: &ServiceContract, ctx: &ContractContext, now: Timestamp) -> Option<AssurancesStatus> {
    let before = contract.status.as_ref().and_then(|status| status.assurances.as_ref());
    let Some(declared) = declared(contract, ctx) else {
        forget(ctx, contract).await;
        return None;
    };
    let targets = targets(declared).ok()?;
    // Without a way to the broker what was last seen stays, with its time.
    let Some((link, host)) = place(contract, ctx).await else { return before.cloned() };
    let shared = &ctx.objects.shared;
    let seen = ctx.probes.seen(&shared.links, &link, &host, &shared.metrics);
    let Some(new) = report(declared, targets, &seen, now) else { return before.cloned() };
    figures(contract, ctx, &new);
    settle(before, Some(new), now)
}

/// What it is to be measured by; nothing where it is not measured.
fn declared<'a>(contract: &'a ServiceContract, ctx: &ContractContext) -> Option<&'a Assurances> {
    let mut versions = contract.status.iter().flat_map(|status| &status.versions);
    let active = versions.any(|known| known.state == VersionState::Active);
    contract.spec.assurances.as_ref().filter(|_| active && ctx.probing)
}

/// Whether there will be figures, and are none yet.
pub fn is_awaited(contract: &ServiceContract, ctx: &ContractContext) -> bool {
    declared(contract, ctx).is_some() && contract.status.as_ref().is_none_or(|status| status.assurances.is_none())
}

/// A contract is measured no more, or is gone: the probes end where nobody else in its namespace asks for them.
pub async fn forget(ctx: &ContractContext, contract: &ServiceContract) {
    let shared = &ctx.objects.shared;
    for assurance in ALL {
        shared.metrics.assured.remove(&label(contract, assurance));
    }
    let Some((link, host)) = place(contract, ctx).await else { return };
    if !ctx.probes.concern(&link, &host) {
        return;
    }
    let others = shared.contracts.state();
    let is_other = |other: &Arc<ServiceContract>| {
        other.namespace() == contract.namespace()
            && other.name_any() != contract.name_any()
            && other.metadata.deletion_timestamp.is_none()
            && declared(other, ctx).is_some()
    };
    if !others.iter().any(is_other) {
        ctx.probes.end(&link, &host).await;
    }
}

/// The way to the broker that has a contract.
pub(super) async fn place(contract: &ServiceContract, ctx: &ContractContext) -> Option<(Arc<Link>, Arc<Host>)> {
    let home = contract.home(&ctx.objects.shared).ok()?;
    let link = ctx.objects.shared.links.get(&home.broker).await.ok()?;
    let host = link.host(&home.virtual_host);
    Some((link, host))
}

fn figures(contract: &ServiceContract, ctx: &ContractContext, new: &AssurancesStatus) {
    let AssurancesStatus { availability, latency_p99, rpo, rto, .. } = new;
    for (assurance, measured) in ALL.into_iter().zip([availability, latency_p99, rpo, rto]) {
        let assured = &ctx.objects.shared.metrics.assured;
        match measured.as_ref().and_then(|measured| measured.met) {
            Some(met) => {
                assured.get_or_create(&label(contract, assurance)).set(met.into());
            }
            None => {
                assured.remove(&label(contract, assurance));
            }
        }
    }
}

fn label(contract: &ServiceContract, assurance: &'static str) -> Assured {
    Assured { namespace: contract.namespace().unwrap_or_default(), contract: contract.name_any(), assurance }
}
