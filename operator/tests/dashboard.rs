//! The chart's dashboard asks for figures that there are.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names that are exposed: a counter ends with `_total`, a histogram is told in three parts.
fn exposed(source: &str) -> BTreeSet<String> {
    let registered = Regex::new(r#"registry\.register\(\s*"([a-z_]+)",\s*"[^"]*",\s*([a-z_]+)\.clone\(\)"#).unwrap();
    let declared = |field: &str| {
        let line = Regex::new(&format!(r"pub {field}: ([^\n]+),\n")).unwrap();
        line.captures(source).unwrap_or_else(|| panic!("no field {field}"))[1].to_owned()
    };
    let all = registered.captures_iter(source).flat_map(|found| {
        let name = format!("entente_{}", &found[1]);
        let endings: &[&str] = match declared(&found[2]) {
            kind if kind.contains("Histogram") => &["_bucket", "_sum", "_count"],
            kind if kind.contains("Counter") => &["_total"],
            kind if kind.contains("Gauge") => &[""],
            other => panic!("{name} is of the unknown type {other}"),
        };
        endings.iter().map(move |ending| format!("{name}{ending}")).collect::<Vec<_>>()
    });
    all.collect()
}

fn asked(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| asked(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| asked(item, found)),
        _ => {}
    }
}

#[test]
fn every_figure_of_the_dashboard_is_one_of_the_operators() {
    let source = read("src/metrics.rs");
    let exposed = exposed(&source);
    assert_eq!(exposed.len(), source.matches("registry.register(").count() + 2 * source.matches("Histogram::new(").count());
    let dashboard: Value = serde_json::from_str(&read("../charts/entente/dashboards/entente.json")).unwrap();
    let mut queries = Vec::new();
    asked(&dashboard, &mut queries);
    let name = Regex::new("entente_[a-z_]+").unwrap();
    let named: BTreeSet<&str> = queries.iter().flat_map(|query| name.find_iter(query)).map(|found| found.as_str()).collect();
    assert!(named.len() >= 10, "{named:?}");
    let unknown: Vec<_> = named.iter().filter(|name| !exposed.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are none of {exposed:?}");
    for query in &queries {
        assert!(name.is_match(query), "{query} asks for nothing of the operator's");
    }
}
