//! Schemas of a contract, from its spec or from ConfigMaps, and whether a new version honours the older ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use entente_crds::service_contract::{MessageSchema, ServiceContractSpec, Version};
use sha2::{Digest, Sha256};

use super::{check, parse, terms};

/// Breaks that a refusal names; more would not fit.
const NAMED_BREAKS: usize = 3;
/// `message` of a version ends at 1024 characters.
const LONGEST: usize = 900;

/// What was read of ConfigMaps, by name and key: the text, or why there is none.
pub type ConfigMaps = BTreeMap<(String, String), Result<String, String>>;

/// What an activation needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// Why the version cannot be activated.
    pub problem: Option<String>,
    /// Older versions whose subscribers can read what it sends.
    pub feeds: Vec<String>,
    /// SHA-256 of all its schemas.
    pub sha256: Option<String>,
}

/// SHA-256 in hexadecimal.
pub fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text of a schema.
///
/// # Errors
/// The ConfigMap cannot be read, or holds something else than was declared.
pub fn text<'a>(message: &'a MessageSchema, maps: &'a ConfigMaps) -> Result<&'a str, String> {
    let MessageSchema { operation, format: _, schema, config_map_ref, sha256: declared } = message;
    if let Some(schema) = schema {
        return Ok(schema);
    }
    let Some(reference) = config_map_ref else { return Err(format!("{operation}: no schema")) };
    let place = format!("{operation}: key {} of the ConfigMap {}", reference.key, reference.name);
    let found = maps.get(&(reference.name.clone(), reference.key.clone()));
    let text = match found {
        Some(Ok(text)) => text,
        Some(Err(why)) => return Err(format!("{place}: {why}")),
        None => return Err(format!("{place} was not read")),
    };
    let hash = sha256(text);
    if declared.as_deref() != Some(hash.as_str()) {
        return Err(format!("{place} has the sha256 {hash}, which is not the declared one; a version's schemas do not change"));
    }
    Ok(text)
}

/// The ConfigMap keys that the schemas of versions are in.
pub fn references<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Vec<(String, String)> {
    let messages = versions.into_iter().flat_map(|version| &version.messages);
    let references = messages.filter_map(|message| message.config_map_ref.as_ref());
    references.map(|reference| (reference.name.clone(), reference.key.clone())).collect()
}

/// What stands for all schemas of a version: two versions with the same have the same schemas.
///
/// # Errors
/// A schema that cannot be read.
pub fn fingerprint(version: &Version, maps: &ConfigMaps) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut parts: Vec<(&str, String)> = Vec::new();
    for message in &version.messages {
        parts.push((&message.operation, format!("{:?} {}", message.format, sha256(text(message, maps)?))));
    }
    parts.sort();
    for (operation, part) in parts {
        hash.update(format!("{operation} {part}\n"));
    }
    Ok(hex(&hash.finalize()))
}

