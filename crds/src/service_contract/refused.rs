//! Who tried to use a version and was refused.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Attempts to use a version that ends or has ended, which the broker refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionRefused {
    /// How many there were.
    pub count: i64,
    /// When the first was heard of.
    pub since: Time,
    /// When the last was heard of.
    pub last_at: Time,
    /// By whom: those that tried last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub by: Vec<RefusedUser>,
}

/// Somebody who tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedUser {
    /// The Client, as `<namespace>/<name>`. The broker's name of a user that is no Client's.
    #[schemars(length(min = 1, max = 255))]
    pub client: String,
    /// How often.
    pub count: i64,
    /// When it was last heard of.
    pub last_at: Time,
}
