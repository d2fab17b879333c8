//! `Subscription`: a queue of its own that gets a Topic's messages.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::queue::{Backlog, DeadLetter, DeletionPolicy, Overflow};
use crate::scaling::{Scaling, ScalingStatus};
use crate::text::{ByteSize, DurationText};

/// A subscription to a Topic, or to a version of a ServiceContract. The smallest one is `spec: {topicRef: {name: …}}`: every message, in a replicated queue.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "Subscription",
    plural = "subscriptions",
    namespaced,
    status = "SubscriptionStatus",
    derive = "PartialEq",
    shortname = "es",
    category = "entente",
    doc = "A subscription to a Topic: a queue of its own with a copy of each message that its filter matches.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Safe", type_ = "string", json_path = ".status.conditions[?(@.type==\"QuorumSafe\")].status", description = "Whether it survives the loss of one more node"),
    printcolumn(name = "Topic", type_ = "string", json_path = ".spec.topicRef.name"),
    printcolumn(name = "Contract", type_ = "string", json_path = ".status.contract", description = "The contract's version that it is bound to", priority = 1),
    printcolumn(name = "Messages", type_ = "integer", json_path = ".status.backlog.ready", description = "Messages ready for delivery when last seen"),
    printcolumn(name = "Unacked", type_ = "integer", json_path = ".status.backlog.unacknowledged", description = "Messages delivered and not yet settled when last seen"),
    printcolumn(name = "Consumers", type_ = "integer", json_path = ".status.backlog.consumers"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.scaling.desiredReplicas", priority = 1, description = "Replicas that spec.scaling asks its target to have"),
    printcolumn(name = "Replayed", type_ = "integer", json_path = ".status.replayed", priority = 1, description = "Messages of the past that were replayed into it"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address", priority = 1),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63")
        .message("a Subscription's name is a DNS label: at most 63 lower-case letters, digits and '-', without dots")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.topicRef) != has(self.contractRef)").message("choose one: topicRef or contractRef"),
    validation = Rule::new("has(self.contractRef) == has(oldSelf.contractRef) && (!has(self.contractRef) || (self.contractRef.name == oldSelf.contractRef.name && self.contractRef.operation == oldSelf.contractRef.operation))")
        .message("of contractRef only the version can be changed: messages of one contract would wait among those of another; create a Subscription of another name"),
    validation = Rule::new("!has(self.contractRef) || !has(oldSelf.contractRef) || (has(self.contractRef.__namespace__) ? self.contractRef.__namespace__ : '') == (has(oldSelf.contractRef.__namespace__) ? oldSelf.contractRef.__namespace__ : '')")
        .message("contractRef.namespace cannot be changed; create a Subscription of another name"),
    validation = Rule::new("has(self.topicRef) == has(oldSelf.topicRef) && (!has(self.topicRef) || self.topicRef == oldSelf.topicRef)")
        .message("topicRef cannot be changed: messages of one Topic would wait among those of another; create a Subscription of another name"),
    validation = Rule::new("(has(self.from) ? self.from : 'Latest') == (has(oldSelf.from) ? oldSelf.from : 'Latest')")
        .message("from cannot be changed: it says where a new Subscription begins; create a Subscription of another name"),
    validation = Rule::new("self.singleActiveConsumer == oldSelf.singleActiveConsumer")
        .message("singleActiveConsumer cannot be changed: the broker fixes it when a queue is declared; create a Subscription of another name and move its users"),
    validation = Rule::new("!has(self.scaling) || !self.singleActiveConsumer || self.scaling.maxReplicas <= 1")
        .message("with singleActiveConsumer one consumer works and the others wait: scaling.maxReplicas must be 1")
)]
pub struct SubscriptionSpec {
    /// The Topic. Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_ref: Option<TopicRef>,
    /// In place of a Topic: one operation of a version of a ServiceContract. The version can be changed at any time, without loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_ref: Option<ContractRef>,
    /// Which messages; all of them by default. Can be changed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Where it begins: `Latest` (the default) with what is sent from now on, `Earliest` with all that the Topic has kept,
    /// or with what was kept since a time such as `2026-05-04T09:00:00Z`. All but `Latest` need the Topic's `retention`.
    /// Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), extend("pattern" = "^(Earliest|Latest|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))$"))]
    pub from: Option<String>,
    /// Messages older than this are dead-lettered.
    #[serde(default, rename = "messageTTL", skip_serializing_if = "Option::is_none")]
    pub message_ttl: Option<DurationText>,
    /// The most messages that wait; `overflow` says what happens beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_length: Option<i64>,
    /// The most bytes of message bodies that wait; `overflow` says what happens beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What happens to a message that finds the queue full. Default `RejectPublish`: the sender is told, and the
    /// other Subscriptions may have it all the same.
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
    /// Deliver to one consumer at a time, the others stand by. Fixed.
    #[serde(default)]
    pub single_active_consumer: bool,
    /// Where messages go that expire, are refused, or are delivered too often. By default an own queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// Scale the consumers on the backlog and its trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// What happens to the messages when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Names a Topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicRef {
    /// Name of the Topic.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the Topic; the same namespace by default. The Topic's `grants` must admit this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Names an operation of a version of a ServiceContract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContractRef {
    /// Name of the ServiceContract.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the ServiceContract; the same namespace by default. The contract's `grants` must admit this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The version.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub version: String,
    /// The operation.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub operation: String,
}

/// Which messages a Subscription gets. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.sql) ? 1 : 0) + (has(self.subject) ? 1 : 0) + (has(self.properties) ? 1 : 0) == 1")
    .message("choose one: sql, subject or properties"))]
pub struct Filter {
    /// An expression of AMQP Filter Expressions 1.0, section 6, over `header.*`, `properties.*` and application
    /// properties, such as `country IN ('NL', 'BE') AND amount > 100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub sql: Option<String>,
    /// Words of the message's subject, separated by dots: `*` stands for one word, `#` for any number of words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub subject: Option<String>,
    /// Properties that must have these values, texts or whole numbers. Names are those of application properties, or
    /// of AMQP properties as in `properties.content_type`. For `true` and `false` use `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), schema_with = "property_values")]
    pub properties: Option<BTreeMap<String, PropertyValue>>,
}

/// The value that a property must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// `int-or-string` is the one union that the structural schema of a CRD has, and that CEL rules can look into.
fn property_values(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 32,
        "additionalProperties": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "maxLength": 1024}
    })
}

/// What was last seen of a Subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and what stands in its way; `QuorumSafe`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Broker that serves this Subscription, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The broker's virtual host, which is that of the Topic: AMQP 1.0 clients open with `hostname: vhost:<this>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<String>,
    /// The contract's version that its queue is bound to: `namespace/contract/version/operation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The AMQP 1.0 address to receive from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
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
    /// Messages and consumers, when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
    /// What the autoscaler last did, with `spec.scaling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Messages of the past that were replayed into it, where it begins in the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<i64>,
}
