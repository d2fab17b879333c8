//! A JSON Schema inside another document.
//!
//! A reference within a schema counts from the root of the text that it is in. Inside another document that is the document's root, and
//! so references are rewritten; `$id` and `$schema`, which would make a root of their own, are left out.

use serde_json::{Map, Value};

/// The version of JSON Schema that a schema is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {
    /// Draft-07: it says so, or it uses nothing that draft-07 does not have or reads otherwise. More tools read it.
    Seven,
    /// 2020-12.
    Of2020,
}

/// Keywords that hold one schema, a list of schemas, or either.
const ONE_OR_MORE: [&str; 18] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "extends",
    "disallow",
];
/// Keywords that hold schemas by name.
const BY_NAME: [&str; 6] = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];
/// Keywords that draft-07 lacks.
const NEWER: [&str; 10] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "dependentRequired",
    "dependentSchemas",
    "maxContains",
    "minContains",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that may stand beside a reference in draft-07, where all others are passed over.
const BESIDE: [&str; 9] =
    ["$comment", "$defs", "definitions", "default", "deprecated", "description", "examples", "title", "$schema"];

/// A schema as it stands at `pointer` of another document, and what it is good for.
pub fn embed(schema: &Value, pointer: &str) -> (Value, Draft) {
    let says_seven = schema["$schema"].as_str().is_some_and(|text| text.contains("draft-07"));
    let id = schema["$id"].as_str().unwrap_or_default().trim_end_matches('#').to_owned();
    let mut newer = false;
    let mut embedded = rewrite(schema, pointer, &id, &mut newer);
    if let Value::Object(map) = &mut embedded {
        map.remove("$schema");
        map.remove("$id");
    }
    (embedded, if newer && !says_seven { Draft::Of2020 } else { Draft::Seven })
}

fn rewrite(schema: &Value, pointer: &str, id: &str, newer: &mut bool) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    *newer |= map.keys().any(|key| NEWER.contains(&key.as_str()));
    *newer |= map.contains_key("$ref") && map.keys().any(|key| key != "$ref" && !BESIDE.contains(&key.as_str()));
    let rewritten = map.iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("$ref", Value::String(to)) => Value::String(moved(to, pointer, id)),
            (key, Value::Object(named)) if BY_NAME.contains(&key) => {
                let inner = named.iter().map(|(name, schema)| (name.clone(), rewrite(schema, pointer, id, newer)));
                Value::Object(inner.collect::<Map<_, _>>())
            }
            (key, Value::Array(list)) if ONE_OR_MORE.contains(&key) => {
                Value::Array(list.iter().map(|schema| rewrite(schema, pointer, id, newer)).collect())
            }
            (key, value) if ONE_OR_MORE.contains(&key) => rewrite(value, pointer, id, newer),
            (_, value) => value.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(rewritten.collect())
}

fn moved(to: &str, pointer: &str, id: &str) -> String {
    let within = if id.is_empty() {
        to
    } else {
        to.strip_prefix(id).filter(|rest| rest.is_empty() || rest.starts_with('#')).unwrap_or(to)
    };
    match within.strip_prefix('#') {
        Some(rest) => format!("{pointer}{rest}"),
        None if within.is_empty() => pointer.to_owned(),
        None => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn embedded(schema: &Value) -> (Value, Draft) {
        embed(schema, "#/at")
    }

    #[test]
    fn references_lead_to_where_they_led() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://e/x.json",
            "$defs": {"a": {"$ref": "#"}, "b": {"$ref": "https://e/x.json#/$defs/a"}},
            "properties": {"$ref": {"$ref": "#/$defs/a"}, "l": {"items": {"anyOf": [{"$ref": "#/$defs/b"}]}}},
        });
        let (embedded, draft) = embedded(&schema);
        assert_eq!(draft, Draft::Seven);
        assert_eq!(
            embedded,
            json!({
                "$defs": {"a": {"$ref": "#/at"}, "b": {"$ref": "#/at/$defs/a"}},
                "properties": {"$ref": {"$ref": "#/at/$defs/a"}, "l": {"items": {"anyOf": [{"$ref": "#/at/$defs/b"}]}}},
            })
        );
    }

    #[test]
    fn values_are_left_as_they_are() {
        let schema =
            json!({"const": {"$ref": "#"}, "enum": [{"$ref": "#"}], "default": {"prefixItems": 1}, "examples": [{"$ref": "#"}]});
        assert_eq!(embedded(&schema), (schema, Draft::Seven));
        assert_eq!(embedded(&json!(true)), (json!(true), Draft::Seven));
    }

    #[test]
    fn what_draft_07_reads_otherwise_is_of_2020() {
        for schema in [
            json!({"prefixItems": []}),
            json!({"properties": {"a": {"unevaluatedProperties": false}}}),
            json!({"$defs": {"a": {}}, "properties": {"a": {"$ref": "#/$defs/a", "minLength": 1}}}),
        ] {
            assert_eq!(embedded(&schema).1, Draft::Of2020, "{schema}");
        }
        let described = json!({"$defs": {"a": {}}, "properties": {"a": {"$ref": "#/$defs/a", "description": "x"}}});
        assert_eq!(embedded(&described).1, Draft::Seven);
        // It says what it is.
        let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "minLength": 1});
        assert_eq!(embedded(&seven).1, Draft::Seven);
    }
}
