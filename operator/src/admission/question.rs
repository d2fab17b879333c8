//! What the API server asks.

use serde::Deserialize;
use serde_json::Value;

/// An AdmissionReview as it is sent, as far as it is read here.
#[derive(Debug, Deserialize)]
pub struct Review {
    /// The question.
    pub request: Request,
}

/// The question.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// By which the answer is recognised.
    pub uid: String,
    /// What the object is.
    pub resource: Resource,
    /// A part of it, such as `status`.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Where the object is.
    #[serde(default)]
    pub namespace: String,
    /// What is done.
    pub operation: Operation,
    /// As it would be; null for a deletion.
    #[serde(default)]
    pub object: Value,
    /// As it is; null for a creation.
    #[serde(default)]
    pub old_object: Value,
}

/// A resource of the API.
#[derive(Debug, Deserialize)]
pub struct Resource {
    /// Its group.
    pub group: String,
    /// Its plural name.
    pub resource: String,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Operation {
    /// It is made.
    #[serde(rename = "CREATE")]
    Create,
    /// It is changed.
    #[serde(rename = "UPDATE")]
    Update,
    /// It goes.
    #[serde(rename = "DELETE")]
    Delete,
    /// Anything else.
    #[serde(other)]
    Other,
}

impl Request {
    /// Whether there is nothing to judge: another's kind, a part such as the status, an object that is on its way out, or a change
    /// that leaves the spec as it is.
    pub fn is_settled(&self) -> bool {
        let part = self.sub_resource.as_deref().is_some_and(|part| !part.is_empty());
        let going = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
        let untouched = self.operation == Operation::Update && self.object["spec"] == self.old_object["spec"];
        self.resource.group != entente_crds::meta::GROUP
            || part
            || self.operation == Operation::Other
            || going(&self.object)
            || going(&self.old_object)
            || untouched
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[allow(clippy::needless_pass_by_value)] // a json! literal goes in
    fn settled(change: Value) -> bool {
        let mut request = json!({
            "uid": "1", "resource": {"group": "entente.dev", "version": "v1alpha1", "resource": "queues"}, "namespace": "shop",
            "operation": "UPDATE", "object": {"spec": {"maxLength": 1}}, "oldObject": {"spec": {}},
        });
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value::<Request>(request).unwrap().is_settled()
    }

    #[test]
    fn what_is_not_judged() {
        assert!(!settled(json!({})));
        assert!(settled(json!({"resource": {"group": "apps", "version": "v1", "resource": "deployments"}})));
        assert!(settled(json!({"subResource": "status"})));
        assert!(!settled(json!({"subResource": ""})));
        assert!(settled(json!({"operation": "CONNECT"})));
        assert!(settled(json!({"oldObject": {"spec": {"maxLength": 1}, "metadata": {"labels": {"a": "b"}}}})));
        assert!(settled(json!({"object": {"spec": {}, "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}})));
        assert!(!settled(json!({"operation": "DELETE", "object": null})));
    }
}
