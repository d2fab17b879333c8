//! `Queue`: a replicated, bounded queue.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::scaling::{Scaling, ScalingStatus};
use crate::text::{ByteSize, DurationText};

/// A queue on a Broker. The smallest one is `spec: {}`: replicated by Raft to at least two
/// followers, refusing new messages rather than dropping old ones, with a dead-letter queue.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "Queue",
    plural = "queues",
    namespaced,
    status = "QueueStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "eq",
    category = "entente",
    doc = "A queue on a Broker: a receiver works at its own rate, and spikes wait.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Safe", type_ = "string", json_path = ".status.conditions[?(@.type==\"QuorumSafe\")].status", description = "Whether it survives the loss of one more node"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Messages", type_ = "integer", json_path = ".status.backlog.ready", description = "Messages ready for delivery when last seen"),
    printcolumn(name = "Unacked", type_ = "integer", json_path = ".status.backlog.unacknowledged", description = "Messages delivered and not yet settled when last seen"),
    printcolumn(name = "Consumers", type_ = "integer", json_path = ".status.backlog.consumers"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.scaling.desiredReplicas", priority = 1, description = "Replicas that spec.scaling asks its target to have"),
    printcolumn(name = "Parts", type_ = "integer", json_path = ".spec.partitions.count", priority = 1),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address", priority = 1),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63 && self.metadata.name != 'dead'")
        .message("a Queue's name is a DNS label: at most 63 lower-case letters, digits and '-', without dots, and not 'dead' (those names are Entente's own, such as <name>.dead)")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type")
        .message("type cannot be changed: the broker fixes it when a queue is declared; create a Queue of another name and move its users"),
    validation = Rule::new("has(self.brokerRef) == has(oldSelf.brokerRef) && (!has(self.brokerRef) || self.brokerRef == oldSelf.brokerRef)")
        .message("brokerRef cannot be changed: messages do not move between Brokers; create a Queue of another name and move its users"),
    validation = Rule::new("self.singleActiveConsumer == oldSelf.singleActiveConsumer")
        .message("singleActiveConsumer cannot be changed: the broker fixes it when a queue is declared; create a Queue of another name and move its users"),
    validation = Rule::new("has(self.priorities) == has(oldSelf.priorities) && (!has(self.priorities) || self.priorities == oldSelf.priorities)")
        .message("priorities cannot be changed: the broker fixes them when a queue is declared; create a Queue of another name and move its users"),
    validation = Rule::new("has(self.partitions) == has(oldSelf.partitions) && (!has(self.partitions) || self.partitions.by == oldSelf.partitions.by && self.partitions.count >= oldSelf.partitions.count)")
        .message("partitions can only grow in count: a smaller count or another key would strand messages; create a Queue of another name and move its users"),
    validation = Rule::new("!has(self.partitions) || self.type != 'Stream'")
        .message("partitions do not apply to a Stream: it never becomes empty, so that it could never grow; make several Streams"),
    validation = Rule::new("!has(self.priorities) || self.type == 'Classic'")
        .message("priorities need type Classic: a Quorum queue always has two priorities and takes no number, a Stream has none"),
    validation = Rule::new("self.type != 'Stream' || (!has(self.deliveryLimit) && !has(self.retryDelay) && !self.singleActiveConsumer && !has(self.maxLength) && !has(self.overflow))")
        .message("a Stream keeps its messages: deliveryLimit, retryDelay, singleActiveConsumer, maxLength and overflow do not apply to it; bound it by maxBytes and messageTTL"),
    validation = Rule::new("self.type == 'Quorum' || (!has(self.deliveryLimit) && !has(self.retryDelay))")
        .message("deliveryLimit and retryDelay need type Quorum"),
    validation = Rule::new("!has(self.scaling) || !self.singleActiveConsumer || self.scaling.maxReplicas <= (has(self.partitions) ? self.partitions.count : 1)")
        .message("with singleActiveConsumer one consumer of each part works and the others wait: scaling.maxReplicas must be 1, or at most partitions.count")
)]
pub struct QueueSpec {
    /// The Broker to use. Without it, the Broker marked `spec.default: true` serves. Fixed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<BrokerRef>,
    /// How messages are kept. Fixed.
    #[serde(default, rename = "type")]
    pub type_: QueueType,
    /// Messages older than this are dead-lettered (or dropped by a Stream).
    #[serde(default, rename = "messageTTL", skip_serializing_if = "Option::is_none")]
    pub message_ttl: Option<DurationText>,
    /// The most messages that wait; `overflow` says what happens beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_length: Option<i64>,
    /// The most bytes of message bodies that wait; `overflow` says what happens beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What happens to a message that finds the queue full. Default `RejectPublish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// How often a message may be delivered without being accepted before it is dead-lettered.
    /// Default 20; -1 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1, max = 1_000_000))]
    pub delivery_limit: Option<i32>,
    /// How long a message that was not accepted waits before it is delivered again. At once by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<DurationText>,
    /// How long a consumer may hold a message unsettled before it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_timeout: Option<DurationText>,
    /// Number of message priorities of a Classic queue. Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 32))]
    pub priorities: Option<i32>,
    /// Deliver to one consumer at a time, the others stand by. Fixed.
    #[serde(default)]
    pub single_active_consumer: bool,
    /// Split the queue into parts, each in order, by a message property.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Partitions>,
    /// Where messages go that expire, are refused, or are delivered too often.
    /// By default an own queue `<name>.dead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// Copies of the messages to other queues, for audit or diagnosis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub taps: Vec<Tap>,
    /// Scale the consumers on the backlog and its trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Other namespaces whose Clients may use this Queue. Those of its own always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub grants: Vec<Grant>,
    /// What happens to the messages when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Names a Broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerRef {
    /// Name of the Broker.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Broker; the same namespace by default. The Broker's `allowedNamespaces` must admit this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum QueueType {
    /// Replicated by Raft on every node of the Broker (up to five): the safe choice.
    #[default]
    Quorum,
    /// On one node, not replicated. Lost with that node's disk.
    Classic,
    /// A replicated log that consumers read at their own offset, repeatedly.
    Stream,
}

