//! The `ConfigMap`: RabbitMQ's configuration and the number of nodes.

use std::collections::BTreeMap;

use entente_crds::Broker;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::names::{self, Identity};
use super::{Inputs, channels, config, meta};
use crate::subset;

/// Builds the `ConfigMap`.
pub fn build(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> ConfigMap {
    let data = BTreeMap::from([
        (names::CONFIG_KEY.to_owned(), config::text(broker, identity, inputs)),
        (names::ADVANCED_CONFIG_KEY.to_owned(), config::advanced(broker)),
        (names::PLUGINS_KEY.to_owned(), channels::enabled_plugins(broker.spec.channels)),
        (names::REPLICAS_KEY.to_owned(), inputs.size.to_string()),
    ]);
    ConfigMap { metadata: meta::owned(identity, names::config_map(identity.name)), data: Some(data), ..ConfigMap::default() }
}

/// Hash of what running nodes cannot take up without a restart.
///
/// Left out, on purpose: the number of nodes (a node reads it when it starts; growing must not
/// restart the others) and certificates (RabbitMQ reads the files again for new connections).
pub fn restart_hash(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> String {
    subset::digest(&json!([
        config::text(broker, identity, inputs),
        config::advanced(broker),
        channels::enabled_plugins(broker.spec.channels)
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{broker, inputs};
    use entente_crds::BrokerSpec;
    use entente_crds::text::DurationText;

    fn hash(change: impl FnOnce(&mut BrokerSpec)) -> String {
        let main = broker("main", "messaging", change);
        restart_hash(&main, names::identity(&main).unwrap(), &inputs())
    }

    #[test]
    fn growing_restarts_nobody() {
        assert_eq!(hash(|_| {}), hash(|spec| spec.replicas = 5));
        let main = broker("main", "messaging", |spec| spec.replicas = 5);
        let map = build(&main, names::identity(&main).unwrap(), &Inputs { size: 5, ..inputs() });
        assert_eq!(map.data.unwrap()[names::REPLICAS_KEY], "5");
    }

    /// A new operator that writes something else restarts every Broker: for a reason, and not by the way.
    #[test]
    fn the_defaults_are_written_as_ever() {
        let main = broker("main", "messaging", |_| {});
        assert_eq!(config::advanced(&main), "[{kernel, [{net_ticktime, 15}]},\n {rabbit, [{quorum_tick_interval, 1000}]}].\n");
    }

    #[test]
    fn another_configuration_restarts() {
        assert_ne!(hash(|_| {}), hash(|spec| spec.channels.mqtt = true));
        assert_ne!(hash(|_| {}), hash(|spec| spec.quorum_tick_interval = Some(DurationText("5s".into()))));
        assert_ne!(hash(|_| {}), hash(|spec| spec.additional_config = Some("heartbeat = 10".into())));
    }
}
