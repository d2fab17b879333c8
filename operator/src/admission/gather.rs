//! What has to be looked up for a judgement. What cannot be read in time is left out, and never a reason to refuse.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use entente_core::client::grants::admits;
use entente_core::contract::kept::{Kept, places};
use entente_core::contract::reference::Reference;
use entente_core::resolve::Asker;
use entente_crds::ServiceContract;
use entente_crds::grant::Verb;
use entente_crds::subscription::ContractRef;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

use super::question::{Operation, Request};
use crate::schemas::{ConfigMaps, Unread, Within, kept};

/// How long one lookup may take.
const CALL: Duration = Duration::from_millis(700);
/// Most contracts that are read for one question.
const MOST: usize = 64;

/// The API server, as far as it is asked.
#[async_trait]
pub trait Lookup: ConfigMaps + 'static {
    /// A namespace, if it can be read.
    async fn namespace(&self, name: &str) -> Option<Namespace>;
    /// A ServiceContract, if it can be read.
    async fn contract(&self, namespace: &str, name: &str) -> Option<ServiceContract>;
}

#[async_trait]
impl ConfigMaps for Client {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread> {
        Within(self.clone(), CALL).config_map(namespace, name).await
    }
}

#[async_trait]
impl Lookup for Client {
    async fn namespace(&self, name: &str) -> Option<Namespace> {
        in_time(Api::<Namespace>::all(self.clone()).get_opt(name)).await?
    }

    async fn contract(&self, namespace: &str, name: &str) -> Option<ServiceContract> {
        in_time(Api::<ServiceContract>::namespaced(self.clone(), namespace).get_opt(name)).await?
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Option<T> {
    tokio::time::timeout(CALL, call).await.ok()?.ok()
}

/// What was looked up.
#[derive(Debug, Default)]
pub struct Around {
    /// The schemas in ConfigMaps.
    pub kept: Kept,
    /// The object's namespace is on its way out, or that is not known.
    pub ending: bool,
    /// The versions of contracts that are newly bound to, as far as the asker may know of them.
    pub bound: Vec<(ServiceContract, String)>,
}

/// Looks up what a question needs.
pub async fn gather(lookup: &dyn Lookup, request: &Request) -> Around {
    match (request.resource.resource.as_str(), request.operation) {
        ("servicecontracts", Operation::Delete) => {
            let namespace = lookup.namespace(&request.namespace).await;
            Around {
                ending: namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()),
                ..Around::default()
            }
        }
        ("servicecontracts", _) => match ServiceContract::deserialize(&request.object) {
            Ok(contract) => {
                let kept = kept(lookup, &request.namespace, places(&contract.spec.versions)).await;
                Around { kept, ..Around::default() }
            }
            Err(_) => Around::default(),
        },
        ("subscriptions" | "clients", Operation::Create | Operation::Update) => {
            Around { bound: bound(lookup, request).await, ..Around::default() }
        }
        _ => Around::default(),
    }
}

/// The contracts that an object binds to and did not bind to before, each version once.
async fn bound(lookup: &dyn Lookup, request: &Request) -> Vec<(ServiceContract, String)> {
    let before = references(&request.old_object, &request.namespace);
    let fresh = references(&request.object, &request.namespace);
    let fresh: BTreeSet<_> = fresh.difference(&before).map(|to| (&to.namespace, &to.contract, &to.version)).collect();
    let mut found = Vec::new();
    let verb = if request.resource.resource == "clients" { Verb::Send } else { Verb::Receive };
    for (owner, name, version) in fresh.into_iter().take(MOST) {
        if let Some(contract) = lookup.contract(owner, name).await
            && is_granted(lookup, &contract, owner, &request.namespace, verb).await
        {
            found.push((contract, version.clone()));
        }
    }
    found
}

/// Whoever is not granted a contract is not told about it (invariant I3).
async fn is_granted(lookup: &dyn Lookup, contract: &ServiceContract, owner: &str, asker: &str, verb: Verb) -> bool {
    if owner == asker {
        return true;
    }
    let namespace = lookup.namespace(asker).await;
    let labels = namespace.as_ref().map(ResourceExt::labels);
    admits(&contract.spec.grants, owner, Asker { namespace: asker, labels }, verb)
}

fn references(object: &Value, own: &str) -> BTreeSet<Reference> {
    let access = object["spec"]["access"].as_array().into_iter().flatten().map(|entry| &entry["contractRef"]);
    let all = access.chain([&object["spec"]["contractRef"]]);
    all.filter_map(|reference| Some(Reference::of(&ContractRef::deserialize(reference).ok()?, own))).collect()
}
