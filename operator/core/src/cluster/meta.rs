//! Metadata that every object of a Broker has: labels and the proof of ownership.

use std::collections::BTreeMap;

use entente_crds::Broker;
use entente_crds::meta::{BROKER_LABEL, MANAGER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;

use super::names::Identity;

/// Value of `app.kubernetes.io/name`.
pub const APPLICATION: &str = "entente-broker";
/// Label that says what an object is part of.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Label that says which tool keeps an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Metadata of an object that belongs to a Broker and goes with it.
pub fn owned(broker: Identity<'_>, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(broker.namespace.to_owned()),
        labels: Some(labels(broker.name)),
        owner_references: Some(vec![owner(broker)]),
        ..ObjectMeta::default()
    }
}

/// The Broker as the controlling owner.
pub fn owner(broker: Identity<'_>) -> OwnerReference {
    OwnerReference {
        api_version: Broker::api_version(&()).into_owned(),
        kind: Broker::kind(&()).into_owned(),
        name: broker.name.to_owned(),
        uid: broker.uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels of every object of a Broker.
pub fn labels(broker: &str) -> BTreeMap<String, String> {
    let mut labels = selector(broker);
    labels.insert("app.kubernetes.io/instance".to_owned(), broker.to_owned());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    labels
}

/// Labels that select the pods of a Broker. A `StatefulSet` takes no other ones later, so they are few.
pub fn selector(broker: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME_LABEL.to_owned(), APPLICATION.to_owned()), (BROKER_LABEL.to_owned(), broker.to_owned())])
}

/// [`selector`] as the API wants it in most places.
pub fn label_selector(broker: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(broker)), match_expressions: None }
}

/// [`selector`] as a list request takes it.
pub fn selector_text(broker: &str) -> String {
    let pairs: Vec<String> = selector(broker).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// Whether an object is this very Broker's: by uid, since a name can come back (invariant I2).
pub fn is_owned(metadata: &ObjectMeta, broker: Identity<'_>) -> bool {
    metadata.owner_references.iter().flatten().any(|reference| reference.uid == broker.uid && reference.controller == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Identity<'static> = Identity { name: "main", namespace: "messaging", uid: "1" };

    #[test]
    fn ownership_is_by_uid() {
        let metadata = owned(MAIN, "main-broker".into());
        assert!(is_owned(&metadata, MAIN));
        assert!(!is_owned(&metadata, Identity { uid: "2", ..MAIN }), "a Broker that was deleted and made again");
        assert!(!is_owned(&ObjectMeta::default(), MAIN));
    }

    #[test]
    fn a_mere_mention_is_no_ownership() {
        let mut metadata = owned(MAIN, "main-broker".into());
        for reference in metadata.owner_references.iter_mut().flatten() {
            reference.controller = None;
        }
        assert!(!is_owned(&metadata, MAIN));
    }

    #[test]
    fn pods_are_selected_by_labels_they_have() {
        let all = labels("main");
        assert!(selector("main").iter().all(|(key, value)| all.get(key) == Some(value)));
        assert_eq!(selector_text("main"), "app.kubernetes.io/name=entente-broker,entente.dev/broker=main");
    }
}
