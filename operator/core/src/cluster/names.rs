//! Names, ports and addresses of a Broker's objects, each defined once.
//!
//! A Broker's name is a DNS label of at most 40 characters, so every name made here is one of at
//! most 63: that is what Services, stateful sets and pod host names take.

use entente_crds::Broker;
use entente_crds::broker::{Endpoints, TlsMode};

/// `StatefulSet` of the broker nodes.
pub fn stateful_set(broker: &str) -> String {
    format!("{broker}-broker")
}

/// Pod of one node.
pub fn pod(broker: &str, ordinal: i32) -> String {
    format!("{broker}-broker-{ordinal}")
}

/// Volume claim of one node.
pub fn volume_claim(broker: &str, ordinal: i32) -> String {
    format!("{DATA_VOLUME}-{broker}-broker-{ordinal}")
}

/// Headless Service: the nodes' own names.
pub fn headless_service(broker: &str) -> String {
    format!("{broker}-nodes")
}

/// Service that clients connect to: the Broker's own name.
pub fn client_service(broker: &str) -> String {
    broker.to_owned()
}

/// `ConfigMap` with RabbitMQ's configuration.
pub fn config_map(broker: &str) -> String {
    format!("{broker}-config")
}

/// Secret with the operator's own user: [`USERNAME_KEY`], [`PASSWORD_KEY`].
pub fn admin_secret(broker: &str) -> String {
    format!("{broker}-admin")
}

/// Secret with the Erlang cookie.
pub fn cookie_secret(broker: &str) -> String {
    format!("{broker}-cookie")
}

/// Secret with the Broker's certificate authority and its key. Never mounted into a pod.
pub fn ca_secret(broker: &str) -> String {
    format!("{broker}-ca")
}

/// Secret with the self-issued server certificate.
pub fn tls_secret(broker: &str) -> String {
    format!("{broker}-tls")
}

/// `PodDisruptionBudget`.
pub fn disruption_budget(broker: &str) -> String {
    format!("{broker}-broker")
}

/// `NetworkPolicy`.
pub fn network_policy(broker: &str) -> String {
    format!("{broker}-broker")
}

/// Name of the data volume in the pod template.
pub const DATA_VOLUME: &str = "data";
/// Name of the broker's container.
pub const CONTAINER: &str = "rabbitmq";

/// Key of the admin Secret: name of the user.
pub const USERNAME_KEY: &str = "username";
/// Key of the admin Secret: the password.
pub const PASSWORD_KEY: &str = "password";
/// Key of the admin Secret: the lines that RabbitMQ reads.
pub const ADMIN_CONFIG_KEY: &str = "admin.conf";
/// Key of the admin Secret: the definitions that RabbitMQ imports at each start.
pub const DEFINITIONS_KEY: &str = "definitions.json";
/// Key of the cookie Secret.
pub const COOKIE_KEY: &str = "cookie";
/// Certificate, PEM.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// Private key of the certificate, PEM.
pub const PRIVATE_KEY_KEY: &str = "tls.key";
/// Certificate of the authority, PEM: in the TLS Secret, whoever made it, and in the CA Secret.
pub const AUTHORITY_KEY: &str = "ca.crt";
/// Private key of the authority, PEM.
pub const AUTHORITY_PRIVATE_KEY_KEY: &str = "ca.key";
/// Key of the `ConfigMap`: `rabbitmq.conf` lines.
pub const CONFIG_KEY: &str = "10-entente.conf";
/// Key of the `ConfigMap`: settings that have no `rabbitmq.conf` name.
pub const ADVANCED_CONFIG_KEY: &str = "advanced.config";
/// Key of the `ConfigMap`: the enabled plugins.
pub const PLUGINS_KEY: &str = "enabled_plugins";
/// Key of the `ConfigMap`: the declared number of nodes.
pub const REPLICAS_KEY: &str = "replicas";

