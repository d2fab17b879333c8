//! Jumps of the clock, seen by another clock that does not jump.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// What both clocks may differ by between two looks: they are read one after the other, and one is kept right by small steps.
const ALIKE: SignedDuration = SignedDuration::from_secs(2);

/// Both clocks at one look.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The clock that people see.
    pub shown: Timestamp,
    /// One that only counts.
    counted: Instant,
}

impl Reading {
    fn now() -> Self {
        Self { shown: Timestamp::now(), counted: Instant::now() }
    }

    /// Whether the clock jumped since an earlier reading.
    fn jumped_since(&self, earlier: &Self) -> bool {
        let shown = self.shown.duration_since(earlier.shown);
        let counted = SignedDuration::try_from(self.counted.saturating_duration_since(earlier.counted));
        counted.is_ok_and(|counted| shown.saturating_sub(counted).abs() > ALIKE)
    }
}

/// The clocks at the last look at each contract, by its uid. What this process did not see is not in it.
#[derive(Debug, Default)]
pub struct Clock(Mutex<HashMap<String, Reading>>);

impl Clock {
    /// The time, and whether the clock jumped since the last look that was kept.
    pub fn look(&self, uid: &str) -> (Reading, bool) {
        let now = Reading::now();
        let jumped = self.known().get(uid).is_some_and(|last| now.jumped_since(last));
        (now, jumped)
    }

    /// What came of a look is stored. Until then a jump is not forgotten.
    pub fn keep(&self, uid: &str, reading: Reading) {
        self.known().insert(uid.to_owned(), reading);
    }

    /// Forgets a contract that is gone.
    pub fn forget(&self, uid: &str) {
        self.known().remove(uid);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_jump_is_what_the_other_clock_did_not_count() {
        let first = Reading::now();
        let later = |shown: i64, counted: u64| Reading {
            shown: first.shown.saturating_add(SignedDuration::from_secs(shown)).unwrap(),
            counted: first.counted + Duration::from_secs(counted),
        };
        for (shown, counted, jumped) in
            [(0, 0, false), (60, 60, false), (61, 60, false), (63, 60, true), (57, 60, true), (-5, 1, true), (400, 0, true)]
        {
            assert_eq!(later(shown, counted).jumped_since(&first), jumped, "{shown} {counted}");
        }
    }

    #[test]
    fn a_jump_is_seen_until_what_came_of_it_is_stored() {
        let clock = Clock::default();
        let (reading, jumped) = clock.look("u");
        assert!(!jumped, "what was before this process it cannot tell");
        let wrong = reading.shown.saturating_add(SignedDuration::from_hours(1)).unwrap();
        clock.keep("u", Reading { shown: wrong, ..reading });
        assert!(clock.look("u").1 && clock.look("u").1);
        clock.keep("u", clock.look("u").0);
        assert!(!clock.look("u").1);
        clock.keep("u", Reading { shown: wrong, ..reading });
        clock.forget("u");
        assert!(!clock.look("u").1);
    }
}
