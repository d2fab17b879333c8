//! When a Client's password changes, and which of its users are alive.
//!
//! The Secret is the record: it names the user, when its password was made, on whose request, and the user before. It is
//! written in one piece after the new user works, so that a rotation cut off anywhere is either still to be done or done.
//! Status is never read for a decision, but for one kindness: where the Secret was lost, the user that status names goes on
//! for the overlap.
//!
//! | Cut off after | What is found | What follows |
//! | --- | --- | --- |
//! | the new user was made | the Secret names the old one | a new user again; the one left is deleted once the Secret does not name it |
//! | the Secret was written | the Secret names the new one, status the old one | nothing but status |
//!
//! Clocks: a time of rotation that lies in the future is a clock's mistake and is set to now, without a rotation. A clock
//! that jumps forward causes one rotation at most, since the time of that rotation is from the same clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::identity::{serial_of, user_name};
use super::secret::Record;

/// Clocks of two machines may differ by so much without anything being wrong.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Longest text of a request that is kept.
const LONGEST_REQUEST: usize = 256;

/// What is known when a decision is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Namespace of the Client.
    pub namespace: &'a str,
    /// Name of the Client.
    pub client: &'a str,
    /// What the Secret says; `None` if there is none, or it is not as we wrote it.
    pub record: Option<&'a Record>,
    /// The user that status names.
    pub last_user: Option<&'a str>,
    /// The Client's users at the broker, by serial.
    pub serials: &'a BTreeSet<u64>,
    /// Value of the annotation that asks for a rotation.
    pub request: Option<&'a str>,
    /// How often the password changes.
    pub every: Option<Duration>,
    /// How long the user before lives on.
    pub overlap: Duration,
    /// How long ago this process itself wrote the Secret, by a clock that does not jump.
    pub written_ago: Option<Duration>,
    /// The time of day.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a new user, then write the Secret.
    Begin {
        /// Its name.
        username: String,
        /// The user that lives on for the overlap.
        previous: Option<String>,
    },
    /// No new password.
    Keep(Kept),
}

/// The users that are alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When the password was made. Where the Secret says otherwise, it is to be corrected.
    pub rotated_at: Timestamp,
    /// The user before, and until when it lives.
    pub previous: Option<(String, Timestamp)>,
    /// A rotation is due and waits until the user before is gone.
    pub waiting: bool,
    /// When to look again, if anything is to happen by itself.
    pub look_again: Option<Timestamp>,
}

/// The request as it is kept and compared: bounded, and an empty one is none.
pub fn request(annotation: Option<&str>) -> Option<String> {
    annotation.filter(|text| !text.is_empty()).map(|text| text.chars().take(LONGEST_REQUEST).collect())
}

/// Decides.
pub fn decide(known: &Known<'_>) -> Step {
    let Some(record) = known.record else { return begin(known, None) };
    let stamped = record.rotated_at.filter(|at| at.duration_since(known.now) <= SKEW);
    let rotated_at = stamped.unwrap_or(known.now);
    let previous = live_previous(known, record, rotated_at);
    let scheduled = known.every.map(|every| after(rotated_at, every));
    let requested = request(known.request).is_some_and(|request| record.request.as_ref() != Some(&request));
    let due = requested || scheduled.is_some_and(|at| at <= known.now);
    // While the user before lives there is no further rotation: its holders were promised the whole overlap, and
    // there are never more than two passwords.
    if due && previous.is_none() {
        return begin(known, Some(record));
    }
    let look_again = previous.iter().map(|(_, until)| *until).chain(scheduled.filter(|_| !due)).min();
    Step::Keep(Kept { rotated_at, previous, waiting: due, look_again })
}

fn begin(known: &Known<'_>, record: Option<&Record>) -> Step {
    let serial = |user: &str| serial_of(known.namespace, known.client, user);
    let last = known.last_user.and_then(serial);
    let named = record.map(|record| record.serial).or(last);
    let highest = known.serials.last().copied().into_iter().chain(named).max().unwrap_or(0);
    let previous = named.filter(|serial| known.serials.contains(serial));
    Step::Begin {
        username: user_name(known.namespace, known.client, highest.saturating_add(1)),
        previous: previous.map(|serial| user_name(known.namespace, known.client, serial)),
    }
}

fn live_previous(known: &Known<'_>, record: &Record, rotated_at: Timestamp) -> Option<(String, Timestamp)> {
    let previous = record.previous.as_ref()?;
    let serial = serial_of(known.namespace, known.client, previous).filter(|serial| *serial != record.serial)?;
    if !known.serials.contains(&serial) {
        return None;
    }
    let until = after(rotated_at, known.overlap);
    if known.now < until {
        return Some((previous.clone(), until));
    }
    // The time of day says that the overlap is over. The clock that does not jump, where there is one, must agree.
    let left = known.overlap.checked_sub(known.written_ago?).filter(|left| !left.is_zero())?;
    Some((previous.clone(), after(known.now, left)))
}

fn after(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| at.checked_add(duration).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
