//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential, bounded, with full jitter: after an outage all clients come back
/// spread over the whole interval instead of at one moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits at most `base` after the first failure, and never more than `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, attempts: 0 }
    }

    /// Failures since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Forget past failures.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Counts a failure and says how long to wait.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.attempts = self.attempts.saturating_add(1);
        ceiling.mul_f64(rand::random::<f64>())
    }

    /// The longest the next wait can be.
    fn ceiling(&self) -> Duration {
        let factor = 2_u32.checked_pow(self.attempts).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let ceilings: Vec<_> = (0..6)
            .map(|_| {
                let ceiling = backoff.ceiling().as_millis();
                backoff.next_delay();
                ceiling
            })
            .collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.attempts(), 6);
        backoff.reset();
        assert_eq!(backoff.ceiling(), Duration::from_millis(100));
    }

    #[test]
    fn waits_are_spread_over_the_whole_interval() {
        let delays: Vec<_> =
            (0..1000).map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(9)).next_delay().as_millis()).collect();
        assert!(delays.iter().any(|d| *d < 200) && delays.iter().any(|d| *d > 800));
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_bound(base in 0_u64..100_000, max in 0_u64..100_000, attempts in any::<u32>()) {
            let max = Duration::from_millis(max);
            let mut backoff = Backoff { base: Duration::from_millis(base), max, attempts };
            prop_assert!(backoff.next_delay() <= max);
        }
    }
}