/// Compares a version with older ones that are not retired, oldest first.
///
/// Without `transitive` only the latest of them must be honoured; which of the others can read it is found out all the same.
pub fn assess(spec: &ServiceContractSpec, version: &Version, older: &[&Version], maps: &ConfigMaps) -> Assessment {
    let mut assessment = Assessment::default();
    match fingerprint(version, maps) {
        Ok(hash) => assessment.sha256 = Some(hash),
        Err(problem) => {
            assessment.problem = Some(shortened(problem));
            return assessment;
        }
    }
    let mut problems = Vec::new();
    for message in &version.messages {
        if let Err(error) =
            text(message, maps).and_then(|text| parse(text, message.format.into()).map_err(|error| error.to_string()))
        {
            problems.push(format!("{}: {error}", message.operation));
        }
    }
    for (index, old) in older.iter().enumerate() {
        let breaks = breaks(spec, old, version, maps);
        if breaks.is_empty() {
            assessment.feeds.push(old.name.clone());
        } else if spec.compatibility.transitive || index + 1 == older.len() {
            problems.extend(breaks.into_iter().map(|text| format!("with {}: {text}", old.name)));
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(NAMED_BREAKS);
        problems.truncate(NAMED_BREAKS);
        let mut text = problems.join("; ");
        if more > 0 {
            let _ = write!(text, "; and {more} more");
        }
        assessment.problem = Some(shortened(text));
    }
    assessment
}

/// What of an old version a new one does not honour.
fn breaks(spec: &ServiceContractSpec, old: &Version, new: &Version, maps: &ConfigMaps) -> Vec<String> {
    let mut breaks = Vec::new();
    for before in &old.messages {
        let operation = &before.operation;
        let Some(after) = new.messages.iter().find(|message| message.operation == *operation) else {
            breaks.push(format!(
                "{operation}: the new version does not describe it; describe it, as long as {} is offered",
                old.name
            ));
            continue;
        };
        if after.format != before.format {
            breaks.push(format!("{operation}: the format {:?} became {:?}; keep the format", before.format, after.format));
            continue;
        }
        let Some(declared) = spec.operations.iter().find(|known| known.name == *operation) else {
            breaks.push(format!("{operation}: not among the contract's operations"));
            continue;
        };
        let how = terms::comparison(&spec.compatibility, declared.action, after.format);
        let texts = text(before, maps).and_then(|before| Ok((before, text(after, maps)?)));
        let report = texts.and_then(|(before, after)| check(before, after, how).map_err(|error| error.to_string()));
        match report {
            Err(error) => breaks.push(error),
            Ok(report) => breaks.extend(report.breaks().map(|change| {
                let mend = if change.mend.is_empty() { String::new() } else { format!("; {}", change.mend) };
                format!("{operation} {} {}: {}{mend}", change.path, change.rule, change.why)
            })),
        }
    }
    breaks
}

fn shortened(text: String) -> String {
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{contract, version};
    use super::*;

    fn object(properties: &Value, required: &Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required})
    }

    fn assessed(versions: Value, transitive: bool) -> Assessment {
        let mut contract = contract(versions);
        contract.spec.compatibility.transitive = transitive;
        let (new, older) = contract.spec.versions.split_last().unwrap();
        assess(&contract.spec, new, &older.iter().collect::<Vec<_>>(), &ConfigMaps::new())
    }

    #[test]
    fn what_old_readers_can_read_is_fed_to_them() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "string"}, "note": {"type": "string"}}), &json!(["id"])));
        let assessment = assessed(json!([v1, v2]), true);
        assert_eq!((assessment.problem, assessment.feeds), (None, vec!["v1".to_owned()]));
        assert_eq!(assessment.sha256.map(|hash| hash.len()), Some(64));
    }

    #[test]
    fn a_break_is_named_with_its_mend() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "integer"}}), &json!(["id"])));
        let assessment = assessed(json!([v1, v2]), true);
        let problem = assessment.problem.unwrap();
        assert!(problem.contains("with v1: placed /properties/id/type type"), "{problem}");
        assert!(assessment.feeds.is_empty());
    }

    /// A property that went and comes back with another type: compatible with the last version, and not with the one before.
    #[test]
    fn compatibility_with_the_last_version_does_not_carry_over() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}, "n": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v3 = version("v3", "Active", object(&json!({"id": {"type": "string"}, "n": {"type": "integer"}}), &json!(["id"])));
        let all = json!([v1, v2, v3]);
        assert!(assessed(all.clone(), true).problem.unwrap().contains("with v1"));
        let assessment = assessed(all, false);
        // Allowed, and v1's subscribers do not get what they cannot read.
        assert_eq!((assessment.problem, assessment.feeds), (None, vec!["v2".to_owned()]));
    }

    #[test]
    fn an_operation_does_not_vanish_and_keeps_its_format() {
        let v1 = version("v1", "Active", json!({}));
        let mut v2 = version("v2", "Active", json!({}));
        v2["messages"][0]["operation"] = json!("cancelled");
        assert!(assessed(json!([v1, v2]), true).problem.unwrap().contains("does not describe it"));
        let mut v2 = version("v2", "Active", json!({}));
        v2["messages"][0]["format"] = json!("Opaque");
        assert!(assessed(json!([v1, v2]), true).problem.unwrap().contains("keep the format"));
    }

    #[test]
    fn a_first_version_must_be_a_schema() {
        let mut v1 = version("v1", "Active", json!({}));
        v1["messages"][0]["schema"] = json!("{");
        assert!(assessed(json!([v1]), true).problem.is_some());
    }

    #[test]
    fn a_config_map_is_held_to_its_hash() {
        let mut v1 = version("v1", "Active", json!({}));
        v1["messages"][0] = json!({"operation": "placed", "format": "JsonSchema", "configMapRef": {"name": "schemas", "key": "v1.json"}, "sha256": sha256("{}")});
        let contract = contract(json!([v1]));
        let version = &contract.spec.versions[0];
        let assessed = |found: Option<Result<&str, &str>>| {
            let key = ("schemas".to_owned(), "v1.json".to_owned());
            let found = found.map(|found| found.map(str::to_owned).map_err(str::to_owned));
            assess(&contract.spec, version, &[], &found.map(|found| (key, found)).into_iter().collect()).problem
        };
        assert_eq!(assessed(Some(Ok("{}"))), None);
        assert!(assessed(Some(Ok("{} "))).unwrap().contains("not the declared one"));
        assert!(assessed(Some(Err("it does not exist"))).unwrap().contains("does not exist"));
        assert!(assessed(None).unwrap().contains("was not read"));
        assert_eq!(references(&contract.spec.versions), [("schemas".to_owned(), "v1.json".to_owned())]);
    }

    #[test]
    fn the_hash_is_of_the_texts_and_not_of_where_they_are() {
        let plain = contract(json!([version("v1", "Active", json!({}))]));
        let mut mapped = plain.clone();
        let message = &mut mapped.spec.versions[0].messages[0];
        message.sha256 = message.schema.take().map(|text| sha256(&text));
        message.config_map_ref = Some(entente_crds::service_contract::ConfigMapKey { name: "a".into(), key: "b".into() });
        let maps = ConfigMaps::from([(("a".to_owned(), "b".to_owned()), Ok("{}".to_owned()))]);
        assert_eq!(fingerprint(&plain.spec.versions[0], &ConfigMaps::new()), fingerprint(&mapped.spec.versions[0], &maps));
    }
}
