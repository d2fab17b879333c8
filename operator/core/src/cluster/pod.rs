//! The pod of one node.

use std::collections::BTreeMap;

use entente_crds::Broker;
use entente_crds::broker::Spread;
use entente_crds::meta::{CONFIG_HASH_ANNOTATION, RESTART_ANNOTATION};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapKeySelector, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort,
    EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource, SeccompProfile, SecretProjection,
    SecretVolumeSource, SecurityContext, TCPSocketAction, TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::channels::{self, Listener};
use super::config::{ADMIN_DIRECTORY, TLS_DIRECTORY};
use super::names::{self, Identity, ports};
use super::{Inputs, config_map, meta, resources, serving};

/// Annotation with the uid of the admin Secret that the nodes must have read.
pub const CREDENTIALS_ANNOTATION: &str = "entente.dev/credentials";
/// User and group in the broker image.
const USER: i64 = 999;
/// A node hands its queues' leadership over and closes its files; then it is killed.
const TERMINATION_SECONDS: i64 = 120;
const HOST_KEY: &str = "kubernetes.io/hostname";
const ZONE_KEY: &str = "topology.kubernetes.io/zone";

/// Builds the pod template.
pub fn template(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> PodTemplateSpec {
    let placement = &broker.spec.placement;
    let mut labels = meta::labels(identity.name);
    // From the start, so that a pod made while no operator runs serves too (invariant I9).
    labels.extend(serving::label(true));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations(broker, identity, inputs)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: Some(affinity(identity, placement.spread)),
            automount_service_account_token: Some(false),
            containers: vec![container(broker, identity, inputs)],
            enable_service_links: Some(false),
            node_selector: (!placement.node_selector.is_empty()).then(|| placement.node_selector.clone()),
            priority_class_name: placement.priority_class_name.clone(),
            security_context: Some(pod_security()),
            termination_grace_period_seconds: Some(TERMINATION_SECONDS),
            tolerations: (!placement.tolerations.is_empty()).then(|| placement.tolerations.clone()),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                label_selector: Some(meta::label_selector(identity.name)),
                max_skew: 1,
                topology_key: ZONE_KEY.to_owned(),
                // A zone that is down must not keep the nodes of the others from coming back.
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                ..TopologySpreadConstraint::default()
            }]),
            volumes: Some(volumes(broker, identity)),
            ..PodSpec::default()
        }),
    }
}

fn annotations(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> BTreeMap<String, String> {
    let mut annotations =
        BTreeMap::from([(CONFIG_HASH_ANNOTATION.to_owned(), config_map::restart_hash(broker, identity, inputs))]);
    if let Some(credentials) = inputs.credentials {
        annotations.insert(CREDENTIALS_ANNOTATION.to_owned(), credentials.to_owned());
    }
    let asked = broker.metadata.annotations.as_ref().and_then(|all| all.get(RESTART_ANNOTATION)).map(String::as_str);
    if let Some(asked) = asked.or(inputs.live_restart) {
        annotations.insert(RESTART_ANNOTATION.to_owned(), asked.to_owned());
    }
    annotations
}

fn container(broker: &Broker, identity: Identity<'_>, inputs: &Inputs<'_>) -> Container {
    let mut listeners = channels::client_listeners(broker);
    listeners.extend(channels::operational_listeners(broker));
    listeners.extend(channels::INTERNAL_LISTENERS);
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(broker.spec.image.clone().unwrap_or_else(|| inputs.image.to_owned())),
        env: Some(environment(identity, inputs)),
        ports: Some(listeners.iter().map(container_port).collect()),
        resources: Some(resources::requirements(broker)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        startup_probe: Some(startup_probe()),
        readiness_probe: Some(readiness_probe(names::amqp_port(broker))),
        liveness_probe: Some(liveness_probe()),
        volume_mounts: Some(mounts(broker)),
        ..Container::default()
    }
}

fn container_port(listener: &Listener) -> ContainerPort {
    ContainerPort {
        name: Some(listener.name.to_owned()),
        container_port: listener.port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn environment(identity: Identity<'_>, inputs: &Inputs<'_>) -> Vec<EnvVar> {
    let value = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let from = |name: &str, source: EnvVarSource| EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() };
    let field = |path: &str| EnvVarSource {
        field_ref: Some(ObjectFieldSelector { api_version: None, field_path: path.to_owned() }),
        ..EnvVarSource::default()
    };
    // By reference: as a value it would change the pod template, and growing would restart every node.
    let replicas = EnvVarSource {
        config_map_key_ref: Some(ConfigMapKeySelector {
            name: names::config_map(identity.name),
            key: names::REPLICAS_KEY.to_owned(),
            optional: None,
        }),
        ..EnvVarSource::default()
    };
    vec![
        from("POD_NAME", field("metadata.name")),
        from("POD_NAMESPACE", field("metadata.namespace")),
        value("ENTENTE_HEADLESS", names::headless_service(identity.name)),
        value("ENTENTE_CLUSTER_DOMAIN", inputs.cluster_domain.to_owned()),
        from("ENTENTE_REPLICAS", replicas),
    ]
}

fn tcp(port: i32) -> TCPSocketAction {
    TCPSocketAction { port: IntOrString::Int(port), host: None }
}

/// The Erlang machine is up. Joining may wait for peers that are being scheduled, hence the ten minutes.
fn startup_probe() -> Probe {
    Probe {
        tcp_socket: Some(tcp(ports::DISTRIBUTION)),
        period_seconds: Some(1),
        timeout_seconds: Some(2),
        failure_threshold: Some(600),
        ..Probe::default()
    }
}

/// RabbitMQ opens AMQP last, when it has joined and recovered, and closes it first.
fn readiness_probe(port: i32) -> Probe {
    Probe {
        tcp_socket: Some(tcp(port)),
        period_seconds: Some(2),
        timeout_seconds: Some(2),
        failure_threshold: Some(2),
        ..Probe::default()
    }
}

/// The Erlang machine only, never AMQP: a node that waits for a majority of its peers is alive, and
/// killing it would make the others wait longer.
fn liveness_probe() -> Probe {
    Probe {
        tcp_socket: Some(tcp(ports::DISTRIBUTION)),
        period_seconds: Some(10),
        timeout_seconds: Some(5),
        failure_threshold: Some(6),
        ..Probe::default()
    }
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        // Owners of a volume with millions of files are not set anew at each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

fn affinity(identity: Identity<'_>, spread: Spread) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(meta::label_selector(identity.name)),
        topology_key: HOST_KEY.to_owned(),
        ..PodAffinityTerm::default()
    };
    let apart = match spread {
        Spread::Required => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        },
        Spread::Preferred => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                pod_affinity_term: term,
                weight: 100,
            }]),
            ..PodAntiAffinity::default()
        },
    };
    Affinity { pod_anti_affinity: Some(apart), ..Affinity::default() }
}

fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }
}

fn volumes(broker: &Broker, identity: Identity<'_>) -> Vec<Volume> {
    let named = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    let secret = |name: &str, secret: String, keys: &[&str]| Volume {
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            items: Some(keys.iter().map(|key| item(key, key)).collect()),
            ..SecretVolumeSource::default()
        }),
        ..named(name)
    };
    let config = names::config_map(identity.name);
    let admin = names::admin_secret(identity.name);
    let sources = vec![
        VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: config.clone(),
                items: Some(vec![item(names::CONFIG_KEY, names::CONFIG_KEY)]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            secret: Some(SecretProjection {
                name: admin.clone(),
                items: Some(vec![item(names::ADMIN_CONFIG_KEY, "20-admin.conf")]),
                optional: None,
            }),
            ..VolumeProjection::default()
        },
    ];
    let mut volumes = vec![
        Volume { projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: None }), ..named("config") },
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: config,
                items: Some(vec![
                    item(names::PLUGINS_KEY, names::PLUGINS_KEY),
                    item(names::ADVANCED_CONFIG_KEY, names::ADVANCED_CONFIG_KEY),
                ]),
                ..ConfigMapVolumeSource::default()
            }),
            ..named("settings")
        },
        secret("admin", admin, &[names::DEFINITIONS_KEY]),
        secret("cookie", names::cookie_secret(identity.name), &[names::COOKIE_KEY]),
        Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..named("tmp") },
    ];
    if let Some(serving) = names::serving_secret(broker) {
        // By key: the authority's private key must not get into a pod, whatever the Secret holds.
        let keys = [names::CERTIFICATE_KEY, names::PRIVATE_KEY_KEY, names::AUTHORITY_KEY];
        volumes.push(secret("tls", serving, &keys));
    }
    volumes
}

