//! RabbitMQ's configuration.

use std::fmt::Write;
use std::ops::RangeInclusive;

use entente_crds::Broker;

use super::names::{self, Identity, ports};
use super::quantity;
use super::{Inputs, additional_config, resources};

const MEBIBYTE: i128 = 1 << 20;
const GIBIBYTE: i128 = 1 << 30;

/// Mount point of `tls.crt`, `tls.key` and `ca.crt`.
pub const TLS_DIRECTORY: &str = "/etc/entente/tls";
/// Mount point of the definitions that RabbitMQ imports at each start.
pub const ADMIN_DIRECTORY: &str = "/etc/entente/admin";

/// How often a quorum queue may publish its depth, in milliseconds: below, a few hundred queues keep a node busy; above, nobody scales by it.
pub const TICKS: RangeInclusive<u64> = 500..=60_000;
const TICK: u64 = 1_000;

/// After so many seconds, and a quarter more or less, a node that says nothing is gone for the others. With Erlang's own 60 s a single active
/// consumer on a node that stood still for a minute kept its place, and its queue, for as long; with 15 s for 19 s. Much less would take a
/// machine that is moved or swaps for dead. Nodes say something every second, so that some may have another value for a while.
const NET_TICKTIME: u64 = 15;

/// Settings without a name in `rabbitmq.conf`, as Erlang terms.
///
/// Depth of a quorum queue is published each tick. RabbitMQ's own 5 s would make the autoscaler act on what was.
pub fn advanced(broker: &Broker) -> String {
    // Another one is refused before.
    let declared = broker.spec.quorum_tick_interval.as_ref().and_then(|tick| tick.as_millis().ok());
    let tick = declared.unwrap_or(TICK).clamp(*TICKS.start(), *TICKS.end());
    format!("[{{kernel, [{{net_ticktime, {NET_TICKTIME}}}]}},\n {{rabbit, [{{quorum_tick_interval, {tick}}}]}}].\n")
}

/// Lines of `rabbitmq.conf`, without `spec.additionalConfig`. `storage` is the size that volumes were made with.
pub fn settings(broker: &Broker, identity: Identity<'_>, storage: &str) -> Vec<(String, String)> {
    let mut settings = Settings::default();
    settings.add("cluster_name", format!("{}/{}", identity.namespace, identity.name));
    listeners(&mut settings, broker);
    access(&mut settings);
    sizes(&mut settings, broker, storage);
    settings.add("event_exchange.protocol", "amqp_1_0");
    settings.add("management.rates_mode", "basic");
    settings.add("log.file", "false");
    settings.add("log.console", "true");
    settings.add("log.console.level", "info");
    settings.0
}

/// How soon nodes and clients that are gone are given up; `spec.additionalConfig` may say otherwise. RabbitMQ's own values were made for
/// networks that fail more often than nodes do: with them a dead machine holds up queues for 6 to 13 s, and a single active
/// consumer on it for up to 60 s (see docs/failover.md).
const DEFAULTS: [(&str, &str); 3] = [
    ("raft.adaptive_failure_detector.poll_interval", "1000"),
    // Its messages are given to others then: a consumer that comes back gets them again, as after any lost connection.
    ("consumer_disconnected_timeout", "1000"),
    // Seconds. Half-open connections of clients are found within twice of it.
    ("heartbeat", "10"),
];

/// The whole of `10-entente.conf`.
pub fn text(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> String {
    let mut text = String::new();
    for (key, value) in settings(broker, identity, inputs.live_storage.unwrap_or(&broker.spec.storage.size)) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    }
    let said = additional_config::keys(broker);
    for (key, value) in DEFAULTS.iter().filter(|(key, _)| !said.contains(key)) {
        let _ = writeln!(text, "{key} = {value}");
    }
    if let Some(further) = &broker.spec.additional_config {
        let _ = write!(text, "\n# spec.additionalConfig\n{}\n", further.trim_end());
    }
    text
}

#[derive(Default)]
struct Settings(Vec<(String, String)>);

