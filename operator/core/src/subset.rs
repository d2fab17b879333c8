//! Is everything that is desired already there?
//!
//! The API server fills in defaults and other writers add fields, so a stored object never equals
//! the one that was applied. Comparing only what is desired lets an unchanged object cause no
//! write at all (invariant I6). What is no longer desired cannot be seen this way: [`digest`]
//! tells it, kept in an annotation.

use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::cluster::quantity;

/// Fields below which texts are quantities.
const QUANTITY_FIELDS: [&str; 3] = ["requests", "limits", "sizeLimit"];

/// What identifies an element of a list of objects, as the API's own merge keys do. The first
/// alternative of which every element has the first field counts.
const LIST_KEYS: [&[&str]; 7] = [
    &["uid"],
    &["mountPath"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["topologyKey", "whenUnsatisfiable"],
    &["key", "operator", "effect"],
    &["name"],
];

/// The first place where `live` lacks something of `desired`, as a path; `None` if it lacks nothing.
pub fn difference(desired: &Value, live: &Value) -> Option<String> {
    let mut path = Vec::new();
    compare(desired, live, false, &mut path).then(|| path.join("."))
}

/// Whether `live` holds everything of `desired`.
pub fn is_subset(desired: &Value, live: &Value) -> bool {
    difference(desired, live).is_none()
}

/// A short hash of a value. Object fields are sorted, so equal values have equal digests.
pub fn digest(value: &Value) -> String {
    short_hex(&Sha256::digest(value.to_string().as_bytes()))
}

/// The first 16 bytes of a hash as text.
pub(crate) fn short_hex(hash: &[u8]) -> String {
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// True on a difference, with its place left in `path`.
fn compare(desired: &Value, live: &Value, quantities: bool, path: &mut Vec<String>) -> bool {
    match (desired, live) {
        _ if is_empty(desired) && is_empty(live) => false,
        (Value::Object(desired), Value::Object(live)) => compare_maps(desired, live, quantities, path),
        (Value::Array(desired), Value::Array(live)) => compare_lists(desired, live, quantities, path),
        (Value::String(desired), Value::String(live)) if quantities => {
            desired != live && (quantity::nanos(desired).is_none() || quantity::nanos(desired) != quantity::nanos(live))
        }
        _ => desired != live,
    }
}

fn compare_maps(desired: &Map<String, Value>, live: &Map<String, Value>, quantities: bool, path: &mut Vec<String>) -> bool {
    for (key, wanted) in desired {
        path.push(key.clone());
        let quantities = quantities || QUANTITY_FIELDS.contains(&key.as_str());
        if compare(wanted, live.get(key).unwrap_or(&Value::Null), quantities, path) {
            return true;
        }
        path.pop();
    }
    false
}

fn compare_lists(desired: &[Value], live: &[Value], quantities: bool, path: &mut Vec<String>) -> bool {
    let keys = LIST_KEYS.iter().find(|keys| {
        let has_key = |element: &Value| keys.first().is_some_and(|key| element.get(key).is_some());
        !desired.is_empty() && desired.iter().chain(live).all(has_key)
    });
    let Some(keys) = keys else {
        if desired.len() != live.len() {
            return true;
        }
        for (index, (wanted, there)) in desired.iter().zip(live).enumerate() {
            path.push(index.to_string());
            if compare(wanted, there, quantities, path) {
                return true;
            }
            path.pop();
        }
        return false;
    };
    for wanted in desired {
        path.push(wanted.get(keys[0]).map(ToString::to_string).unwrap_or_default());
        // A field that is not desired, such as a defaulted protocol, does not help to identify.
        let same = |there: &&Value| keys.iter().all(|key| wanted.get(key).is_none_or(|value| there.get(key) == Some(value)));
        match live.iter().find(same) {
            Some(there) if !compare(wanted, there, quantities, path) => {}
            _ => return true,
        }
        path.pop();
    }
    false
}

/// The API server stores no empty value of an optional field.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.values().all(Value::is_null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_adds_is_no_difference() {
        let desired = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [{
            "name": "rabbitmq", "image": "x", "ports": [{"containerPort": 5672, "name": "amqp"}],
            "resources": {"limits": {"memory": "2048Mi"}, "requests": {"cpu": "0.25"}},
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "volumeMounts": [{"mountPath": "/tmp", "name": "tmp"}]}]}}}});
        let live = json!({"spec": {"replicas": 3, "podManagementPolicy": "Parallel", "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [{
            "name": "rabbitmq", "image": "x", "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 4369, "protocol": "TCP"}, {"containerPort": 5672, "name": "amqp", "protocol": "TCP"}],
            "resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "250m"}},
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "volumeMounts": [{"mountPath": "/x", "name": "x"}, {"mountPath": "/tmp", "name": "tmp"}]}]}}}});
        assert_eq!(difference(&desired, &live), None);
    }

    #[test]
    fn a_difference_is_named() {
        let desired = json!({"spec": {"containers": [{"name": "a", "image": "new"}]}});
        let live = json!({"spec": {"containers": [{"name": "b", "image": "old"}, {"name": "a", "image": "old"}]}});
        assert_eq!(difference(&desired, &live).as_deref(), Some("spec.containers.\"a\".image"));
        assert!(!is_subset(&json!({"a": 1}), &json!({"b": 1})));
        assert!(!is_subset(&json!({"data": {"k": "1024Mi"}}), &json!({"data": {"k": "1Gi"}})), "no quantity there");
    }

    #[test]
    fn an_element_that_is_missing_is_a_difference() {
        assert!(!is_subset(&json!([{"name": "a"}, {"name": "b"}]), &json!([{"name": "a"}])));
        assert!(!is_subset(&json!(["a", "b"]), &json!(["a"])));
        assert!(!is_subset(&json!(["a"]), &json!(["a", "b"])), "a list without keys is one value");
    }

    #[test]
    fn two_protocols_on_one_port_are_two() {
        let desired = json!([{"port": 53, "protocol": "UDP", "name": "dns"}]);
        let live = json!([{"port": 53, "protocol": "TCP", "name": "dns-tcp"}, {"port": 53, "protocol": "UDP", "name": "dns"}]);
        assert!(is_subset(&desired, &live));
    }

    #[test]
    fn empty_equals_absent() {
        assert!(is_subset(&json!({"a": {}, "b": [], "c": null, "d": "", "e": false, "f": 0}), &json!({})));
        assert!(is_subset(&json!({"emptyDir": {}}), &json!({"emptyDir": {}})));
        assert!(!is_subset(&json!({"a": false}), &json!({"a": true})));
        assert!(!is_subset(&json!({"a": []}), &json!({"a": [1]})));
    }

    #[test]
    fn digests_tell_values_apart_and_not_their_order() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&json!({"a": 1})));
        assert_eq!(digest(&one).len(), 32);
    }
}
