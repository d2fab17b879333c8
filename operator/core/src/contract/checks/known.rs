//! The schemas that messages of a contract are checked by.

use std::collections::BTreeMap;

use entente_crds::service_contract::{ServiceContractSpec, VersionStatus};

use super::Checker;
use crate::contract::kept::{Kept, text};
use crate::contract::terms::is_offered;

/// Bytes of schemas that are held of a contract, at most. Of what is beyond messages are not checked.
const MOST_BYTES: usize = 1024 * 1024;

/// Version and operation.
pub type Key = (String, String);

/// What messages are checked by.
#[derive(Debug, Default)]
pub struct Known {
    /// Those that are checked.
    pub checkers: BTreeMap<Key, Checker>,
    /// Whether a schema could not be read, and may be later.
    pub is_partial: bool,
}

/// Reads the schemas of versions that are offered, the newest first.
pub fn known(spec: &ServiceContractSpec, recorded: &[VersionStatus], kept: &Kept) -> Known {
    let mut known = Known::default();
    let mut bytes = 0;
    let offered = |name: &String| recorded.iter().any(|status| status.name == *name && is_offered(status.state));
    for version in spec.versions.iter().rev().filter(|version| offered(&version.name)) {
        for message in &version.messages {
            let Ok(text) = text(message, kept) else {
                known.is_partial = true;
                continue;
            };
            if bytes + text.len() > MOST_BYTES {
                continue;
            }
            // One that is no schema was offered before this engine knew better: nothing is checked by it.
            if let Ok(Some(checker)) = Checker::of(text, message.format, &spec.compatibility) {
                bytes += text.len();
                known.checkers.insert((version.name.clone(), message.operation.clone()), checker);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict;
    use super::*;
    use crate::contract::kept::{Missing, places};
    use crate::contract::lifecycle::{Record, State};
    use crate::contract::schemas::sha256;
    use crate::contract::terms;
    use crate::contract::testing::{contract, version};

    fn recorded(versions: &[(&str, State)]) -> Vec<VersionStatus> {
        let record = |state| Record { state, ..Record::draft(jiff::Timestamp::UNIX_EPOCH) };
        versions.iter().map(|(name, state)| terms::recorded(name, &record(*state), None)).collect()
    }

    fn key(version: &str) -> Key {
        (version.to_owned(), "placed".to_owned())
    }

    #[test]
    fn versions_that_are_offered_are_checked_each_by_its_own_schema() {
        let of = |name: &str, kind: &str| version(name, "Active", json!({"type": kind}));
        let spec = contract(json!([of("v1", "string"), of("v2", "integer"), of("v3", "null"), of("v4", "null")])).spec;
        let states = [("v1", State::Sunset), ("v2", State::Active), ("v3", State::Retired), ("v4", State::Draft)];
        let known = known(&spec, &recorded(&states), &Kept::new());
        assert_eq!(known.checkers.keys().collect::<Vec<_>>(), [&key("v1"), &key("v2")]);
        assert_eq!(known.checkers[&key("v1")].check(b"\"a\""), Verdict::Conforms);
        assert!(matches!(known.checkers[&key("v2")].check(b"\"a\""), Verdict::Violates(_)));
        assert!(!known.is_partial);
    }

    #[test]
    fn i5_without_a_readable_schema_nothing_is_checked() {
        let mut in_map = version("v1", "Active", json!({}));
        in_map["messages"][0] = json!({"operation": "placed", "format": "JsonSchema",
            "configMapRef": {"name": "schemas", "key": "v1"}, "sha256": sha256("{}")});
        let spec = contract(json!([in_map])).spec;
        let states = recorded(&[("v1", State::Active)]);
        let place = places(&spec.versions).pop_first().unwrap();
        for (found, partial) in [
            (None, true),
            (Some(Err(Missing::Unread)), true),
            (Some(Ok("{} ".to_owned())), true),
            (Some(Ok("{}".to_owned())), false),
        ] {
            let kept = found.map(|found| (place.clone(), found)).into_iter().collect();
            let known = known(&spec, &states, &kept);
            assert_eq!((known.is_partial, known.checkers.is_empty()), (partial, partial));
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let large = |name: &str| version(name, "Active", json!({"title": "a".repeat(200_000)}));
        let names: Vec<String> = (0..9).map(|number| format!("v{number}")).collect();
        let spec = contract(json!(names.iter().map(|name| large(name)).collect::<Vec<_>>())).spec;
        let states: Vec<_> = names.iter().map(|name| (name.as_str(), State::Active)).collect();
        let known = known(&spec, &recorded(&states), &Kept::new());
        assert_eq!(known.checkers.len(), 5);
        assert!(known.checkers.contains_key(&key("v8")), "the newest are checked");
    }
}