/// What a full queue does with a further message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overflow {
    /// The sender is told that the message was not taken.
    RejectPublish,
    /// The oldest message makes room: it is dead-lettered where there is a dead-letter queue, else lost.
    DropHead,
}

/// What happens to the broker's queue when the Queue is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Wait until it is empty, then delete it.
    #[default]
    DeleteIfEmpty,
    /// Delete it with its messages.
    Delete,
    /// Leave it in the broker; a Queue of the same name and settings takes it up again.
    Retain,
}

/// Where dead letters go. At most one field may be set; an empty object means an own queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.queueRef) && self.discard)")
    .message("choose one: a queueRef, or discard: true"))]
pub struct DeadLetter {
    /// Send them to another Queue of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ref: Option<LocalRef>,
    /// Drop them. They are lost.
    #[serde(default)]
    pub discard: bool,
}

/// Names an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Splits a queue into parts by a message property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Partitions {
    /// Number of parts. May grow.
    #[schemars(range(min = 2, max = 128))]
    pub count: i32,
    /// The application property whose value chooses the part: equal values stay in order. Messages without it go to one
    /// part, always the same. Fixed.
    #[schemars(length(min = 1, max = 128))]
    pub by: String,
    /// When a further part gets messages. It takes over some of the values of each other part.
    #[serde(default)]
    pub grow: Grow,
}

/// When a further part of a queue gets messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grow {
    /// Once all parts are empty: what came before of a value does not wait in another part.
    #[default]
    WhenEmpty,
    /// At once. A value that moves to the further part is out of order until its earlier messages are consumed.
    AtOnce,
}

/// A copy of messages to another queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tap {
    /// Name of the tap, unique in its list.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The Queue of this namespace that takes the copies.
    pub queue_ref: LocalRef,
    /// An SQL filter: only messages that match are copied. Everything by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
}

/// What was last seen of a Queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and what stands in its way; `QuorumSafe`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Broker that serves this Queue, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The broker's virtual host: AMQP 1.0 clients open with `hostname: vhost:<this>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<String>,
    /// The AMQP 1.0 address to receive from, and to send to where there is no `sendAddress`. A Queue with partitions
    /// has those of its parts instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The AMQP 1.0 address to send to, where taps must get their copy or parts their messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_address: Option<String>,
    /// The AMQP 1.0 address of the own dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_address: Option<String>,
    /// The node that leads the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The nodes that hold a copy, the leader among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// The members that are up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub online: Vec<String>,
    /// How many more nodes may fail before it stops, that of the weakest of its queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_survived: Option<i32>,
    /// The parts of a Queue with partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub partitions: Vec<Part>,
    /// Messages and consumers, when last seen. Those of all parts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
    /// What the autoscaler last did, with `spec.scaling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
}

/// One part of a Queue with partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The AMQP 1.0 address to receive from.
    pub address: String,
    /// Whether messages are sent to it. One that was added may have to wait.
    pub joined: bool,
    /// The node that leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Messages ready for delivery; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i64>,
    /// Messages delivered and not yet settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unacknowledged: Option<i64>,
    /// Consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<i64>,
}

/// Messages and consumers of a queue at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Messages ready for delivery.
    pub ready: i64,
    /// Messages delivered and not yet settled.
    pub unacknowledged: i64,
    /// Messages in the own dead-letter queue.
    pub dead_lettered: i64,
    /// Consumers.
    pub consumers: i64,
    /// When the broker was asked. The figures change no more often than a status write is worth, see `docs/queue.md`.
    pub observed_at: Time,
}
