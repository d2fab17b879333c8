//! What the status says of a contract's assurances.

use std::time::Duration;

use entente_crds::service_contract::{Assurances, AssurancesStatus, Measured};
use entente_crds::text::DurationText;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::window::Sum;
use super::{Targets, WHOLE};
use crate::conditions::whole_second;
use crate::contract::terms;

/// Before so many probes nothing is said.
const ENOUGH: u64 = 3;
/// The status is written for its figures no more often.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What probes saw, as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Figures of the window.
    pub sum: Sum,
    /// For how long probes have failed, while they do.
    pub failing: Option<Duration>,
    /// For how long they are made.
    pub age: Duration,
}

/// The new status. Nothing before there were enough probes.
pub fn report(declared: &Assurances, targets: Targets, seen: &Seen, now: Timestamp) -> Option<AssurancesStatus> {
    let Seen { sum, failing, age } = seen;
    if sum.probes < ENOUGH {
        return None;
    }
    let Targets { availability, latency_p99, rpo, rto } = targets;
    let recovery = sum.longest_recovery.max(failing.unwrap_or_default());
    let times = |declared: Option<&DurationText>, target: Option<SignedDuration>, observed: Option<Duration>| {
        let observed = observed.map(|observed| SignedDuration::try_from(observed).unwrap_or(SignedDuration::MAX));
        target.zip(declared).map(|(target, declared)| Measured {
            target: declared.0.clone(),
            observed: observed.map(|observed| text(observed).0),
            met: observed.map(|observed| observed <= target),
        })
    };
    let since = now.saturating_sub(SignedDuration::try_from(*age).unwrap_or_default()).unwrap_or(now);
    Some(AssurancesStatus {
        since: Time(whole_second(since)),
        observed_at: Time(whole_second(now)),
        probes: i64::try_from(sum.probes).unwrap_or(i64::MAX),
        lost: i64::try_from(sum.lost).unwrap_or(i64::MAX),
        latency_p50: sum.latency(50).map(|latency| text(SignedDuration::try_from(latency).unwrap_or_default())),
        availability: availability.zip(declared.availability.as_ref()).map(|(target, declared)| Measured {
            target: declared.clone(),
            observed: millionths(sum).map(percent),
            met: millionths(sum).map(|_| is_available(sum, target)),
        }),
        error_budget: availability.and_then(|target| budget(sum, target)),
        latency_p99: times(declared.latency_p99.as_ref(), latency_p99, sum.latency(99)),
        rpo: times(declared.rpo.as_ref(), rpo, Some(sum.longest_loss)),
        rto: times(declared.rto.as_ref(), rto, Some(recovery)),
    })
}

/// Milliseconds where it is short, else seconds; rounded up.
fn text(length: SignedDuration) -> DurationText {
    let micros = length.as_micros();
    let unit = if micros < 10_000_000 { 1_000 } else { 1_000_000 };
    let rounded = (micros + unit - 1) / unit * unit / 1_000;
    terms::text(SignedDuration::from_millis(i64::try_from(rounded).unwrap_or(i64::MAX)))
}

fn millionths(sum: &Sum) -> Option<u128> {
    let all = sum.up.saturating_add(sum.down).as_micros();
    (all > 0).then(|| sum.up.as_micros() * u128::from(WHOLE) / all)
}

