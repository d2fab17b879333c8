//! What a large contract waits for the webhook: 16 versions of 20 messages of 20 KB, from the client's request to the API server's answer.
//!
//! It is 6 MB of schemas, and so they are in ConfigMaps, which the webhook reads. Asked is by dry runs: nothing is stored, and everything is
//! judged.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use entente_core::contract::schemas::sha256;
use entente_crds::ServiceContract;
use entente_e2e::object::Objects;
use entente_e2e::ranks::rank;
use entente_e2e::report::Report;
use entente_e2e::scene::Scene;
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const VERSIONS: usize = 16;
const MESSAGES: usize = 20;
const BYTES: usize = 20_000;

/// Objects, lists, enums and references, about so many bytes of them. Each version has one property more.
fn schema(message: usize, version: usize) -> String {
    let mut properties = String::new();
    let mut at = 0;
    while properties.len() < BYTES - 800 {
        let _ = write!(
            properties,
            r##""field{at}": {{"type": "object", "description": "what field {at} of message {message} is about", "properties": {{
                "id": {{"$ref": "#/$defs/id"}}, "amount": {{"type": "number", "minimum": 0, "maximum": 1000000}},
                "lines": {{"type": "array", "maxItems": 100, "items": {{"type": "object", "properties": {{"sku": {{"type": "string"}}}}}}}}
            }}, "required": ["id", "amount"]}}, "##
        );
        at += 1;
    }
    for added in 0..=version {
        let _ = write!(properties, r#""added{added}": {{"type": "string", "maxLength": 64}}, "#);
    }
    format!(
        r#"{{"type": "object", "$defs": {{"id": {{"type": "string", "maxLength": 64, "pattern": "^[a-z0-9-]+$"}}}},
            "properties": {{{properties}"last": {{"type": "boolean"}}}}, "required": ["field0"]}}"#
    )
}

/// Stores the schemas, and returns the contract over them, all its versions Active.
async fn contract(scene: &Scene) -> Result<ServiceContract> {
    let maps: Api<ConfigMap> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
    let mut versions: Vec<Value> = Vec::new();
    for version in 0..VERSIONS {
        let name = format!("v{version}");
        let texts: Vec<String> = (0..MESSAGES).map(|message| schema(message, version)).collect();
        let message = |(at, text): (usize, &String)| {
            let key = format!("op{at}");
            json!({"operation": key, "format": "JsonSchema", "configMapRef": {"name": name, "key": key}, "sha256": sha256(text)})
        };
        let messages: Vec<Value> = texts.iter().enumerate().map(message).collect();
        versions.push(json!({"name": name, "desiredState": "Active", "messages": messages}));
        let data = texts.into_iter().enumerate().map(|(at, text)| (format!("op{at}"), text)).collect();
        let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
        maps.create(&PostParams::default(), &ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }).await?;
    }
    let operations: Vec<Value> = (0..MESSAGES).map(|at| json!({"name": format!("op{at}"), "action": "Send"})).collect();
    let spec =
        json!({"owner": "team", "operations": operations, "versions": versions, "lifecycle": {"maxSupportedVersions": 16}});
    Ok(ServiceContract::new("large", serde_json::from_value(spec)?))
}

/// A small contract whose second version breaks the first.
fn wrong() -> Result<ServiceContract> {
    let version = |name: &str, type_: &str| {
        let schema = json!({"type": "object", "properties": {"id": {"type": type_}}, "required": ["id"]});
        let message = json!({"operation": "placed", "format": "JsonSchema", "schema": schema.to_string()});
        json!({"name": name, "desiredState": "Active", "messages": [message]})
    };
    let operations = json!([{"name": "placed", "action": "Send"}]);
    let spec =
        json!({"owner": "team", "operations": operations, "versions": [version("v1", "string"), version("v2", "integer")]});
    Ok(ServiceContract::new("wrong", serde_json::from_value(spec)?))
}

async fn times(scene: &Scene, contract: &ServiceContract, runs: usize) -> Result<Vec<Duration>> {
    let api = Objects::<ServiceContract>::of(&scene.cluster, &scene.namespace).api;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut took = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begin = Instant::now();
        api.create(&dry, contract).await?;
        took.push(begin.elapsed());
    }
    took.sort();
    Ok(took)
}

pub async fn measure(scene: &Scene, runs: usize, report: &mut Report) -> Result<()> {
    let contract = contract(scene).await?;
    let api = Objects::<ServiceContract>::of(&scene.cluster, &scene.namespace).api;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    // One that is wrong is refused: it is the webhook that is measured, and not its absence.
    let wrong = wrong()?;
    let refuses = async || Ok(api.create(&dry, &wrong).await.is_err());
    holds("the webhook judges", seconds(60), refuses).await?;
    let with = times(scene, &contract, runs).await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"entente.dev/admission": "ignore"}}}));
    let namespaces: Api<Namespace> = Api::all(scene.cluster.client.clone());
    namespaces.patch(&scene.namespace, &PatchParams::default(), &label).await?;
    let ignored = async || Ok(api.create(&dry, &wrong).await.is_ok());
    holds("the webhook is passed over", seconds(60), ignored).await?;
    let without = times(scene, &contract, runs).await?;
    let millis = |times: &[Duration], share: f64| rank(times, share).as_secs_f64() * 1_000.0;
    for (case, times, bar) in [("large contract", &with, "<= 300"), ("large contract, no webhook", &without, "")] {
        report.add(case, "admission_p50_ms", "ms", millis(times, 0.50), "");
        report.add(case, "admission_p99_ms", "ms", millis(times, 0.99), bar);
        report.add(case, "admission_max_ms", "ms", millis(times, 1.0), "");
    }
    Ok(())
}
