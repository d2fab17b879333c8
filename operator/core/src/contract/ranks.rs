//! Which versions must be compared with which before they are offered.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::service_contract::{DesiredState, ServiceContractSpec, Version, VersionState, VersionStatus};
use jiff::Timestamp;

use super::kept::{Kept, Place, places};
use super::review::comparer::Comparer;
use super::schemas::{Assessment, assess};
use super::terms::is_offered;

/// A version to compare, and the older ones, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Due<'a> {
    /// The version.
    pub version: &'a Version,
    /// Those that it must honour.
    pub older: Vec<&'a Version>,
}

impl Due<'_> {
    /// The schemas in ConfigMaps that it needs.
    pub fn places(&self) -> BTreeSet<Place> {
        places(self.older.iter().copied().chain([self.version]))
    }
}

/// The versions that wait for a comparison: drafts that are to be offered, and offered ones whose record was lost. Schemas are
/// fixed once a version is offered, so that nothing is compared twice.
pub fn due<'a>(spec: &'a ServiceContractSpec, recorded: &[VersionStatus]) -> Vec<Due<'a>> {
    let status = |version: &Version| recorded.iter().find(|known| known.name == version.name);
    let rank = |version: &Version| {
        let at = status(version).filter(|known| is_offered(known.state)).and_then(|known| known.activated_at.as_ref());
        let place = spec.versions.iter().position(|known| known.name == version.name);
        (at.map_or(Timestamp::MAX, |at| at.0), place)
    };
    let wanted = |version: &Version| matches!(version.desired_state, DesiredState::Active | DesiredState::Deprecated);
    let waits = |version: &Version| match status(version) {
        None => wanted(version),
        Some(known) if known.state == VersionState::Draft => wanted(version),
        Some(known) => is_offered(known.state) && known.schemas_sha256.is_none(),
    };
    let is_there = |version: &Version| match status(version) {
        Some(known) if known.state != VersionState::Draft => is_offered(known.state),
        _ => wanted(version),
    };
    let all = spec.versions.iter().filter(|version| waits(version)).map(|version| {
        let older = spec.versions.iter().filter(|other| rank(other) < rank(version) && is_there(other));
        let mut older: Vec<&Version> = older.collect();
        older.sort_by_key(|other| rank(other));
        Due { version, older }
    });
    all.collect()
}

/// Compares them. What several of them are compared with is read once. Nothing where the comparison did not come to its end, which
/// is not taken for compatible.
pub fn assessments<'a>(spec: &'a ServiceContractSpec, due: &[Due<'a>], kept: &'a Kept) -> BTreeMap<String, Assessment> {
    let mut comparer = Comparer::new(spec, kept, &|| true);
    let mut found = BTreeMap::new();
    for due in due {
        found.insert(due.version.name.clone(), assess(&mut comparer, spec, due.version, &due.older, kept));
    }
    if comparer.unfinished() { BTreeMap::new() } else { found }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::super::testing::{contract, version};
    use super::*;

    fn status(name: &str, state: State, activated: i64) -> VersionStatus {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(activated);
        let mut status = terms::recorded(name, &Record { state, ..Record::draft(at) }, None);
        status.activated_at = Some(Time(at));
        status.schemas_sha256 = Some("a".into());
        status
    }

    fn names(spec: &ServiceContractSpec, recorded: &[VersionStatus]) -> Vec<(String, Vec<String>)> {
        let name = |version: &&Version| version.name.clone();
        due(spec, recorded).iter().map(|due| (due.version.name.clone(), due.older.iter().map(name).collect())).collect()
    }

    #[test]
    fn a_new_version_is_compared_with_all_that_are_offered_in_the_order_of_their_activation() {
        let all =
            json!([version("v3", "Active", json!({})), version("v2", "Active", json!({})), version("v1", "Active", json!({}))]);
        let spec = contract(all).spec;
        let recorded = [status("v1", State::Deprecated, 1), status("v2", State::Active, 2)];
        assert_eq!(names(&spec, &recorded), [("v3".to_owned(), vec!["v1".to_owned(), "v2".to_owned()])]);
    }

    #[test]
    fn without_a_record_the_order_of_the_list_counts() {
        let all =
            json!([version("v1", "Active", json!({})), version("v2", "Active", json!({})), version("v3", "Draft", json!({}))]);
        let expected = [("v1".to_owned(), vec![]), ("v2".to_owned(), vec!["v1".to_owned()])];
        assert_eq!(names(&contract(all).spec, &[]), expected);
    }

    #[test]
    fn retired_versions_and_drafts_are_nobodys_to_honour_and_nothing_is_compared_twice() {
        let all =
            json!([version("v0", "Retired", json!({})), version("v1", "Draft", json!({})), version("v2", "Active", json!({}))]);
        let spec = contract(all).spec;
        let mut recorded = [status("v0", State::Retired, 1), status("v1", State::Draft, 1), status("v2", State::Draft, 2)];
        assert_eq!(names(&spec, &recorded), [("v2".to_owned(), vec![])]);
        recorded[2] = status("v2", State::Active, 2);
        assert!(names(&spec, &recorded).is_empty());
        recorded[2].schemas_sha256 = None;
        assert_eq!(names(&spec, &recorded).len(), 1, "what was compared was lost with the record");
    }
}
