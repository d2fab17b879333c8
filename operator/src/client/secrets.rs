//! The Secrets of Clients in the API server: read by name alone, never listed, never watched, never kept.

use std::collections::BTreeMap;

use entente_core::client::secret::{Owner, is_as_wanted, is_owned};
use entente_crds::meta::{CREDENTIALS_ANNOTATION, MANAGER, PREVIOUS_USER_ANNOTATION, ROTATE_ANNOTATION, ROTATED_AT_ANNOTATION};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};

use crate::metrics::Kind;
use crate::objects::Shared;

/// A Secret under the name that a Client wants.
pub enum Stored {
    /// There is none.
    Absent,
    /// It is this Client's.
    Own(Box<Secret>),
    /// It is somebody else's, and left alone (invariant I2).
    Foreign,
}

fn api(shared: &Shared, namespace: &str) -> Api<Secret> {
    Api::namespaced(shared.client.clone(), namespace)
}

/// Reads.
pub async fn read(shared: &Shared, owner: Owner<'_>, name: &str) -> Result<Stored, kube::Error> {
    let found = api(shared, owner.namespace).get_opt(name).await?;
    Ok(match found {
        None => Stored::Absent,
        Some(secret) if is_owned(&secret.metadata, owner) => Stored::Own(Box::new(secret)),
        Some(_) => Stored::Foreign,
    })
}

/// Makes the Secret as wanted, if anything differs. Fails where it is no longer the one that was read.
pub async fn write(shared: &Shared, stored: Option<&Secret>, wanted: &Secret) -> Result<(), kube::Error> {
    if stored.is_some_and(|stored| is_as_wanted(stored, wanted)) {
        return Ok(());
    }
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    let _pass = shared.lanes.enter(&namespace).await;
    shared.metrics.api_writes.get_or_create(&Kind { kind: "Secret" }).inc();
    let secrets = api(shared, &namespace);
    match stored {
        // A create, and not an apply: it cannot take over one that somebody makes at the same moment.
        None => {
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            secrets.create(&params, wanted).await?;
        }
        Some(stored) => {
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            secrets.patch(&name, &params, &Patch::Merge(changes(stored, wanted)?)).await?;
        }
    }
    tracing::info!(kind = "Secret", namespace, name, "object written");
    Ok(())
}

/// A merge patch that removes what is no longer wanted, provided that the Secret is still the one that was read.
fn changes(stored: &Secret, wanted: &Secret) -> Result<Value, kube::Error> {
    let value = |secret: &Secret| serde_json::to_value(&secret.data).map_err(kube::Error::SerdeError);
    let mut data: Map<String, Value> =
        stored.data.iter().flat_map(BTreeMap::keys).map(|key| (key.clone(), Value::Null)).collect();
    if let Value::Object(wanted) = value(wanted)? {
        data.extend(wanted);
    }
    let ours = [CREDENTIALS_ANNOTATION, ROTATED_AT_ANNOTATION, ROTATE_ANNOTATION, PREVIOUS_USER_ANNOTATION];
    let annotation = |key: &str| wanted.metadata.annotations.as_ref().and_then(|all| all.get(key).cloned());
    let annotations: Map<String, Value> =
        ours.iter().map(|key| ((*key).to_owned(), annotation(key).map_or(Value::Null, Value::String))).collect();
    Ok(json!({
        "metadata": {
            "uid": stored.metadata.uid,
            "resourceVersion": stored.metadata.resource_version,
            "labels": wanted.metadata.labels,
            "annotations": annotations,
        },
        "data": data,
    }))
}

/// Deletes an own Secret that is no longer wanted.
pub async fn delete(shared: &Shared, stored: &Secret) -> Result<(), kube::Error> {
    let (namespace, name) = (stored.namespace().unwrap_or_default(), stored.name_any());
    let preconditions = Preconditions { uid: stored.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let _pass = shared.lanes.enter(&namespace).await;
    shared.metrics.api_writes.get_or_create(&Kind { kind: "Secret" }).inc();
    match api(shared, &namespace).delete(&name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use entente_core::client::password::Password;
    use entente_core::client::secret::{Endpoint, Record, secret};

    use super::*;

    const OWNER: Owner<'static> = Owner { namespace: "shop", name: "web", uid: "u1" };

    fn wanted(previous: Option<&str>, addresses: &[&str]) -> Secret {
        let record = Record {
            username: "shop.web.1".into(),
            serial: 1,
            password: Password::new("x".into()),
            rotated_at: None,
            request: None,
            previous: previous.map(str::to_owned),
        };
        let endpoint = Endpoint { host: "h".into(), port: 5671, tls: true, ca: None };
        let addresses = addresses.iter().map(|key| (format!("address.{key}"), "a".to_owned())).collect();
        secret(OWNER, "web-binding", &record, &endpoint, "shop", &addresses)
    }

    #[test]
    fn a_change_removes_what_is_no_longer_wanted() {
        let mut stored = wanted(Some("shop.web.0"), &["a", "b"]);
        stored.metadata.uid = Some("s1".into());
        stored.metadata.resource_version = Some("7".into());
        let patch = changes(&stored, &wanted(None, &["a"])).unwrap();
        assert_eq!(patch["data"]["address.b"], Value::Null);
        assert!(patch["data"].as_object().unwrap().contains_key("address.b"));
        assert!(patch["data"]["address.a"].is_string());
        assert_eq!(patch["metadata"]["annotations"][PREVIOUS_USER_ANNOTATION], Value::Null);
        assert_eq!(patch["metadata"]["uid"], "s1");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
    }
}
