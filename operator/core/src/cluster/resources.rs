//! CPU and memory of a node.

use std::collections::BTreeMap;

use entente_crds::Broker;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::quantity;

/// What the container gets: as declared, or the documented default. The two are not mixed: who
/// declares requests alone wants no limit.
pub fn requirements(broker: &Broker) -> ResourceRequirements {
    broker.spec.resources.clone().unwrap_or_else(|| {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect()
        };
        ResourceRequirements {
            requests: Some(of(&[("cpu", "250m"), ("memory", "512Mi")])),
            limits: Some(of(&[("memory", "2Gi")])),
            claims: None,
        }
    })
}

/// The memory limit in bytes, if there is one.
pub fn memory_limit(broker: &Broker) -> Option<i128> {
    let requirements = requirements(broker);
    let limit = requirements.limits.as_ref()?.get("memory")?;
    quantity::units(&limit.0).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{broker, quantities};

    #[test]
    fn defaults_are_as_documented() {
        let main = broker("main", "messaging", |_| {});
        let requirements = requirements(&main);
        assert_eq!(requirements.requests, Some(quantities(&[("cpu", "250m"), ("memory", "512Mi")])));
        assert_eq!(memory_limit(&main), Some(2 << 30));
    }

    #[test]
    fn declared_resources_stand_alone() {
        let main = broker("main", "messaging", |spec| {
            let requests = Some(quantities(&[("cpu", "2")]));
            spec.resources = Some(ResourceRequirements { requests, ..ResourceRequirements::default() });
        });
        assert_eq!(requirements(&main).limits, None);
        assert_eq!(memory_limit(&main), None);
    }
}
