//! When a version may move on.

use jiff::Timestamp;

use super::model::{Around, Desired, DesiredState, Record, Refusal, State, Use, Wait};

/// Why it stays where it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    Refused(Refusal),
    Waits(Wait),
}

/// The state to move to; nothing if it is where it should be.
pub fn next(desired: &Desired, record: &Record, around: &Around, now: Timestamp) -> Result<Option<State>, Held> {
    use DesiredState as Wanted;
    match (record.state, desired.state) {
        (State::Draft, Wanted::Draft)
        | (State::Active, Wanted::Active)
        | (State::Sunset, Wanted::Deprecated)
        | (State::Retired, Wanted::Retired) => Ok(None),
        (State::Draft, Wanted::Active) => activate(around),
        (State::Active, Wanted::Deprecated) => deprecate(desired, around, now),
        (State::Deprecated, Wanted::Deprecated | Wanted::Retired) => sunset(record, now),
        (State::Sunset, Wanted::Retired) => retire(record, around),
        (from, to) => Err(Held::Refused(Refusal::NoWay { from, to })),
    }
}

fn activate(around: &Around) -> Result<Option<State>, Held> {
    if let Some(problem) = &around.schema_problem {
        return Err(Held::Refused(Refusal::Schema(problem.clone())));
    }
    if around.others_supported >= around.rules.max_supported {
        let refusal = Refusal::TooMany { supported: around.others_supported, max: around.rules.max_supported };
        return Err(Held::Refused(refusal));
    }
    Ok(Some(State::Active))
}

fn deprecate(desired: &Desired, around: &Around, now: Timestamp) -> Result<Option<State>, Held> {
    if desired.successor.is_none() || !around.successor_active {
        return Err(Held::Refused(Refusal::Successor));
    }
    if desired.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Held::Refused(Refusal::Reason));
    }
    let notice = around.rules.notice;
    let earliest = now.saturating_add(notice).unwrap_or(Timestamp::MAX);
    if desired.sunset_at.is_none_or(|date| date < earliest) {
        return Err(Held::Refused(Refusal::TooSoon { earliest, notice }));
    }
    Ok(Some(State::Deprecated))
}

/// Both must be over: the date, in case of a clock that was behind, and the watched time, in case of one that is ahead.
fn sunset(record: &Record, now: Timestamp) -> Result<Option<State>, Held> {
    let until = record.sunset_at.unwrap_or(Timestamp::MAX);
    if now < until || record.noticed < record.notice {
        return Err(Held::Waits(Wait::Notice { until, watched: record.noticed, notice: record.notice }));
    }
    Ok(Some(State::Sunset))
}

fn retire(record: &Record, around: &Around) -> Result<Option<State>, Held> {
    let overridden = around.override_.as_ref().is_some_and(|by| !by.by.trim().is_empty() && !by.reason.trim().is_empty());
    if !overridden {
        is_quiet(record, around).map_err(Held::Waits)?;
    }
    Ok(Some(State::Retired))
}

/// Whether nobody has used it for the quiet period.
pub fn is_quiet(record: &Record, around: &Around) -> Result<(), Wait> {
    match around.use_ {
        Use::Unknown => Err(Wait::UseUnknown),
        Use::Seen { links, backlog } => Err(Wait::InUse { links, backlog }),
        Use::None if record.quiet < around.rules.quiet => Err(Wait::Quiet { quiet: record.quiet, period: around.rules.quiet }),
        Use::None => Ok(()),
    }
}