fn mounts(broker: &Broker) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, writable: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: (!writable).then_some(true),
        ..VolumeMount::default()
    };
    let file = |path: &str, key: &str| VolumeMount { sub_path: Some(key.to_owned()), ..mount("settings", path, false) };
    let mut mounts = vec![
        mount(names::DATA_VOLUME, "/var/lib/rabbitmq", true),
        mount("tmp", "/tmp", true),
        mount("config", "/etc/rabbitmq/conf.d", false),
        file("/etc/rabbitmq/enabled_plugins", names::PLUGINS_KEY),
        file("/etc/rabbitmq/advanced.config", names::ADVANCED_CONFIG_KEY),
        mount("admin", ADMIN_DIRECTORY, false),
        mount("cookie", "/etc/entente/cookie", false),
    ];
    if names::uses_tls(broker) {
        // A directory, not its files: a file mounted alone would never be renewed.
        mounts.push(mount("tls", TLS_DIRECTORY, false));
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{broker, inputs};
    use entente_crds::BrokerSpec;
    use entente_crds::broker::TlsMode;
    use entente_crds::queue::LocalRef;
    use serde_json::{Value, json};

    fn built(change: impl FnOnce(&mut BrokerSpec)) -> Value {
        let main = broker("main", "messaging", change);
        serde_json::to_value(template(&main, names::identity(&main).unwrap(), &inputs())).unwrap()
    }

    #[test]
    fn growing_and_a_larger_volume_leave_the_template_alone() {
        let grown = built(|spec| {
            spec.replicas = 5;
            spec.storage.size = "20Gi".into();
            spec.disruption.max_unavailable = 2;
            spec.default = true;
        });
        assert_eq!(grown, built(|_| {}));
    }

    #[test]
    fn i9_a_pod_serves_without_an_operator() {
        assert_eq!(built(|_| {})["metadata"]["labels"]["entente.dev/serving"], "true");
    }

    #[test]
    fn the_pod_is_restricted() {
        let template = built(|_| {});
        let (spec, container) = (&template["spec"], &template["spec"]["containers"][0]);
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["runAsUser"], 999);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    }

    #[test]
    fn no_credential_is_in_the_template() {
        let text = built(|_| {}).to_string();
        assert!(!text.contains("ca.key") && !text.contains("password"), "{text}");
    }

    #[test]
    fn every_mount_has_its_volume() {
        for mode in [TlsMode::SelfIssued, TlsMode::Disabled] {
            let template = built(|spec| spec.tls.mode = mode);
            let volumes = template["spec"]["volumes"].as_array().unwrap();
            for mount in template["spec"]["containers"][0]["volumeMounts"].as_array().unwrap() {
                let name = &mount["name"];
                assert!(*name == "data" || volumes.iter().any(|volume| volume["name"] == *name), "{name}");
            }
            assert_eq!(volumes.iter().any(|volume| volume["name"] == "tls"), mode != TlsMode::Disabled);
        }
    }

    #[test]
    fn an_own_certificate_is_mounted_instead() {
        let template = built(|spec| {
            spec.tls.mode = TlsMode::Secret;
            spec.tls.secret_ref = Some(LocalRef { name: "mine".into() });
        });
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        let tls = volumes.iter().find(|volume| volume["name"] == "tls").unwrap();
        assert_eq!(tls["secret"]["secretName"], "mine");
    }

    #[test]
    fn liveness_never_looks_at_amqp() {
        let template = built(|_| {});
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 5671);
        assert_eq!(container["livenessProbe"]["tcpSocket"]["port"], 25672);
        assert_eq!(container["startupProbe"]["tcpSocket"]["port"], 25672);
    }

    #[test]
    fn spread_is_preferred_or_required() {
        let apart = |template: &Value| template["spec"]["affinity"]["podAntiAffinity"].clone();
        let preferred = apart(&built(|_| {}));
        assert!(preferred["preferredDuringSchedulingIgnoredDuringExecution"].is_array());
        let required = apart(&built(|spec| spec.placement.spread = Spread::Required));
        let term = &required["requiredDuringSchedulingIgnoredDuringExecution"][0];
        assert_eq!(term["topologyKey"], HOST_KEY);
        assert!(required.get("preferredDuringSchedulingIgnoredDuringExecution").is_none());
        assert_eq!(built(|_| {})["spec"]["topologySpreadConstraints"][0]["topologyKey"], ZONE_KEY);
    }

    #[test]
    fn placement_and_image_are_taken_over() {
        let template = built(|spec| {
            spec.image = Some("registry.example/broker:1".into());
            spec.placement.node_selector.insert("disk".into(), "ssd".into());
            spec.placement.priority_class_name = Some("high".into());
        });
        assert_eq!(template["spec"]["containers"][0]["image"], "registry.example/broker:1");
        assert_eq!(template["spec"]["nodeSelector"]["disk"], "ssd");
        assert_eq!(template["spec"]["priorityClassName"], "high");
        assert_eq!(built(|_| {})["spec"]["containers"][0]["image"], "localhost/entente-broker:dev");
    }

    #[test]
    fn another_restart_restarts_and_taking_it_back_does_not() {
        let mut main = broker("main", "messaging", |_| {});
        let with = |main: &Broker, live_restart| {
            let inputs = Inputs { live_restart, ..inputs() };
            template(main, names::identity(main).unwrap(), &inputs)
        };
        let never = with(&main, None);
        main.metadata.annotations = Some([(RESTART_ANNOTATION.to_owned(), "monday".to_owned())].into());
        let monday = with(&main, None);
        assert_ne!(monday, never);
        assert_eq!(with(&main, Some("sunday")), monday);
        main.metadata.annotations = None;
        assert_eq!(with(&main, Some("monday")), monday);
    }

    #[test]
    fn another_admin_secret_restarts_the_nodes() {
        let main = broker("main", "messaging", |_| {});
        let with = |uid| {
            let inputs = Inputs { credentials: Some(uid), ..inputs() };
            template(&main, names::identity(&main).unwrap(), &inputs)
        };
        assert_ne!(with("1"), with("2"));
    }
}
