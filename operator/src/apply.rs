//! Writing an object, only when it differs, and never one of somebody else.

use std::fmt::Debug;

use entente_core::cluster::meta;
use entente_core::cluster::names::Identity;
use entente_core::subset;
use entente_crds::meta::MANAGER;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Annotation with the digest of what was applied last. [`subset`] does not see what is *no longer*
/// desired, such as a removed port; this does.
pub const APPLIED_ANNOTATION: &str = "entente.dev/applied";

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing: everything was there.
    Unchanged,
    /// The object was made.
    Created,
    /// The object was changed; the first field that differed.
    Changed(String),
}

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is somebody else's (invariant I2).
    #[error(
        "the {kind} {namespace}/{name} exists and is not this Broker's; remove or rename it, or create a Broker of another name"
    )]
    Foreign {
        /// Kind of the object.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server refused or did not answer.
    #[error("the {kind} {name} cannot be {verb}: {source}")]
    Api {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The object cannot be written down.
    #[error("the {kind} cannot be serialised: {source}")]
    Serialise {
        /// Kind of the object.
        kind: String,
        /// Why not.
        source: serde_json::Error,
    },
}

/// What an object of a Broker must be able to do.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

/// Reads an object that is to be this Broker's own: `None` if there is none, an error if it is somebody else's.
pub async fn read_own<K: Object>(client: &Client, owner: Identity<'_>, name: &str) -> Result<Option<K>, ApplyError> {
    let api: Api<K> = Api::namespaced(client.clone(), owner.namespace);
    let live = api.get_opt(name).await.map_err(|source| api_error::<K>(name, "read", source))?;
    match live {
        Some(live) if !meta::is_owned(live.meta(), owner) => Err(foreign::<K>(owner, name)),
        live => Ok(live),
    }
}

/// Brings one object to what is desired, and returns it as it is then stored.
pub async fn apply<K: Object>(client: &Client, owner: Identity<'_>, desired: &K) -> Result<(Applied, K), ApplyError> {
    let name = desired.name_any();
    let unmarked = serialise(desired)?;
    let mut wanted = unmarked.clone();
    mark(&mut wanted);
    let live = read_own::<K>(client, owner, &name).await?;
    let done = match &live {
        None => Applied::Created,
        // What is being deleted comes back when it is gone.
        Some(live) if live.meta().deletion_timestamp.is_some() => return Ok((Applied::Unchanged, live.clone())),
        Some(live) => {
            let stored = serialise(live)?;
            // The digest would always be the first to differ, and says nothing to people.
            match subset::difference(&unmarked, &stored).or_else(|| subset::difference(&wanted, &stored)) {
                None => return Ok((Applied::Unchanged, live.clone())),
                Some(path) => Applied::Changed(path),
            }
        }
    };
    if let Some(uid) = live.as_ref().and_then(ResourceExt::uid) {
        // The API server refuses if the name has come to mean another object since it was read.
        wanted["metadata"]["uid"] = Value::String(uid);
    }
    let api: Api<K> = Api::namespaced(client.clone(), owner.namespace);
    let params = PatchParams::apply(MANAGER).force();
    let stored =
        api.patch(&name, &params, &Patch::Apply(&wanted)).await.map_err(|source| api_error::<K>(&name, "applied", source))?;
    log::<K>(owner, &name, &done);
    Ok((done, stored))
}

/// Makes an object that must not exist yet. Unlike an apply, it cannot take over one that somebody
/// makes at the same moment: that is what Secrets need.
pub async fn create<K: Object>(client: &Client, owner: Identity<'_>, desired: &K) -> Result<K, ApplyError> {
    let name = desired.name_any();
    let api: Api<K> = Api::namespaced(client.clone(), owner.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let stored = api.create(&params, desired).await.map_err(|source| api_error::<K>(&name, "created", source))?;
    log::<K>(owner, &name, &Applied::Created);
    Ok(stored)
}

fn log<K: Object>(owner: Identity<'_>, name: &str, done: &Applied) {
    let (namespace, broker) = (owner.namespace, owner.name);
    // A path names a field and never its value: Secrets pass here too (invariant I8).
    tracing::info!(kind = %K::kind(&()), namespace, name, broker, ?done, "object written");
}

fn serialise<K: Object>(object: &K) -> Result<Value, ApplyError> {
    serde_json::to_value(object).map_err(|source| ApplyError::Serialise { kind: K::kind(&()).into_owned(), source })
}

/// Notes in the object what it was applied as.
fn mark(wanted: &mut Value) {
    let digest = subset::digest(wanted);
    let metadata = &mut wanted["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = Value::Object(serde_json::Map::new());
    }
    metadata["annotations"][APPLIED_ANNOTATION] = Value::String(digest);
}

fn api_error<K: Object>(name: &str, verb: &'static str, source: kube::Error) -> ApplyError {
    ApplyError::Api { kind: K::kind(&()).into_owned(), name: name.to_owned(), verb, source: Box::new(source) }
}

fn foreign<K: Object>(owner: Identity<'_>, name: &str) -> ApplyError {
    ApplyError::Foreign { kind: K::kind(&()).into_owned(), namespace: owner.namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
