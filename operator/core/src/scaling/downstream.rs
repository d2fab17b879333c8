//! Whether more replicas serve more: two steps up without more throughput mean that something behind them is the limit.

use serde::{Deserialize, Serialize};

use super::arrivals::Average;

/// Seconds of the average of the throughput.
const CONSTANT: f64 = 10.0;
/// How long new replicas are watched before they are judged.
const SETTLE: i64 = 20_000;
/// After so long, one more step up is tried.
const RETRY: i64 = 300_000;
/// A step has failed if it brought less than this share of what the new replicas should bring.
const LEAST_GAIN: f64 = 0.2;
/// Throughput that has grown by so much without a step means that the limit is gone.
const RECOVERED: f64 = 1.25;
/// Steps without gain until raising stops.
const FAILURES: u8 = 2;

/// A step up that is being watched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trial {
    replicas: u32,
    #[serde(with = "super::number")]
    throughput: f64,
    /// Since when all replicas are ready.
    settled: Option<i64>,
}

/// What is remembered of steps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Downstream {
    throughput: Average,
    trial: Option<Trial>,
    failures: u8,
    /// Since when raising is stopped.
    stopped: Option<i64>,
    /// The throughput then.
    #[serde(with = "super::number")]
    limit: f64,
}

/// One interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// When it ended.
    pub now: i64,
    /// Its length.
    pub seconds: f64,
    /// Messages acknowledged in it.
    pub acknowledged: f64,
    /// Messages waited in all of it.
    pub waiting: bool,
    /// Replicas that are ready.
    pub ready: u32,
    /// Replicas that are asked for.
    pub spec: u32,
}

impl Downstream {
    /// Takes an interval in.
    pub fn observe(&mut self, interval: Interval) {
        let Interval { now, seconds, acknowledged, waiting, ready, spec } = interval;
        self.throughput.push(acknowledged / seconds, seconds, CONSTANT);
        if !waiting {
            // Whoever has nothing to wait for is not held up by anything.
            *self = Self { throughput: self.throughput, ..Self::default() };
            return;
        }
        if let Some(since) = self.stopped {
            if self.throughput.get() > self.limit * RECOVERED {
                (self.failures, self.stopped, self.trial) = (0, None, None);
            } else if now - since >= RETRY {
                (self.failures, self.stopped, self.trial) = (FAILURES - 1, None, None);
            }
            return;
        }
        let Some(trial) = &mut self.trial else { return };
        if ready < spec || ready <= trial.replicas {
            trial.settled = None;
            return;
        }
        let since = *trial.settled.get_or_insert(now);
        if now - since < SETTLE {
            return;
        }
        let more = f64::from(ready) / f64::from(trial.replicas.max(1)) - 1.0;
        let gain = self.throughput.get() / trial.throughput.max(1e-9) - 1.0;
        self.trial = None;
        if gain >= LEAST_GAIN * more {
            self.failures = 0;
        } else {
            self.failures += 1;
            if self.failures >= FAILURES {
                (self.stopped, self.limit) = (Some(now), self.throughput.get());
            }
        }
    }

    /// A step up from `ready` replicas begins.
    pub fn raised(&mut self, ready: u32) {
        // Steps that follow before the new replicas are judged belong to the same trial.
        if self.trial.is_none() && ready > 0 {
            self.trial = Some(Trial { replicas: ready, throughput: self.throughput.get(), settled: None });
        }
    }

    /// Whether raising is stopped.
    pub fn is_saturated(&self) -> bool {
        self.stopped.is_some()
    }

    /// Whether what replicas serve now may be less than what they could serve: a step failed, or is not judged yet.
    pub fn is_suspect(&self, ready: u32) -> bool {
        self.failures > 0 || self.trial.is_some_and(|trial| ready > trial.replicas)
    }

    /// The most replicas that may be asked for: after a step that failed, one more step and not a large one.
    pub fn limit(&self, spec: u32) -> u32 {
        match (self.failures, self.trial) {
            _ if self.stopped.is_some() => spec,
            (0, _) => u32::MAX,
            (_, Some(_)) => spec,
            (_, None) => spec.saturating_add((spec / 2).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `seconds` with a throughput, and says when it ended.
    fn run(downstream: &mut Downstream, from: i64, seconds: i64, throughput: f64, replicas: u32) -> i64 {
        for second in 1..=seconds {
            downstream.observe(Interval {
                now: from + second * 1000,
                seconds: 1.0,
                acknowledged: throughput,
                waiting: true,
                ready: replicas,
                spec: replicas,
            });
        }
        from + seconds * 1000
    }

    fn saturated() -> (Downstream, i64) {
        let mut downstream = Downstream::default();
        let mut now = run(&mut downstream, 0, 60, 10.0, 2);
        for replicas in [4, 8] {
            downstream.raised(replicas / 2);
            now = run(&mut downstream, now, 30, 10.0, replicas);
        }
        (downstream, now)
    }

    #[test]
    fn two_steps_without_gain_stop_it() {
        assert!(saturated().0.is_saturated());
    }

    #[test]
    fn one_step_without_gain_does_not() {
        let mut downstream = Downstream::default();
        let now = run(&mut downstream, 0, 60, 10.0, 2);
        downstream.raised(2);
        let now = run(&mut downstream, now, 30, 10.0, 4);
        assert!(!downstream.is_saturated() && downstream.is_suspect(4));
        assert_eq!(downstream.limit(4), 6);
        downstream.raised(4);
        assert_eq!(downstream.limit(8), 8);
        run(&mut downstream, now, 60, 20.0, 8);
        assert!(!downstream.is_saturated() && !downstream.is_suspect(8));
    }

    #[test]
    fn it_ends_when_the_throughput_grows_again() {
        let (mut downstream, now) = saturated();
        run(&mut downstream, now, 30, 20.0, 8);
        assert!(!downstream.is_saturated());
    }

    #[test]
    fn it_ends_when_nothing_waits() {
        let (mut downstream, now) = saturated();
        downstream.observe(Interval { now, seconds: 1.0, acknowledged: 1.0, waiting: false, ready: 8, spec: 8 });
        assert!(!downstream.is_saturated());
    }

    #[test]
    fn after_a_while_one_more_step_is_tried() {
        let (mut downstream, now) = saturated();
        let now = run(&mut downstream, now, 301, 10.0, 8);
        assert!(!downstream.is_saturated());
        downstream.raised(8);
        run(&mut downstream, now, 30, 10.0, 16);
        assert!(downstream.is_saturated());
    }
}
