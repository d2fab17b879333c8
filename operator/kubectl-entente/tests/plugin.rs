//! The built binary: what it prints, and how it ends.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn ended(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(arguments: &[&str]) -> Ended {
    ended(Command::new(env!("CARGO_BIN_EXE_kubectl-entente")).args(arguments).output().unwrap())
}

fn run_with_input(arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-entente"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    ended(child.wait_with_output().unwrap())
}

/// A directory of its own for a test, made anew.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn write(path: &Path, text: &str) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    path.display().to_string()
}

const V1: &str = r#"{"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}"#;
const V2: &str =
    r#"{"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}, "required": ["id"]}"#;
const V3: &str =
    r#"{"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}, "required": ["id", "note"]}"#;

#[test]
fn compatible_ends_with_0() {
    let at = directory("compatible");
    let (old, new) = (write(&at.join("1.json"), V1), write(&at.join("2.json"), V2));
    let ended = run(&["contract", "check", &old, &new]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("compatible: 1 of 1 compatible, 0 not (full, lenient)"), "{}", ended.out);
    assert!(ended.out.contains("/properties/note  fine: added"), "{}", ended.out);
}

#[test]
fn incompatible_ends_with_1_and_says_what_to_do() {
    let at = directory("incompatible");
    let (old, new) = (write(&at.join("1.json"), V2), write(&at.join("2.json"), V3));
    let ended = run(&["contract", "check", &old, &new, "--direction", "backward"]);
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    for part in [
        "INCOMPATIBLE",
        "/properties/note",
        "rule    required",
        "before  optional",
        "after   required",
        "mend    leave it optional",
        "a message that shows it: {\"id\":",
    ] {
        assert!(ended.out.contains(part), "no {part:?} in\n{}", ended.out);
    }
    assert_eq!(run(&["contract", "check", &old, &new, "--direction", "forward"]).code, 0);
}

/// Runs it with a standard output that nobody reads, or that takes nothing.
fn run_into(out: Stdio, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-entente"));
    ended(command.args(arguments).stdout(out).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap())
}

