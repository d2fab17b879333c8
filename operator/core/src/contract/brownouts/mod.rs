//! Brown-outs: short rehearsals of retirement, announced beforehand.
//!
//! [`look`] is a pure function: what the contract asks for, what is recorded and the time, to what is to be recorded. Dates are counted
//! back from the sunset that the status has. [`closed`] says by record and time whether a version is in one; [`told`] what is told.
//!
//! Expected flow: a version is deprecated, and with that its brown-outs are announced, with their dates. At its time one begins and the
//! Clients that depend on the version lose what they would lose at retirement; at its end they get it back.
//!
//! Guarantees, whatever the clock does and however often the operator was down:
//! - A version that is not Deprecated is in none.
//! - None is on at a time outside the dates that were announced for it. These are never changed: where the sunset or the contract
//!   changes, it is announced anew, and one that is on ends.
//! - It begins only if it was announced for `announcedBefore`, and watched for as long without a gap ([`LONGEST_STEP`]) and without a jump of the
//!   clock; else it is skipped. One that begins late ends when it was to end. None begins twice.
//! - A gap or jump ends one that is on. So it is on for no longer than was announced, by the clock and in truth.
//! - Whether one is on is read from the record **and** the time: it ends though nobody could write that it ended.
//!
//! Caveat: a jump that is shorter than [`LONGEST_STEP`], while no process ran, cannot be told from a wait.

mod rules;
#[cfg(test)]
mod tests;
pub mod told;

pub use rules::{Rule, rules};

use entente_crds::service_contract::{BrownoutState, BrownoutStatus, VersionState, VersionStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conduct::ROUNDING;
use super::lifecycle::{LONGEST_STEP, Record, State};
use super::terms;
use crate::conditions::whole_second;

/// Most that are remembered of a version.
const REMEMBERED: usize = 16;
/// How often a version is looked at, at least, that is in one: a jump of the clock is to be seen soon.
const WHILE_ON: SignedDuration = SignedDuration::from_secs(10);
/// And one of which one is announced, or the watch would have a gap.
const WHILE_ANNOUNCED: SignedDuration = SignedDuration::from_mins(1);

/// What is recorded of a version's brown-outs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Since when it was looked at without a gap.
    pub watched_since: Option<Time>,
    /// All that are known, in their order.
    pub brownouts: Vec<BrownoutStatus>,
}

/// Looks at a version. `record` is its new record, `before` what the status had; `jumped` says that the clock was seen to jump since
/// then. `now` is a whole second.
pub fn look(rules: &[Rule], before: Option<&VersionStatus>, record: &Record, jumped: bool, now: Timestamp) -> Ledger {
    let known = before.map(|before| before.brownouts.as_slice()).unwrap_or_default();
    let sunset = record.sunset_at.filter(|_| record.state == State::Deprecated);
    let windows: Vec<Window> = sunset.iter().flat_map(|at| rules.iter().filter_map(move |rule| Window::of(rule, *at))).collect();
    let is_asked_for = |known: &BrownoutStatus| windows.iter().any(|window| window.is(known));
    let mut brownouts: Vec<BrownoutStatus> = known.iter().filter(|known| !is_asked_for(known)).filter_map(called_off).collect();
    if windows.is_empty() {
        return Ledger { watched_since: None, brownouts };
    }
    let watched_since = watched_since(before, jumped, now);
    for window in windows {
        let next = match known.iter().find(|known| window.is(known)) {
            None => window.announce(now),
            Some(known) => window.step(known, watched_since, now),
        };
        brownouts.push(next);
    }
    brownouts.sort_by_key(|known| (known.starts_at.0, known.ends_at.0));
    let surplus = brownouts.len().saturating_sub(REMEMBERED);
    Ledger { watched_since: Some(Time(watched_since)), brownouts: brownouts.split_off(surplus) }
}

/// When it was announced, or the last gap ended, whichever is later. Rounded up, as dates are whole seconds.
fn watched_since(before: Option<&VersionStatus>, jumped: bool, now: Timestamp) -> Timestamp {
    let Some(before) = before.filter(|before| before.state == VersionState::Deprecated && !jumped) else { return after(now) };
    let passed = now.duration_since(before.watched_at.0);
    let gap = passed.is_negative() || passed > LONGEST_STEP;
    before.watched_since.as_ref().map(|since| since.0).filter(|_| !gap).unwrap_or_else(|| after(now))
}

