//! A circuit breaker for one broker.
//!
//! Failure it prevents: a dead broker that costs every object a time-out of its own, and so
//! starves the objects of healthy brokers (invariant I7). While it is open, callers fail at
//! once; one probe at a time asks whether the broker is back.

use jiff::{SignedDuration, Timestamp};

/// How the breaker behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Failures in a row that open it.
    pub threshold: u32,
    /// Wait before the first probe.
    pub first_wait: SignedDuration,
    /// Longest wait between probes: bounds how long a broker that came back goes unnoticed.
    pub longest_wait: SignedDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self { threshold: 3, first_wait: SignedDuration::from_millis(500), longest_wait: SignedDuration::from_secs(4) }
    }
}

/// Whether a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Go on.
    Allowed,
    /// Go on; you are the probe.
    Probe,
    /// Fail at once; a probe is due at this time at the latest.
    Refused {
        /// When the next probe may go out.
        until: Timestamp,
    },
}

/// State of the breaker. `(state, outcome, now) → state`; no clock of its own.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: Config,
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    wait: SignedDuration,
    until: Timestamp,
    /// When a probe went out that has not been answered.
    probing_since: Option<Timestamp>,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: Config) -> Self {
        Self { config, failures: 0, open: None }
    }

    /// Asks to make a call.
    pub fn permit(&mut self, now: Timestamp) -> Permit {
        let Some(open) = &mut self.open else {
            return Permit::Allowed;
        };
        // A clock set back must not keep the breaker open for longer than its longest wait.
        let jumped_back = open.until > now.saturating_add(self.config.longest_wait).unwrap_or(Timestamp::MAX);
        let due = now >= open.until || jumped_back;
        // A probe whose caller was cancelled never reports: after one wait, another may go.
        let lost = open.probing_since.is_none_or(|since| now < since || now.duration_since(since) > self.config.longest_wait);
        if due && lost {
            open.probing_since = Some(now);
            return Permit::Probe;
        }
        Permit::Refused { until: open.until }
    }

    /// Reports that the broker answered: even a refusal is an answer.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    /// Reports that the broker did not answer.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let wait = match &self.open {
            Some(open) if open.probing_since.is_some() => (open.wait * 2).min(self.config.longest_wait),
            None if self.failures >= self.config.threshold => self.config.first_wait,
            // Calls that were under way when it opened must not lengthen the wait.
            Some(_) | None => return,
        };
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        self.open = Some(Open { wait, until, probing_since: None });
    }

    /// Reports that the probe's caller was cancelled: nothing is known, and the next one may probe at once.
    pub fn abandoned(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing_since = None;
        }
    }

    /// Whether calls are refused at present.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millis).unwrap()
    }

    #[test]
    fn a_probe_that_was_cut_off_gives_way_to_the_next() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(500)), Permit::Probe);
        assert!(matches!(breaker.permit(at(501)), Permit::Refused { .. }));
        breaker.abandoned();
        assert_eq!(breaker.permit(at(502)), Permit::Probe);
        breaker.answered();
        breaker.abandoned();
        assert_eq!(breaker.permit(at(503)), Permit::Allowed);
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(Config::default());
        for _ in 0..3 {
            assert_eq!(breaker.permit(at(0)), Permit::Allowed);
            breaker.failed(at(0));
        }
        breaker
    }

    #[test]
    fn opens_at_the_threshold_and_refuses_at_once() {
        assert_eq!(opened().permit(at(100)), Permit::Refused { until: at(500) });
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let mut breaker = Breaker::new(Config::default());
        breaker.failed(at(0));
        breaker.failed(at(0));
        breaker.answered();
        breaker.failed(at(0));
        assert_eq!(breaker.permit(at(0)), Permit::Allowed);
    }

    #[test]
    fn one_probe_at_a_time() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(500)), Permit::Probe);
        assert_eq!(breaker.permit(at(501)), Permit::Refused { until: at(500) });
        breaker.answered();
        assert_eq!(breaker.permit(at(502)), Permit::Allowed);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut breaker = opened();
        let mut now = 500;
        for wait in [1_000, 2_000, 4_000, 4_000] {
            assert_eq!(breaker.permit(at(now)), Permit::Probe);
            breaker.failed(at(now));
            assert_eq!(breaker.permit(at(now + wait - 1)), Permit::Refused { until: at(now + wait) });
            now += wait;
        }
    }

    #[test]
    fn late_failures_of_earlier_calls_do_not_lengthen_the_wait() {
        let mut breaker = opened();
        breaker.failed(at(400));
        assert_eq!(breaker.permit(at(500)), Permit::Probe);
    }

    #[test]
    fn a_lost_probe_and_a_clock_set_back_do_not_keep_it_open() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(500)), Permit::Probe);
        assert_eq!(breaker.permit(at(500 + 4_001)), Permit::Probe);
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(-900_000)), Permit::Probe);
    }
}
