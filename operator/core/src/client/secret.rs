//! A Client's Secret: what a workload needs to connect, and the record of its rotation.
//!
//! The form is that of servicebinding.io (`type`, `provider`, and its well-known entries), plus what AMQP 1.0 needs.

use std::collections::BTreeMap;

use entente_crds::meta::{
    CLIENT_LABEL, CREDENTIALS_ANNOTATION, MANAGER, PREVIOUS_USER_ANNOTATION, ROTATE_ANNOTATION, ROTATED_AT_ANNOTATION,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha2::{Digest, Sha256};

use super::identity::serial_of;
use super::password::Password;
use crate::subset::short_hex;

/// Kind of service, for tools that bind by it.
pub const TYPE: &str = "amqp10";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name.
    pub host: String,
    /// Port of AMQP.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Authority of the server's certificate, PEM.
    pub ca: Option<String>,
}

/// What the Secret says of its own making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The user.
    pub username: String,
    /// Its serial.
    pub serial: u64,
    /// Its password.
    pub password: Password,
    /// When it was made; `None` where that is not a time.
    pub rotated_at: Option<Timestamp>,
    /// The request that it was made for.
    pub request: Option<String>,
    /// The user before.
    pub previous: Option<String>,
}

/// The Client that a Secret belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid: what ownership is proven by.
    pub uid: &'a str,
}

/// Whether a Secret is this Client's own (invariant I2).
pub fn is_owned(metadata: &ObjectMeta, owner: Owner<'_>) -> bool {
    metadata.owner_references.iter().flatten().any(|reference| reference.uid == owner.uid && reference.kind == "Client")
}

/// Reads the record of an own Secret. `None` if credentials were changed by hand: they are then not to be relied on.
pub fn record(secret: &Secret, owner: Owner<'_>) -> Option<Record> {
    let text = |key: &str| {
        let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
        String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
    };
    let annotation = |key: &str| secret.metadata.annotations.as_ref()?.get(key).cloned();
    let (username, password) = (text(USERNAME)?, Password::new(text(PASSWORD)?));
    let serial = serial_of(owner.namespace, owner.name, &username)?;
    if annotation(CREDENTIALS_ANNOTATION)? != digest(&username, &password) {
        return None;
    }
    Some(Record {
        serial,
        rotated_at: annotation(ROTATED_AT_ANNOTATION).and_then(|text| text.parse().ok()),
        request: annotation(ROTATE_ANNOTATION),
        previous: annotation(PREVIOUS_USER_ANNOTATION),
        username,
        password,
    })
}

/// The password has more than 230 bits, so that a digest tells nobody anything of it.
fn digest(username: &str, password: &Password) -> String {
    let mut hash = Sha256::new();
    hash.update(b"entente client credentials\0");
    hash.update(username.as_bytes());
    hash.update([0]);
    hash.update(password.reveal().as_bytes());
    short_hex(&hash.finalize())
}

/// The whole Secret.
pub fn secret(
    owner: Owner<'_>,
    name: &str,
    record: &Record,
    endpoint: &Endpoint,
    virtual_host: &str,
    addresses: &BTreeMap<String, String>,
) -> Secret {
    let Record { username, serial: _, password, rotated_at, request, previous } = record;
    let Endpoint { host, port, tls, ca } = endpoint;
    let scheme = if *tls { "amqps" } else { "amqp" };
    let hostname = format!("vhost:{virtual_host}");
    let mut data: BTreeMap<String, String> = [
        ("type", TYPE.to_owned()),
        ("provider", MANAGER.to_owned()),
        ("host", host.clone()),
        ("port", port.to_string()),
        (USERNAME, username.clone()),
        (PASSWORD, password.reveal().to_owned()),
        ("virtual-host", virtual_host.to_owned()),
        ("hostname", hostname.clone()),
        // Nothing in it needs percent-encoding: names are DNS labels with dots, the password is letters and digits.
        ("uri", format!("{scheme}://{username}:{}@{host}:{port}/?hostname={hostname}", password.reveal())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    data.extend(ca.iter().map(|ca| ("ca.crt".to_owned(), ca.clone())));
    data.extend(addresses.clone());
    let mut annotations = BTreeMap::from([(CREDENTIALS_ANNOTATION.to_owned(), digest(username, password))]);
    annotations.extend(rotated_at.map(|at| (ROTATED_AT_ANNOTATION.to_owned(), at.to_string())));
    annotations.extend(request.iter().map(|text| (ROTATE_ANNOTATION.to_owned(), text.clone())));
    annotations.extend(previous.iter().map(|user| (PREVIOUS_USER_ANNOTATION.to_owned(), user.clone())));
    let labels = [("app.kubernetes.io/managed-by", MANAGER), (CLIENT_LABEL, owner.name)];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(owner.namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "entente.dev/v1alpha1".to_owned(),
                kind: "Client".to_owned(),
                name: owner.name.to_owned(),
                uid: owner.uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        type_: Some(format!("servicebinding.io/{TYPE}")),
        data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()),
        ..Secret::default()
    }
}

/// Whether a stored Secret says all that is wanted, and no more in what is ours.
pub fn is_as_wanted(stored: &Secret, wanted: &Secret) -> bool {
    let ours = [CREDENTIALS_ANNOTATION, ROTATED_AT_ANNOTATION, ROTATE_ANNOTATION, PREVIOUS_USER_ANNOTATION];
    let annotation = |secret: &Secret, key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key).cloned());
    let labels = wanted.metadata.labels.iter().flatten();
    stored.data == wanted.data
        && ours.iter().all(|key| annotation(stored, key) == annotation(wanted, key))
        && labels.into_iter().all(|(key, value)| stored.metadata.labels.as_ref().is_some_and(|all| all.get(key) == Some(value)))
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
