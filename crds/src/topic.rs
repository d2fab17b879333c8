//! `Topic`: each message goes to every Subscription whose filter it matches.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::queue::{BrokerRef, Tap};
use crate::text::{ByteSize, DurationText};

/// A topic on a Broker. The smallest one is `spec: {}`: a message that no Subscription matches is given back to its sender.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "Topic",
    plural = "topics",
    namespaced,
    status = "TopicStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "et",
    category = "entente",
    doc = "A topic on a Broker: every Subscription gets its copy of the messages that its filter matches.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Subscriptions", type_ = "integer", json_path = ".status.subscriptions", description = "Subscriptions that are bound at the broker"),
    printcolumn(name = "Unrouted", type_ = "string", json_path = ".spec.unrouted", description = "What happens to a message that nobody subscribes to"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63 && self.metadata.name != 'dead'")
        .message("a Topic's name is a DNS label: at most 63 lower-case letters, digits and '-', without dots, and not 'dead' (those names are Entente's own)")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.brokerRef) == has(oldSelf.brokerRef) && (!has(self.brokerRef) || self.brokerRef == oldSelf.brokerRef)")
        .message("brokerRef cannot be changed: Subscriptions and their messages do not move between Brokers; create a Topic of another name and move its users"),
    validation = Rule::new("!has(self.retention) || self.unrouted == 'Release'")
        .message("with retention every message is kept, so that none is unrouted: leave unrouted out")
)]
pub struct TopicSpec {
    /// The Broker to use. Without it, the Broker marked `spec.default: true` serves. Fixed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<BrokerRef>,
    /// Copies of the messages to Queues of this namespace, for audit or diagnosis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub taps: Vec<Tap>,
    /// What happens to a message that matches no Subscription and no tap. With `retention` there is none: it is kept.
    #[serde(default)]
    pub unrouted: Unrouted,
    /// Keep the messages in a stream beside the topic, so that a new Subscription may begin in the past. Its bounds can
    /// change. Without it the stream that is there takes no more, and stays until the Topic goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Other namespaces that may use this Topic. Its own always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub grants: Vec<Grant>,
    /// What happens to the broker's exchange when this object is deleted.
    #[serde(default)]
    pub deletion_policy: TopicDeletionPolicy,
}

/// What happens to a message that nobody subscribes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unrouted {
    /// It is given back to the sender (AMQP 1.0 outcome `released`).
    #[default]
    Release,
    /// It is accepted and dropped.
    Discard,
    /// It is kept in a queue of the Topic's own.
    DeadLetter,
}

/// How much of a topic's past is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.maxAge) || has(self.maxBytes)")
    .message("name a bound: maxAge, maxBytes or both"))]
pub struct Retention {
    /// Messages are kept at least so long, unless `maxBytes` is reached. At least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationText>,
    /// About the most bytes that are kept. At least 1Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
}

/// What happens to the broker's exchange when the Topic is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TopicDeletionPolicy {
    /// Wait until no Subscription is bound and its own queue is empty, then delete it, with what `retention` has kept.
    #[default]
    DeleteIfEmpty,
    /// Delete it. Subscriptions keep the messages that they have, and get no more.
    Delete,
    /// Leave it in the broker; a Topic of the same name takes it up again.
    Retain,
}

/// What was last seen of a Topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and what stands in its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Broker that serves this Topic, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The broker's virtual host: AMQP 1.0 clients open with `hostname: vhost:<this>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<String>,
    /// The AMQP 1.0 address to send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The AMQP 1.0 address of the queue with unrouted messages, with `unrouted: DeadLetter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_address: Option<String>,
    /// Subscriptions that are bound at the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<i64>,
}
