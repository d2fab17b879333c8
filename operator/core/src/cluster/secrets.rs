//! Secrets, from values made elsewhere: nothing here draws a random number.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::config::ADMIN_DIRECTORY;
use super::meta;
use super::names::{self, Identity};

/// Name of the operator's own user in the broker.
pub const ADMIN_USER: &str = "entente-operator";

/// A certificate and its private key, PEM both.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub private_key: String,
}

impl fmt::Debug for KeyPair {
    /// Without the key: what is debugged is logged (invariant I8).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The operator's own user.
///
/// RabbitMQ would take `default_user` at the very first start alone. The definitions are read at
/// each start: a node that starts with another Secret, or on volumes that an earlier Broker left,
/// sets the password of the whole cluster to this one.
pub fn admin(identity: Identity<'_>, password: &str) -> Secret {
    let definitions = json!({
        "users": [{"name": ADMIN_USER, "password": password, "tags": ["administrator"]}],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": ADMIN_USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    });
    let config = format!(
        "default_user = {ADMIN_USER}\ndefault_pass = {password}\nload_definitions = {ADMIN_DIRECTORY}/{}\n",
        names::DEFINITIONS_KEY
    );
    secret(
        identity,
        names::admin_secret(identity.name),
        [
            (names::USERNAME_KEY, ADMIN_USER.to_owned()),
            (names::PASSWORD_KEY, password.to_owned()),
            (names::ADMIN_CONFIG_KEY, config),
            (names::DEFINITIONS_KEY, definitions.to_string()),
        ],
    )
}

/// The Erlang cookie, which nodes prove to each other that they belong together by.
pub fn cookie(identity: Identity<'_>, cookie: &str) -> Secret {
    secret(identity, names::cookie_secret(identity.name), [(names::COOKIE_KEY, cookie.to_owned())])
}

/// The authority of this Broker.
pub fn authority(identity: Identity<'_>, authority: &KeyPair) -> Secret {
    secret(
        identity,
        names::ca_secret(identity.name),
        [
            (names::AUTHORITY_KEY, authority.certificate.clone()),
            (names::AUTHORITY_PRIVATE_KEY_KEY, authority.private_key.clone()),
        ],
    )
}

/// The certificate that nodes show, with the authority that signed it.
pub fn serving(identity: Identity<'_>, serving: &KeyPair, authority: &str) -> Secret {
    let mut secret = secret(
        identity,
        names::tls_secret(identity.name),
        [
            (names::CERTIFICATE_KEY, serving.certificate.clone()),
            (names::PRIVATE_KEY_KEY, serving.private_key.clone()),
            (names::AUTHORITY_KEY, authority.to_owned()),
        ],
    );
    secret.type_ = Some("kubernetes.io/tls".to_owned());
    secret
}

/// The text under a key, if there is one.
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
}

fn secret<const N: usize>(identity: Identity<'_>, name: String, entries: [(&str, String); N]) -> Secret {
    let data: BTreeMap<String, ByteString> =
        entries.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect();
    Secret { metadata: meta::owned(identity, name), data: Some(data), type_: Some("Opaque".to_owned()), ..Secret::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Identity<'static> = Identity { name: "main", namespace: "messaging", uid: "1" };

    #[test]
    fn the_password_is_set_at_each_start() {
        let secret = admin(MAIN, "s3cret");
        let config = text(&secret, names::ADMIN_CONFIG_KEY).unwrap();
        assert!(config.contains("default_pass = s3cret\n"));
        assert!(config.contains("load_definitions = /etc/entente/admin/definitions.json\n"));
        let definitions: serde_json::Value = serde_json::from_str(&text(&secret, names::DEFINITIONS_KEY).unwrap()).unwrap();
        assert_eq!(definitions["users"][0]["password"], "s3cret");
        assert_eq!(definitions["permissions"][0]["vhost"], "/");
    }

    #[test]
    fn the_authority_key_is_in_its_own_secret_alone() {
        let pair = |name: &str| KeyPair { certificate: format!("{name} cert"), private_key: format!("{name} key") };
        let serving = serving(MAIN, &pair("server"), "ca cert");
        assert_eq!(text(&serving, "ca.crt").as_deref(), Some("ca cert"));
        assert!(serving.data.unwrap().values().all(|value| value.0 != b"ca key"));
        assert_eq!(text(&authority(MAIN, &pair("ca")), "ca.key").as_deref(), Some("ca key"));
    }

    #[test]
    fn a_key_is_not_debugged() {
        let pair = KeyPair { certificate: "cert".into(), private_key: "top secret".into() };
        assert!(!format!("{pair:?}").contains("top secret"));
    }
}
