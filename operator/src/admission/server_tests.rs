// A json! literal goes in.
#![allow(clippy::needless_pass_by_value)]

use std::collections::BTreeMap;

use async_trait::async_trait;
use axum::http::Request as HttpRequest;
use entente_core::contract::schemas::sha256;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::schemas::{ConfigMaps, Unread};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;
const BROKEN: &str = r#"{"type":"object","properties":{}}"#;

/// An API server that holds these, and hides what is not there.
#[derive(Default)]
struct Holds {
    ending: bool,
    maps: BTreeMap<String, String>,
    contracts: Vec<ServiceContract>,
}

#[async_trait]
impl ConfigMaps for Holds {
    async fn config_map(&self, _: &str, name: &str) -> Result<Option<ConfigMap>, Unread> {
        let data = self.maps.get(name).map(|text| json!({"data": {"schema": text}}));
        Ok(data.and_then(|data| serde_json::from_value(data).ok()))
    }
}

#[async_trait]
impl Lookup for Holds {
    async fn namespace(&self, name: &str) -> Option<Namespace> {
        let gone = self.ending.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({"metadata": {"name": name, "deletionTimestamp": gone, "labels": {"team": name}}})).ok()
    }

    async fn contract(&self, namespace: &str, name: &str) -> Option<ServiceContract> {
        let is = |contract: &&ServiceContract| {
            contract.metadata.namespace.as_deref() == Some(namespace) && contract.metadata.name.as_deref() == Some(name)
        };
        self.contracts.iter().find(is).cloned()
    }
}

async fn posted(lookup: Holds, body: Body, length: Option<usize>) -> (StatusCode, Value) {
    let mut request = HttpRequest::post("/admit");
    if let Some(length) = length {
        request = request.header(CONTENT_LENGTH, length);
    }
    let routes = routes(Arc::new(lookup), Metrics::default());
    let response = routes.oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), LARGEST).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn asked(lookup: Holds, resource: &str, operation: &str, object: Value, old: Value) -> Value {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "5", "kind": {}, "resource": {"group": "entente.dev", "version": "v1alpha1", "resource": resource},
        "namespace": "shop", "operation": operation, "userInfo": {}, "object": object, "oldObject": old, "dryRun": false, "options": null,
    }})
    .to_string();
    let length = review.len();
    let (status, answer) = posted(lookup, Body::from(review), Some(length)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["uid"], "5");
    answer["response"].clone()
}

fn object(spec: Value) -> Value {
    json!({"metadata": {"name": "it", "namespace": "shop"}, "spec": spec})
}

fn contract(versions: Value) -> Value {
    object(json!({"owner": "team", "operations": [{"name": "placed", "action": "Send"}], "versions": versions}))
}

fn version(name: &str, state: &str, schema: &str) -> Value {
    json!({"name": name, "desiredState": state, "messages": [{"operation": "placed", "format": "JsonSchema", "schema": schema}]})
}

#[tokio::test]
async fn a_wrong_filter_is_refused_and_a_right_one_admitted() {
    let filter = |sql: &str| object(json!({"topicRef": {"name": "t"}, "filter": {"sql": sql}}));
    let no = asked(Holds::default(), "subscriptions", "CREATE", filter("a = "), Value::Null).await;
    assert_eq!((&no["allowed"], &no["status"]["code"]), (&json!(false), &json!(422)));
    assert!(no["status"]["message"].as_str().unwrap().contains("\n      ^"), "{no}");
    let yes = asked(Holds::default(), "subscriptions", "CREATE", filter("a = 1"), Value::Null).await;
    assert_eq!(yes, json!({"uid": "5", "allowed": true}));
    // What is stored already may be labelled, and go.
    let mut labelled = filter("a = ");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(asked(Holds::default(), "subscriptions", "UPDATE", labelled, filter("a = ")).await["allowed"], true);
    assert_eq!(asked(Holds::default(), "subscriptions", "DELETE", Value::Null, filter("a = ")).await["allowed"], true);
}

