//! Counts of what checks found, and what of them is worth telling.

use std::collections::BTreeMap;

use entente_crds::service_contract::{LastViolation, VersionChecks, VersionStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Key, Verdict, Violation};
use crate::conditions::whole_second;

/// The status is written for its figures no more often.
const EVERY: SignedDuration = SignedDuration::from_mins(1);
/// Figures that are no news are written so often all the same.
const OLD: SignedDuration = SignedDuration::from_hours(1);
/// Without a violation for so long the next one begins anew.
const CALM: SignedDuration = SignedDuration::from_hours(1);

/// Counts by version. They go on from what the status says, whichever operator wrote it.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<String, VersionChecks>);

impl Tally {
    /// Goes on from the status.
    pub fn from_status(recorded: &[VersionStatus]) -> Self {
        let known = recorded.iter().filter_map(|version| Some((version.name.clone(), version.checks.clone()?)));
        Self(known.collect())
    }

    /// Notes a message. Says whether it begins violations, which people are to be told soon.
    pub fn note(&mut self, (version, operation): &Key, verdict: Verdict, now: Timestamp) -> bool {
        let now = whole_second(now);
        let counts = self.counts(version, now);
        counts.checked = counts.checked.saturating_add((verdict != Verdict::Unchecked).into());
        match verdict {
            Verdict::Conforms => false,
            Verdict::Unchecked => {
                counts.unchecked = counts.unchecked.saturating_add(1);
                false
            }
            Verdict::Violates(Violation { path, rule }) => {
                let begins = is_calm(counts.last_violation.as_ref(), now);
                counts.violations = counts.violations.saturating_add(1);
                let (operation, rule) = (operation.clone(), rule.to_owned());
                counts.last_violation = Some(LastViolation { at: Time(now), operation, path, rule });
                begins
            }
        }
    }

    /// A version as of now.
    pub fn of(&mut self, version: &str, now: Timestamp) -> VersionChecks {
        let now = whole_second(now);
        VersionChecks { observed_at: Time(now), ..self.counts(version, now).clone() }
    }

    fn counts(&mut self, version: &str, now: Timestamp) -> &mut VersionChecks {
        self.0.entry(version.to_owned()).or_insert_with(|| VersionChecks {
            since: Time(now),
            observed_at: Time(now),
            checked: 0,
            violations: 0,
            unchecked: 0,
            last_violation: None,
        })
    }
}

fn is_calm(last: Option<&LastViolation>, now: Timestamp) -> bool {
    last.is_none_or(|last| now.duration_since(last.at.0) >= CALM)
}

/// The new figures, or the old ones where they differ in nothing that is worth a write (invariant I6).
pub fn settle(before: Option<&VersionChecks>, new: VersionChecks) -> VersionChecks {
    let Some(before) = before else { return new };
    // Exhaustive: a new field cannot be skipped.
    let VersionChecks { since, observed_at, checked, violations, unchecked, last_violation } = &new;
    if begun(Some(before), &new) || before.since != *since {
        return new;
    }
    let age = observed_at.0.duration_since(before.observed_at.0);
    let is_same = (before.checked, before.violations, before.unchecked, &before.last_violation)
        == (*checked, *violations, *unchecked, last_violation);
    if is_same || (!age.is_negative() && age < EVERY) {
        return before.clone();
    }
    let seen = |checks: &VersionChecks| checks.checked.saturating_add(checks.unchecked);
    let is_news = before.violations != *violations || seen(&new) >= seen(before).saturating_mul(2) || age.abs() >= OLD;
    if is_news { new } else { before.clone() }
}

