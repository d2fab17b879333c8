use super::*;
use crate::contract::{Change, Direction, Format, Policy, Way};

fn report(old: &str, new: &str, policy: Policy) -> Report {
    let how = Comparison { format: Format::JsonSchema, direction: Direction::Full, policy, json_encoding: false };
    check(old, new, how).unwrap()
}

fn only(report: &Report, rule: &str) -> Change {
    let found: Vec<&Change> = report.changes.iter().filter(|change| change.rule == rule).collect();
    assert_eq!(found.len(), 1, "{report:?}");
    found[0].clone()
}

#[test]
fn a_break_says_where_what_and_what_to_do() {
    let old = r#"{"type": "object", "properties": {"a/b": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}"#;
    let new = old.replace("\"minimum\": 1", "\"minimum\": 5");
    let change = only(&report(old, &new, Policy::Lenient), "minimum");
    assert_eq!(change.path, "/properties/a~1b/items/minimum");
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("1"), Some("5")));
    assert_eq!(change.way, Some(Way::Backward));
    assert_eq!(change.mend, "accept in the new version what the old one let through: 1");
}

#[test]
fn before_and_after_are_of_the_versions_whichever_way_it_breaks() {
    let (old, new) = (r#"{"type": "integer", "minimum": 5}"#, r#"{"type": "integer", "minimum": 1}"#);
    let change = only(&report(old, new, Policy::Lenient), "minimum");
    assert_eq!((change.before.as_deref(), change.after.as_deref(), change.way), (Some("5"), Some("1"), Some(Way::Forward)));
}

#[test]
fn a_witness_is_short_and_at_the_edge() {
    let (old, new) = (r#"{"type": "integer", "minimum": 1}"#, r#"{"type": "integer", "minimum": 5}"#);
    let report = report(old, new, Policy::Lenient);
    assert_eq!(report.witnesses.len(), 1);
    let witness = &report.witnesses[0];
    assert_eq!(witness.way, Way::Backward);
    assert!(witness.message.as_i64().is_some_and(|number| (1..5).contains(&number)), "{witness:?}");
}

/// A lenient witness must not rely on properties that the writer does not name.
#[test]
fn a_lenient_witness_is_one_that_the_writer_sends() {
    let old = r#"{"type": "object", "properties": {"a": {"type": "string"}}}"#;
    let new = r#"{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]}"#;
    let report = report(old, new, Policy::Lenient);
    let names = report.witnesses[0].message.as_object().unwrap();
    assert!(names.keys().all(|name| name == "a"), "{names:?}");
}

#[test]
fn compatible_changes_are_listed_as_well() {
    let old = r#"{"type": "object", "title": "a", "properties": {"a": {"type": "string"}}}"#;
    let new = r#"{"type": "object", "title": "b", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}"#;
    let report = report(old, new, Policy::Lenient);
    assert!(report.compatible());
    let paths: Vec<&str> = report.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/properties/b", "/title"]);
}

#[test]
fn what_is_no_schema_says_where() {
    for (schema, place) in [
        (r#"{"type": "strnig"}"#, "/type"),
        (r#"{"properties": {"a": {"minimum": "1"}}}"#, "/properties/a/minimum"),
        (r#"{"properties": {"a": 3}}"#, "/properties/a"),
        (r#"{"required": "a"}"#, "/required"),
        (r#"{"minLength": -1}"#, "/minLength"),
        (r#"{"multipleOf": 0}"#, "/multipleOf"),
        (r#"{"items": [{}]}"#, "/items"),
        (r#"{"anyOf": []}"#, "/anyOf"),
        (r#"{"$schema": "http://json-schema.org/draft-04/schema#"}"#, "/$schema"),
        (r##"{"$ref": "#/$defs/none"}"##, "/$ref"),
        (r##"{"$ref": "#none"}"##, "/$ref"),
        (r##"{"$dynamicRef": "#a"}"##, "/$dynamicRef"),
        (r#"{"properties": {"a": {"$id": "x"}}}"#, "/properties/a"),
        ("[]", ""),
        ("3", ""),
    ] {
        let how =
            Comparison { format: Format::JsonSchema, direction: Direction::Full, policy: Policy::Lenient, json_encoding: false };
        let error = check("{}", schema, how).unwrap_err();
        assert_eq!((error.place.as_str(), error.side), (place, Side::New), "{schema}: {error}");
        assert_eq!(check(schema, "{}", how).unwrap_err().side, Side::Old);
    }
}

/// A property that is called as a keyword is a property.
#[test]
fn names_of_properties_are_no_keywords() {
    let schema = r#"{"type": "object", "properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}, "required": {"type": "string"}}}"#;
    assert!(report(schema, &schema.replace("\"required\"", "\"other\""), Policy::Lenient).compatible());
    assert!(!report(schema, &schema.replace("string", "integer"), Policy::Lenient).compatible());
}

#[test]
fn examples_are_valid() {
    let schema = r#"{"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}, "n": {"type": "integer", "minimum": 3}}, "required": ["at"]}"#;
    let found = examples(schema).unwrap();
    assert!(found.len() > 3);
    assert!(found.iter().all(|value| value["at"].is_string()));
}

/// An idle claim: that a list of itself is of another type must not be proven by assuming it.
#[test]
fn a_circle_is_no_proof() {
    let old = r##"{"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}, "v": {"type": "string"}}}}}"##;
    let new = r##"{"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"n": {"$ref": "#/$defs/b"}}}, "b": {"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}, "v": {"type": "integer"}}}}}"##;
    let report = report(old, new, Policy::Strict);
    let change = report.breaks().find(|change| change.way == Some(Way::Backward)).unwrap();
    assert_eq!(change.path, "/properties/n/properties/v/type");
}

fn object(properties: &str) -> String {
    format!(r#"{{"type": "object", "properties": {{{properties}}}}}"#)
}

/// Under draft-07 `dependentRequired` says nothing, under 2020-12 it refuses: the same words are not the same schema.
#[test]
fn words_are_taken_by_the_rules_of_their_document() {
    let new = object(r#""a": {"type": "object", "dependentRequired": {"x": ["y"]}, "properties": {"x": {}, "y": {}}}"#);
    let old = new.replacen('{', r#"{"$schema": "http://json-schema.org/draft-07/schema#", "#, 1);
    assert_eq!(only(&report(&old, &new, Policy::Strict), "dependentRequired").way, Some(Way::Backward));
    assert!(report(&old, &old.replacen("\"object\"", "\"object\", \"title\": \"a\"", 1), Policy::Strict).compatible());
}

/// Which of two parts that say the same was read first must not matter, nor that the one is the root.
#[test]
fn a_part_that_stands_several_times_is_judged_where_it_stands() {
    let part = r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}"#;
    let old = object(&format!(r#""a": {part}, "b": {part}, "c": {{"items": {part}}}"#));
    let tighter = part.replace("\"minimum\": 1", "\"minimum\": 2");
    let new = object(&format!(r#""a": {part}, "b": {tighter}, "c": {{"items": {tighter}}}"#));
    let report = report(&old, &new, Policy::Lenient);
    let breaks: Vec<&str> = report.breaks().map(|change| change.path.as_str()).collect();
    assert_eq!(breaks, ["/properties/b/properties/n/minimum", "/properties/c/items/properties/n/minimum"]);
    assert!(only_way(part, &object(&format!(r#""a": {part}"#))).is_some());
}

fn only_way(old: &str, new: &str) -> Option<Way> {
    report(old, new, Policy::Strict).breaks().next().and_then(|change| change.way)
}

/// The `$id` of a root is none of a part, and what failed leaves nothing behind that another version could use.
#[test]
fn a_version_that_is_no_schema_leaves_nothing_behind() {
    let mut history = History::new(Policy::Lenient);
    let good: Value = serde_json::from_str(&object(r#""a": {"type": "string"}, "b": {"type": "object"}"#)).unwrap();
    let bad = |part: Value| serde_json::json!({"type": "object", "properties": {"a": {"type": "integer"}, "z": part}});
    for part in [serde_json::json!({"type": 1}), serde_json::json!({"$id": "x"}), serde_json::json!({"$ref": "#/nowhere"})] {
        for _ in 0..2 {
            assert!(history.add(&bad(part.clone())).is_err());
        }
    }
    let (one, two) = (history.add(&good).unwrap(), history.add(&good).unwrap());
    let ty = history.add(&bad(serde_json::json!({}))).unwrap();
    assert!(history.breaks(one, two, Direction::Full).changes.is_empty());
    let found = history.breaks(one, ty, Direction::Full).changes;
    assert!(found.iter().all(|change| change.path == "/properties/a/type") && found.len() == 2, "{found:?}");
}

/// Most of a new version is the old one: it costs what is new.
#[test]
fn a_version_costs_what_is_new_in_it() {
    let version = |added: usize| {
        let kept = (0..200).map(|at| format!(r##""k{at}": {{"items": {{"$ref": "#/$defs/d"}}, "minItems": {at}}}"##));
        let properties: Vec<String> = kept.chain((0..added).map(|at| format!(r#""n{at}": {{"maxLength": {at}}}"#))).collect();
        let schema = object(&properties.join(", ")).replacen('{', r#"{"$defs": {"d": {"type": "string"}}, "#, 1);
        serde_json::from_str::<Value>(&schema).unwrap()
    };
    let mut history = History::new(Policy::Lenient);
    history.add(&version(1)).unwrap();
    let first = history.size();
    for added in 2..12 {
        history.add(&version(added)).unwrap();
    }
    assert!(history.size() < first + first / 5, "{} after {first}", history.size());
}
