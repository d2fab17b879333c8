//! Whether messages are as a contract promises.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How messages are checked. Violations are counted and told; no message is held up, changed or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checks {
    /// Messages of each operation that are looked at in a minute, at most.
    #[serde(default = "messages_per_minute")]
    #[schemars(range(min = 1, max = 100))]
    pub messages_per_minute: i32,
}

fn messages_per_minute() -> i32 {
    10
}

/// What came of checks of a version's messages. Only those that were looked at are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionChecks {
    /// Since when messages are counted.
    pub since: Time,
    /// When these figures were so. They are written when they matter, once a minute at most but for the first violation.
    pub observed_at: Time,
    /// Messages that were checked.
    pub checked: i64,
    /// Those of them that the schema does not allow.
    pub violations: i64,
    /// Messages that were looked at and could not be checked: too large, compressed, or without a body that the format has.
    pub unchecked: i64,
    /// The last violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_violation: Option<LastViolation>,
}

/// A violation. Nothing in it is from the message but what the schema itself names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastViolation {
    /// When the message was looked at.
    pub at: Time,
    /// The operation that it was sent to.
    #[schemars(length(max = 63))]
    pub operation: String,
    /// Where in the message, as a JSON pointer; `*` stands for places in lists and for names that are not in the schema.
    #[schemars(length(max = 256))]
    pub path: String,
    /// What is broken there, such as `required`.
    #[schemars(length(max = 32))]
    pub rule: String,
}
