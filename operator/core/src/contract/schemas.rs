//! Whether a new version of a contract honours the older ones, as the controller asks it.

use std::fmt::Write as _;

use entente_crds::service_contract::{ServiceContractSpec, Version};
use sha2::{Digest, Sha256};

use super::kept::{Kept, text};
use super::review::comparer::Comparer;
use super::review::schemas::Problem;
use crate::admission::cut;

/// Problems that a refusal names; more would not fit.
const NAMED: usize = 3;
/// `message` of a version ends at 1024 characters.
const LONGEST: usize = 900;

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

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What stands for all schemas of a version: two versions with the same have the same schemas.
///
/// # Errors
/// A schema that cannot be read.
pub fn fingerprint(version: &Version, kept: &Kept) -> Result<String, String> {
    let mut hash = Sha256::new();
    let mut parts: Vec<(&str, String)> = Vec::new();
    for message in &version.messages {
        parts.push((&message.operation, format!("{:?} {}", message.format, sha256(text(message, kept)?))));
    }
    parts.sort();
    for (operation, part) in parts {
        hash.update(format!("{operation} {part}\n"));
    }
    Ok(hex(&hash.finalize()))
}

/// Compares a version with older ones that are not retired, oldest first. The comparer is one over the same contract and `kept`.
///
/// Without `transitive` only the latest of them must be honoured; which of the others can read it is found out all the same.
pub fn assess<'a>(
    comparer: &mut Comparer<'a>,
    spec: &ServiceContractSpec,
    version: &'a Version,
    older: &[&'a Version],
    kept: &Kept,
) -> Assessment {
    let mut assessment = Assessment { sha256: fingerprint(version, kept).ok(), ..Assessment::default() };
    let mut problems = comparer.read(version, None);
    if problems.is_empty() {
        let pairs: Vec<(&Version, Vec<&Version>)> = older.iter().map(|old| (version, vec![*old])).collect();
        let found = comparer.compare(&pairs);
        for (index, (old, breaks)) in older.iter().copied().zip(found).enumerate() {
            // Passed over by the comparison; what cannot be read is not known to be honoured.
            let unread = comparer.read(old, None);
            if unread.is_empty() && breaks.is_empty() {
                assessment.feeds.push(old.name.clone());
            } else if spec.compatibility.transitive || index + 1 == older.len() {
                problems.extend(unread.into_iter().chain(breaks));
            }
        }
    }
    assessment.problem = told(&problems);
    assessment
}

