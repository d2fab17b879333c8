//! How long it takes to judge a large contract: 16 versions of 20 messages of 20 KB. It is about 6 MB of schemas, and so they are in
//! ConfigMaps: an object of Kubernetes ends at 1.5 MiB.
//!
//! `RUNS=100 cargo test --release -p entente-core --test contract_review_time -- --nocapture` prints figures worth having.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use entente_core::contract::kept::Kept;
use entente_core::contract::review::review;
use entente_core::contract::schemas::sha256;
use entente_crds::ServiceContract;
use jiff::Timestamp;
use serde_json::{Value, json};

const VERSIONS: usize = 16;
const MESSAGES: usize = 20;
const BYTES: usize = 20_000;
/// Far beyond what it takes; the bound leaves room for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// A schema of about so many bytes: nested objects, lists, enums and references, as people write them. Each version has one property
/// more.
fn schema(message: usize, version: usize) -> String {
    let mut properties = String::new();
    let mut at = 0;
    while properties.len() < BYTES - 900 {
        let _ = write!(
            properties,
            r##""field{at}": {{"type": "object", "description": "what field {at} of message {message} is about", "properties": {{
                "id": {{"$ref": "#/$defs/id"}}, "amount": {{"type": "number", "minimum": 0, "maximum": 1000000}},
                "state": {{"enum": ["new", "open", "held", "done"]}}, "lines": {{"type": "array", "maxItems": 100, "items": {{"$ref": "#/$defs/line"}}}}
            }}, "required": ["id", "amount"]}}, "##
        );
        at += 1;
    }
    for added in 0..=version {
        let _ = write!(properties, r#""added{added}": {{"type": "string", "maxLength": 64}}, "#);
    }
    format!(
        r#"{{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "$defs": {{
            "id": {{"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9-]+$"}},
            "line": {{"type": "object", "properties": {{"sku": {{"type": "string"}}, "count": {{"type": "integer", "minimum": 1}}}}, "required": ["sku"]}}
        }}, "properties": {{{properties}"last": {{"type": "boolean"}}}}, "required": ["field0"]}}"#
    )
}

fn contract(active: usize, action: &str) -> (ServiceContract, Kept) {
    let mut kept = Kept::new();
    let versions: Vec<Value> = (0..VERSIONS)
        .map(|version| {
            let messages: Vec<Value> = (0..MESSAGES)
                .map(|message| {
                    let (text, map) = (schema(message, version), format!("v{version}"));
                    let entry = json!({"operation": format!("op{message}"), "format": "JsonSchema",
                        "configMapRef": {"name": map, "key": format!("op{message}")}, "sha256": sha256(&text)});
                    kept.insert((map, format!("op{message}")), Ok(text));
                    entry
                })
                .collect();
            let state = if version < active { "Active" } else { "Draft" };
            json!({"name": format!("v{version}"), "desiredState": state, "messages": messages})
        })
        .collect();
    let operations: Vec<Value> = (0..MESSAGES).map(|at| json!({"name": format!("op{at}"), "action": action})).collect();
    let spec =
        json!({"owner": "team", "operations": operations, "versions": versions, "lifecycle": {"maxSupportedVersions": 16}});
    (ServiceContract::new("large", serde_json::from_value(spec).unwrap()), kept)
}

fn measured(what: &str, runs: usize, old: Option<&ServiceContract>, new: &ServiceContract, kept: &Kept) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            let judgement = review(old, new, kept, Timestamp::UNIX_EPOCH, &|| true);
            let time = begin.elapsed();
            assert!(judgement.is_admitted() && judgement.warnings().is_empty(), "{judgement:?}");
            time
        })
        .collect();
    times.sort();
    let p99 = times[(runs * 99).div_ceil(100) - 1];
    println!("{what}: {runs} runs, p50 {:?}, p99 {p99:?}, most {:?}", times[runs / 2], times[runs - 1]);
    p99
}

#[test]
fn a_large_contract_is_judged_in_time() {
    println!("{} bytes a schema", schema(0, 8).len());
    let runs = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(4);
    for action in ["Send", "Receive"] {
        let (before, _) = contract(VERSIONS - 1, action);
        let (after, kept) = contract(VERSIONS, action);
        let one = measured(&format!("{action}, the last version is activated"), runs, Some(&before), &after, &kept);
        measured(&format!("{action}, all versions at once"), runs.div_ceil(8), None, &after, &kept);
        assert!(one < LIMIT, "{one:?}");
    }
}
