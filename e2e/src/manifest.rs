//! YAML as people apply it: whatever kinds are in it, one object after another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, TypeMeta};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;

/// One object, as it is written.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Kind, such as `Topic`.
    pub kind: String,
    /// Namespace; none for what has none.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    object: DynamicObject,
    resource: ApiResource,
}

/// All objects of a directory in the order in which `kubectl apply -f` takes them: by file name, and not from directories in it.
pub fn read(directory: &Path) -> Result<Vec<Manifest>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut manifests = Vec::new();
    for file in files {
        manifests.extend(read_file(&file)?);
    }
    ensure!(!manifests.is_empty(), "there is no YAML in {}", directory.display());
    Ok(manifests)
}

/// All objects of one file.
pub fn read_file(file: &Path) -> Result<Vec<Manifest>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let documents = serde_yaml::Deserializer::from_str(&text).map(|document| Manifest::new(Value::deserialize(document)?));
    documents.collect::<Result<_>>().with_context(|| file.display().to_string())
}

impl Manifest {
    fn new(value: Value) -> Result<Self> {
        let object: DynamicObject = serde_json::from_value(value)?;
        let types = object.types.as_ref().context("an object without a kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let TypeMeta { kind, .. } = types.clone();
        let name = object.metadata.name.clone().context("an object without a name")?;
        Ok(Self { kind, namespace: object.metadata.namespace.clone(), name, object, resource })
    }

    fn api(&self, cluster: &Cluster) -> Api<DynamicObject> {
        let client = cluster.client.clone();
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }

    /// Applies it on the server's side.
    pub async fn apply(&self, cluster: &Cluster) -> Result<()> {
        let params = PatchParams::apply("entente-e2e").force();
        let applied = self.api(cluster).patch(&self.name, &params, &Patch::Apply(&self.object)).await;
        applied.with_context(|| format!("{self} could not be applied"))?;
        Ok(())
    }

    /// Deletes it without waiting.
    pub async fn delete(&self, cluster: &Cluster) -> Result<()> {
        self.api(cluster).delete(&self.name, &DeleteParams::default()).await.with_context(|| format!("{self}"))?;
        Ok(())
    }

    /// Whether there is no such object.
    pub async fn is_gone(&self, cluster: &Cluster) -> Result<bool> {
        match self.api(cluster).get_opt(&self.name).await? {
            None => Ok(true),
            Some(object) => anyhow::bail!("{self} is there: {}", object.data["status"]["conditions"]),
        }
    }

    /// Fails unless it is Ready, as it is declared now and not as it was declared earlier.
    pub async fn is_ready(&self, cluster: &Cluster) -> Result<()> {
        let object = self.api(cluster).get(&self.name).await?;
        let status = &object.data["status"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let current = status["observedGeneration"].as_i64() == object.metadata.generation;
        ensure!(ready && current, "{self}: {status}");
        Ok(())
    }
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name, .. } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_read() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let words: Vec<String> = read(&examples.join("orders-and-billing")).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(words[..3], ["Namespace orders", "Namespace billing", "Topic orders/orders"]);
        let jobs = read(&examples.join("orders-and-billing/jobs")).unwrap();
        // Aliases of YAML are followed.
        let containers = &jobs[0].object.data["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[4]["env"][0]["name"], "ENTENTE_BINDING");
        for folder in ["quickstart", "contract-evolution", "contract-evolution/steps"] {
            assert!(read(&examples.join(folder)).is_ok(), "{folder}");
        }
    }
}
