//! Taking away what is no longer granted, from a Client that is paused or whose spec is not valid.

use std::collections::BTreeMap;

use entente_core::client::access::{grant, host};
use entente_core::client::diff::shrink as plan;
use entente_core::client::identity::serial_of;
use entente_core::client::rights::Rights;
use entente_core::client::validate::named;
use entente_core::resolve::Asker;
use entente_core::topology::foundation::owner_tag;
use entente_crds::{Broker, Client};
use kube::ResourceExt;

use super::context::ClientContext;
use super::deletion::NotRetired;

/// Takes away, if there is anything to take away. Nothing is added, and no password changes.
pub async fn shrink(ctx: &ClientContext, client: &Client, broker: &Broker) -> Result<(), NotRetired> {
    let link = ctx.links.get(broker).await?;
    link.know_users(ctx.resync).await?;
    let (namespace, name) = (client.namespace().unwrap_or_default(), client.name_any());
    let labels = ctx.labels(&namespace);
    let asker = Asker { namespace: &namespace, labels: labels.as_ref() };
    let mut allowed: BTreeMap<String, Rights> = BTreeMap::new();
    for entry in named(client) {
        let referred = ctx.refer(client, &entry);
        let granted = grant(&entry, referred.found(), referred.is_on(broker, ctx), asker);
        if let (Some(host), Ok(granted)) = (host(&namespace, &entry, referred.found()), granted) {
            let rights = allowed.remove(&host).unwrap_or_default();
            allowed.insert(host, rights.with(&granted.rights));
        }
    }
    let actions = link.users.look(|seen| {
        let own = |user: &&String| serial_of(&namespace, &name, user).is_some();
        let users: Vec<String> = seen.users.keys().filter(own).cloned().collect();
        plan(&owner_tag(&link.uid), &users, &allowed, seen)
    });
    Ok(link.run_users(&actions).await?)
}
