//! `ServiceContract`: versions of a service's messages that honour each other, and how they end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::queue::BrokerRef;
use crate::text::DurationText;

mod checks;
mod refused;

pub use checks::{Checks, LastViolation, VersionChecks};
pub use refused::{RefusedUser, VersionRefused};

/// What a service promises of its messages, in versions.
///
/// The rules here are those that admission can hold without a clock and without reading schemas: the order of states, schemas
/// that are fixed once offered, dates that never move earlier, versions that do not vanish. Rules that read the status say nothing
/// about an update that leaves the spec as it is, or status and spec would block each other.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entente.dev",
    version = "v1alpha1",
    kind = "ServiceContract",
    plural = "servicecontracts",
    namespaced,
    status = "ServiceContractStatus",
    derive = "PartialEq",
    shortname = "esc",
    category = "entente",
    doc = "What a service promises of its messages: versions that honour each other, and end with notice.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active", description = "The versions that are offered"),
    printcolumn(name = "Ending", type_ = "string", json_path = ".status.nextSunset", description = "When the next deprecated version ends"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63")
        .message("a ServiceContract's name is a DNS label: at most 63 lower-case letters, digits and '-', without dots"),
    validation = Rule::new("self.spec.versions.all(v, v.desiredState != 'Retired' || oldSelf.spec.versions.exists(o, o.name == v.name && o.desiredState == 'Retired') || (has(self.status) && has(self.status.versions) && self.status.versions.exists(s, s.name == v.name && (s.retirable || (s.state == 'Sunset' && has(v.retireInUse))))))")
        .message("a version is retired only when its status says retirable: true, which is after its notice and its quiet period; or, in Sunset, with the reason in retireInUse"),
    validation = Rule::new("oldSelf.spec.versions.all(o, o.desiredState == 'Draft' || self.spec.versions.exists(n, n.name == o.name) || (has(self.status) && has(self.status.versions) && self.status.versions.exists(s, s.name == o.name && s.state in ['Retired', 'Draft'])))")
        .message("a version is removed only when its status says state: Retired, or Draft as it was never offered; deprecate it first")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.brokerRef) == has(oldSelf.brokerRef) && (!has(self.brokerRef) || self.brokerRef == oldSelf.brokerRef)")
        .message("brokerRef cannot be changed: dependents do not move between Brokers; create a ServiceContract of another name and move its users"),
    validation = Rule::new("self.versions.all(v, !has(v.successor) || v.desiredState == 'Retired' || (v.successor != v.name && self.versions.exists(o, o.name == v.successor)))")
        .message("a version's successor is another version of this contract")
)]
pub struct ServiceContractSpec {
    /// The Broker to use. Without it, the Broker marked `spec.default: true` serves. Fixed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_ref: Option<BrokerRef>,
    /// Who answers for the contract: a team, an address. Dependents are told.
    #[schemars(length(min = 1, max = 253))]
    pub owner: String,
    /// How versions come and go.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What compatible means.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// What the owner sends and receives.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub operations: Vec<Operation>,
    /// The versions, at most 16 at a time.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub versions: Vec<Version>,
    /// What the service is measured by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurances: Option<Assurances>,
    /// Whether messages are looked at, and how many: a sample is checked against its version's schema. Without it none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    /// Other namespaces that may depend on this contract. Its own always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub grants: Vec<Grant>,
}

/// How versions come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Versions that are neither Draft nor Retired, at most.
    #[serde(default = "max_supported")]
    #[schemars(range(min = 1, max = 16))]
    pub max_supported_versions: i32,
    /// The least time from deprecation to sunset. For a version that is deprecated already it only gets longer.
    #[serde(default = "notice")]
    pub minimum_deprecation_notice: DurationText,
    /// How long nobody may have used a version before it is retired.
    #[serde(default = "quiet")]
    pub quiet_period: DurationText,
    /// Short rehearsals of retirement, announced beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub brownouts: Vec<Brownout>,
}

fn max_supported() -> i32 {
    3
}

fn notice() -> DurationText {
    DurationText("30d".into())
}

fn quiet() -> DurationText {
    DurationText("1d".into())
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            max_supported_versions: max_supported(),
            minimum_deprecation_notice: notice(),
            quiet_period: quiet(),
            brownouts: Vec::new(),
        }
    }
}

/// A rehearsal: a deprecated version is closed for a short while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Brownout {
    /// How long before the version's sunset it begins.
    pub before_sunset: DurationText,
    /// How long it lasts, at most: one that begins late does not end later.
    pub lasts: DurationText,
    /// How long before it begins it must have been announced, and watched without a gap. It is skipped otherwise.
    #[serde(default = "announced")]
    pub announced_before: DurationText,
}

