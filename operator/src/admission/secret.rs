//! What the Secret holds, and what has to change in it.

use std::collections::BTreeMap;

use entente_core::cluster::names::{AUTHORITY_KEY, AUTHORITY_PRIVATE_KEY_KEY, CERTIFICATE_KEY, PRIVATE_KEY_KEY};
use entente_core::cluster::secrets::{KeyPair, text};
use entente_crds::meta::MANAGER;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::names::Names;
use crate::certificates::{self, AUTHORITY_IS_OLD, CertificateError, Verdict};

/// The authority and what it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// Whom the API server has to trust.
    pub authority: KeyPair,
    /// What the server shows.
    pub serving: KeyPair,
}

impl Pairs {
    /// As the data of the Secret.
    fn data(&self) -> BTreeMap<String, ByteString> {
        let Self { authority, serving } = self;
        [
            (AUTHORITY_KEY, &authority.certificate),
            (AUTHORITY_PRIVATE_KEY_KEY, &authority.private_key),
            (CERTIFICATE_KEY, &serving.certificate),
            (PRIVATE_KEY_KEY, &serving.private_key),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.clone().into_bytes())))
        .collect()
    }
}

/// The certificate that the server shows.
pub fn serving(secret: &Secret) -> Option<KeyPair> {
    pair(secret, CERTIFICATE_KEY, PRIVATE_KEY_KEY)
}

fn pair(secret: &Secret, certificate: &str, private_key: &str) -> Option<KeyPair> {
    Some(KeyPair { certificate: text(secret, certificate)?, private_key: text(secret, private_key)? })
}

/// Why the Secret cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is the chart's to make.
    #[error("the Secret {0} is missing: helm upgrade brings it back")]
    NoSecret(String),
    /// The API server's answer.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What the Secret holds, after it was made to hold what it should; and why it had to be, if it had.
pub async fn ensure(client: &Client, names: &Names, title: &str) -> Result<(Pairs, Option<&'static str>), Failure> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &names.namespace);
    let there = api.get_opt(&names.name).await?.ok_or_else(|| Failure::NoSecret(names.name.clone()))?;
    let (pairs, why) = wanted(&there, title, &names.hosts(), Timestamp::now())?;
    if why.is_some() {
        // Only what was just read is changed: of two replicas that both believe they lead, one gets a conflict, and reads again.
        let patch = json!({
            "metadata": {"uid": there.metadata.uid, "resourceVersion": there.metadata.resource_version},
            "data": pairs.data(),
        });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(&names.name, &params, &Patch::Merge(&patch)).await?;
    }
    Ok((pairs, why))
}

/// What the Secret should hold, and why if that is something else than it holds. Everything is decided by what is there and the time.
/// `title` is for people who look at the authority.
fn wanted(
    secret: &Secret,
    title: &str,
    hosts: &[String],
    now: Timestamp,
) -> Result<(Pairs, Option<&'static str>), CertificateError> {
    let kept = pair(secret, AUTHORITY_KEY, AUTHORITY_PRIVATE_KEY_KEY);
    let (authority, mut why) = match kept.as_ref().map(|kept| (kept, certificates::check_authority(kept, now))) {
        Some((kept, Verdict::Good)) => (kept.clone(), None),
        // With the same key: what it signed stays valid.
        Some((kept, Verdict::Replace(AUTHORITY_IS_OLD))) => {
            (certificates::renew_authority(kept, title, now)?, Some("the authority ends within a year"))
        }
        Some((_, Verdict::Replace(why))) => (certificates::new_authority(title, now)?, Some(why)),
        None => (certificates::new_authority(title, now)?, Some("there was none")),
    };
    let serving = match serving(secret).map(|kept| (certificates::check(&kept, &authority.certificate, hosts, now), kept)) {
        Some((Verdict::Good, kept)) => kept,
        other => {
            why = why.or(Some(match other {
                Some((Verdict::Replace(why), _)) => why,
                _ => "there was none",
            }));
            certificates::issue(&authority, hosts, now)?
        }
    };
    Ok((Pairs { authority, serving }, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(days: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + days * 86_400).unwrap()
    }

    fn hosts() -> Vec<String> {
        vec!["entente-operator-admission.entente-system.svc".to_owned()]
    }

    fn secret(pairs: &Pairs) -> Secret {
        Secret { data: Some(pairs.data()), ..Secret::default() }
    }

    #[test]
    fn an_empty_secret_is_filled_and_a_good_one_left_alone() {
        let (pairs, why) = wanted(&Secret::default(), "test", &hosts(), after(0)).unwrap();
        assert_eq!(why, Some("there was none"));
        assert_eq!(wanted(&secret(&pairs), "test", &hosts(), after(59)).unwrap(), (pairs, None));
    }

    #[test]
    fn the_certificate_is_renewed_by_the_same_authority() {
        let (pairs, _) = wanted(&Secret::default(), "test", &hosts(), after(0)).unwrap();
        let (renewed, why) = wanted(&secret(&pairs), "test", &hosts(), after(61)).unwrap();
        assert_eq!(why, Some("two thirds of its life are over"));
        assert_eq!(renewed.authority, pairs.authority);
        assert_ne!(renewed.serving, pairs.serving);
    }

    #[test]
    fn what_was_taken_out_by_hand_comes_back() {
        let (pairs, _) = wanted(&Secret::default(), "test", &hosts(), after(0)).unwrap();
        let mut without = secret(&pairs);
        without.data.as_mut().unwrap().remove(CERTIFICATE_KEY);
        let (mended, why) = wanted(&without, "test", &hosts(), after(1)).unwrap();
        assert!(why.is_some() && mended.authority == pairs.authority);
        let mut without = secret(&pairs);
        without.data.as_mut().unwrap().remove(AUTHORITY_PRIVATE_KEY_KEY);
        let (mended, why) = wanted(&without, "test", &hosts(), after(1)).unwrap();
        assert!(why.is_some() && mended.authority != pairs.authority && mended.serving != pairs.serving);
    }

    #[test]
    fn an_old_authority_keeps_its_key() {
        let (pairs, _) = wanted(&Secret::default(), "test", &hosts(), after(0)).unwrap();
        let (renewed, why) = wanted(&secret(&pairs), "test", &hosts(), after(3400)).unwrap();
        assert_eq!(why, Some("the authority ends within a year"));
        assert_eq!(renewed.authority.private_key, pairs.authority.private_key);
    }
}
