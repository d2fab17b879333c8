//! Avro: a reader's schema against a writer's, by the specification's schema resolution.
//!
//! Where implementations differ, the stricter one counts: full names, logical types, every branch of a union. Record types are
//! compared once for each pair, so that schemas that refer to themselves come to an end.

mod datum;
mod message;
mod messages;
mod resolve;
mod schema;

pub use self::messages::Messages;

use serde_json::Value;

use self::resolve::{Finding, Resolver};
use self::schema::Schema;
use super::text::{json, show, step};
use super::{Change, Comparison, Effect, Report, SchemaError, Side, Way, Witness};

/// Compares two versions.
///
/// # Errors
/// One of them is no Avro schema.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    let on_old = |error: SchemaError| error.on(Side::Old);
    let (old, new) = (json(old).map_err(on_old)?, json(new)?);
    let old_schema = Schema::parse(&old).map_err(on_old)?;
    let new_schema = Schema::parse(&new)?;
    let (mut changes, mut witnesses) = (Vec::new(), Vec::new());
    if old == new {
        return Ok(Report::default());
    }
    for way in how.direction.ways() {
        let (writer, reader) = way.writer_reader(&old_schema, &new_schema);
        let findings = Resolver::findings(writer, reader, how);
        witnesses.extend(findings.iter().filter(|finding| finding.proven).find_map(|finding| witness(writer, finding, *way)));
        changes.extend(findings.into_iter().map(|finding| change(finding, *way)));
    }
    let breaks: Vec<String> = changes.iter().map(|change: &Change| change.path.clone()).collect();
    let mut others = Vec::new();
    differences(&old, &new, "", &mut others);
    let near = |path: &str| breaks.iter().any(|other| other.starts_with(path) || path.starts_with(other.as_str()));
    changes.extend(others.into_iter().filter(|change| !near(&change.path)));
    Ok(Report::new(changes, witnesses))
}

fn witness(writer: &Schema, finding: &Finding, way: Way) -> Option<Witness> {
    let message = message::message(writer, &finding.route)?;
    let (sent, read) = way.writer_reader("old", "new");
    let verb = if finding.rule == "logical-type" { "misread" } else { "not read" };
    Some(Witness { way, message, why: format!("written with the {sent} version, {verb} with the {read} one") })
}

fn change(finding: Finding, way: Way) -> Change {
    let Finding { path, rule, proven, writer, reader, why, route: _ } = finding;
    let (before, after) = way.before_after(writer, reader);
    let mend = mend(rule, way).to_owned();
    let effect = if proven { Effect::Breaking } else { Effect::Unproven };
    Change { path: if path.is_empty() { "/".into() } else { path }, rule, effect, way: Some(way), before, after, why, mend }
}

fn mend(rule: &str, way: Way) -> &'static str {
    match (rule, way) {
        ("field-without-default", Way::Backward) => "give the new field a default",
        ("field-without-default", Way::Forward) => "keep the field: readers of the old version have no default for it",
        ("enum-symbol", Way::Backward) => "keep the symbol, or give the enum a default",
        ("enum-symbol", Way::Forward) => {
            "send no symbol that the old version does not know, unless its enum has a default; give the enum one for the next time"
        }
        ("union", Way::Backward) => "keep the branch in the union",
        ("union", Way::Forward) => "send no branch that the old version does not know: a new field with a default is one way",
        ("name", Way::Backward) => "keep the name, or give the new type the old name as an alias",
        ("name", Way::Forward) => "keep the name: the old version has no alias for the new one",
        ("logical-type", _) => "keep the logical type, and send the value in a new field with a default",
        ("fixed-size", _) => "keep the size, and define a fixed of another name in a new field with a default",
        ("json-encoding", _) => "keep names and types as they are while messages are sent as JSON",
        ("too-complex", _) => "make the schema simpler",
        (_, Way::Backward) => {
            "keep the type, or one that the old one is promoted to (int, long, float, double; string and bytes)"
        }
        (_, Way::Forward) => "keep the type: the old version reads no wider one",
    }
}

/// Every difference of the texts, by field name where there are fields.
fn differences(old: &Value, new: &Value, path: &str, found: &mut Vec<Change>) {
    if old == new || found.len() > 500 {
        return;
    }
    let by_name = |list: &Value| {
        let list = list.as_array()?;
        list.iter()
            .map(|field| Some((field.get("name")?.as_str()?.to_owned(), field.clone())))
            .collect::<Option<std::collections::BTreeMap<_, _>>>()
    };
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                let path = if key == "type" { path.to_owned() } else { format!("{path}/{}", step(key)) };
                match (before.get(key), after.get(key)) {
                    (Some(before), Some(after)) => differences(before, after, &path, found),
                    (before, after) => found.push(difference(&path, before, after)),
                }
            }
        }
        (Value::Array(_), Value::Array(_)) => match (by_name(old), by_name(new)) {
            (Some(before), Some(after)) => {
                let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let path = format!("{path}/{}", step(name));
                    match (before.get(name), after.get(name)) {
                        (Some(before), Some(after)) => differences(before, after, &path, found),
                        (before, after) => found.push(difference(&path, before, after)),
                    }
                }
            }
            _ => found.push(difference(path, Some(old), Some(new))),
        },
        _ => found.push(difference(path, Some(old), Some(new))),
    }
}

fn difference(path: &str, before: Option<&Value>, after: Option<&Value>) -> Change {
    let rule = match (before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    Change {
        path: if path.is_empty() { "/".into() } else { path.into() },
        rule,
        effect: Effect::Compatible,
        way: None,
        before: before.map(show),
        after: after.map(show),
        why: "what was written is read".into(),
        mend: String::new(),
    }
}