/// Ports, as RabbitMQ numbers them.
pub mod ports {
    /// AMQP 1.0 and 0-9-1.
    pub const AMQP: i32 = 5672;
    /// AMQP 1.0 and 0-9-1 with TLS.
    pub const AMQPS: i32 = 5671;
    /// HTTP API.
    pub const MANAGEMENT: i32 = 15672;
    /// HTTP API with TLS.
    pub const MANAGEMENT_TLS: i32 = 15671;
    /// Metrics.
    pub const PROMETHEUS: i32 = 15692;
    /// Metrics with TLS.
    pub const PROMETHEUS_TLS: i32 = 15691;
    /// MQTT.
    pub const MQTT: i32 = 1883;
    /// MQTT with TLS.
    pub const MQTTS: i32 = 8883;
    /// STOMP.
    pub const STOMP: i32 = 61613;
    /// STOMP with TLS.
    pub const STOMPS: i32 = 61614;
    /// MQTT over web sockets.
    pub const WEB_MQTT: i32 = 15675;
    /// MQTT over web sockets with TLS.
    pub const WEB_MQTT_TLS: i32 = 15676;
    /// STOMP over web sockets.
    pub const WEB_STOMP: i32 = 15674;
    /// STOMP over web sockets with TLS.
    pub const WEB_STOMP_TLS: i32 = 15673;
    /// Streams.
    pub const STREAM: i32 = 5552;
    /// Streams with TLS.
    pub const STREAM_TLS: i32 = 5551;
    /// Erlang port mapper, between nodes only.
    pub const EPMD: i32 = 4369;
    /// Erlang distribution, between nodes only.
    pub const DISTRIBUTION: i32 = 25672;
}

/// Which object a Broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its uid: what ownership is proven by.
    pub uid: &'a str,
}

/// The identity of a Broker that the API server has stored; `None` for one that was never there.
pub fn identity(broker: &Broker) -> Option<Identity<'_>> {
    Some(Identity {
        name: broker.metadata.name.as_deref()?,
        namespace: broker.metadata.namespace.as_deref()?,
        uid: broker.metadata.uid.as_deref()?,
    })
}

/// Whether clients and the operator speak TLS to this Broker.
pub fn uses_tls(broker: &Broker) -> bool {
    broker.spec.tls.mode != TlsMode::Disabled
}

/// The Secret that holds `tls.crt`, `tls.key` and `ca.crt`; none without TLS.
pub fn serving_secret(broker: &Broker) -> Option<String> {
    match broker.spec.tls.mode {
        TlsMode::Disabled => None,
        TlsMode::SelfIssued => broker.metadata.name.as_deref().map(tls_secret),
        TlsMode::Secret => broker.spec.tls.secret_ref.as_ref().map(|reference| reference.name.clone()),
    }
}

/// DNS name of the client Service, such as `main.messaging.svc.cluster.local`.
pub fn client_host(broker: &Broker, cluster_domain: &str) -> String {
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    let namespace = broker.metadata.namespace.as_deref().unwrap_or_default();
    format!("{}.{namespace}.svc.{cluster_domain}", client_service(name))
}

/// DNS name of one node's pod.
pub fn node_host(broker: &Broker, ordinal: i32, cluster_domain: &str) -> String {
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    let namespace = broker.metadata.namespace.as_deref().unwrap_or_default();
    let (pod, service) = (pod(name, ordinal), headless_service(name));
    format!("{pod}.{service}.{namespace}.svc.{cluster_domain}")
}

/// Port of AMQP: with TLS or without, as the Broker is declared.
pub fn amqp_port(broker: &Broker) -> i32 {
    if uses_tls(broker) { ports::AMQPS } else { ports::AMQP }
}

/// Port of the HTTP API: with TLS or without, as the Broker is declared.
pub fn management_port(broker: &Broker) -> i32 {
    if uses_tls(broker) { ports::MANAGEMENT_TLS } else { ports::MANAGEMENT }
}

/// Port of the metrics: with TLS or without, as the Broker is declared.
pub fn prometheus_port(broker: &Broker) -> i32 {
    if uses_tls(broker) { ports::PROMETHEUS_TLS } else { ports::PROMETHEUS }
}