/// With two decimals and never rounded up: 100 is said only where nothing failed.
fn percent(millionths: u128) -> String {
    let hundredths = millionths / 100;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn is_available(sum: &Sum, target: u32) -> bool {
    let all = sum.up.saturating_add(sum.down).as_micros();
    sum.up.as_micros() * u128::from(WHOLE) >= u128::from(target) * all
}

/// What is left of the time that may fail, in whole per cent.
fn budget(sum: &Sum, target: u32) -> Option<String> {
    let all = sum.up.saturating_add(sum.down).as_micros();
    let allowed = all * u128::from(WHOLE.saturating_sub(target)) / u128::from(WHOLE);
    let left = match (allowed, sum.down.as_micros()) {
        _ if all == 0 => return None,
        (_, 0) => 100,
        (0, _) => 0,
        (allowed, down) => allowed.saturating_sub(down) * 100 / allowed,
    };
    Some(format!("{left}"))
}

/// The new status, or the old one where they differ in nothing that is worth a write (invariant I6).
pub fn settle(before: Option<&AssurancesStatus>, new: Option<AssurancesStatus>, now: Timestamp) -> Option<AssurancesStatus> {
    let (Some(before), Some(new)) = (before, new.as_ref()) else { return new };
    let age = now.duration_since(before.observed_at.0);
    let rest = (!age.is_negative() && age < EVERY) || is_alike(before, new);
    Some(if rest { before } else { new }.clone())
}

fn is_alike(before: &AssurancesStatus, new: &AssurancesStatus) -> bool {
    // Exhaustive: a new field cannot be skipped.
    let AssurancesStatus {
        since: _,
        observed_at: _,
        probes: _,
        lost,
        latency_p50,
        availability,
        error_budget,
        latency_p99,
        rpo,
        rto,
    } = new;
    before.lost == *lost
        && is_near(before.latency_p50.as_ref(), latency_p50.as_ref())
        && before.availability == *availability
        && before.error_budget == *error_budget
        && is_latency_alike(before.latency_p99.as_ref(), latency_p99.as_ref())
        && before.rpo == *rpo
        && before.rto == *rto
}

fn is_latency_alike(before: Option<&Measured>, new: Option<&Measured>) -> bool {
    let (Some(before), Some(new)) = (before, new) else { return before.is_none() && new.is_none() };
    let of = |measured: &Measured| measured.observed.clone().map(DurationText);
    before.target == new.target && before.met == new.met && is_near(of(before).as_ref(), of(new).as_ref())
}

/// Latencies go up and down by themselves. By half and more is news.
fn is_near(before: Option<&DurationText>, new: Option<&DurationText>) -> bool {
    let millis = |text: &DurationText| text.as_millis().ok();
    match (before.and_then(millis), new.and_then(millis)) {
        (Some(before), Some(new)) => before.max(new) * 2 <= before.min(new).max(2) * 3,
        (before, new) => before == new,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::targets;
    use super::super::window::{Probe, Window};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn declared() -> Assurances {
        serde_json::from_value(json!({"availability": "99", "latencyP99": "100ms", "rpo": "0s", "rto": "10s"})).unwrap()
    }

    /// So many probes that came back after so many milliseconds, and seconds for which they failed.
    fn seen(back: u64, millis: u64, down: u64) -> Seen {
        let mut window = Window::default();
        for _ in 0..back {
            window.note(secs(1), Probe::Back(Duration::from_millis(millis)), secs(1));
        }
        if down > 0 {
            window.note(secs(1), Probe::Failed, secs(down));
            window.recovered(secs(1), secs(down));
        }
        Seen { sum: window.sum(secs(1)), failing: None, age: secs(60) }
    }

    fn told(seen: &Seen, second: i64) -> AssurancesStatus {
        report(&declared(), targets(&declared()).unwrap(), seen, at(second)).unwrap()
    }

    fn measured(told: Option<&Measured>) -> Value {
        let Measured { target, observed, met } = told.unwrap();
        json!([target, observed, met])
    }

    #[test]
    fn targets_are_told_with_what_was_seen() {
        let good = told(&seen(1_000, 20, 5), 60);
        assert_eq!(measured(good.availability.as_ref()), json!(["99", "99.50", true]));
        assert_eq!(good.error_budget.as_deref(), Some("50"));
        assert_eq!(measured(good.rto.as_ref()), json!(["10s", "5s", true]));
        assert_eq!(measured(good.rpo.as_ref()), json!(["0s", "0s", true]));
        assert_eq!(good.latency_p99.as_ref().unwrap().met, Some(true));
        assert_eq!((good.since, good.probes), (Time(at(0)), 1_001));
        let bad = told(&seen(1_000, 300, 15), 60);
        assert_eq!(measured(bad.availability.as_ref()), json!(["99", "98.52", false]));
        assert_eq!(
            (bad.error_budget.as_deref(), bad.rto.unwrap().met, bad.latency_p99.unwrap().met),
            (Some("0"), Some(false), Some(false))
        );
    }

    #[test]
    fn a_failure_that_lasts_and_what_it_lost_are_told_while_it_lasts() {
        let mut lasting = seen(10, 1, 0);
        lasting.failing = Some(secs(12));
        assert_eq!(measured(told(&lasting, 0).rto.as_ref()), json!(["10s", "12s", false]));
        let mut window = Window::default();
        (0..5).for_each(|_| window.note(secs(1), Probe::Back(secs(1)), secs(1)));
        window.lost(secs(1), 2, secs(10));
        let lossy = told(&Seen { sum: window.sum(secs(1)), failing: None, age: secs(5) }, 0);
        assert_eq!((measured(lossy.rpo.as_ref()), lossy.lost), (json!(["0s", "10s", false]), 2));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured_or_declared() {
        let (some, none) = (declared(), Assurances::default());
        assert_eq!(report(&some, targets(&some).unwrap(), &seen(2, 1, 0), at(0)), None);
        let bare = report(&none, Targets::default(), &seen(5, 1, 0), at(0)).unwrap();
        assert_eq!((bare.availability, bare.error_budget, bare.latency_p99, bare.rpo, bare.rto), (None, None, None, None, None));
    }

    #[test]
    fn all_is_said_only_where_nothing_failed() {
        assert_eq!((percent(1_000_000), percent(999_999), percent(0)), ("100.00".into(), "99.99".into(), "0.00".into()));
        let exact = seen(99, 1, 1);
        assert!(is_available(&exact.sum, 990_000) && !is_available(&exact.sum, 990_001));
        assert_eq!(budget(&exact.sum, WHOLE).as_deref(), Some("0"));
        assert_eq!(budget(&seen(9, 1, 0).sum, WHOLE).as_deref(), Some("100"));
    }

    #[test]
    fn i6_only_what_matters_is_written_and_seldom() {
        let before = told(&seen(1_000, 20, 5), 0);
        let written = |new: AssurancesStatus, second: i64| settle(Some(&before), Some(new), at(second)).as_ref() != Some(&before);
        assert!(!written(told(&seen(1_010, 25, 5), 600), 600), "more of the same");
        assert!(written(told(&seen(2_000, 20, 30), 600), 600), "no longer met");
        assert!(written(told(&seen(1_010, 60, 5), 600), 600), "another latency");
        assert!(!written(told(&seen(2_000, 60, 30), 59), 59), "not yet");
        assert!(written(told(&seen(2_000, 60, 30), -600), -600), "a clock that went back");
        assert_eq!(settle(Some(&before), None, at(1)), None, "no longer measured");
        assert!(settle(None, Some(before.clone()), at(0)).is_some());
    }
}
