//! The `StatefulSet`: the nodes.

use std::collections::BTreeMap;

use entente_crds::Broker;
use entente_crds::meta::RESTART_ANNOTATION;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{self, Identity};
use super::{Inputs, meta, pod};

/// Builds the `StatefulSet`.
pub fn build(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> StatefulSet {
    StatefulSet {
        metadata: meta::owned(identity, names::stateful_set(identity.name)),
        spec: Some(StatefulSetSpec {
            replicas: Some(inputs.size),
            service_name: Some(names::headless_service(identity.name)),
            // After a loss of power every node waits for a majority: one after another, none would come.
            pod_management_policy: Some("Parallel".to_owned()),
            // The operator restarts nodes one by one, in an order that keeps the majority (`work`).
            update_strategy: Some(StatefulSetUpdateStrategy { type_: Some("OnDelete".to_owned()), rolling_update: None }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            selector: meta::label_selector(identity.name),
            template: pod::template(broker, identity, inputs),
            volume_claim_templates: Some(vec![claim(broker, identity, inputs)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Kubernetes refuses a `StatefulSet` whose claim template changed: the size that is there stays in
/// it, and claims grow on their own (`volumes`).
fn claim(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> PersistentVolumeClaim {
    let storage = &broker.spec.storage;
    let size = inputs.live_storage.unwrap_or(&storage.size);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA_VOLUME.to_owned()),
            // Without an owner: volumes outlive the Broker.
            labels: Some(meta::selector(identity.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size.to_owned()))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// How many nodes there are to be now: as many as declared, or those that are there, until what is too many is removed in order
/// (`work`). A node that looks for its peers must know of all of them.
pub fn size(broker: &Broker, live: Option<&StatefulSet>) -> i32 {
    let there = live.and_then(|set| set.spec.as_ref()?.replicas).unwrap_or(0);
    broker.spec.replicas.max(there)
}

/// The volume size in a `StatefulSet` that is there.
pub fn storage_of(live: &StatefulSet) -> Option<&str> {
    let requests = data_claim(live)?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|Quantity(size)| size.as_str())
}

/// The last restart that was asked for, in a `StatefulSet` that is there.
pub fn restart_of(live: &StatefulSet) -> Option<&str> {
    let annotations = live.spec.as_ref()?.template.metadata.as_ref()?.annotations.as_ref()?;
    annotations.get(RESTART_ANNOTATION).map(String::as_str)
}

/// The storage class in a `StatefulSet` that is there.
pub fn storage_class_of(live: &StatefulSet) -> Option<&str> {
    data_claim(live)?.storage_class_name.as_deref()
}

fn data_claim(live: &StatefulSet) -> Option<&PersistentVolumeClaimSpec> {
    let claims = live.spec.as_ref()?.volume_claim_templates.as_ref()?;
    claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(names::DATA_VOLUME))?.spec.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{broker, inputs};

    #[test]
    fn nodes_start_together_and_restart_by_hand() {
        let main = broker("main", "messaging", |spec| spec.replicas = 5);
        let spec = build(&main, names::identity(&main).unwrap(), &Inputs { size: 5, ..inputs() }).spec.unwrap();
        assert_eq!(spec.replicas, Some(5));
        assert_eq!(spec.pod_management_policy.as_deref(), Some("Parallel"));
        assert_eq!(spec.update_strategy.unwrap().type_.as_deref(), Some("OnDelete"));
        assert_eq!(spec.service_name.as_deref(), Some("main-nodes"));
        let selected = spec.selector.match_labels.unwrap();
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        assert!(selected.iter().all(|(key, value)| labels.get(key) == Some(value)));
    }

    /// Otherwise the nodes that are too many would be gone before their queues' members have moved.
    #[test]
    fn i1_a_smaller_number_takes_no_node_away_by_itself() {
        let of = |replicas| broker("main", "messaging", |spec| spec.replicas = replicas);
        let there = |size| build(&of(5), names::identity(&of(5)).unwrap(), &Inputs { size, ..inputs() });
        assert_eq!(size(&of(3), Some(&there(5))), 5);
        assert_eq!(size(&of(5), Some(&there(3))), 5);
        assert_eq!(size(&of(3), None), 3);
    }

    #[test]
    fn volumes_outlive_the_broker() {
        let main = broker("main", "messaging", |_| {});
        let set = build(&main, names::identity(&main).unwrap(), &inputs());
        let policy = set.spec.as_ref().unwrap().persistent_volume_claim_retention_policy.clone().unwrap();
        assert_eq!((policy.when_deleted.as_deref(), policy.when_scaled.as_deref()), (Some("Retain"), Some("Retain")));
        assert_eq!(storage_of(&set), Some("10Gi"));
        assert_eq!(storage_class_of(&set), None);
    }

    #[test]
    fn the_claim_template_keeps_its_size() {
        let main = broker("main", "messaging", |spec| spec.storage.size = "20Gi".into());
        let inputs = Inputs { live_storage: Some("10Gi"), ..inputs() };
        assert_eq!(storage_of(&build(&main, names::identity(&main).unwrap(), &inputs)), Some("10Gi"));
    }
}