#[tokio::test]
async fn a_version_that_breaks_is_refused_wherever_its_schema_is() {
    let old = contract(json!([version("v1", "Active", SCHEMA)]));
    let new = contract(json!([version("v1", "Active", SCHEMA), version("v2", "Active", BROKEN)]));
    let no = asked(Holds::default(), "servicecontracts", "UPDATE", new, old.clone()).await;
    assert!(no["status"]["message"].as_str().unwrap().contains("v2 does not honour v1"), "{no}");
    let mut kept = version("v2", "Active", BROKEN);
    kept["messages"][0] = json!({"operation": "placed", "format": "JsonSchema",
        "configMapRef": {"name": "schemas", "key": "schema"}, "sha256": sha256(BROKEN)});
    let new = contract(json!([version("v1", "Active", SCHEMA), kept]));
    let maps = BTreeMap::from([("schemas".to_owned(), BROKEN.to_owned())]);
    let no = asked(Holds { maps, ..Holds::default() }, "servicecontracts", "UPDATE", new.clone(), old.clone()).await;
    assert_eq!(no["allowed"], false);
    let yes = asked(Holds::default(), "servicecontracts", "UPDATE", new, old).await;
    assert_eq!(yes["allowed"], true);
    assert!(yes["warnings"][0].as_str().unwrap().contains("ConfigMap schemas"), "{yes}");
}

#[tokio::test]
async fn a_contract_in_use_stays_unless_its_namespace_goes() {
    let mut old = contract(json!([version("v1", "Active", SCHEMA)]));
    old["status"] = json!({"versions": [{"name": "v1", "state": "Active", "since": "2026-01-01T00:00:00Z", "watchedAt": "2026-01-01T00:00:00Z",
        "use": {"consumers": 1, "producers": 0, "subscriptions": 0, "backlog": 0, "observedAt": "2026-01-01T00:00:00Z"}}]});
    let no = asked(Holds::default(), "servicecontracts", "DELETE", Value::Null, old.clone()).await;
    assert_eq!((&no["allowed"], &no["status"]["code"]), (&json!(false), &json!(403)));
    let yes = asked(Holds { ending: true, ..Holds::default() }, "servicecontracts", "DELETE", Value::Null, old).await;
    assert_eq!(yes["allowed"], true);
}

#[tokio::test]
async fn i3_who_binds_is_told_of_contracts_that_are_granted_and_of_no_others() {
    let mut contract: ServiceContract = serde_json::from_value(json!({
        "apiVersion": "entente.dev/v1alpha1", "kind": "ServiceContract", "metadata": {"name": "orders", "namespace": "owner"},
        "spec": {"owner": "team", "operations": [{"name": "placed", "action": "Send"}], "versions": [version("v1", "Active", SCHEMA)]},
        "status": {"versions": [{"name": "v1", "state": "Deprecated", "since": "2026-01-01T00:00:00Z", "watchedAt": "2026-01-01T00:00:00Z",
            "sunsetAt": "2027-01-01T00:00:00Z"}]},
    }))
    .unwrap();
    let bound = object(json!({"contractRef": {"name": "orders", "namespace": "owner", "version": "v1", "operation": "placed"}}));
    let ask = async |contract: &ServiceContract, old: Value| {
        let lookup = Holds { contracts: vec![contract.clone()], ..Holds::default() };
        let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
        asked(lookup, "subscriptions", operation, bound.clone(), old).await["warnings"].clone()
    };
    assert_eq!(ask(&contract, Value::Null).await, Value::Null);
    contract.spec.grants = serde_json::from_value(json!([{"namespace": "shop", "verbs": ["Receive"]}])).unwrap();
    assert_eq!(ask(&contract, Value::Null).await[0], "orders/v1 is deprecated, sunset 2027-01-01;");
    // Once is enough.
    let mut before = bound.clone();
    before["spec"]["maxLength"] = json!(7);
    assert_eq!(ask(&contract, before).await, Value::Null);
}

#[tokio::test]
async fn what_is_no_review_is_no_reason_to_crash() {
    for body in ["", "{", "[]", r#"{"request": {}}"#, r#"{"request": {"uid": 5}}"#, "\u{0}"] {
        assert_eq!(posted(Holds::default(), Body::from(body), Some(body.len())).await.0, StatusCode::BAD_REQUEST, "{body:?}");
    }
    assert_eq!(posted(Holds::default(), Body::empty(), None).await.0, StatusCode::LENGTH_REQUIRED);
    assert_eq!(posted(Holds::default(), Body::empty(), Some(LARGEST + 1)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let deep = "[".repeat(100_000);
    assert_eq!(posted(Holds::default(), Body::from(deep.clone()), Some(deep.len())).await.0, StatusCode::BAD_REQUEST);
    // Nonsense in the place of an object is the API server's to refuse, which has the schema.
    for nonsense in [json!(5), json!({"spec": []}), json!({"metadata": 7, "spec": {"versions": {}}})] {
        for resource in ["queues", "servicecontracts", "subscriptions", "clients", "brokers", "topics", "pods"] {
            for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT", "PATCH"] {
                let answer = asked(Holds::default(), resource, operation, nonsense.clone(), Value::Null).await;
                assert_eq!(answer["allowed"], true, "{resource} {operation} {nonsense}");
            }
        }
    }
}