fn announced() -> DurationText {
    DurationText("1d".into())
}

/// What compatible means in this contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// What is taken for granted of writers and readers.
    #[serde(default)]
    pub policy: Policy,
    /// Compare with every version that is not retired, not with the latest alone.
    #[serde(default = "yes")]
    pub transitive: bool,
    /// Avro and Protobuf: messages are sent in the format's JSON encoding, where names count.
    #[serde(default)]
    pub json_encoding: bool,
}

fn yes() -> bool {
    true
}

impl Default for Compatibility {
    fn default() -> Self {
        Self { policy: Policy::default(), transitive: true, json_encoding: false }
    }
}

/// What is taken for granted of writers and readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Policy {
    /// A writer sends what its schema names and nothing else; a reader passes over what it does not know.
    #[default]
    Lenient,
    /// A writer may send whatever its schema lets through; a reader refuses what its schema does not.
    Strict,
}

/// One thing that the owner does with messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.action == oldSelf.action")
    .message("an operation's action cannot be changed: compatibility has the other direction then; add an operation of another name"))]
pub struct Operation {
    /// Name, unique in its list.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether the owner sends (events) or receives (commands).
    pub action: Action,
    /// The channel's name in documents; the operation's name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub channel: Option<String>,
}

/// What the owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// The owner sends: old readers must read new messages.
    Send,
    /// The owner receives: what old senders send must stay valid.
    Receive,
}

/// One version of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.desiredState == oldSelf.desiredState || (oldSelf.desiredState == 'Draft' && self.desiredState == 'Active') || (oldSelf.desiredState == 'Active' && self.desiredState == 'Deprecated') || (oldSelf.desiredState == 'Deprecated' && self.desiredState == 'Retired')")
        .message("desiredState goes from Draft to Active, Deprecated and Retired, one after the other and never back; a Draft that is not wanted is removed"),
    validation = Rule::new("oldSelf.desiredState == 'Draft' || self.messages == oldSelf.messages")
        .message("messages are fixed once a version is offered: add a version"),
    validation = Rule::new("!has(oldSelf.sunsetAt) || oldSelf.desiredState in ['Draft', 'Active'] || (has(self.sunsetAt) && self.sunsetAt >= oldSelf.sunsetAt)")
        .message("sunsetAt of a deprecated version never moves earlier: dependents plan by it"),
    validation = Rule::new("self.desiredState != 'Deprecated' || (has(self.successor) && has(self.reason) && has(self.sunsetAt))")
        .message("Deprecated needs a successor, a reason and sunsetAt")
)]
pub struct Version {
    /// Name, unique in its list: `v1`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The state asked for. A deprecated version becomes Sunset by itself.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// When a deprecated version ends: now plus the notice, or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<Time>,
    /// The version that dependents should move to. It must be Active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub successor: Option<String>,
    /// Why it ends. Dependents are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// Why it is retired although somebody still uses it: they lose their rights and links at once. Counts in Sunset alone, since it does not
    /// shorten the notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub retire_in_use: Option<String>,
    /// What the messages look like, one entry an operation.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["operation".into()]))]
    pub messages: Vec<MessageSchema>,
}

/// What an owner can ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// May change; nobody may rely on it.
    #[default]
    Draft,
    /// Offered; its messages are fixed.
    Active,
    /// To end at `sunsetAt`.
    Deprecated,
    /// Closed, for ever.
    Retired,
}

/// The messages of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.schema) != has(self.configMapRef)").message("choose one: a schema, or a configMapRef"),
    validation = Rule::new("has(self.configMapRef) == has(self.sha256)")
        .message("a configMapRef needs the sha256 of what it holds: a ConfigMap may change, a contract does not")
)]
pub struct MessageSchema {
    /// The operation's name.
    #[schemars(length(min = 1, max = 63))]
    pub operation: String,
    /// How the schema is written.
    pub format: SchemaFormat,
    /// The schema itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub schema: Option<String>,
    /// A ConfigMap of this namespace that holds the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapKey>,
    /// SHA-256 of the schema in the ConfigMap, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// How a schema is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaFormat {
    /// JSON Schema, 2020-12 or draft-07.
    JsonSchema,
    /// Avro, as JSON.
    Avro,
    /// Protocol Buffers, proto2 or proto3.
    Protobuf,
    /// Anything else: compared by its hash.
    Opaque,
}

