//! What a Broker listens on, and the plugins that do so.

use entente_crds::Broker;
use entente_crds::broker::Channels;

use super::names::{self, ports};

/// One port that clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name of the port: at most 15 characters.
    pub name: &'static str,
    /// Number of the port.
    pub port: i32,
}

/// Ports that clients connect to, AMQP first.
pub fn client_listeners(broker: &Broker) -> Vec<Listener> {
    let Channels { mqtt, stomp, web_sockets, streams } = broker.spec.channels;
    let tls = names::uses_tls(broker);
    let pick = |plain: (&'static str, i32), secure: (&'static str, i32)| {
        let (name, port) = if tls { secure } else { plain };
        Listener { name, port }
    };
    let mut listeners = vec![pick(("amqp", ports::AMQP), ("amqps", ports::AMQPS))];
    if mqtt {
        listeners.push(pick(("mqtt", ports::MQTT), ("mqtts", ports::MQTTS)));
    }
    if stomp {
        listeners.push(pick(("stomp", ports::STOMP), ("stomps", ports::STOMPS)));
    }
    if mqtt && web_sockets {
        listeners.push(pick(("web-mqtt", ports::WEB_MQTT), ("web-mqtt-tls", ports::WEB_MQTT_TLS)));
    }
    if stomp && web_sockets {
        listeners.push(pick(("web-stomp", ports::WEB_STOMP), ("web-stomp-tls", ports::WEB_STOMP_TLS)));
    }
    if streams {
        listeners.push(pick(("stream", ports::STREAM), ("stream-tls", ports::STREAM_TLS)));
    }
    listeners
}

/// Ports of the HTTP API and of the metrics.
pub fn operational_listeners(broker: &Broker) -> [Listener; 2] {
    [
        Listener { name: "management", port: names::management_port(broker) },
        Listener { name: "prometheus", port: names::prometheus_port(broker) },
    ]
}

/// Ports that only nodes of one Broker use among themselves.
pub const INTERNAL_LISTENERS: [Listener; 2] =
    [Listener { name: "epmd", port: ports::EPMD }, Listener { name: "distribution", port: ports::DISTRIBUTION }];

/// Plugins of RabbitMQ, as `enabled_plugins` has them.
pub fn enabled_plugins(channels: Channels) -> String {
    let Channels { mqtt, stomp, web_sockets, streams } = channels;
    let mut plugins = vec![
        "rabbitmq_management",
        "rabbitmq_prometheus",
        "rabbitmq_event_exchange",
        "rabbitmq_sql_exchange",
        "rabbitmq_consistent_hash_exchange",
        "rabbitmq_entente_nodes",
    ];
    let optional = [
        (mqtt, "rabbitmq_mqtt"),
        (stomp, "rabbitmq_stomp"),
        (mqtt && web_sockets, "rabbitmq_web_mqtt"),
        (stomp && web_sockets, "rabbitmq_web_stomp"),
        (streams, "rabbitmq_stream"),
    ];
    plugins.extend(optional.into_iter().filter(|(on, _)| *on).map(|(_, plugin)| plugin));
    format!("[{}].\n", plugins.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;
    use entente_crds::broker::TlsMode;

    const ALL: Channels = Channels { mqtt: true, stomp: true, web_sockets: true, streams: true };

    #[test]
    fn amqp_alone_is_the_default() {
        let main = broker("main", "messaging", |_| {});
        assert_eq!(client_listeners(&main), [Listener { name: "amqps", port: 5671 }]);
        assert_eq!(
            enabled_plugins(main.spec.channels),
            "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_event_exchange,rabbitmq_sql_exchange,rabbitmq_consistent_hash_exchange,rabbitmq_entente_nodes].\n"
        );
    }

    #[test]
    fn each_channel_adds_its_port_and_plugin() {
        let main = broker("main", "messaging", |spec| {
            spec.channels = ALL;
            spec.tls.mode = TlsMode::Disabled;
        });
        let ports: Vec<i32> = client_listeners(&main).iter().map(|listener| listener.port).collect();
        assert_eq!(ports, [5672, 1883, 61613, 15675, 15674, 5552]);
        for plugin in ["_mqtt,", "_stomp,", "_web_mqtt,", "_web_stomp,", "_stream]"] {
            assert!(enabled_plugins(ALL).contains(plugin), "{plugin}");
        }
    }

    #[test]
    fn web_sockets_alone_carry_nothing() {
        let main = broker("main", "messaging", |spec| spec.channels.web_sockets = true);
        assert_eq!(client_listeners(&main).len(), 1);
        assert!(!enabled_plugins(main.spec.channels).contains("web"));
    }

    #[test]
    fn port_names_are_unique_and_short() {
        let main = broker("main", "messaging", |spec| spec.channels = ALL);
        let mut names: Vec<&str> = client_listeners(&main)
            .iter()
            .chain(&operational_listeners(&main))
            .chain(&INTERNAL_LISTENERS)
            .map(|listener| listener.name)
            .collect();
        assert!(names.iter().all(|name| name.len() <= 15));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
