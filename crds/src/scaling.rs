//! `spec.scaling`: how many consumers a queue should have.

// The names are those of Kubernetes; the derive copies the struct, so an attribute on it is not enough.
#![allow(clippy::struct_field_names)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::text::DurationText;

/// Scales the consumers of a queue on its backlog and the trend of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not exceed maxReplicas"),
    validation = Rule::new("has(self.messagesPerReplica) || has(self.drainWithin) || has(self.maxAge)")
        .message("name at least one objective: messagesPerReplica, drainWithin or maxAge")
)]
pub struct Scaling {
    /// The workload to scale: any kind with a `/scale` subresource, in the same namespace.
    pub target_ref: TargetRef,
    /// The fewest replicas. 0 lets the target sleep while the queue is empty.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10000))]
    pub min_replicas: i32,
    /// The most replicas.
    #[serde(default = "default_max_replicas")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: i32,
    /// Times at which the fewest replicas are more. Of several that are on, the one that asks for most counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub schedules: Vec<Schedule>,
    /// Objective: at most so many messages (ready and unacknowledged) for each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub messages_per_replica: Option<i64>,
    /// Objective: the backlog is drained within this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_within: Option<DurationText>,
    /// Objective: the oldest message is no older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationText>,
    /// How long the queue must be empty and idle before the target is scaled to zero. Default `120s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_after: Option<DurationText>,
    /// Messages per second one replica serves, where known; it is learned otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub service_rate: Option<i64>,
    /// Limits on how fast replicas change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

fn default_max_replicas() -> i32 {
    10
}

/// A time at which the fewest replicas are more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Its name, which status and Events tell.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it starts, as a cron expression: minute, hour, day of the month, month, day of the week; such as `0 8 * * MON-FRI`.
    #[schemars(length(min = 9, max = 128))]
    pub cron: String,
    /// The time zone of `cron`, as the IANA database names it; such as `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// How long it is on from its start: `1m` to `7d`.
    pub duration: DurationText,
    /// The fewest replicas while it is on. `maxReplicas` bounds it.
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
}

fn default_time_zone() -> String {
    "UTC".into()
}

/// A workload in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.kind in ['Job', 'CronJob'] && (self.apiVersion.startsWith('batch/') || self.apiVersion.startsWith('apps/')))")
    .message("a Job or CronJob cannot be scaled: it ends, and its parallelism is no /scale; name a Deployment of consumers that go on, and with minReplicas: 0 there are none while the queue is empty"))]
pub struct TargetRef {
    /// API version of the target.
    #[serde(default = "default_target_api_version")]
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// Kind of the target.
    #[serde(default = "default_target_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name of the target.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn default_target_api_version() -> String {
    "apps/v1".into()
}

fn default_target_kind() -> String {
    "Deployment".into()
}

/// Windows and rates of scaling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Scaling down follows the highest need of this window. Default `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_window: Option<DurationText>,
    /// At most this share of the replicas goes in a minute, in percent. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub scale_down_percent_per_minute: Option<i32>,
    /// At most this many replicas are added in a minute. Unlimited by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub scale_up_replicas_per_minute: Option<i32>,
}

/// What the autoscaler last did, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// The workload, as `Kind/name`.
    pub target: String,
    /// Replicas that the target should have.
    pub desired_replicas: i32,
    /// The schedule that is on, and of several the one that asks for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The last decision that was worth telling.
    pub last_decision: LastDecision,
    /// What the autoscaler remembers, for the next process: rates that were learned, windows. Opaque; whoever removes it loses only that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub memory: Option<String>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When.
    pub at: Time,
    /// The objective that asked for most: `MessagesPerReplica`, `DrainWithin`, `MaxAge`, `ArrivalRate`, `Waiting`, `Schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// What kept replicas from being what the objectives ask for, such as `Maximum`, `DownWindow`, `Stale`, `ConflictingScaler`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<String>,
    /// Messages ready when it was decided.
    pub ready: i64,
    /// Messages unacknowledged when it was decided.
    pub unacknowledged: i64,
    /// Replicas of the target that were ready.
    pub ready_replicas: i32,
    /// Messages per second that came in, estimated.
    pub arrival_rate: String,
    /// Messages per second that one replica serves, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_rate: Option<String>,
    /// All of it in one sentence.
    pub message: String,
}
