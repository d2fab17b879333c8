//! `spec.grants`: what the owner of an object allows to other namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Allows something to other namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespace) != has(self.namespaceSelector)")
    .message("choose one: a namespace by name, or a namespaceSelector"))]
pub struct Grant {
    /// One namespace, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Namespaces by label. Whoever may label a namespace decides here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// What is allowed.
    #[schemars(length(min = 1, max = 3))]
    pub verbs: Vec<Verb>,
}

/// What may be done with a queue or topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Verb {
    /// Send messages to it.
    Send,
    /// Take messages from it; of a Topic: subscribe to it.
    Receive,
    /// Read messages without taking them. Only a Stream can be read so.
    Browse,
}
