//! The leader's part: the certificate, and whom the API server is to trust.
//!
//! The Secret and the ValidatingWebhookConfiguration are the chart's, so that they go with the release; their content is the
//! operator's. The chart never names the fields that are written here, and the operator writes no others: neither undoes the other.

use std::time::Duration;

use entente_core::cluster::names::AUTHORITY_KEY;
use entente_crds::meta::MANAGER;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::names::{Names, WEBHOOK};
use super::secret;

const EVERY: Duration = Duration::from_secs(10);
/// Longest bundle of before that is kept for a while, in bytes: one authority, not a chain of all that ever were.
const LONGEST_BUNDLE: usize = 4096;
const CALL: Duration = Duration::from_secs(5);
const TITLE: &str = "Entente admission";

/// Why the webhook cannot be kept.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the ValidatingWebhookConfiguration {0} is missing, or has no entry {WEBHOOK}: helm upgrade brings it back")]
    NoWebhook(String),
    #[error("no answer from the API server")]
    Late,
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Secret(#[from] secret::Failure),
}

/// Keeps both as they should be, for as long as it is polled. A failure is told once, and tried again.
pub async fn keep(client: Client, names: Names) {
    let mut told = String::new();
    loop {
        match tokio::time::timeout(4 * CALL, once(&client, &names)).await.unwrap_or(Err(Failure::Late)) {
            Ok(()) => told.clear(),
            Err(failure) => {
                let text = failure.to_string();
                if text != told {
                    tracing::warn!(error = text, "the admission webhook is not kept; objects are admitted without it");
                    told = text;
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn once(client: &Client, names: &Names) -> Result<(), Failure> {
    let (pairs, why) = secret::ensure(client, names, TITLE).await?;
    if let Some(why) = why {
        tracing::info!(name = names.name, why, "certificate of the admission webhook issued");
    }
    ensure_trust(client, names, &pairs.authority.certificate, why.is_some()).await
}

/// `fresh`: what the Secret holds was written just now, and replicas still show what was there before.
async fn ensure_trust(client: &Client, names: &Names, authority: &str, fresh: bool) -> Result<(), Failure> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let missing = || Failure::NoWebhook(names.name.clone());
    let there = api.get_opt(&names.name).await?.ok_or_else(missing)?;
    let entry = there.webhooks.iter().flatten().find(|webhook| webhook.name == WEBHOOK).ok_or_else(missing)?;
    let Some(bundle) = bundle(authority, entry.client_config.ca_bundle.as_ref(), fresh) else { return Ok(()) };
    // Entries are merged by name. One field of one entry is written, and nothing is owned that a later chart could want to drop.
    let patch = json!({
        "metadata": {"uid": there.metadata.uid, "resourceVersion": there.metadata.resource_version},
        "webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": bundle}}],
    });
    api.patch(&names.name, &params(), &Patch::Strategic(&patch)).await?;
    tracing::info!(name = names.name, key = AUTHORITY_KEY, "the API server is told whom to trust");
    Ok(())
}

/// What is to be trusted, if that is something else than it is. Beside a fresh authority the one before stays until the next look, when
/// every replica has taken the new certificate up.
fn bundle(authority: &str, before: Option<&ByteString>, fresh: bool) -> Option<ByteString> {
    let before = before.map(|before| before.0.as_slice()).unwrap_or_default();
    if before == authority.as_bytes() {
        return None;
    }
    let mut bundle = authority.as_bytes().to_vec();
    if fresh && before.len() <= LONGEST_BUNDLE {
        bundle.extend_from_slice(before);
    }
    Some(ByteString(bundle))
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_authority_is_trusted_beside_the_one_before_and_then_alone() {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        assert_eq!(bundle("new", None, true), Some(bytes("new")));
        assert_eq!(bundle("new", Some(&bytes("old")), true), Some(bytes("newold")));
        assert_eq!(bundle("new", Some(&bytes("newold")), false), Some(bytes("new")));
        assert_eq!(bundle("new", Some(&bytes("new")), true), None);
        assert_eq!(bundle("new", Some(&bytes(&"x".repeat(5000))), true), Some(bytes("new")));
    }
}