fn told(problems: &[Problem]) -> Option<String> {
    let named: Vec<String> = problems.iter().take(NAMED).map(Problem::in_one_line).collect();
    let more = problems.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| cut(&format!("{}{more}", named.join("; ")), LONGEST))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::kept::{Missing, Place};
    use super::super::review::review;
    use super::super::testing::{contract, version};
    use super::*;

    fn object(properties: &Value, required: &Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required})
    }

    /// The last version, with all others as older ones.
    fn last_of(spec: &ServiceContractSpec, kept: &Kept) -> Assessment {
        let (new, older) = spec.versions.split_last().unwrap();
        assess(&mut Comparer::new(spec, kept, &|| true), spec, new, &older.iter().collect::<Vec<_>>(), kept)
    }

    fn assessed(versions: Value, transitive: bool) -> Assessment {
        let mut contract = contract(versions);
        contract.spec.compatibility.transitive = transitive;
        last_of(&contract.spec, &Kept::new())
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
    fn a_break_is_named_in_one_line_with_its_mend() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "integer"}}), &json!(["id"])));
        let assessment = assessed(json!([v1, v2]), true);
        let problem = assessment.problem.unwrap();
        assert!(problem.contains("v2 does not honour v1, operation placed (the owner sends"), "{problem}");
        assert!(problem.contains("): /properties/id/type: type breaks") && problem.contains("mend: "), "{problem}");
        assert!(!problem.contains('\n') && problem.chars().count() <= LONGEST);
        assert!(assessment.feeds.is_empty());
    }

    /// Whoever is told by the status reads what admission would have said.
    #[test]
    fn admission_and_status_use_the_same_words() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "integer"}}), &json!(["id"])));
        let contract = contract(json!([v1, v2]));
        let now = jiff::Timestamp::UNIX_EPOCH;
        let refusal = review(None, &contract, &Kept::new(), now, &|| true).message().unwrap();
        let problem = last_of(&contract.spec, &Kept::new()).problem.unwrap();
        assert!(refusal.lines().all(|line| problem.contains(line.trim())), "{refusal}\n{problem}");
    }

    #[test]
    fn many_breaks_fit_into_a_status() {
        let properties = |number: usize, kind: &str| -> Value {
            let name = |index: usize| format!("{}{index}", "long-".repeat(20));
            (0..number).map(|index| (name(index), json!({"type": kind}))).collect::<serde_json::Map<_, _>>().into()
        };
        let of = |name: &str, kind: &str| version(name, "Active", object(&properties(40, kind), &json!([])));
        let all = json!([of("v1", "string"), of("v2", "string"), of("v3", "integer")]);
        assert_eq!(assessed(all, true).problem.map(|problem| problem.chars().count()), Some(LONGEST));
    }

    /// A property that went and comes back with another type: compatible with the last version, and not with the one before.
    #[test]
    fn compatibility_with_the_last_version_does_not_carry_over() {
        let v1 = version("v1", "Active", object(&json!({"id": {"type": "string"}, "n": {"type": "string"}}), &json!(["id"])));
        let v2 = version("v2", "Active", object(&json!({"id": {"type": "string"}}), &json!(["id"])));
        let v3 = version("v3", "Active", object(&json!({"id": {"type": "string"}, "n": {"type": "integer"}}), &json!(["id"])));
        let all = json!([v1, v2, v3]);
        assert!(assessed(all.clone(), true).problem.unwrap().contains("does not honour v1"));
        let assessment = assessed(all, false);
        // Allowed, and v1's subscribers do not get what they cannot read.
        assert_eq!((assessment.problem, assessment.feeds), (None, vec!["v2".to_owned()]));
    }

    #[test]
    fn an_operation_does_not_vanish_and_keeps_its_format() {
        let v1 = version("v1", "Active", json!({}));
        let mut v2 = version("v2", "Active", json!({}));
        v2["messages"][0]["operation"] = json!("cancelled");
        assert!(assessed(json!([v1, v2]), true).problem.unwrap().contains("has no messages for operation placed"));
        let mut v2 = version("v2", "Active", json!({}));
        v2["messages"][0]["format"] = json!("Opaque");
        assert!(assessed(json!([v1, v2]), true).problem.unwrap().contains("the format was"));
    }

    #[test]
    fn a_first_version_must_be_a_schema() {
        let mut v1 = version("v1", "Active", json!({}));
        v1["messages"][0]["schema"] = json!("{");
        assert!(assessed(json!([v1]), true).problem.is_some());
    }

    fn mapped(name: &str, text: &str) -> Value {
        let mut version = version(name, "Active", json!({}));
        version["messages"][0] = json!({"operation": "placed", "format": "JsonSchema",
            "configMapRef": {"name": "schemas", "key": name}, "sha256": sha256(text)});
        version
    }

    fn place(key: &str) -> Place {
        ("schemas".to_owned(), key.to_owned())
    }

    #[test]
    fn a_config_map_is_held_to_its_hash() {
        let contract = contract(json!([mapped("v1", "{}")]));
        let assessed = |found: Option<Result<&str, Missing>>| {
            let kept = found.map(|found| (place("v1"), found.map(str::to_owned))).into_iter().collect();
            let Assessment { problem, sha256, feeds: _ } = last_of(&contract.spec, &kept);
            assert_eq!(problem.is_none(), sha256.is_some());
            problem
        };
        assert_eq!(assessed(Some(Ok("{}"))), None);
        assert!(assessed(Some(Ok("{} "))).unwrap().contains("no key v1 with that sha256"));
        assert!(assessed(Some(Err(Missing::TooLong))).unwrap().contains("longer than 256 KiB"));
        assert!(assessed(None).unwrap().contains("could not be read"));
    }

    /// It was there when it was offered, and somebody deleted it: a new version must not pass for that reason.
    #[test]
    fn an_older_schema_that_is_gone_is_not_taken_for_honoured() {
        let contract = contract(json!([mapped("v1", "{}"), version("v2", "Active", json!({}))]));
        let found = last_of(&contract.spec, &Kept::from([(place("v1"), Err(Missing::Absent))]));
        assert!(found.problem.unwrap().contains("version v1, operation placed: ConfigMap schemas has no key"));
        assert!(found.feeds.is_empty());
        let found = last_of(&contract.spec, &Kept::from([(place("v1"), Ok("{}".to_owned()))]));
        assert_eq!((found.problem, found.feeds), (None, vec!["v1".to_owned()]));
    }

    #[test]
    fn the_hash_is_of_the_texts_and_not_of_where_they_are() {
        let plain = contract(json!([version("v1", "Active", json!({}))]));
        let mut mapped = plain.clone();
        let message = &mut mapped.spec.versions[0].messages[0];
        message.sha256 = message.schema.take().map(|text| sha256(&text));
        message.config_map_ref = Some(entente_crds::service_contract::ConfigMapKey { name: "a".into(), key: "b".into() });
        let kept = Kept::from([(("a".to_owned(), "b".to_owned()), Ok("{}".to_owned()))]);
        assert_eq!(fingerprint(&plain.spec.versions[0], &Kept::new()), fingerprint(&mapped.spec.versions[0], &kept));
    }
}
