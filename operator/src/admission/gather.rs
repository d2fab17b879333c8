//! What has to be looked up for a judgement. What cannot be read in time is left out, and never a reason to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use entente_core::client::grants::admits;
use entente_core::contract::review::{Kept, schemas};
use entente_core::resolve::Asker;
use entente_crds::ServiceContract;
use entente_crds::grant::Verb;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

use super::question::{Operation, Request};

/// How long one lookup may take.
const CALL: Duration = Duration::from_millis(700);
/// Most objects that are read for one question, and how many at once.
const MOST: usize = 64;
const AT_ONCE: usize = 4;
/// Most bytes of schemas that are held for one question.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Whether something is there could not be found out, for lack of time or of rights.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// The API server, as far as it is asked.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// A namespace, if it can be read.
    async fn namespace(&self, name: &str) -> Option<Namespace>;
    /// A ConfigMap, if there is one.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread>;
    /// A ServiceContract, if it can be read.
    async fn contract(&self, namespace: &str, name: &str) -> Option<ServiceContract>;
}

#[async_trait]
impl Lookup for Client {
    async fn namespace(&self, name: &str) -> Option<Namespace> {
        in_time(Api::<Namespace>::all(self.clone()).get_opt(name)).await?
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread> {
        in_time(Api::<ConfigMap>::namespaced(self.clone(), namespace).get_opt(name)).await.ok_or(Unread)
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

/// Names a version of a contract, in whichever kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct ContractRef {
    name: String,
    namespace: Option<String>,
    version: String,
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
            Ok(contract) => Around { kept: kept(lookup, &request.namespace, &contract).await, ..Around::default() },
            Err(_) => Around::default(),
        },
        ("subscriptions" | "clients", Operation::Create | Operation::Update) => {
            Around { bound: bound(lookup, request).await, ..Around::default() }
        }
        _ => Around::default(),
    }
}

/// The schemas that a contract keeps in ConfigMaps, as far as they can be read.
pub async fn kept(lookup: &dyn Lookup, namespace: &str, contract: &ServiceContract) -> Kept {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, key) in schemas::places(&contract.spec) {
        places.entry(name).or_default().push(key);
    }
    let mut read = stream::iter(places.into_iter().take(MOST))
        .map(async |(name, keys)| (lookup.config_map(namespace, &name).await, name, keys))
        .buffer_unordered(AT_ONCE);
    let (mut kept, mut bytes) = (Kept::new(), 0);
    while let Some((map, name, keys)) = read.next().await {
        let Ok(map) = map else { continue };
        let mut data = map.and_then(|map| map.data).unwrap_or_default();
        for key in keys {
            let text = data.remove(&key);
            bytes += text.as_ref().map_or(0, String::len);
            if bytes > MOST_BYTES {
                return kept;
            }
            kept.insert((name.clone(), key), text);
        }
    }
    kept
}

/// The contracts that an object binds to and did not bind to before.
async fn bound(lookup: &dyn Lookup, request: &Request) -> Vec<(ServiceContract, String)> {
    let before = references(&request.old_object);
    let fresh: Vec<ContractRef> = references(&request.object).difference(&before).take(MOST).cloned().collect();
    let mut found = Vec::new();
    let verb = if request.resource.resource == "clients" { Verb::Send } else { Verb::Receive };
    for ContractRef { name, namespace, version } in fresh {
        let owner = namespace.unwrap_or_else(|| request.namespace.clone());
        if let Some(contract) = lookup.contract(&owner, &name).await
            && is_granted(lookup, &contract, &owner, &request.namespace, verb).await
        {
            found.push((contract, version));
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

fn references(object: &Value) -> BTreeSet<ContractRef> {
    let own = &object["spec"]["contractRef"];
    let access = object["spec"]["access"].as_array().into_iter().flatten().map(|entry| &entry["contractRef"]);
    access.chain([own]).filter_map(|reference| ContractRef::deserialize(reference).ok()).collect()
}
