//! `Client`: an identity at the broker that may do what it declares, and nothing else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::grant::Verb;
use crate::queue::BrokerRef;
use crate::text::DurationText;

/// A broker user with exactly the declared rights, and a Secret that tells a workload how to connect.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "Client",
    plural = "clients",
    namespaced,
    status = "ClientStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "ecl",
    category = "entente",
    doc = "An identity at a Broker that may do what it declares and nothing else, with a Secret for workloads (servicebinding.io Provisioned Service).",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.binding.name"),
    printcolumn(name = "Rotated", type_ = "date", json_path = ".status.rotatedAt", description = "When the password was last changed"),
    printcolumn(name = "Virtual Host", type_ = "string", json_path = ".status.virtualHost", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63")
        .message("a Client's name is a DNS label: at most 63 lower-case letters, digits and '-', without dots")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.brokerRef) == has(oldSelf.brokerRef) && (!has(self.brokerRef) || self.brokerRef == oldSelf.brokerRef)")
        .message("brokerRef cannot be changed: create a Client of another name and move its users")
)]
pub struct ClientSpec {
    /// The Broker to use. Without it, the Broker marked `spec.default: true` serves. Fixed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<BrokerRef>,
    /// What this Client may use, and how. Everything must be in one virtual host, since a connection is to one: that of
    /// this namespace, or of the one namespace that all entries name.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub access: Vec<Access>,
    /// When the password is changed.
    #[serde(default)]
    pub rotation: Rotation,
    /// Name of the Secret to write; `<name>-binding` by default. One that exists and is not this Client's is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// One thing that a Client may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.queueRef) ? 1 : 0) + (has(self.topicRef) ? 1 : 0) + (has(self.subscriptionRef) ? 1 : 0) + (has(self.contractRef) ? 1 : 0) == 1")
    .message("choose one: queueRef, topicRef, subscriptionRef or contractRef"),
    validation = Rule::new("!has(self.contractRef) || self.verbs == ['Send']")
    .message("of a ServiceContract a Client may Send; to receive, make a Subscription and refer to that"),
    validation = Rule::new("!has(self.topicRef) || self.verbs == ['Send']")
    .message("of a Topic a Client may Send; to receive, make a Subscription and refer to that"),
    validation = Rule::new("!has(self.subscriptionRef) || self.verbs == ['Receive']")
    .message("of a Subscription a Client may Receive; to send, refer to the Topic"))]
pub struct Access {
    /// Name of the entry: the Secret has its address under `address.<name>`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A Queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ref: Option<ObjectRef>,
    /// A Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_ref: Option<ObjectRef>,
    /// A Subscription of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_ref: Option<crate::queue::LocalRef>,
    /// An operation of a version of a ServiceContract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_ref: Option<crate::subscription::ContractRef>,
    /// What may be done with it.
    #[schemars(length(min = 1, max = 3))]
    pub verbs: Vec<Verb>,
}

/// Names a Queue or Topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace; the same namespace by default. Its `grants` must admit this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// When a Client's password is changed. The annotation `entente.dev/rotate` with a new value changes it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Change it so often; never by itself by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationText>,
    /// How long the one before still works, so that workloads can take up the new one. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<DurationText>,
}

/// What was last seen of a Client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and what stands in its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Broker, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The broker's virtual host: AMQP 1.0 clients open with `hostname: vhost:<this>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<String>,
    /// The Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The broker user that the Secret names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// When the password was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// The broker user before, and until when it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Versions of contracts that it may send under: `namespace/contract/version/operation`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub contracts: Vec<String>,
    /// The value of `entente.dev/rotate` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_requested: Option<String>,
}

/// Names a Secret of this namespace (servicebinding.io Provisioned Service).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Its name.
    pub name: String,
}

/// A broker user that goes soon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    /// Its name.
    pub username: String,
    /// When it goes. Its connections are closed then.
    pub until: Time,
}
