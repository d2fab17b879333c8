//! Schemas made to cost time, memory or stack. Each has to end, soon, with an error or with a verdict.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use entente_core::contract::{Comparison, Direction, Format, Policy, Report, SchemaError, check};

fn how(format: Format) -> Comparison {
    Comparison { format, direction: Direction::Full, policy: Policy::Lenient, json_encoding: false }
}

/// Measured below one second each in release; the bound leaves room for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// In a thread of 2 MiB, as those of a server are.
fn ends(format: Format, old: String, new: String) -> Result<Report, SchemaError> {
    let run = move || {
        let start = Instant::now();
        let result = check(&old, &new, how(format));
        println!("{format:?}, {} bytes: {:?}", old.len(), start.elapsed());
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        result
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap()
}

fn json_schema(old: impl Into<String>, new: impl Into<String>) -> Result<Report, SchemaError> {
    ends(Format::JsonSchema, old.into(), new.into())
}

#[test]
fn deep_json() {
    let deep = r#"{"not":"#.repeat(5_000) + "{}" + &"}".repeat(5_000);
    assert!(json_schema(&deep, "{}").unwrap_err().problem.contains("128"));
    let deep = r#"{"type":"array","items":"#.repeat(5_000) + r#""int""# + &"}".repeat(5_000);
    assert!(ends(Format::Avro, deep.clone(), deep).unwrap_err().problem.contains("128"));
}

#[test]
fn a_reference_without_end() {
    let round = r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}"##;
    assert!(json_schema(round, "{}").unwrap_err().problem.contains("no end"));
    assert!(json_schema(r##"{"$ref": "#"}"##, "{}").unwrap_err().problem.contains("no end"));
    assert!(json_schema(r##"{"not": {"$ref": "#"}}"##, "{}").unwrap_err().problem.contains("no end"));
}

/// Each definition uses the next one twice: written out it would be 2^40 schemas.
fn doubled(keyword: &str, last: &str) -> String {
    let definitions: Vec<String> = (0..40)
        .map(|at| {
            format!(
                r##""d{at}": {{"{keyword}": [{{"$ref": "#/$defs/d{}"}}, {{"$ref": "#/$defs/d{}", "title": "x"}}]}}"##,
                at + 1,
                at + 1
            )
        })
        .collect();
    format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d40": {last}}}}}"##, definitions.join(","))
}

#[test]
fn doubled_references() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let result = json_schema(doubled(keyword, r#"{"type": "string"}"#), doubled(keyword, r#"{"type": "integer"}"#));
        assert!(result.is_err_and(|error| error.problem.contains("48")), "{keyword}");
        let report = json_schema(short(keyword, "string"), short(keyword, "integer")).unwrap();
        // What is valid under both of two like branches is refused by oneOf: nothing is ever sent.
        assert!(keyword == "oneOf" || !report.compatible(), "{keyword}");
    }
}

/// As [`doubled`], below the bound of references within each other.
fn short(keyword: &str, ty: &str) -> String {
    let definitions: Vec<String> = (0..14)
        .map(|at| {
            format!(
                r##""d{at}": {{"{keyword}": [{{"$ref": "#/$defs/d{0}"}}, {{"$ref": "#/$defs/d{0}", "title": "x"}}]}}"##,
                at + 1
            )
        })
        .collect();
    format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d14": {{"type": "{ty}", "minLength": 3}}}}}}"##, definitions.join(","))
}

#[test]
fn many_choices() {
    let choices = |from: usize| {
        let all: Vec<String> = (0..30)
            .map(|at| format!(r#"{{"anyOf": [{{"properties": {{"a{at}": {{"minimum": {from}}}}}}}, {{"properties": {{"b{at}": {{"minimum": {from}}}}}}}]}}"#))
            .collect();
        format!(r#"{{"type": "object", "allOf": [{}]}}"#, all.join(","))
    };
    assert!(!json_schema(choices(0), choices(1)).unwrap().compatible());
}

#[test]
fn a_chain_through_properties() {
    let chain = |ty: &str| {
        let definitions: Vec<String> =
            (0..3_000).map(|at| format!(r##""d{at}": {{"properties": {{"n": {{"$ref": "#/$defs/d{}"}}}}}}"##, at + 1)).collect();
        format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d3000": {{"type": "{ty}"}}}}}}"##, definitions.join(","))
    };
    let report = json_schema(chain("string"), chain("integer")).unwrap();
    assert!(report.breaks().any(|change| change.rule == "too-complex"), "{:?}", report.changes.first());
}

#[test]
fn wide_enums_and_patterns() {
    let values =
        |from: usize| format!(r#"{{"enum": [{}]}}"#, (from..from + 5_000).map(|at| at.to_string()).collect::<Vec<_>>().join(","));
    assert!(!json_schema(values(0), values(1)).unwrap().compatible());
    let pattern = r#"{"type": "string", "enum": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"], "pattern": "^(a+)+$"}"#;
    assert!(json_schema(pattern, pattern.replace("a+", "a*")).is_ok());
    let names = |suffix: &str| {
        let all: Vec<String> =
            (0..300).map(|at| format!(r#""^{}{at}{suffix}": {{"type": "integer"}}"#, "(x+x+)+".repeat(3))).collect();
        let named: Vec<String> = (0..300).map(|at| format!(r#""{}{at}": {{"type": "string"}}"#, "x".repeat(60))).collect();
        format!(r#"{{"properties": {{{}}}, "patternProperties": {{{}}}}}"#, named.join(","), all.join(","))
    };
    assert!(json_schema(names("y"), names("z")).is_ok());
}

#[test]
fn trees_that_multiply() {
    let tree = |ty: &str| {
        let sides: Vec<String> = (0..20).map(|at| format!(r##""s{at}": {{"$ref": "#/$defs/t{}"}}"##, at % 5)).collect();
        let trees: Vec<String> = (0..5)
            .map(|at| {
                format!(r#""t{at}": {{"type": "object", "properties": {{"v{at}": {{"type": "{ty}"}}, {}}}}}"#, sides.join(","))
            })
            .collect();
        format!(r##"{{"$ref": "#/$defs/t0", "$defs": {{{}}}}}"##, trees.join(","))
    };
    assert!(!json_schema(tree("string"), tree("integer")).unwrap().compatible());
    assert!(json_schema(tree("integer"), tree("integer") + " ").unwrap().compatible());
}

#[test]
fn nothing_is_fetched() {
    for reference in ["http://127.0.0.1:9/a.json", "file:///etc/passwd", "other.json#/a", "//host/x"] {
        let schema = format!(r#"{{"$ref": "{reference}"}}"#);
        assert!(json_schema(&schema, "{}").unwrap_err().problem.contains("nothing is fetched"), "{reference}");
    }
    let proto = r#"syntax = "proto3"; import "/etc/passwd"; message M {}"#;
    assert!(ends(Format::Protobuf, proto.into(), proto.into()).unwrap().compatible());
}

#[test]
fn protobuf_without_end() {
    for text in [
        "message A {".repeat(5_000),
        "option x = {".repeat(5_000),
        "extend A {".repeat(5_000),
        "message M { optional group G = 1 {".into(),
        "/* ".into(),
        "message M { string a = 1 [(x) = ".into(),
        "service S {".into(),
    ] {
        assert!(ends(Format::Protobuf, text.clone(), String::new()).is_err(), "{}", &text[..12]);
    }
    let groups = "message M {".to_owned() + &"optional group G = 1 {".repeat(2_000);
    assert!(ends(Format::Protobuf, groups, String::new()).is_err());
}

#[test]
fn avro_names_that_lead_far() {
    let chain = |ty: &str| {
        let records: Vec<String> = (0..2_000)
            .map(|at| {
                let inner = if at == 0 { format!("\"{ty}\"") } else { format!("\"R{}\"", at - 1) };
                format!(r#"{{"type": "record", "name": "R{at}", "fields": [{{"name": "n", "type": {inner}}}]}}"#)
            })
            .collect();
        format!("[{}]", records.join(","))
    };
    assert!(!ends(Format::Avro, chain("string"), chain("int")).unwrap().compatible());
}