fn after(now: Timestamp) -> Timestamp {
    now.saturating_add(ROUNDING).unwrap_or(Timestamp::MAX)
}

/// The dates of one that is asked for.
struct Window {
    starts: Timestamp,
    ends: Timestamp,
    announced: SignedDuration,
}

impl Window {
    /// Nothing where no whole second is left of it.
    fn of(rule: &Rule, sunset: Timestamp) -> Option<Self> {
        let Rule { before, lasts, announced } = *rule;
        let begin = sunset.checked_sub(before).ok()?;
        let ends = whole_second(begin.checked_add(lasts).ok()?);
        let starts = if whole_second(begin) == begin { begin } else { after(whole_second(begin)) };
        (starts < ends).then_some(Self { starts, ends, announced })
    }

    fn is(&self, known: &BrownoutStatus) -> bool {
        (known.starts_at.0, known.ends_at.0) == (self.starts, self.ends)
    }

    fn announce(&self, now: Timestamp) -> BrownoutStatus {
        let announced_at = after(now);
        let new = BrownoutStatus {
            starts_at: Time(self.starts),
            ends_at: Time(self.ends),
            state: BrownoutState::Announced,
            announced_at: Time(announced_at),
            announced_before: terms::text(self.announced),
            message: None,
        };
        if self.starts.duration_since(announced_at) < self.announced {
            let message = format!("it would begin sooner than {} after it could be announced", new.announced_before.0);
            return into(&new, BrownoutState::Skipped, Some(message));
        }
        new
    }

    fn step(&self, known: &BrownoutStatus, watched_since: Timestamp, now: Timestamp) -> BrownoutStatus {
        match known.state {
            BrownoutState::Underway if now >= self.ends => into(known, BrownoutState::Over, None),
            BrownoutState::Underway if now < self.starts || watched_since > now => {
                let message = "it ended early: the operator was away, or the clock jumped".to_owned();
                into(known, BrownoutState::Over, Some(message))
            }
            BrownoutState::Announced if now >= self.starts => self.begin(known, watched_since, now),
            BrownoutState::Announced | BrownoutState::Underway | BrownoutState::Over | BrownoutState::Skipped => known.clone(),
        }
    }

    fn begin(&self, known: &BrownoutStatus, watched_since: Timestamp, now: Timestamp) -> BrownoutStatus {
        // A shorter time in the contract is for those that are announced from then on.
        let owed = terms::signed(&known.announced_before).unwrap_or(SignedDuration::MAX).max(self.announced);
        let watched = now.duration_since(watched_since.max(known.announced_at.0));
        if now < self.ends && watched >= owed {
            return into(known, BrownoutState::Underway, None);
        }
        let message = format!("the {} before it were not watched without a gap", terms::text(owed).0);
        into(known, BrownoutState::Skipped, Some(message))
    }
}

fn into(known: &BrownoutStatus, state: BrownoutState, message: Option<String>) -> BrownoutStatus {
    BrownoutStatus { state, message, ..known.clone() }
}

/// What becomes of one that is asked for no more, or not at these dates.
fn called_off(known: &BrownoutStatus) -> Option<BrownoutStatus> {
    match known.state {
        BrownoutState::Announced => None,
        BrownoutState::Underway => Some(into(known, BrownoutState::Over, Some("it was called off".to_owned()))),
        BrownoutState::Over | BrownoutState::Skipped => Some(known.clone()),
    }
}

/// When the brown-out ends that a version is in. Nothing where it is in none.
pub fn closed(status: &VersionStatus, now: Timestamp) -> Option<Timestamp> {
    let is_on =
        |known: &&BrownoutStatus| known.state == BrownoutState::Underway && known.starts_at.0 <= now && now < known.ends_at.0;
    let mut all = status.brownouts.iter().filter(|_| status.state == VersionState::Deprecated);
    all.find(is_on).map(|known| known.ends_at.0)
}

/// When a version is to be looked at again for the sake of its brown-outs.
pub fn look_again(ledger: &Ledger, now: Timestamp) -> Option<SignedDuration> {
    let wait = |known: &BrownoutStatus| match known.state {
        BrownoutState::Announced => Some(known.starts_at.0.duration_since(now).min(WHILE_ANNOUNCED)),
        BrownoutState::Underway => Some(known.ends_at.0.duration_since(now).min(WHILE_ON)),
        BrownoutState::Over | BrownoutState::Skipped => None,
    };
    ledger.brownouts.iter().filter_map(wait).min().map(|wait| wait.max(SignedDuration::from_millis(50)))
}