/// Whether violations began between two looks: there were none, or none for an hour.
pub fn begun(before: Option<&VersionChecks>, new: &VersionChecks) -> bool {
    let known = before.map(|before| before.violations).unwrap_or_default();
    let last = new.last_violation.as_ref().filter(|_| new.violations > known);
    last.is_some_and(|last| is_calm(before.and_then(|before| before.last_violation.as_ref()), last.at.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn key(version: &str) -> Key {
        (version.to_owned(), "placed".to_owned())
    }

    fn broken(path: &str) -> Verdict {
        Verdict::Violates(Violation { path: path.into(), rule: "required" })
    }

    #[test]
    fn each_version_is_counted_by_itself() {
        let mut tally = Tally::default();
        assert!(!tally.note(&key("v1"), Verdict::Conforms, at(0)));
        assert!(!tally.note(&key("v1"), Verdict::Unchecked, at(1)));
        assert!(tally.note(&key("v1"), broken("/a"), at(2)));
        assert!(!tally.note(&key("v1"), broken("/b"), at(3)), "they go on");
        let v1 = tally.of("v1", at(9));
        assert_eq!((v1.checked, v1.violations, v1.unchecked, v1.since.0, v1.observed_at.0), (3, 2, 1, at(0), at(9)));
        let last = v1.last_violation.unwrap();
        assert_eq!(
            (last.at.0, last.operation.as_str(), last.path.as_str(), last.rule.as_str()),
            (at(3), "placed", "/b", "required")
        );
        let v2 = tally.of("v2", at(10));
        assert_eq!((v2.checked, v2.violations, v2.since.0), (0, 0, at(10)));
        assert!(tally.note(&key("v1"), broken("/b"), at(3 + 3_600)), "they begin anew");
    }

    /// An operator that takes over does not begin at zero.
    #[test]
    fn i5_counts_go_on_from_the_status() {
        let mut tally = Tally::default();
        tally.note(&key("v1"), broken("/a"), at(0));
        let record = crate::contract::lifecycle::Record::draft(at(0));
        let mut status = crate::contract::terms::recorded("v1", &record, None);
        status.checks = Some(tally.of("v1", at(5)));
        let mut next = Tally::from_status(&[status]);
        assert!(!next.note(&key("v1"), broken("/a"), at(20)), "known already");
        let v1 = next.of("v1", at(30));
        assert_eq!((v1.checked, v1.violations, v1.since.0), (2, 2, at(0)));
    }

    #[test]
    fn i6_only_what_matters_is_written_and_seldom() {
        let mut tally = Tally::default();
        (0..10).for_each(|_| assert!(!tally.note(&key("v1"), Verdict::Conforms, at(0))));
        let before = tally.of("v1", at(0));
        let written = |tally: &mut Tally, second: i64| settle(Some(&before), tally.of("v1", at(second))) != before;
        assert_eq!(settle(None, before.clone()), before);
        assert!(!written(&mut tally, 100_000), "nothing came");
        (0..5).for_each(|_| assert!(!tally.note(&key("v1"), Verdict::Conforms, at(100))));
        assert!(!written(&mut tally, 100), "more of the same");
        assert!(written(&mut tally, 3_600), "it has got old");
        assert!(written(&mut tally, -3_600), "a clock that went back");
        (0..5).for_each(|_| assert!(!tally.note(&key("v1"), Verdict::Conforms, at(100))));
        assert!(!written(&mut tally, 59) && written(&mut tally, 100), "as many again");
        tally.note(&key("v1"), broken("/a"), at(10));
        assert!(written(&mut tally, 10), "the first violation is told at once");
        let before = tally.of("v1", at(10));
        tally.note(&key("v1"), broken("/a"), at(11));
        assert_eq!(settle(Some(&before), tally.of("v1", at(69))), before, "not yet");
        assert_ne!(settle(Some(&before), tally.of("v1", at(70))), before);
    }

    #[test]
    fn violations_begin_once_an_hour_at_most() {
        let mut tally = Tally::default();
        let none = tally.of("v1", at(0));
        tally.note(&key("v1"), broken("/a"), at(1));
        let first = tally.of("v1", at(1));
        assert!(begun(Some(&none), &first) && begun(None, &first) && !begun(Some(&first), &first));
        tally.note(&key("v1"), broken("/a"), at(1_000));
        let more = tally.of("v1", at(1_000));
        assert!(!begun(Some(&first), &more));
        tally.note(&key("v1"), broken("/a"), at(1_000 + 3_600));
        assert!(begun(Some(&more), &tally.of("v1", at(5_000))));
    }
}
