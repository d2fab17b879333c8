//! The CustomResourceDefinition of ServiceContract, and the references to it.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

use entente_crds::ServiceContract;
use entente_crds::service_contract::{DesiredState, Policy, ServiceContractSpec};
use kube::CustomResourceExt;
use serde_json::{Value, json};

fn schema() -> Value {
    let crd = serde_json::to_value(ServiceContract::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Without a key the rules could not tell which version was which, and without bounds an API server refuses their cost.
#[test]
fn lists_are_maps_with_bounds() {
    let schema = schema();
    for (pointer, key) in [
        ("/properties/spec/properties/versions", "name"),
        ("/properties/spec/properties/operations", "name"),
        ("/properties/spec/properties/versions/items/properties/messages", "operation"),
        ("/properties/status/properties/versions", "name"),
    ] {
        let list = schema.pointer(pointer).unwrap();
        assert_eq!(list["x-kubernetes-list-type"], "map", "{pointer}");
        assert_eq!(list["x-kubernetes-list-map-keys"], json!([key]), "{pointer}");
        assert!(list["maxItems"].is_u64(), "{pointer}");
    }
}

#[test]
fn every_rule_has_a_message() {
    let schema = schema();
    let mut rules = 0;
    for pointer in [
        "",
        "/properties/spec",
        "/properties/spec/properties/versions/items",
        "/properties/spec/properties/versions/items/properties/messages/items",
    ] {
        for rule in schema.pointer(pointer).unwrap()["x-kubernetes-validations"].as_array().unwrap() {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| message.len() > 20), "{rule}");
        }
    }
    assert_eq!(rules, 11);
}

#[test]
fn the_smallest_contract_has_defaults() {
    let spec: ServiceContractSpec = serde_json::from_value(json!({
        "owner": "orders",
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": [{"name": "v1", "messages": [{"operation": "placed", "format": "JsonSchema", "schema": "{}"}]}],
    }))
    .unwrap();
    assert_eq!(spec.lifecycle.minimum_deprecation_notice.as_millis(), Ok(30 * 24 * 3_600_000));
    assert_eq!(spec.versions[0].desired_state, DesiredState::Draft);
    assert_eq!((spec.compatibility.policy, spec.compatibility.transitive), (Policy::Lenient, true));
}

/// `namespace` is a word of CEL: written plainly it is no field, and the API server refuses the whole CRD.
#[test]
fn a_subscription_is_to_a_topic_or_to_a_contract() {
    let crd = serde_json::to_value(entente_crds::Subscription::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let rules: Vec<&str> =
        spec["x-kubernetes-validations"].as_array().unwrap().iter().filter_map(|rule| rule["rule"].as_str()).collect();
    assert!(rules.contains(&"has(self.topicRef) != has(self.contractRef)"), "{rules:?}");
    assert!(rules.iter().all(|rule| !rule.contains("contractRef.namespace")), "{rules:?}");
    assert_eq!(spec["properties"]["contractRef"]["required"], json!(["name", "operation", "version"]));
}

#[test]
fn a_client_sends_under_a_contract_and_receives_by_a_subscription() {
    let crd = serde_json::to_value(entente_crds::Client::crd()).unwrap();
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/access/items/x-kubernetes-validations";
    let rules = crd.pointer(pointer).unwrap().to_string();
    assert!(rules.contains("!has(self.contractRef) || self.verbs == ['Send']"), "{rules}");
}