impl Settings {
    fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((key.into(), value.into()));
    }

    fn certificate(&mut self, prefix: &str) {
        self.add(format!("{prefix}.cacertfile"), format!("{TLS_DIRECTORY}/{}", names::AUTHORITY_KEY));
        self.add(format!("{prefix}.certfile"), format!("{TLS_DIRECTORY}/{}", names::CERTIFICATE_KEY));
        self.add(format!("{prefix}.keyfile"), format!("{TLS_DIRECTORY}/{}", names::PRIVATE_KEY_KEY));
    }
}

fn listeners(settings: &mut Settings, broker: &Broker) {
    let channels = broker.spec.channels;
    if names::uses_tls(broker) {
        settings.add("listeners.tcp", "none");
        settings.add("listeners.ssl.default", ports::AMQPS.to_string());
        settings.certificate("ssl_options");
        settings.add("ssl_options.verify", "verify_none");
        settings.add("ssl_options.fail_if_no_peer_cert", "false");
        settings.add("ssl_options.versions.1", "tlsv1.3");
        settings.add("ssl_options.versions.2", "tlsv1.2");
        // Otherwise the plain one starts beside it, on its default port.
        settings.add("prometheus.tcp.listener", "none");
        for (name, port) in [("management", ports::MANAGEMENT_TLS), ("prometheus", ports::PROMETHEUS_TLS)] {
            settings.add(format!("{name}.ssl.port"), port.to_string());
            settings.certificate(&format!("{name}.ssl"));
        }
    } else {
        settings.add("listeners.tcp.default", ports::AMQP.to_string());
        settings.add("management.tcp.port", ports::MANAGEMENT.to_string());
        settings.add("prometheus.tcp.port", ports::PROMETHEUS.to_string());
    }
    let protocols = [
        (channels.mqtt, "mqtt", ports::MQTT, ports::MQTTS),
        (channels.stomp, "stomp", ports::STOMP, ports::STOMPS),
        (channels.streams, "stream", ports::STREAM, ports::STREAM_TLS),
    ];
    for (_, name, plain, secure) in protocols.into_iter().filter(|(on, ..)| *on) {
        if names::uses_tls(broker) {
            settings.add(format!("{name}.listeners.tcp"), "none");
            settings.add(format!("{name}.listeners.ssl.default"), secure.to_string());
        } else {
            settings.add(format!("{name}.listeners.tcp.default"), plain.to_string());
        }
    }
    let sockets = [
        (channels.mqtt, "web_mqtt", ports::WEB_MQTT, ports::WEB_MQTT_TLS),
        (channels.stomp, "web_stomp", ports::WEB_STOMP, ports::WEB_STOMP_TLS),
    ];
    for (_, name, plain, secure) in sockets.into_iter().filter(|(on, ..)| *on && channels.web_sockets) {
        if names::uses_tls(broker) {
            settings.add(format!("{name}.tcp.listener"), "none");
            settings.add(format!("{name}.ssl.port"), secure.to_string());
            settings.certificate(&format!("{name}.ssl"));
        } else {
            settings.add(format!("{name}.tcp.port"), plain.to_string());
        }
    }
}

/// Who may do what before the first Client exists: the operator's own user, and nobody else.
fn access(settings: &mut Settings) {
    settings.add("default_vhost", "/");
    settings.add("default_user_tags.administrator", "true");
    for right in ["configure", "read", "write"] {
        settings.add(format!("default_permissions.{right}"), ".*");
    }
    settings.add("loopback_users", "none");
    // RabbitMQ would log a client without credentials in as `guest`.
    settings.add("anonymous_login_user", "none");
}

fn sizes(settings: &mut Settings, broker: &Broker, storage: &str) {
    // Without a limit RabbitMQ's own share of the machine's memory stays.
    if let Some(limit) = resources::memory_limit(broker) {
        settings.add("vm_memory_high_watermark.absolute", (limit * 6 / 10).to_string());
        // The write-ahead log's entries are in memory too; RabbitMQ's own 512 MiB fit nodes with many GiB.
        let log = (limit / 16).clamp(32 * MEBIBYTE, 512 * MEBIBYTE);
        settings.add("raft.wal_max_size_bytes", log.to_string());
    }
    settings.add("disk_free_limit.absolute", disk_free_limit(storage).to_string());
}

