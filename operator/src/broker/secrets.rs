//! The Secrets of a Broker: made once, kept, and never written over somebody else's.

use entente_core::cluster::names::{self, Identity};
use entente_core::cluster::secrets::{self, KeyPair};
use entente_core::cluster::{certificate, validate::Refusal};
use entente_crds::Broker;
use entente_crds::broker::TlsMode;
use entente_crds::condition::reasons;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};

use super::controller::Halt;
use super::credentials::random_text;
use crate::apply::{self, ApplyError};
use crate::certificates::{self, Verdict};

/// Makes the Secrets that are missing, renews what is due, and returns the uid of the admin Secret.
///
/// A password or a cookie is drawn only where there is no Secret. A Secret that was deleted while the
/// nodes live is made again: RabbitMQ takes the new password at the next start of any node, and the
/// uid in the pod template causes these starts, one by one.
pub async fn ensure(
    client: &Client,
    broker: &Broker,
    identity: Identity<'_>,
    cluster_domain: &str,
    now: Timestamp,
) -> Result<String, Halt> {
    let admin = ensure_admin(client, identity).await?;
    if read(client, identity, &names::cookie_secret(identity.name)).await?.is_none() {
        apply::create(client, identity, &secrets::cookie(identity, &random_text()?)).await?;
    }
    match broker.spec.tls.mode {
        TlsMode::Disabled => {}
        TlsMode::SelfIssued => {
            let authority = ensure_authority(client, identity, now).await?;
            ensure_serving(client, identity, &authority, cluster_domain, now).await?;
        }
        TlsMode::Secret => check_given(client, broker, identity).await?,
    }
    Ok(admin.uid().unwrap_or_default())
}

async fn read(client: &Client, identity: Identity<'_>, name: &str) -> Result<Option<Secret>, ApplyError> {
    apply::read_own::<Secret>(client, identity, name).await
}

async fn ensure_admin(client: &Client, identity: Identity<'_>) -> Result<Secret, Halt> {
    let name = names::admin_secret(identity.name);
    let Some(there) = read(client, identity, &name).await? else {
        return Ok(apply::create(client, identity, &secrets::admin(identity, &random_text()?)).await?);
    };
    // Someone emptied it, or set another password: the lines that RabbitMQ reads must say the same.
    let password = match secrets::text(&there, names::PASSWORD_KEY) {
        Some(password) => password,
        None => random_text()?,
    };
    let wanted = secrets::admin(identity, &password);
    if wanted.data == there.data {
        return Ok(there);
    }
    overwrite(client, identity, &wanted, &there).await
}

async fn ensure_authority(client: &Client, identity: Identity<'_>, now: Timestamp) -> Result<KeyPair, Halt> {
    let title = format!("Entente Broker {}/{}", identity.namespace, identity.name);
    let there = read(client, identity, &names::ca_secret(identity.name)).await?;
    let Some(there) = there else {
        let authority = certificates::new_authority(&title, now)?;
        apply::create(client, identity, &secrets::authority(identity, &authority)).await?;
        return Ok(authority);
    };
    let kept = pair(&there, names::AUTHORITY_KEY, names::AUTHORITY_PRIVATE_KEY_KEY);
    let authority = match kept.as_ref().map(|kept| (kept, certificates::check_authority(kept, now))) {
        Some((kept, Verdict::Good)) => return Ok(kept.clone()),
        Some((kept, Verdict::Replace(certificates::AUTHORITY_IS_OLD))) => certificates::renew_authority(kept, &title, now)?,
        Some((_, Verdict::Replace(why))) => {
            tracing::warn!(
                namespace = identity.namespace,
                broker = identity.name,
                why,
                "authority made anew: clients must fetch ca.crt again"
            );
            certificates::new_authority(&title, now)?
        }
        None => certificates::new_authority(&title, now)?,
    };
    overwrite(client, identity, &secrets::authority(identity, &authority), &there).await?;
    Ok(authority)
}

async fn ensure_serving(
    client: &Client,
    identity: Identity<'_>,
    authority: &KeyPair,
    cluster_domain: &str,
    now: Timestamp,
) -> Result<(), Halt> {
    let hosts = certificate::hosts(identity, cluster_domain);
    let there = read(client, identity, &names::tls_secret(identity.name)).await?;
    if let Some(there) = &there {
        let kept = pair(there, names::CERTIFICATE_KEY, names::PRIVATE_KEY_KEY);
        let same_authority = secrets::text(there, names::AUTHORITY_KEY).as_ref() == Some(&authority.certificate);
        match kept.map(|kept| certificates::check(&kept, &authority.certificate, &hosts, now)) {
            Some(Verdict::Good) if same_authority => return Ok(()),
            Some(Verdict::Replace(why)) => {
                tracing::info!(namespace = identity.namespace, broker = identity.name, why, "server certificate renewed");
            }
            Some(Verdict::Good) | None => {}
        }
    }
    let serving = certificates::issue(authority, &hosts, now)?;
    let wanted = secrets::serving(identity, &serving, &authority.certificate);
    match &there {
        None => drop(apply::create(client, identity, &wanted).await?),
        Some(there) => drop(overwrite(client, identity, &wanted, there).await?),
    }
    Ok(())
}

/// Writes all of a Secret of ours, provided it is still the one that was read.
async fn overwrite(client: &Client, identity: Identity<'_>, wanted: &Secret, there: &Secret) -> Result<Secret, Halt> {
    let name = wanted.name_any();
    let patch = serde_json::json!({
        "metadata": {"uid": there.metadata.uid, "resourceVersion": there.metadata.resource_version},
        "data": wanted.data,
    });
    let api: Api<Secret> = Api::namespaced(client.clone(), identity.namespace);
    let stored = api
        .patch(
            &name,
            &PatchParams { field_manager: Some(entente_crds::meta::MANAGER.to_owned()), ..PatchParams::default() },
            &Patch::Merge(&patch),
        )
        .await
        .map_err(|source| ApplyError::Api {
            kind: "Secret".to_owned(),
            name: name.clone(),
            verb: "changed",
            source: Box::new(source),
        })?;
    tracing::info!(kind = "Secret", namespace = identity.namespace, name, broker = identity.name, "object written");
    Ok(stored)
}

fn pair(secret: &Secret, certificate: &str, private_key: &str) -> Option<KeyPair> {
    Some(KeyPair { certificate: secrets::text(secret, certificate)?, private_key: secrets::text(secret, private_key)? })
}

/// The user's own certificate must be there, or pods would hang at mounting it without a word.
async fn check_given(client: &Client, broker: &Broker, identity: Identity<'_>) -> Result<(), Halt> {
    let Some(name) = names::serving_secret(broker) else { return Ok(()) };
    let api: Api<Secret> = Api::namespaced(client.clone(), identity.namespace);
    let secret = api.get_opt(&name).await.map_err(|source| ApplyError::Api {
        kind: "Secret".to_owned(),
        name: name.clone(),
        verb: "read",
        source: Box::new(source),
    })?;
    let keys = [names::CERTIFICATE_KEY, names::PRIVATE_KEY_KEY, names::AUTHORITY_KEY];
    let missing: Vec<&str> =
        keys.into_iter().filter(|key| secret.as_ref().is_none_or(|secret| secrets::text(secret, key).is_none())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Halt::Refused(Refusal {
        reason: reasons::INVALID,
        message: format!(
            "tls.secretRef: the Secret {name} of this namespace needs {}; create it or add them",
            missing.join(", ")
        ),
    }))
}
