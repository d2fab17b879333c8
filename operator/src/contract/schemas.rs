//! Schemas: read where they are, and compared once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use entente_core::contract::ranks::{Due, assessments, due};
use entente_core::contract::schemas::{Assessment, ConfigMaps, sha256};
use entente_crds::ServiceContract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};

use crate::objects::Shared;

/// Comparisons that were made, by the contract's uid: a version that is refused would else be compared anew at each visit.
#[derive(Debug, Default)]
pub struct Assessed(Mutex<HashMap<String, Known>>);

/// What was compared, and what came of it.
type Known = (String, BTreeMap<String, Assessment>);

impl Assessed {
    /// Forgets a contract that is gone.
    pub fn forget(&self, contract: &ServiceContract) {
        self.known().remove(&contract.uid().unwrap_or_default());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the versions that are to be offered. Nothing is read or compared where none is.
    pub async fn of(&self, shared: &Shared, contract: &ServiceContract) -> BTreeMap<String, Assessment> {
        let recorded = contract.status.as_ref().map(|status| status.versions.clone()).unwrap_or_default();
        let keys: BTreeSet<(String, String)> = due(&contract.spec, &recorded).iter().flat_map(Due::references).collect();
        let waiting: Vec<String> = due(&contract.spec, &recorded).iter().map(|due| due.version.name.clone()).collect();
        if waiting.is_empty() {
            return BTreeMap::new();
        }
        let maps = read(shared, &contract.namespace().unwrap_or_default(), keys).await;
        let states: Vec<_> = recorded.iter().map(|known| (&known.name, known.state)).collect();
        let what = sha256(&format!("{:?} {states:?} {maps:?} {waiting:?}", contract.spec));
        let uid = contract.uid().unwrap_or_default();
        if let Some((known, found)) = self.known().get(&uid)
            && *known == what
        {
            return found.clone();
        }
        // Schemas of many versions take hundreds of milliseconds, in which other visits go on.
        let spec = contract.spec.clone();
        let work = tokio::task::spawn_blocking(move || assessments(&spec, &due(&spec, &recorded), &maps));
        let Ok(found) = work.await else { return BTreeMap::new() };
        self.known().insert(uid, (what, found.clone()));
        found
    }
}

/// Reads keys of ConfigMaps, of the contract's own namespace alone (invariant I3).
async fn read(shared: &Shared, namespace: &str, keys: BTreeSet<(String, String)>) -> ConfigMaps {
    let api: Api<ConfigMap> = Api::namespaced(shared.client.clone(), namespace);
    let mut read: HashMap<String, Result<Option<ConfigMap>, String>> = HashMap::new();
    let mut maps = ConfigMaps::new();
    for (name, key) in keys {
        if !read.contains_key(&name) {
            read.insert(name.clone(), api.get_opt(&name).await.map_err(|error| error.to_string()));
        }
        let text = match read.get(&name) {
            Some(Ok(Some(map))) => text(map, &key).ok_or_else(|| "it has no such key with a text".to_owned()),
            Some(Ok(None)) | None => Err("the ConfigMap does not exist".to_owned()),
            Some(Err(error)) => Err(format!("it could not be read: {error}")),
        };
        maps.insert((name, key), text);
    }
    maps
}

fn text(map: &ConfigMap, key: &str) -> Option<String> {
    let plain = map.data.as_ref().and_then(|data| data.get(key)).cloned();
    plain.or_else(|| map.binary_data.as_ref()?.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_text_under_its_key() {
        let map: ConfigMap =
            serde_json::from_value(serde_json::json!({"data": {"a": "x"}, "binaryData": {"b": "eQ==", "c": "/w=="}})).unwrap();
        assert_eq!(text(&map, "a").as_deref(), Some("x"));
        assert_eq!(text(&map, "b").as_deref(), Some("y"));
        assert_eq!((text(&map, "c"), text(&map, "d")), (None, None));
    }
}
