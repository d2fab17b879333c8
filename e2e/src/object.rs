//! Objects of every kind as tests make and judge them.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::wait::{holds, seconds, until};

/// A namespaced kind of ours.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// The objects of one kind in one namespace.
#[derive(Clone)]
pub struct Objects<K: Kind> {
    /// The API.
    pub api: Api<K>,
}

/// One condition of an object, by way of its JSON: the same for every kind.
pub fn condition<K: Kind>(object: &K, type_: &str) -> Option<Value> {
    let value = serde_json::to_value(object).ok()?;
    value["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_).cloned()
}

/// The status of an object as JSON; null where there is none.
pub fn status<K: Kind>(object: &K) -> Value {
    serde_json::to_value(object).map(|value| value["status"].clone()).unwrap_or_default()
}

fn is_current<K: Kind>(object: &K) -> bool {
    status(object)["observedGeneration"].as_i64() == object.meta().generation
}

/// Ready, as it is declared now and not as it was declared earlier.
pub fn is_ready<K: Kind>(object: &K) -> bool {
    is_current(object) && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

impl<K: Kind> Objects<K> {
    /// Those of a namespace.
    pub fn of(cluster: &Cluster, namespace: &str) -> Self {
        Self { api: Api::namespaced(cluster.client.clone(), namespace) }
    }

    /// Makes one.
    pub async fn create(&self, name: &str, spec: Value) -> Result<K> {
        let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec});
        let object: K = serde_json::from_value(object).context("the spec of the test itself is wrong")?;
        Ok(self.api.create(&PostParams::default(), &object).await?)
    }

    /// Makes one and waits until it is Ready.
    pub async fn create_ready(&self, name: &str, spec: Value) -> Result<K> {
        self.create(name, spec).await?;
        self.ready(name, seconds(30)).await
    }

    /// Changes one by a merge patch.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<K> {
        Ok(self.api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    /// Waits until one is Ready.
    pub async fn ready(&self, name: &str, limit: Duration) -> Result<K> {
        self.when(name, "is Ready", limit, is_ready).await
    }

    /// Waits until one is not Ready for this reason, and gives the message.
    pub async fn refused(&self, name: &str, reason: &str) -> Result<String> {
        let is = |object: &K| {
            let ready = condition(object, "Ready").unwrap_or_default();
            is_current(object) && ready["status"] == "False" && ready["reason"] == reason
        };
        let object = self.when(name, &format!("is not Ready: {reason}"), seconds(20), is).await?;
        Ok(condition(&object, "Ready").unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until one is as the test says.
    pub async fn when(&self, name: &str, what: &str, limit: Duration, is: impl Fn(&K) -> bool) -> Result<K> {
        let ask = async || {
            let object = self.api.get(name).await?;
            anyhow::ensure!(is(&object), "its status is {}", status(&object));
            Ok(Some(object))
        };
        Ok(until(&format!("{} {name} {what}", K::kind(&())), limit, ask).await?.0)
    }

    /// Deletes one without waiting.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until one is gone.
    pub async fn gone(&self, name: &str, limit: Duration) -> Result<Duration> {
        holds(&format!("{} {name} is gone", K::kind(&())), limit, async || Ok(self.api.get_opt(name).await?.is_none())).await
    }

    /// Names of all.
    pub async fn names(&self) -> Result<Vec<String>> {
        Ok(self.api.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
    }
}
