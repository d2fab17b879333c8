//! `Broker`: a replicated AMQP 1.0 broker.

// Each is a switch of its own in the API; the derive copies the struct, so an attribute on it is not enough.
#![allow(clippy::struct_excessive_bools)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::queue::LocalRef;
use crate::text::{ByteSize, DurationText};

/// A replicated AMQP 1.0 broker.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "Broker",
    plural = "brokers",
    namespaced,
    status = "BrokerStatus",
    derive = "PartialEq",
    shortname = "eb",
    category = "entente",
    doc = "A replicated AMQP 1.0 broker: a leader and at least two followers for every queue.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.readyNodes", description = "Nodes that are running members of the cluster, of those declared"),
    printcolumn(name = "Safe", type_ = "string", json_path = ".status.conditions[?(@.type==\"QuorumSafe\")].status", description = "Whether it survives the loss of one more node"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoints.amqp", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40")
        .message("a Broker's name is a DNS label of at most 40 characters: the names of its Services and pods are made from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.external) == has(oldSelf.external)")
        .message("external cannot be added or removed: a Broker either runs its own nodes or uses an existing RabbitMQ; create another Broker"),
    validation = Rule::new("has(self.external) || self.storage.size == oldSelf.storage.size || quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) >= 0")
        .message("storage.size can only grow: volumes do not shrink"),
    validation = Rule::new("has(self.storage.storageClassName) == has(oldSelf.storage.storageClassName) && (!has(self.storage.storageClassName) || self.storage.storageClassName == oldSelf.storage.storageClassName)")
        .message("storage.storageClassName cannot be changed: volumes do not move between classes; create another Broker")
)]
pub struct BrokerSpec {
    /// Number of nodes. 3 survive the loss of one, 5 of two; 1 has no failover and is for tests. With fewer than before, nodes are
    /// removed one by one, after their queues' members have moved to those that stay.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 5))]
    #[x_kube(validation = Rule::new("self in [1, 3, 5]").message("replicas must be 1, 3 or 5: a majority decides, so an even number adds cost and no safety"))]
    pub replicas: i32,
    /// The container image. The operator's own default fits its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The RabbitMQ version that the image must hold, such as `4.3`. The Broker is not Ready with another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+){0,2}$"))]
    pub version: Option<String>,
    /// Where messages are kept.
    #[serde(default)]
    pub storage: Storage,
    /// CPU and memory of each node. Without it: requests of 250m CPU and 512Mi, and a limit of 2Gi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Encryption of client and management connections. On by default, with a certificate of our own.
    #[serde(default)]
    pub tls: Tls,
    /// Protocols beside AMQP 1.0.
    #[serde(default)]
    pub channels: Channels,
    /// Serves objects that name no Broker. Mark one Broker only.
    #[serde(default)]
    pub default: bool,
    /// Namespaces whose objects may use this Broker.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Where the nodes run.
    #[serde(default)]
    pub placement: Placement,
    /// How many nodes voluntary work may take down.
    #[serde(default)]
    pub disruption: Disruption,
    /// What one namespace may use.
    #[serde(default)]
    pub limits: Limits,
    /// How long broker objects of a deleted namespace are kept.
    #[serde(default = "default_orphan_retention")]
    pub orphan_retention: DurationText,
    /// Use an existing RabbitMQ: its topology is kept, its nodes are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// How often each quorum queue tells how many messages it has, from 500ms to 1m; 1s without it. Autoscaling sees no newer figures; a node takes 0.02 % of a core
    /// for each queue a second. With more than some thousand queues, make it longer. A change restarts the nodes, one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_tick_interval: Option<DurationText>,
    /// Further lines for `rabbitmq.conf`. Settings that Entente makes itself are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub additional_config: Option<String>,
}

fn default_replicas() -> i32 {
    3
}

fn default_orphan_retention() -> DurationText {
    DurationText("168h".into())
}

/// A volume for each node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each node's volume, as a Kubernetes quantity. It can only grow.
    #[serde(default = "default_storage_size")]
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[0-9]+(Mi|Gi|Ti|M|G|T)$"))]
    pub size: String,
    /// The StorageClass; the cluster's default without it. Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

fn default_storage_size() -> String {
    "10Gi".into()
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_storage_size(), storage_class_name: None }
    }
}

/// Encryption of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.mode == 'Secret') == has(self.secretRef)")
        .message("mode Secret needs secretRef, and the other modes take none")
)]
pub struct Tls {
    /// Where the certificate comes from.
    #[serde(default)]
    pub mode: TlsMode,
    /// A Secret of this namespace with `tls.crt`, `tls.key` and `ca.crt`. The certificate must cover the
    /// Broker's Service names and the nodes' names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// The operator makes an authority for this Broker and a certificate, and renews it in time.
    #[default]
    SelfIssued,
    /// You bring it in a Secret.
    Secret,
    /// No encryption. For tests on one machine only.
    Disabled,
}

/// Protocols beside AMQP 1.0, each off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// MQTT 3.1.1 and 5.
    #[serde(default)]
    pub mqtt: bool,
    /// STOMP 1.0 to 1.2.
    #[serde(default)]
    pub stomp: bool,
    /// MQTT and STOMP over WebSockets, as far as these are on.
    #[serde(default)]
    pub web_sockets: bool,
    /// The stream protocol.
    #[serde(default)]
    pub streams: bool,
}

/// Namespaces that may use a Broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
        .message("from: Selector needs a selector, and the others take none")
)]
pub struct AllowedNamespaces {
    /// Which namespaces.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces. Whoever may label a namespace decides here; `kubernetes.io/metadata.name` is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A choice of namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The Broker's own.
    #[default]
    Same,
    /// Every one.
    All,
    /// Those that `selector` matches.
    Selector,
}

