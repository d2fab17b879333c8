//! The life of a contract's version: Draft, Active, Deprecated, Sunset, Retired, and never back.
//!
//! [`step`] is a pure function: what is wanted, what is recorded, what is around it and the time, to what is to be recorded and
//! what came of it. It moves by at most one state, and is called again and again.
//!
//! Expected flow: an owner activates a draft; deprecates it with a successor, a reason and a date; the date comes and new
//! bindings are refused (Sunset); when nobody has used it for the quiet period the owner may retire it.
//!
//! Guarantees, whatever the clock does and however often the operator was down:
//! - Notice is never shortened. From Deprecated to Sunset both have to be over: the date, and as much time as the notice, counted
//!   by watching. A step of the clock that is too long to be a wait ([`LONGEST_STEP`]), or goes back, counts nothing. So a jump
//!   shortens nothing, and the time that nobody watched makes the notice longer. A shorter notice in the spec, or an earlier
//!   date, is passed over once a version is deprecated.
//! - Retirement is never early: the quiet period is counted in the same way, from the last use; what is not known is not quiet.
//! - A lost record (a backup put back, a status wiped) starts the notice anew.
//!
//! Caveat: a jump shorter than [`LONGEST_STEP`] cannot be told from a wait; nor can an older record that is put back, if the clock
//! is then as little ahead of it.

mod guards;
mod model;
#[cfg(test)]
mod tests;

pub use model::{Around, Desired, DesiredState, Outcome, Override, Record, Refusal, Rules, State, Use, Wait};

use jiff::{SignedDuration, Timestamp};

/// Longest time between two steps that counts as watched.
pub const LONGEST_STEP: SignedDuration = SignedDuration::from_mins(5);

/// One step in the life of a version.
pub fn step(desired: &Desired, recorded: Option<&Record>, around: &Around, now: Timestamp) -> (Record, Outcome) {
    let Some(recorded) = recorded else { return adopt(desired, around, now) };
    let record = watched(recorded, desired, around, now);
    let (state, outcome) = match guards::next(desired, &record, around, now) {
        Ok(Some(state)) => (state, Outcome::Moved { from: record.state, to: state }),
        Ok(None) => (record.state, Outcome::Rests),
        Err(guards::Held::Refused(refusal)) => (record.state, Outcome::Refused(refusal)),
        Err(guards::Held::Waits(wait)) => (record.state, Outcome::Waits(wait)),
    };
    (if state == record.state { record } else { entered(record, state, desired, around, now) }, outcome)
}

/// The first record. What the spec says to be further on than a draft was so before its record was lost.
fn adopt(desired: &Desired, around: &Around, now: Timestamp) -> (Record, Outcome) {
    let draft = Record::draft(now);
    let state = match desired.state {
        DesiredState::Draft | DesiredState::Active => return (draft, Outcome::Rests),
        DesiredState::Deprecated => State::Active,
        // Not Active: nobody can ask for Deprecated any more, as the spec does not go back.
        DesiredState::Retired => State::Deprecated,
    };
    (entered(draft, state, desired, around, now), Outcome::Moved { from: State::Draft, to: state })
}

/// Counts the time since the last step, where it was watched.
fn watched(recorded: &Record, desired: &Desired, around: &Around, now: Timestamp) -> Record {
    let mut record = recorded.clone();
    let passed = now.duration_since(recorded.watched_at);
    let counts = passed.is_positive() && passed <= LONGEST_STEP;
    record.watched_at = now;
    if counts && record.state == State::Deprecated {
        record.noticed = record.noticed.saturating_add(passed);
    }
    match around.use_ {
        Use::Seen { .. } => record.quiet = SignedDuration::ZERO,
        Use::None if counts && record.state == State::Sunset => record.quiet = record.quiet.saturating_add(passed),
        Use::None | Use::Unknown => {}
    }
    if record.state == State::Deprecated {
        record.notice = record.notice.max(around.rules.notice);
        record.sunset_at = record.sunset_at.max(desired.sunset_at);
    }
    record.retirable = record.state == State::Sunset && guards::is_quiet(&record, around).is_ok();
    record
}

fn entered(mut record: Record, state: State, desired: &Desired, around: &Around, now: Timestamp) -> Record {
    record.state = state;
    record.since = now;
    record.retirable = false;
    match state {
        State::Draft => {}
        State::Active => record.activated_at = record.activated_at.or(Some(now)),
        State::Deprecated => {
            record.deprecated_at = record.deprecated_at.or(Some(now));
            record.notice = record.notice.max(around.rules.notice);
            record.noticed = SignedDuration::ZERO;
            let earliest = now.saturating_add(record.notice).ok();
            record.sunset_at = record.sunset_at.max(desired.sunset_at).max(earliest);
        }
        State::Sunset => record.quiet = SignedDuration::ZERO,
        State::Retired => record.retired_at = Some(now),
    }
    record
}
