//! What of a new status is worth a write. With nothing changed nothing is written (invariant I6), and yet the time that was
//! watched must not be lost.

use entente_crds::service_contract::{VersionState, VersionStatus, VersionUse};
use jiff::{SignedDuration, Timestamp};

/// Watched time is stored at least so often: less than the longest time that counts as watched, by more than a visit may be late.
const STORE_EVERY: SignedDuration = SignedDuration::from_mins(2);
/// Figures that only changed a little are stored so often.
const FIGURES_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The new status, or the old one where they differ in nothing that matters yet.
pub fn settle(before: Option<&VersionStatus>, new: VersionStatus, now: Timestamp) -> VersionStatus {
    let Some(before) = before else { return new };
    let counts_time = matches!(new.state, VersionState::Deprecated | VersionState::Sunset);
    let since_stored = now.duration_since(before.watched_at.0);
    // Behind as well as ahead: a clock that went back must be noted too.
    let due = counts_time && since_stored.abs() >= STORE_EVERY;
    if due || !is_alike(before, &new) || !is_use_alike(before.use_.as_ref(), new.use_.as_ref()) { new } else { before.clone() }
}

fn is_alike(before: &VersionStatus, new: &VersionStatus) -> bool {
    let started_anew = new.quiet.is_none() && before.quiet.is_some();
    let without = |status: &VersionStatus| VersionStatus {
        watched_at: new.watched_at.clone(),
        noticed: None,
        quiet: None,
        use_: None,
        ..status.clone()
    };
    !started_anew && without(before) == without(new)
}

fn is_use_alike(before: Option<&VersionUse>, new: Option<&VersionUse>) -> bool {
    match (before, new) {
        (None, None) => true,
        (Some(before), Some(new)) => {
            let figures =
                |seen: &VersionUse| [Some(seen.consumers), seen.producers, Some(seen.subscriptions), Some(seen.backlog)];
            let signs = |seen: &VersionUse| (figures(seen).map(|number| number.map(|number| number > 0)), seen.stale);
            let age = new.observed_at.0.duration_since(before.observed_at.0);
            signs(before) == signs(new) && (figures(before) == figures(new) || age.abs() < FIGURES_EVERY)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(state: State, second: i64, backlog: i64) -> VersionStatus {
        let record = Record { state, noticed: SignedDuration::from_secs(second), ..Record::draft(at(0)) };
        let mut status = terms::recorded("v1", &record, None);
        status.watched_at = Time(at(second));
        let observed_at = Time(at(second));
        status.use_ = Some(VersionUse {
            consumers: 1,
            producers: None,
            subscriptions: 1,
            backlog,
            last_seen: None,
            observed_at,
            stale: false,
        });
        status
    }

    fn written(before: &VersionStatus, new: &VersionStatus) -> bool {
        settle(Some(before), new.clone(), new.watched_at.0) != *before
    }

    #[test]
    fn i6_time_alone_is_no_news_of_an_active_version() {
        assert!(!written(&status(State::Active, 10, 5), &status(State::Active, 100_000, 5)));
    }

    #[test]
    fn watched_time_is_stored_before_it_is_lost() {
        let before = status(State::Deprecated, 10, 5);
        assert!(!written(&before, &status(State::Deprecated, 100, 5)));
        assert!(written(&before, &status(State::Deprecated, 130, 5)));
        assert!(STORE_EVERY * 2 < super::super::lifecycle::LONGEST_STEP);
        assert!(written(&before, &status(State::Deprecated, -130, 5)), "a clock that went back");
    }

    #[test]
    fn use_that_begins_or_ends_is_news_at_once_and_other_figures_later() {
        let before = status(State::Active, 10, 5);
        assert!(written(&before, &status(State::Active, 11, 0)));
        assert!(!written(&before, &status(State::Active, 11, 6)));
        assert!(written(&before, &status(State::Active, 71, 6)));
    }

    #[test]
    fn a_quiet_period_that_starts_anew_is_news() {
        let mut before = status(State::Sunset, 10, 0);
        before.quiet = Some(terms::text(SignedDuration::from_secs(5)));
        assert!(written(&before, &status(State::Sunset, 11, 0)));
    }
}