/// Publishers are stopped below this many free bytes. It follows the size that the volumes were made
/// with: nodes need not restart when these grow.
fn disk_free_limit(storage: &str) -> i128 {
    let size = quantity::units(storage).unwrap_or(4 * GIBIBYTE);
    (size / 4).min(GIBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{broker, inputs, quantities};

    #[test]
    fn a_default_gives_way_to_what_is_said() {
        let text_of = |further: &str| {
            let main = broker("main", "messaging", |spec| spec.additional_config = Some(further.into()));
            text(&main, names::identity(&main).unwrap(), &inputs())
        };
        assert!(text_of("# nothing").contains("\nheartbeat = 10\n"));
        let said = text_of("heartbeat=30");
        assert!(!said.contains("heartbeat = 10") && said.contains("heartbeat=30"), "{said}");
    }
    use entente_crds::BrokerSpec;
    use entente_crds::broker::{Channels, TlsMode};
    use k8s_openapi::api::core::v1::ResourceRequirements;

    fn conf(change: impl FnOnce(&mut BrokerSpec)) -> String {
        let main = broker("main", "messaging", change);
        text(&main, names::identity(&main).unwrap(), &inputs())
    }

    #[test]
    fn tls_leaves_no_plain_listener() {
        let conf = conf(|spec| {
            spec.channels = Channels { mqtt: true, stomp: true, web_sockets: true, streams: true };
        });
        for line in [
            "listeners.tcp = none",
            "listeners.ssl.default = 5671",
            "ssl_options.keyfile = /etc/entente/tls/tls.key",
            "management.ssl.port = 15671",
            "management.ssl.certfile = /etc/entente/tls/tls.crt",
            "prometheus.ssl.port = 15691",
            "prometheus.tcp.listener = none",
            "mqtt.listeners.tcp = none",
            "mqtt.listeners.ssl.default = 8883",
            "stomp.listeners.ssl.default = 61614",
            "stream.listeners.ssl.default = 5551",
            "web_mqtt.tcp.listener = none",
            "web_mqtt.ssl.port = 15676",
            "web_stomp.ssl.port = 15673",
        ] {
            assert!(conf.lines().any(|there| there == line), "{line} in\n{conf}");
        }
        assert!(!conf.contains("tcp.port") && !conf.contains("listeners.tcp.default"), "{conf}");
    }

    #[test]
    fn without_tls_there_is_no_certificate() {
        let conf = conf(|spec| spec.tls.mode = TlsMode::Disabled);
        assert!(conf.contains("listeners.tcp.default = 5672\n"));
        assert!(conf.contains("management.tcp.port = 15672\n"));
        assert!(!conf.contains("ssl"), "{conf}");
    }

    #[test]
    fn no_one_logs_in_without_a_name() {
        assert!(conf(|_| {}).contains("anonymous_login_user = none\n"));
    }

    #[test]
    fn memory_fits_the_limit() {
        let with = |limit: &str| {
            let limits = Some(quantities(&[("memory", limit)]));
            conf(|spec| spec.resources = Some(ResourceRequirements { limits, ..Default::default() }))
        };
        assert!(conf(|_| {}).contains("vm_memory_high_watermark.absolute = 1288490188\n"), "2Gi is the default");
        assert!(with("1Gi").contains("vm_memory_high_watermark.absolute = 644245094\nraft.wal_max_size_bytes = 67108864\n"));
        assert!(with("64Gi").contains("raft.wal_max_size_bytes = 536870912\n"));
        let unlimited = conf(|spec| spec.resources = Some(ResourceRequirements::default()));
        assert!(!unlimited.contains("vm_memory"), "{unlimited}");
    }

    #[test]
    fn growing_a_volume_changes_no_configuration() {
        let grown = broker("main", "messaging", |spec| spec.storage.size = "2Gi".into());
        let inputs = Inputs { live_storage: Some("1Gi"), ..inputs() };
        let grown = text(&grown, names::identity(&grown).unwrap(), &inputs);
        assert_eq!(grown, conf(|spec| spec.storage.size = "1Gi".into()));
        assert_eq!((disk_free_limit("256Mi"), disk_free_limit("1Ti")), (64 << 20, 1 << 30));
    }

    #[test]
    fn further_lines_come_last() {
        let conf = conf(|spec| spec.additional_config = Some("heartbeat = 10\n\n".into()));
        assert!(conf.ends_with("\n# spec.additionalConfig\nheartbeat = 10\n"), "{conf}");
    }
}
