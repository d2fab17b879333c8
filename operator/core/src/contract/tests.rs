use super::*;

fn how(format: Format, direction: Direction) -> Comparison {
    Comparison { format, direction, policy: Policy::Lenient, json_encoding: false }
}

#[test]
fn direction_follows_the_operation() {
    assert_eq!(Action::Send.direction(), Direction::Forward);
    assert_eq!(Action::Receive.direction(), Direction::Backward);
}

#[test]
fn opaque_is_equal_or_not() {
    let same = check("a", "a", how(Format::Opaque, Direction::Full)).unwrap();
    assert!(same.compatible() && same.changes.is_empty());
    let other = check("a", "b", how(Format::Opaque, Direction::Full)).unwrap();
    assert!(!other.compatible_in(Way::Backward) && !other.compatible_in(Way::Forward));
    let change = &other.changes[0];
    assert_eq!((change.rule, change.effect), ("opaque", Effect::Unproven));
    assert!(change.before.as_ref().unwrap().starts_with("sha256:ca978112"), "{change:?}");
}

/// What was removed in the second version comes back in the third with another type: the second alone would not tell.
#[test]
fn history_is_compared_with_every_version() {
    let first = r#"{"type": "object", "properties": {"a": {"type": "string"}}}"#;
    let second = r#"{"type": "object", "properties": {}}"#;
    let third = r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}"#;
    let how = how(Format::JsonSchema, Direction::Forward);
    let verdicts = check_history([("v1", first), ("v2", second)], third, how).unwrap();
    let found: Vec<(&str, bool)> =
        verdicts.iter().map(|verdict| (verdict.version.as_str(), verdict.report.compatible())).collect();
    assert_eq!(found, [("v1", false), ("v2", true)]);
}

#[test]
fn an_error_names_the_version() {
    let how = how(Format::JsonSchema, Direction::Forward);
    let error = check_history([("v1", "{"), ("v2", "{}")], "{}", how).unwrap_err();
    assert!(error.to_string().starts_with("version v1: line 1, column"), "{error}");
    let error = check_history([("v1", "{}")], r#"{"type": 3}"#, how).unwrap_err();
    assert_eq!(error.to_string(), "the new version: /type: type must be a name or a list of names");
}

#[test]
fn a_text_that_is_too_large_is_refused() {
    let large = format!("\"{}\"", "a".repeat(MAX_BYTES));
    for format in [Format::JsonSchema, Format::Avro, Format::Protobuf, Format::Opaque] {
        assert!(check(&large, "{}", how(format, Direction::Full)).unwrap_err().problem.contains("bytes"));
    }
}

#[test]
fn formats_go_by_extension() {
    assert_eq!(Format::of_file("a/b.json"), Some(Format::JsonSchema));
    assert_eq!(Format::of_file("b.avsc"), Some(Format::Avro));
    assert_eq!(Format::of_file("b.x.proto"), Some(Format::Protobuf));
    assert_eq!(Format::of_file("json"), None);
}

/// Breaks come first, so that what is cut off is what matters least.
#[test]
fn a_report_is_bounded() {
    let schema = |ty: &str| {
        let properties: Vec<String> = (0..500).map(|at| format!(r#""p{at}": {{"type": "{ty}"}}"#)).collect();
        format!(r#"{{"type": "object", "properties": {{{}}}}}"#, properties.join(","))
    };
    let report = check(&schema("string"), &schema("integer"), how(Format::JsonSchema, Direction::Backward)).unwrap();
    assert_eq!(report.changes.len(), 200);
    assert!(report.changes.iter().all(|change| change.effect == Effect::Breaking));
}
