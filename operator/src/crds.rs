//! Brings the cluster's CustomResourceDefinitions to this version.
//!
//! Helm installs the files of a chart's `crds/` once and never upgrades them; the chart runs this before
//! each install and upgrade.

use std::time::Duration;

use anyhow::{Context, bail};
use entente_crds::meta::MANAGER;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::conditions;
use kube::{Api, Client, ResourceExt};

const SERVED_WITHIN: Duration = Duration::from_secs(30);

/// Applies each definition and waits until it is served. Fails with the API server's words.
pub async fn apply(client: Client) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    for definition in entente_crds::all() {
        let name = definition.name_any();
        // Forced: these fields are ours, whoever (Helm, kubectl) wrote them first.
        api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&definition))
            .await
            .with_context(|| format!("the CustomResourceDefinition {name} cannot be applied"))?;
        wait(&api, &name).await?;
        tracing::info!(name, "applied");
    }
    Ok(())
}

async fn wait(api: &Api<CustomResourceDefinition>, name: &str) -> anyhow::Result<()> {
    // Only `get` is granted by name; a watch would need a right on all definitions.
    let established = async {
        loop {
            let definition = api.get(name).await?;
            if kube::runtime::wait::Condition::matches_object(&conditions::is_crd_established(), Some(&definition)) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    match tokio::time::timeout(SERVED_WITHIN, established).await {
        Ok(done) => done,
        Err(_) => bail!("the CustomResourceDefinition {name} is not served after {} s", SERVED_WITHIN.as_secs()),
    }
}

/// Writes all definitions as YAML documents. Fails only where one cannot be serialised.
pub fn yaml() -> anyhow::Result<String> {
    entente_crds::all().iter().map(|definition| Ok(format!("---\n{}", serde_json::to_string_pretty(definition)?))).collect()
}
