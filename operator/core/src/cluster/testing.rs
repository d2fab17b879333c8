//! Brokers for tests.

use std::collections::BTreeMap;

use entente_crds::{Broker, BrokerSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Inputs;

/// A Broker as the API server stores it: defaults filled in, then changed.
pub fn broker(name: &str, namespace: &str, change: impl FnOnce(&mut BrokerSpec)) -> Broker {
    let mut spec: BrokerSpec = serde_json::from_str("{}").unwrap();
    change(&mut spec);
    let mut broker = Broker::new(name, spec);
    broker.metadata.namespace = Some(namespace.to_owned());
    broker.metadata.uid = Some("00000000-0000-0000-0000-00000000beef".to_owned());
    broker.metadata.generation = Some(1);
    broker
}

/// What an installation with default values brings.
pub fn inputs() -> Inputs<'static> {
    Inputs {
        size: 3,
        image: "localhost/entente-broker:dev",
        cluster_domain: "cluster.local",
        operator_namespace: "entente-system",
        credentials: None,
        live_storage: None,
        live_restart: None,
    }
}

/// Named quantities.
pub fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect()
}