/// `amqps://<host>:5671`, or `amqp://<host>:5672` without TLS.
pub fn amqp_url(broker: &Broker, cluster_domain: &str) -> String {
    let scheme = if uses_tls(broker) { "amqps" } else { "amqp" };
    format!("{scheme}://{}:{}", client_host(broker, cluster_domain), amqp_port(broker))
}

/// URL of the HTTP API behind the client Service, without a path; of an external Broker, its own.
pub fn management_url(broker: &Broker, cluster_domain: &str) -> String {
    if let Some(external) = &broker.spec.external {
        return external.uri.trim_end_matches('/').to_owned();
    }
    let (host, port) = (client_host(broker, cluster_domain), management_port(broker));
    format!("{}://{host}:{port}", http_scheme(broker))
}

/// URL of the metrics behind the client Service, without a path. Each answer is one node's.
pub fn prometheus_url(broker: &Broker, cluster_domain: &str) -> String {
    let (host, port) = (client_host(broker, cluster_domain), prometheus_port(broker));
    format!("{}://{host}:{port}", http_scheme(broker))
}

/// URL of one node's metrics, without a path.
pub fn node_prometheus_url(broker: &Broker, ordinal: i32, cluster_domain: &str) -> String {
    let (host, port) = (node_host(broker, ordinal, cluster_domain), prometheus_port(broker));
    format!("{}://{host}:{port}", http_scheme(broker))
}

fn http_scheme(broker: &Broker) -> &'static str {
    if uses_tls(broker) { "https" } else { "http" }
}

/// What the status says of where clients connect.
pub fn endpoints(broker: &Broker, cluster_domain: &str) -> Endpoints {
    Endpoints {
        amqp: amqp_url(broker, cluster_domain),
        management: management_url(broker, cluster_domain),
        ca_secret: serving_secret(broker),
    }
}

/// Pod of a RabbitMQ node name, such as `main-broker-0` of
/// `rabbit@main-broker-0.main-nodes.messaging.svc.cluster.local`.
pub fn pod_of_node(node: &str) -> &str {
    let host = node.split_once('@').map_or(node, |(_, host)| host);
    host.split_once('.').map_or(host, |(pod, _)| pod)
}

/// Number of a pod among those of its `StatefulSet`, such as 2 of `main-broker-2`.
pub fn ordinal(pod: &str) -> Option<i32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;

    #[test]
    fn the_longest_name_makes_names_that_dns_takes() {
        let longest = "b".repeat(40);
        let hash_of_a_pod_label = "-1234567890".len();
        for name in [
            pod(&longest, 4),
            headless_service(&longest),
            client_service(&longest),
            format!("{}{}", stateful_set(&longest), "x".repeat(hash_of_a_pod_label)),
        ] {
            assert!(name.len() <= 63, "{name}");
        }
    }

    #[test]
    fn addresses_follow_tls() {
        let mut main = broker("main", "messaging", |_| {});
        assert_eq!(
            endpoints(&main, "cluster.local"),
            Endpoints {
                amqp: "amqps://main.messaging.svc.cluster.local:5671".into(),
                management: "https://main.messaging.svc.cluster.local:15671".into(),
                ca_secret: Some("main-tls".into()),
            }
        );
        main.spec.tls.mode = TlsMode::Disabled;
        assert_eq!(
            endpoints(&main, "k8s.example"),
            Endpoints {
                amqp: "amqp://main.messaging.svc.k8s.example:5672".into(),
                management: "http://main.messaging.svc.k8s.example:15672".into(),
                ca_secret: None,
            }
        );
        assert_eq!(
            node_prometheus_url(&main, 2, "cluster.local"),
            "http://main-broker-2.main-nodes.messaging.svc.cluster.local:15692"
        );
    }

    #[test]
    fn pods_are_told_from_node_names() {
        assert_eq!(pod_of_node("rabbit@main-broker-0.main-nodes.m.svc.cluster.local"), "main-broker-0");
        assert_eq!(pod_of_node("rabbit@host"), "host");
        assert_eq!(pod_of_node("odd"), "odd");
        assert_eq!((ordinal("main-broker-12"), ordinal("odd"), ordinal("main-broker-x")), (Some(12), None, None));
    }
}