/// A key of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What the service is measured by. Probes measure it; nothing is promised on its behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assurances {
    /// Share of the time in per cent, as text: `99.9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), regex(pattern = r"^(100|[0-9]{1,2})(\.[0-9]{1,4})?$"))]
    pub availability: Option<String>,
    /// The latency that 99 of 100 messages keep.
    #[serde(default, rename = "latencyP99", skip_serializing_if = "Option::is_none")]
    pub latency_p99: Option<DurationText>,
    /// The most that may be lost by a failure, in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<DurationText>,
    /// The longest recovery from a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<DurationText>,
}

/// What was last seen of a ServiceContract.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceContractStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and what stands in its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Broker that serves this contract, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// The broker's virtual host: AMQP 1.0 clients open with `hostname: vhost:<this>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<String>,
    /// The versions that are Active, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// When the next deprecated version ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sunset: Option<Time>,
    /// What probes saw of what it is measured by (absent before there were some, and where none are made).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurances: Option<AssurancesStatus>,
    /// The versions: those of the spec, and retired ones that were removed from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub versions: Vec<VersionStatus>,
}

/// What probes saw, of the last day at most. They take a way beside the contract's own exchanges, in its virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssurancesStatus {
    /// Since when probes are made: an operator that is new, or leads anew, begins again.
    pub since: Time,
    /// When these figures were so. They are written when they matter, once a minute at most.
    pub observed_at: Time,
    /// Probes that they rest on.
    pub probes: i64,
    /// Messages that the broker accepted and that never came.
    pub lost: i64,
    /// The latency that half of the messages kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p50: Option<DurationText>,
    /// Share of the time in which probes came back, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Measured>,
    /// What is left of the time that may fail by the target of availability, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub error_budget: Option<String>,
    /// The latency that 99 of 100 messages kept, of those that came back.
    #[serde(default, rename = "latencyP99", skip_serializing_if = "Option::is_none")]
    pub latency_p99: Option<Measured>,
    /// The longest time whose messages one failure lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Measured>,
    /// The longest time from a probe that failed to the next that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Measured>,
}

/// A target, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// As declared.
    #[schemars(length(max = 64))]
    pub target: String,
    /// As seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub observed: Option<String>,
    /// Whether what was seen keeps the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// The state that a version is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VersionState {
    /// May change; nobody may rely on it.
    Draft,
    /// Offered.
    Active,
    /// Offered for a while yet.
    Deprecated,
    /// The notice is over: no new bindings.
    Sunset,
    /// Closed, for ever.
    Retired,
}

/// What is recorded of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The state it is in.
    pub state: VersionState,
    /// Since when.
    pub since: Time,
    /// What it waits for, or why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When it was activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// When it was deprecated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Time>,
    /// When its notice ends, at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<Time>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Time>,
    /// The notice that is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<DurationText>,
    /// The part of it that was watched: the time when no operator ran does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noticed: Option<DurationText>,
    /// Watched time without use, in Sunset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<DurationText>,
    /// When it was last looked at.
    pub watched_at: Time,
    /// Whether it may be retired now.
    #[serde(default)]
    pub retirable: bool,
    /// SHA-256 of all its schemas, once they are fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub schemas_sha256: Option<String>,
    /// Older versions whose subscribers also get what is sent under this one, as they can read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub feeds: Vec<String>,
    /// Since when it was looked at without a gap and without a jump of the clock: brown-outs are begun by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_since: Option<Time>,
    /// Brown-outs that are announced, and what became of earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub brownouts: Vec<BrownoutStatus>,
    /// Who uses it, when last seen.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<VersionUse>,
    /// Attempts to use it that were refused, since it began to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<VersionRefused>,
    /// What came of checks of its messages (absent where none are made).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<VersionChecks>,
}

/// One brown-out of a version. Its dates are those that were announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrownoutStatus {
    /// When it begins, at the earliest.
    pub starts_at: Time,
    /// When it ends, at the latest.
    pub ends_at: Time,
    /// What became of it.
    pub state: BrownoutState,
    /// Since when it is announced.
    pub announced_at: Time,
    /// How long before it begins it must have been announced.
    pub announced_before: DurationText,
    /// Why it was skipped, or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
}

/// What became of a brown-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BrownoutState {
    /// It will be.
    Announced,
    /// The version is closed.
    Underway,
    /// It was.
    Over,
    /// It was not, and will not be.
    Skipped,
}

/// Use of a version at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionUse {
    /// Links that receive.
    pub consumers: i64,
    /// Links that send; only known of versions that are to end, and only as far as the broker tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producers: Option<i64>,
    /// Durable subscriptions.
    pub subscriptions: i64,
    /// Messages that wait.
    pub backlog: i64,
    /// When somebody was last seen to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// When the broker was asked.
    pub observed_at: Time,
    /// Whether the broker could not be asked since. What is not known is not taken for no use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}
