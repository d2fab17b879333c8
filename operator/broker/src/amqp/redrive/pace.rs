//! At what rate messages are sent.

use std::time::Duration;

use tokio::time::Instant;

/// Spreads messages evenly. What was not sent in time is not made up for: after a pause there is no burst.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// A rate in messages per second; without one, every message may go at once.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        let interval = rate.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok()).unwrap_or_default();
        Self { interval, due: now }
    }

    /// When the next message may go.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// A message went.
    pub(super) fn went(&mut self, now: Instant) {
        // A timer that fires late by less than an interval must not lower the rate.
        let from = if now.saturating_duration_since(self.due) < self.interval { self.due } else { now };
        self.due = from + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn messages_are_spread_and_late_timers_do_not_add_up() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100.0), start);
        assert_eq!(pace.due(), start);
        for number in 1..=10 {
            pace.went(pace.due() + 3 * MS);
            assert_eq!(pace.due(), start + 10 * number * MS);
        }
    }

    #[test]
    fn a_pause_is_not_followed_by_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100.0), start);
        pace.went(start + 5000 * MS);
        assert_eq!(pace.due(), start + 5010 * MS);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        pace.went(start + MS);
        assert!(pace.due() <= start + MS);
    }
}
