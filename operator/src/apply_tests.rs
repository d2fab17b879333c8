use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;
use crate::broker::testing::FakeApi;

const MAIN: Identity<'static> = Identity { name: "main", namespace: "messaging", uid: "u1" };
const PATH: &str = "/api/v1/namespaces/messaging/configmaps/main-config";

fn desired(data: &[(&str, &str)]) -> ConfigMap {
    let data: BTreeMap<String, String> = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ConfigMap { metadata: meta::owned(MAIN, "main-config".into()), data: Some(data), ..ConfigMap::default() }
}

#[tokio::test]
async fn i6_an_unchanged_object_is_not_written() {
    let api = FakeApi::default();
    let client = api.client();
    let wanted = desired(&[("a", "1")]);
    assert_eq!(apply(&client, MAIN, &wanted).await.unwrap().0, Applied::Created);
    assert_eq!(api.take_writes(), [format!("PATCH {PATH}")]);
    // What others add does not matter.
    api.change(PATH, |object| object["metadata"]["labels"]["theirs"] = json!("x"));
    assert_eq!(apply(&client, MAIN, &wanted).await.unwrap().0, Applied::Unchanged);
    assert!(api.take_writes().is_empty());
}

#[tokio::test]
async fn what_others_change_is_put_right() {
    let api = FakeApi::default();
    let client = api.client();
    apply(&client, MAIN, &desired(&[("a", "1")])).await.unwrap();
    api.change(PATH, |object| object["data"]["a"] = json!("2"));
    assert_eq!(apply(&client, MAIN, &desired(&[("a", "1")])).await.unwrap().0, Applied::Changed("data.a".into()));
    assert_eq!(api.get(PATH).unwrap()["data"]["a"], "1");
}

#[tokio::test]
async fn what_is_no_longer_desired_causes_a_write() {
    let api = FakeApi::default();
    let client = api.client();
    apply(&client, MAIN, &desired(&[("a", "1"), ("b", "2")])).await.unwrap();
    api.take_writes();
    let done = apply(&client, MAIN, &desired(&[("a", "1")])).await.unwrap().0;
    assert_eq!(done, Applied::Changed(format!("metadata.annotations.{APPLIED_ANNOTATION}")));
    assert_eq!(api.take_writes().len(), 1);
}

#[tokio::test]
async fn i2_an_object_of_somebody_else_is_never_written() {
    for owners in [
        json!([]),
        json!([{"apiVersion": "entente.dev/v1alpha1", "kind": "Broker", "name": "main", "uid": "u0", "controller": true}]),
    ] {
        let api = FakeApi::default();
        api.put(PATH, json!({"metadata": {"name": "main-config", "ownerReferences": owners}, "data": {"a": "theirs"}}));
        let error = apply(&api.client(), MAIN, &desired(&[("a", "1")])).await.unwrap_err();
        assert!(matches!(error, ApplyError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("messaging/main-config") && error.to_string().contains("remove or rename it"));
        assert!(api.take_writes().is_empty());
    }
}

#[tokio::test]
async fn a_creation_never_takes_over() {
    let api = FakeApi::default();
    api.put(PATH, json!({"metadata": {"name": "main-config"}, "data": {"a": "theirs"}}));
    assert!(create(&api.client(), MAIN, &desired(&[("a", "1")])).await.is_err());
    assert_eq!(api.get(PATH).unwrap()["data"]["a"], "theirs");
}

#[tokio::test]
async fn what_is_being_deleted_is_left_alone() {
    let api = FakeApi::default();
    let client = api.client();
    apply(&client, MAIN, &desired(&[("a", "1")])).await.unwrap();
    api.change(PATH, |object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    api.take_writes();
    assert_eq!(apply(&client, MAIN, &desired(&[("a", "2")])).await.unwrap().0, Applied::Unchanged);
    assert!(api.take_writes().is_empty());
}
