//! What changed between two schemas and breaks nothing.

use serde_json::{Map, Value};

use crate::contract::text::{show, step};
use crate::contract::{Change, Effect};

/// Keywords that hold a schema, a list of them, or several by name.
const SCHEMA: [&str; 14] = [
    "items",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "prefixItems",
    "contentSchema",
    "dependencies",
];
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords that say nothing about which messages are valid.
const NOTES: [&str; 9] =
    ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$id"];

/// Every difference, as a change that is compatible. The caller takes out those that are not.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    schemas(old, new, "", &mut found);
    found
}

fn schemas(old: &Value, new: &Value, path: &str, found: &mut Vec<Change>) {
    if old == new || found.len() > 500 {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        found.push(change(path, "schema", Some(old), Some(new), "the schema was replaced, and nothing breaks"));
        return;
    };
    let path_of_node = path;
    for keyword in keys(old, new) {
        let path = format!("{path}/{}", step(keyword));
        match (old.get(keyword), new.get(keyword)) {
            (before, after) if before == after => {}
            (before, after) if keyword == "required" => required(before, after, path_of_node, found),
            (Some(Value::Object(before)), Some(Value::Object(after))) if MAPS.contains(&keyword) => {
                maps(before, after, &path, found);
            }
            (Some(Value::Object(before)), None) if MAPS.contains(&keyword) => maps(before, &Map::new(), &path, found),
            (None, Some(Value::Object(after))) if MAPS.contains(&keyword) => maps(&Map::new(), after, &path, found),
            (Some(Value::Array(before)), Some(Value::Array(after)))
                if LISTS.contains(&keyword) && before.len() == after.len() =>
            {
                for (at, (before, after)) in before.iter().zip(after).enumerate() {
                    schemas(before, after, &format!("{path}/{at}"), found);
                }
            }
            (Some(before @ Value::Object(_)), Some(after @ Value::Object(_))) if SCHEMA.contains(&keyword) => {
                schemas(before, after, &path, found);
            }
            (before, after) => {
                let why = if NOTES.contains(&keyword) {
                    "a remark: it changes no message"
                } else {
                    "nothing that may be sent is refused because of it"
                };
                found.push(change(&path, "keyword", before, after, why));
            }
        }
    }
}

/// Name by name, at the property's place.
fn required(old: Option<&Value>, new: Option<&Value>, path: &str, found: &mut Vec<Change>) {
    let names = |list: Option<&Value>| -> std::collections::BTreeSet<String> {
        list.and_then(Value::as_array).into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let (old, new) = (names(old), names(new));
    for name in old.symmetric_difference(&new) {
        let show =
            |names: &std::collections::BTreeSet<String>| Value::from(if names.contains(name) { "required" } else { "optional" });
        let path = format!("{path}/properties/{}", step(name));
        found.push(change(
            &path,
            "required",
            Some(&show(&old)),
            Some(&show(&new)),
            "nothing that may be sent is refused because of it",
        ));
    }
}

fn maps(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<Change>) {
    for name in keys(old, new) {
        let path = format!("{path}/{}", step(name));
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) => schemas(before, after, &path, found),
            (None, after) => found.push(change(&path, "added", None, after, "nothing that may be sent is refused because of it")),
            (before, None) => {
                found.push(change(&path, "removed", before, None, "nothing that may be sent is refused because of it"));
            }
        }
    }
}

fn keys<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> std::collections::BTreeSet<&'a str> {
    old.keys().chain(new.keys()).map(String::as_str).collect()
}

fn change(path: &str, rule: &'static str, before: Option<&Value>, after: Option<&Value>, why: &str) -> Change {
    Change {
        path: if path.is_empty() { "/".into() } else { path.into() },
        rule,
        effect: Effect::Compatible,
        way: None,
        before: before.map(show),
        after: after.map(show),
        why: why.into(),
        mend: String::new(),
    }
}
