//! Tests of what is said of messages.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn told(schema: &Value, message: &Value) -> String {
    match Judge::of(&schema.to_string()).unwrap().judge(message) {
        Verdict::Conforms => "conforms".to_owned(),
        Verdict::Unchecked => "unchecked".to_owned(),
        Verdict::Violates(Violation { path, rule }) => format!("{path} {rule}"),
    }
}

#[test]
fn a_violation_has_a_place_and_a_rule() {
    let order = json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"},
            "lines": {"type": "array", "maxItems": 3, "uniqueItems": true, "items": {"$ref": "#/$defs/line"}},
            "a/b": {"enum": [1, 2]},
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 3}]},
            "kind": {"oneOf": [{"const": 1}, {"type": "number"}]},
            "when": {"type": "string", "format": "date-time"},
        },
        "patternProperties": {"^x-": {"type": "boolean"}},
        "additionalProperties": false,
        "dependentRequired": {"note": ["id", "kind"]},
        "$defs": {"line": {"properties": {"count": {"type": "integer", "minimum": 1}}}},
    });
    for (message, expected) in [
        (json!({"id": "ab"}), "conforms"),
        (json!(5), " type"),
        (json!({}), "/id required"),
        (json!({"id": 5}), "/id type"),
        (json!({"id": "a"}), "/id minLength"),
        (json!({"id": "aB"}), "/id pattern"),
        (json!({"id": "ab", "lines": [{"count": 1}, {"count": 0}]}), "/lines/*/count minimum"),
        (json!({"id": "ab", "lines": [{"count": 1.5}]}), "/lines/*/count type"),
        (json!({"id": "ab", "lines": [1, 2, 3, 4]}), "/lines maxItems"),
        (json!({"id": "ab", "lines": [1, 1]}), "/lines uniqueItems"),
        (json!({"id": "ab", "a/b": 3}), "/a~1b enum"),
        (json!({"id": "ab", "note": "long", "kind": 2}), "/note maxLength"),
        (json!({"id": "ab", "note": 5, "kind": 2}), "/note any-of"),
        (json!({"id": "ab", "note": null}), "/kind dependentRequired"),
        (json!({"id": "ab", "kind": 1}), "/kind one-of"),
        (json!({"id": "ab", "x-secret": 5}), "/* type"),
        (json!({"id": "ab", "secret": 5}), "/* object-closed"),
        // Whether it is one is not decided.
        (json!({"id": "ab", "when": "yesterday"}), "conforms"),
    ] {
        assert_eq!(told(&order, &message), expected, "{message}");
    }
}

#[test]
fn every_keyword_has_its_rule() {
    for (schema, message, expected) in [
        (json!(false), json!(1), " never"),
        (json!({"maximum": 3}), json!(4), " maximum"),
        (json!({"exclusiveMinimum": 3}), json!(3), " minimum"),
        (json!({"multipleOf": 0.1}), json!(0.25), " multipleOf"),
        (json!({"minItems": 1}), json!([]), " minItems"),
        (json!({"contains": {"type": "string"}}), json!([1]), " contains"),
        (json!({"prefixItems": [{"type": "string"}]}), json!([1]), "/* type"),
        (json!({"minProperties": 1}), json!({}), " minProperties"),
        (json!({"maxProperties": 1}), json!({"a": 1, "b": 2}), " maxProperties"),
        (json!({"propertyNames": {"maxLength": 2}}), json!({"secret": 1}), "/* propertyNames"),
        (json!({"additionalProperties": {"type": "string"}}), json!({"secret": 1}), "/* type"),
        (json!({"allOf": [{"required": ["a"]}]}), json!({}), "/a required"),
        (json!({"not": {"type": "string"}}), json!("a"), " not"),
        (json!({"if": {"type": "string"}, "then": {"maxLength": 1}, "else": {"maximum": 1}}), json!("ab"), " maxLength"),
        (json!({"if": {"type": "string"}, "then": {"maxLength": 1}, "else": {"maximum": 1}}), json!(5), " maximum"),
        (json!({"dependentSchemas": {"a": {"required": ["b"]}}}), json!({"a": 1}), "/b required"),
        (json!({"format": "date"}), json!("?"), " format"),
    ] {
        assert_eq!(told(&schema, &message), expected, "{schema} {message}");
    }
}

/// A sender must not be able to stop the operator: neither by a message nor, as an owner, by a schema.
#[test]
fn what_would_take_long_is_not_checked() {
    let double = |of: &str| json!({"allOf": [{"$ref": of}, {"$ref": of}]});
    let mut definitions = Map::new();
    for level in 0..20 {
        definitions.insert(format!("d{level}"), double(&format!("#/$defs/d{}", level + 1)));
    }
    definitions.insert("d20".into(), json!({"type": "string"}));
    let schema = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    assert_eq!(told(&schema, &json!("a")), "unchecked");
    let numbers: Vec<Value> = (0..40_000).map(Value::from).collect();
    let began = std::time::Instant::now();
    assert_eq!(told(&json!({"uniqueItems": true}), &json!(numbers)), "conforms");
    let same = json!({"uniqueItems": true, "allOf": vec![json!({"uniqueItems": true}); 1_000]});
    assert_eq!(told(&same, &json!(numbers)), "unchecked");
    let long = "a".repeat(250_000);
    let patterns = json!({"allOf": vec![json!({"pattern": "^(a|b)*c?$"}); 10_000]});
    assert_eq!(told(&patterns, &json!(long)), "unchecked");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "maxLength": 3})),
        Just(json!({"type": "integer", "minimum": 2})),
        Just(json!({"enum": [1, "a", null]})),
        Just(json!(true)),
        Just(json!({"type": ["null", "boolean"]})),
        Just(json!({"pattern": "^a"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map("[a-c]", inner.clone(), 0..3).prop_map(|properties| {
                let required: Vec<&String> = properties.keys().take(1).collect();
                json!({"properties": properties, "required": required, "additionalProperties": false})
            }),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items, "uniqueItems": true})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"anyOf": all})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"oneOf": all})),
            inner.clone().prop_map(|not| json!({"not": not})),
            inner.prop_map(|values| json!({"additionalProperties": values})),
        ]
    })
}

fn messages() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..5_i64).prop_map(Value::from),
        "[a-b]{0,5}".prop_map(Value::from),
        Just(json!("hunter2secret")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]|hunter2secret", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Another's validator agrees, and nothing that is only in the message is told.
    #[test]
    fn verdicts_are_those_of_another_validator_and_tell_no_secret(schema in schemas(), message in messages()) {
        let expected = jsonschema::validator_for(&schema).unwrap().is_valid(&message);
        match Judge::of(&schema.to_string()).unwrap().judge(&message) {
            Verdict::Conforms => prop_assert!(expected, "{schema} {message}"),
            Verdict::Unchecked => prop_assert!(false, "{schema} {message}"),
            Verdict::Violates(Violation { path, rule }) => {
                prop_assert!(!expected, "{schema} {message} {path} {rule}");
                prop_assert!(!path.contains("hunter2") && rule != "too-complex", "{path} {rule} {schema} {message}");
            }
        }
    }
}
