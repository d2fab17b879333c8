//! Growth of volumes.
//!
//! A `StatefulSet`'s claim template is fixed for life, so the claims themselves grow; the storage class
//! decides whether it can be done.

use entente_crds::Broker;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::{names, quantity};

/// Names of the data claims that are smaller than declared.
pub fn to_grow(broker: &Broker, claims: &[PersistentVolumeClaim]) -> Vec<String> {
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    let wanted = quantity::nanos(&broker.spec.storage.size);
    let own: Vec<String> = (0..broker.spec.replicas).map(|ordinal| names::volume_claim(name, ordinal)).collect();
    claims
        .iter()
        .filter(|claim| requested(claim) < wanted)
        .filter_map(|claim| claim.metadata.name.clone())
        .filter(|claim| own.contains(claim))
        .collect()
}

/// The patch that grows one claim.
pub fn patch(size: &str) -> Value {
    json!({"spec": {"resources": {"requests": {"storage": size}}}})
}

fn requested(claim: &PersistentVolumeClaim) -> Option<i128> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    quantity::nanos(&requests.get("storage")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;

    fn claim(name: &str, size: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"resources": {"requests": {"storage": size}}}
        }))
        .unwrap()
    }

    #[test]
    fn only_own_claims_that_are_too_small_grow() {
        let main = broker("main", "messaging", |spec| spec.storage.size = "20Gi".into());
        let claims = [
            claim("data-main-broker-0", "10Gi"),
            claim("data-main-broker-1", "20Gi"),
            claim("data-main-broker-2", "20480Mi"),
            claim("data-main-broker-3", "10Gi"),
            claim("data-other-broker-0", "1Gi"),
        ];
        assert_eq!(to_grow(&main, &claims), ["data-main-broker-0"]);
    }
}