#[test]
fn a_reader_that_has_had_enough_changes_nothing() {
    let at = directory("enough");
    let (old, new) = (write(&at.join("1.json"), V2), write(&at.join("2.json"), V3));
    for (arguments, code) in [(vec!["contract", "check", &old, &new], 1), (vec!["filter", "test", "a > 1"], 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = run_into(writer.into(), &arguments);
        assert_eq!((ended.code, ended.err.as_str()), (code, ""), "{arguments:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_no_answer() {
    let ended = run_into(fs::File::create("/dev/full").unwrap().into(), &["filter", "test", "a > 1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.starts_with("error: the output cannot be written: "), "{}", ended.err);
}

#[test]
fn policy_counts() {
    let at = directory("policy");
    let (old, new) = (write(&at.join("1.json"), V1), write(&at.join("2.json"), V2));
    let check = |policy| run(&["contract", "check", &old, &new, "--direction", "backward", "--policy", policy]).code;
    assert_eq!((check("lenient"), check("strict")), (0, 1));
}

#[test]
fn json_is_for_programs() {
    let at = directory("json");
    let (old, new) = (write(&at.join("1.json"), V2), write(&at.join("2.json"), V3));
    let ended = run(&["contract", "check", &old, &new, "-o", "json"]);
    assert_eq!(ended.code, 1);
    let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(value["compatible"], false);
    assert_eq!(value["direction"], "Full");
    let contract = &value["contracts"][0];
    assert_eq!((&contract["state"], &contract["format"]), (&"compared".into(), &"JsonSchema".into()));
    let change = &contract["report"]["changes"][0];
    assert_eq!(
        (&change["rule"], &change["way"], &change["effect"]),
        (&"required".into(), &"backward".into(), &"breaking".into())
    );
    assert_eq!(change["path"], "/properties/note");
    assert!(contract["report"]["witnesses"][0]["message"].is_object());
}

#[test]
fn every_format_goes_by_extension() {
    let at = directory("formats");
    let proto = |name: &str, field: &str| write(&at.join(name), &format!("syntax = \"proto3\"; message M {{ {field} a = 1; }}"));
    let (old, new) = (proto("1.proto", "string"), proto("2.proto", "int32"));
    let ended = run(&["contract", "check", &old, &new]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("/M/a"), "{}", ended.out);
    let (old, new) = (write(&at.join("1.avsc"), r#""int""#), write(&at.join("2.avsc"), r#""long""#));
    assert_eq!(run(&["contract", "check", &old, &new, "--direction", "backward"]).code, 0);
    assert_eq!(run(&["contract", "check", &old, &new, "--direction", "forward"]).code, 1);
    // The same texts are no JSON Schemas, and are equal or not as opaque ones.
    assert_eq!(run(&["contract", "check", &old, &new, "--format", "json-schema"]).code, 2);
    assert_eq!(run(&["contract", "check", &old, &new, "--format", "opaque"]).code, 1);
    assert_eq!(run(&["contract", "check", &old, &old, "--format", "opaque"]).code, 0);
}

#[test]
fn directories_are_paired_by_relative_path() {
    let at = directory("directories");
    write(&at.join("old/a/order.json"), V1);
    write(&at.join("new/a/order.json"), V2);
    write(&at.join("new/b/bill.avsc"), r#""string""#);
    write(&at.join("old/readme.md"), "not a contract");
    let [old, new] = ["old", "new"].map(|name| at.join(name).display().to_string());
    let ended = run(&["contract", "check", &old, &new]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("a/order.json: compatible") && ended.out.contains("b/bill.avsc: new"), "{}", ended.out);
    // Turned round, a contract is removed.
    let ended = run(&["contract", "check", &new, &old]);
    assert_eq!(ended.code, 1, "{}", ended.out);
    assert!(ended.out.contains("b/bill.avsc: REMOVED") && ended.out.contains("1 of 2 compatible, 1 not"), "{}", ended.out);
}

#[test]
fn unusable_input_ends_with_2() {
    let at = directory("unusable");
    let good = write(&at.join("good.json"), V1);
    let bad = write(&at.join("bad.json"), "{\"type\": \"strnig\"}");
    let broken = write(&at.join("broken.json"), "{");
    let nameless = write(&at.join("schema"), V1);
    let binary = at.join("binary.json");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    let binary = binary.display().to_string();
    let folder = at.display().to_string();
    for (old, new, says) in [
        (&good, &bad, "the new version: /type: type is none of the seven types"),
        (&bad, &good, "the old version: /type"),
        (&good, &broken, "line 1, column"),
        (&nameless, &nameless, "--format"),
        (&good, &binary, "no UTF-8 text"),
        (&good, &folder, "must both be files"),
        (&good, &"/nowhere/x.json".to_owned(), "/nowhere/x.json"),
    ] {
        let ended = run(&["contract", "check", old, new]);
        assert_eq!(ended.code, 2, "{old} {new}: {}", ended.out);
        assert!(format!("{}{}", ended.out, ended.err).contains(says), "no {says:?} in {}{}", ended.out, ended.err);
    }
    assert_eq!(run(&["contract", "check", &good, &good, "--direction", "sideways"]).code, 2);
    assert_eq!(run(&["contract", "check", &good]).code, 2);
    assert_eq!(run(&["frobnicate"]).code, 2);
}

/// One file that cannot be used does not hide what is said of the others.
#[test]
fn unusable_counts_more_than_incompatible() {
    let at = directory("mixed");
    write(&at.join("old/a.json"), V2);
    write(&at.join("new/a.json"), V3);
    write(&at.join("old/b.json"), V1);
    write(&at.join("new/b.json"), "nothing");
    let [old, new] = ["old", "new"].map(|name| at.join(name).display().to_string());
    let ended = run(&["contract", "check", &old, &new]);
    assert_eq!(ended.code, 2);
    assert!(ended.out.contains("a.json: INCOMPATIBLE") && ended.out.contains("b.json: UNUSABLE"), "{}", ended.out);
}

#[test]
fn names_in_a_schema_do_not_steer_the_terminal() {
    let at = directory("terminal");
    let old = write(&at.join("1.json"), r#"{"type": "object", "properties": {"\u001b[31mred": {"type": "string"}}}"#);
    let new = write(&at.join("2.json"), r#"{"type": "object", "properties": {"\u001b[31mred": {"type": "integer"}}}"#);
    let ended = run(&["contract", "check", &old, &new]);
    assert_eq!(ended.code, 1);
    assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
}

#[test]
fn help_has_examples_and_exit_codes() {
    for arguments in [["contract", "check", "--help"], ["filter", "test", "--help"]] {
        let ended = run(&arguments);
        assert_eq!(ended.code, 0);
        for part in ["Examples:", "Exit codes:", "kubectl entente"] {
            assert!(ended.out.contains(part), "{}", ended.out);
        }
    }
    assert_eq!(run(&[]).code, 2);
}

#[test]
fn a_filter_is_valid_or_has_a_place() {
    let ended = run(&["filter", "test", "amount >= 100 AND country IN ('NL', 'BE')"]);
    assert_eq!((ended.code, ended.out.trim()), (0, "valid"));
    let ended = run(&["filter", "test", "amount >= AND x = 1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("line 1, column 11") && ended.err.contains('^'), "{}", ended.err);
    assert_eq!(run(&["filter", "test", "-1 < amount"]).code, 0);
}

#[test]
fn a_message_passes_or_not() {
    let at = directory("filter");
    let file = write(
        &at.join("m.json"),
        r#"{"header": {"priority": 7}, "properties": {"subject": "order"}, "application_properties": {"amount": 120}}"#,
    );
    let test = |expression: &str| run(&["filter", "test", expression, "--message", &file]);
    assert_eq!((test("amount >= 100").code, test("amount >= 100").out.trim()), (0, "matches"));
    assert_eq!((test("amount < 100").code, test("amount < 100").out.trim()), (1, "does not match"));
    let unknown = test("missing > 1");
    assert!(unknown.code == 1 && unknown.out.starts_with("unknown"), "{}", unknown.out);
    assert_eq!(test("header.priority = 7").code, 0);
}

#[test]
fn a_message_comes_from_the_standard_input_as_well() {
    let test = |message| run_with_input(&["filter", "test", "amount >= 100", "--message", "-"], message);
    assert_eq!(test(r#"{"application_properties": {"amount": {"uint": 120}}}"#).code, 0);
    assert_eq!(test("{}").code, 1);
    let wrong = test(r#"{"body": 1}"#);
    assert!(wrong.code == 2 && wrong.err.contains("body"), "{}", wrong.err);
    assert_eq!(run(&["filter", "test", "a = 1", "--message", "/nowhere"]).code, 2);
}

const CONTRACT: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: schemas}
data:
  v1: '{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}'
---
apiVersion: entente.dev/v1alpha1
kind: ServiceContract
metadata: {name: orders}
spec:
  owner: team orders
  operations: [{name: placed, action: Send}]
  versions:
    - name: v1
      desiredState: Active
      messages:
        - operation: placed
          format: JsonSchema
          configMapRef: {name: schemas, key: v1}
          sha256: 01cd3f6d2b50b6e3ef7d2e8bb3d9d1e8c8cf8bf9d4b8fdf2de65c6b1a5c6d7a1
"#;

/// With the hash of what the ConfigMap holds.
fn contract(at: &Path) -> String {
    let hash = entente_core::contract::schemas::sha256(V1);
    let text = CONTRACT.replace("01cd3f6d2b50b6e3ef7d2e8bb3d9d1e8c8cf8bf9d4b8fdf2de65c6b1a5c6d7a1", &hash);
    let held = r#"'{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}'"#;
    write(&at.join("orders.yaml"), &text.replace(held, &format!("'{V1}'")))
}

#[test]
fn documents_are_written_in_each_form() {
    let file = contract(&directory("documents"));
    let page = run(&["contract", "document", &file, "--format", "markdown"]);
    assert!(page.code == 0 && page.out.starts_with("# orders\n"), "{}{}", page.out, page.err);
    let json = run(&["contract", "document", &file, "--format", "asyncapi"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let yaml = run(&["contract", "document", &file, "--format", "asyncapi", "-o", "yaml"]);
    assert_eq!(serde_yaml::from_str::<serde_json::Value>(&yaml.out).unwrap(), document);
    let registry = run(&["contract", "document", &file, "--format", "xregistry"]);
    assert!(registry.out.contains("\"messagegroups\""), "{}", registry.out);
}

/// As the operator reads them, with the same bounds.
#[test]
fn a_schema_in_a_config_map_may_be_in_its_binary_data() {
    let at = directory("binary");
    let text = CONTRACT.replace(
        "data:\n  v1: '{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"}},\"required\":[\"id\"]}'",
        "binaryData: {v1: e30=}",
    );
    let hash = entente_core::contract::schemas::sha256("{}");
    let text = text.replace("01cd3f6d2b50b6e3ef7d2e8bb3d9d1e8c8cf8bf9d4b8fdf2de65c6b1a5c6d7a1", &hash);
    let ended = run(&["contract", "document", &write(&at.join("x.yaml"), &text), "--format", "markdown"]);
    assert!(ended.code == 0, "{}", ended.err);
    let long = CONTRACT
        .replace(r#"'{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}'"#, &"x".repeat(256 * 1024 + 1));
    let ended = run(&["contract", "document", &write(&at.join("y.yaml"), &long), "--format", "markdown"]);
    assert!(ended.code == 2 && ended.err.contains("longer than 256 KiB"), "{}", ended.err);
}

#[test]
fn what_is_no_contract_has_no_document() {
    let at = directory("no-document");
    for (text, word) in [
        ("kind: Queue\n", "no ServiceContract"),
        ("kind: ServiceContract\nspec: 5\n", "cannot be read"),
        ("a: [", "error"),
        (
            "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
            "error",
        ),
    ] {
        let file = write(&at.join("x.yaml"), text);
        let ended = run(&["contract", "document", &file, "--format", "markdown"]);
        assert!(ended.code == 2 && ended.err.contains(word), "{text}: {}", ended.err);
    }
    let missing = run_with_input(
        &["contract", "document", "-", "--format", "asyncapi"],
        &CONTRACT.replace("name: schemas}\ndata", "name: others}\ndata"),
    );
    assert!(missing.code == 2 && missing.err.contains("add the ConfigMap"), "{}", missing.err);
}
