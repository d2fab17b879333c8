//! Who uses the versions of a contract, as its broker tells it.

use std::collections::{BTreeMap, BTreeSet};

use entente_core::client::identity::owner_of;
use entente_core::client::rights::Rights;
use entente_core::contract::terms::is_offered;
use entente_core::contract::usage::observe;
use entente_core::topology::observed::ObservedVirtualHost;
use entente_crds::ServiceContract;
use entente_crds::service_contract::{DesiredState, VersionState, VersionUse};
use jiff::Timestamp;
use kube::ResourceExt;

use super::ContractContext;
use crate::links::host::Host;
use crate::links::{Link, LinkError};
use crate::objects::Kind;

/// Use by version. A version that is missing was not seen, which is not taken for no use (invariant I5).
pub async fn read(contract: &ServiceContract, ctx: &ContractContext) -> BTreeMap<String, VersionUse> {
    let shared = &ctx.objects.shared;
    let versions = contract.status.iter().flat_map(|status| &status.versions);
    let offered: BTreeSet<&str> = versions.filter(|known| is_offered(known.state)).map(|known| known.name.as_str()).collect();
    if offered.is_empty() {
        return BTreeMap::new();
    }
    let Ok(home) = contract.home(shared) else { return BTreeMap::new() };
    let Ok(link) = shared.links.get(&home.broker).await else { return BTreeMap::new() };
    let host = link.host(&home.virtual_host);
    match see(contract, &offered, ctx, &link, &host).await {
        Ok(seen) => seen,
        Err(error) => {
            tracing::debug!(%error, contract = contract.name_any(), "use of its versions could not be seen");
            BTreeMap::new()
        }
    }
}

async fn see(
    contract: &ServiceContract,
    offered: &BTreeSet<&str>,
    ctx: &ContractContext,
    link: &Link,
    host: &Host,
) -> Result<BTreeMap<String, VersionUse>, LinkError> {
    // To look for senders costs a request for each connection: for those versions alone that are about to go.
    let mut versions = contract.status.iter().flat_map(|status| &status.versions);
    let senders = if versions.any(|known| known.state == VersionState::Sunset) {
        link.refresh(host).await?;
        link.know_users(ctx.resync).await?;
        Some(link.read(|admin| admin.read_senders(&host.name)).await?)
    } else {
        link.know(host).await?;
        None
    };
    let may_send = |user: &str, exchange: &str| may_send(link, &host.name, user, exchange);
    let now = Timestamp::now();
    let name = contract.name_any();
    let versions = contract.spec.versions.iter().filter(|version| offered.contains(version.name.as_str()));
    Ok(host.look(|seen| {
        let nothing = ObservedVirtualHost::default();
        let seen = seen.unwrap_or(&nothing);
        let found = versions.filter_map(|version| {
            let used = observe(&name, version, seen, senders.as_deref(), may_send, now)?;
            Some((version.name.clone(), used))
        });
        found.collect()
    }))
}

/// Whether a version is in Sunset and not at rest there.
pub fn is_ending(contract: &ServiceContract) -> bool {
    let versions = contract.status.iter().flat_map(|status| &status.versions);
    versions.filter(|known| known.state == VersionState::Sunset).any(|known| {
        let wanted = contract.spec.versions.iter().find(|version| version.name == known.name);
        !known.retirable || wanted.is_some_and(|version| version.desired_state == DesiredState::Retired)
    })
}

/// Whether a Client's user may send to an exchange. Entente's own users may do anything, and send nothing of their own accord.
fn may_send(link: &Link, virtual_host: &str, user: &str, exchange: &str) -> bool {
    if owner_of(user).is_none() {
        return false;
    }
    let right = Rights { write: BTreeSet::from([exchange.to_owned()]), ..Rights::default() };
    link.users.look(|seen| {
        let permission = seen.users.get(user).and_then(|user| user.permissions.get(virtual_host));
        permission.is_some_and(|permission| !right.within(permission).is_empty())
    })
}