/// Where the nodes of a Broker run. Nodes never share a machine while another can take them,
/// and spread over zones where there are zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// What to do when fewer machines than nodes are there.
    #[serde(default)]
    pub spread: Spread,
    /// Labels that a machine must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Name of the PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// How strictly nodes are spread over machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Spread {
    /// Share a machine rather than not run.
    #[default]
    Preferred,
    /// Not run rather than share a machine.
    Required,
}

/// Voluntary disruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// The most nodes that voluntary work (drain, upgrade) may take down at once. More than a minority is never allowed.
    #[serde(default = "default_max_unavailable")]
    #[schemars(range(min = 0, max = 2))]
    pub max_unavailable: i32,
}

fn default_max_unavailable() -> i32 {
    1
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: default_max_unavailable() }
    }
}

/// What one namespace may use of a Broker. Unlimited where not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Queues, dead-letter queues among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queues: Option<i64>,
    /// Client connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub connections: Option<i64>,
    /// Sum of the bounds (`maxBytes`) of its queues, each part of a Queue and each Topic's `retention.maxBytes` among them; queues for
    /// dead letters are not. With it, each queue needs a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
}

/// An existing RabbitMQ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// URI of its HTTP API, such as `https://rabbit.example:15671`. With `http` the password travels in the clear.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^/?#@\s]+/?$"))]
    pub uri: String,
    /// A Secret of this namespace with `username`, `password` and, with https, `ca.crt`: the authority of the RabbitMQ's
    /// certificate, a public one too. The user needs the tag `administrator`.
    pub secret_ref: LocalRef,
    /// Where clients connect, such as `amqps://rabbit.example:5671`. By default the host of `uri`: port 5671 with TLS where
    /// `uri` is https, else 5672 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^amqps?://[^/?#@\s]+/?$"))]
    pub amqp_uri: Option<String>,
}

/// What was last seen of a Broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `ClusterFormed`, `QuorumSafe`; of an external Broker also `FiltersSupported` and `EventsHeard`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// RabbitMQ's version, as the broker says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Running members of those declared, such as `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_nodes: Option<String>,
    /// Each node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<NodeStatus>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// How many more nodes may fail before queues stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_survived: Option<i32>,
    /// Failovers seen, the newest last, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failovers: Vec<Failover>,
    /// Planned work under way. What is done and what it waits for is in the condition `PlannedWork`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// What became of the annotation `entente.dev/switchover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<Switchover>,
    /// Virtual hosts that no namespace uses any more, kept for `spec.orphanRetention`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// What namespaces take of it, by name: at most the first 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub namespaces: Vec<NamespaceUse>,
    /// When this status was last true to the broker's own answer; renewed only when something else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

/// One node of a Broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Name of the pod.
    pub name: String,
    /// Whether it is a running member of the cluster.
    pub running: bool,
    /// An alarm that stops publishers: `memory`, `disk`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// Planned work under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// What is done.
    pub kind: WorkKind,
    /// Pod of the node it is done to, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How far it is.
    pub step: WorkStep,
    /// When this step began.
    pub since: Time,
}

/// Kinds of planned work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkKind {
    /// A node is restarted to take up a change.
    Restart,
    /// The leaders of a node's queues are moved to other nodes, as `entente.dev/switchover` asks.
    Switchover,
    /// Members and leaders are spread evenly after a node came, or was away.
    Balance,
    /// A node is removed, since there are to be fewer.
    Removal,
}

/// Steps of planned work, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkStep {
    /// The client Service leaves the node out: new connections go to the others.
    LeavingService,
    /// Leaders of its queues are handed to members that are in sync.
    MovingLeaders,
    /// Members of queues are moved to other nodes, some at a time: each is in sync before the one it replaces goes.
    MovingMembers,
    /// Its connections are closed, some at a time.
    ClosingConnections,
    /// Its pod is replaced.
    Restarting,
    /// The new pod joins, and its members catch up.
    Rejoining,
    /// Its pod stops for good, and the cluster forgets it. Its volume stays.
    Removing,
    /// Leaders are spread over all nodes, some at a time.
    Balancing,
}

/// The last switchover that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Switchover {
    /// The annotation's value. Another value asks again.
    pub asked: String,
    /// What became of it.
    pub outcome: SwitchoverOutcome,
    /// In words.
    pub message: String,
    /// When it ended.
    pub at: Time,
}

/// What became of a switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SwitchoverOutcome {
    /// The node leads no queue.
    Done,
    /// It still leads some: no other member could take over in time.
    Incomplete,
    /// The annotation's value makes no sense.
    Refused,
}

/// Addresses of a Broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// AMQP 1.0 (and 0-9-1), such as `amqps://main.messaging.svc:5671`.
    pub amqp: String,
    /// The HTTP API.
    pub management: String,
    /// Name of the Secret in this namespace that holds the authority's certificate as `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<String>,
}

/// A failover that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// The node that was lost.
    pub node: String,
    /// When it last answered.
    pub at: Time,
    /// Milliseconds from its last answer until every queue had a leader again.
    pub recovered_millis: i64,
}

/// What one namespace takes of a Broker, beside the Broker's `limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceUse {
    /// The namespace, which is the virtual host.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Queues in its virtual host, those for dead letters among them, as `limits.queues` counts them.
    pub queues: i64,
    /// Sum of the bounds of its queues in bytes, as `limits.bytes` counts them.
    pub bytes: i64,
    /// Queues without a bound, without those for dead letters.
    pub unbounded_queues: i64,
}

/// Broker objects without an owner in Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The virtual host.
    pub virtual_host: String,
    /// Its queues.
    pub queues: i64,
    /// Messages in them; absent where the broker did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<i64>,
    /// When it was first seen without an owner.
    pub since: Time,
}
