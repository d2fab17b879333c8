//! How many messages come in: a rate that is quick to see a change and calm under noise.
//!
//! Three moving averages. The long one (600 s) is calm; a shorter one takes its place as soon as it differs by more
//! than chance explains. What comes in a burst is not a rate: an interval counts at most about twice what the last
//! seconds held, since the backlog tells of the burst itself, and exactly.
//!
//! Which average counts is told from the state before this interval, so that a higher rate can only raise the result.

use serde::{Deserialize, Serialize};

use super::number::finite;

/// Seconds.
const BURST: f64 = 3.0;
const FAST: f64 = 10.0;
const SLOW: f64 = 60.0;
const LONG: f64 = 600.0;

/// Standard deviations that chance is granted. Per tick, so that a day of Poisson arrivals has a few false alarms.
const CHANCE: f64 = 3.5;

/// A moving average that knows how much it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Average {
    #[serde(rename = "v", with = "super::number")]
    value: f64,
    #[serde(rename = "w", with = "super::number")]
    weight: f64,
}

impl Average {
    /// Adds `rate` that held for `seconds`.
    pub fn push(&mut self, rate: f64, seconds: f64, constant: f64) {
        let kept = (-seconds / constant).exp();
        self.value = finite(self.value * kept + rate * (1.0 - kept));
        self.weight = finite(self.weight * kept + (1.0 - kept)).min(1.0);
    }

    /// The average; 0 if nothing was seen.
    pub fn get(&self) -> f64 {
        if self.weight > 0.0 { finite(self.value / self.weight) } else { 0.0 }
    }

    /// How far chance alone may take this average from `rate`, if messages come independently of each other
    /// and the broker's figures are up to a second old.
    fn noise(&self, rate: f64, constant: f64) -> f64 {
        let weight = self.weight.clamp(1e-3, 1.0);
        let variance = (rate + 1.0 / constant) / (2.0 * constant) * (2.0 - weight) / weight;
        CHANCE * variance.sqrt() + rate / constant
    }
}

/// What is remembered of the arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    burst: Average,
    fast: Average,
    slow: Average,
    long: Average,
}

impl Arrivals {
    /// Adds an interval of `seconds` in which `count` messages came.
    pub fn push(&self, count: f64, seconds: f64) -> Self {
        let mut next = *self;
        let rate = finite(count / seconds);
        next.burst.push(rate, seconds, BURST);
        if self.burst.weight > 0.0 {
            let held = self.burst.get();
            let one = 1.0 / seconds;
            let most = 2.2 * held + 3.0 * (held.max(one) * one).sqrt();
            let rate = rate.min(most);
            next.fast.push(rate, seconds, FAST);
            next.slow.push(rate, seconds, SLOW);
            next.long.push(rate, seconds, LONG);
        }
        next
    }

    /// The rate, given the state `before` the last interval.
    pub fn rate(&self, before: &Self) -> f64 {
        let differs = (before.slow.get() - before.long.get()).abs() > before.slow.noise(before.long.get(), SLOW);
        let (base, known, quicker) = if differs { (self.slow, before.slow.get(), 1) } else { (self.long, before.long.get(), 0) };
        let fell = before.fast.get() < known - before.fast.noise(known, FAST);
        // Below the quickest one there is none: a slower one has only not heard of the fall yet.
        let (base, known, quicker) = if fell { (self.fast, before.fast.get(), 2) } else { (base, known, quicker) };
        let mut rate = base.get();
        for (now, was, constant) in [(self.slow, before.slow, SLOW), (self.fast, before.fast, FAST)].into_iter().skip(quicker) {
            if now.get() > known + was.noise(known, constant) {
                rate = rate.max(now.get());
            }
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arrivals: &mut Arrivals, counts: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut rates = Vec::new();
        for count in counts {
            let next = arrivals.push(count, 1.0);
            rates.push(next.rate(arrivals));
            *arrivals = next;
        }
        rates
    }

    #[test]
    fn a_constant_rate_is_known_at_once() {
        let rates = run(&mut Arrivals::default(), [50.0; 10]);
        assert!(rates[1..].iter().all(|rate| (rate - 50.0).abs() < 1e-6), "{rates:?}");
    }

    #[test]
    fn a_step_is_seen_within_seconds_and_a_fall_too() {
        let mut arrivals = Arrivals::default();
        run(&mut arrivals, [10.0; 600]);
        let rates = run(&mut arrivals, [100.0; 30]);
        assert!(rates[9] > 55.0 && rates[29] > 90.0, "{rates:?}");
        run(&mut arrivals, [100.0; 600]);
        let rates = run(&mut arrivals, [10.0; 60]);
        assert!(rates[59] < 12.0, "{rates:?}");
    }

    #[test]
    fn a_burst_is_not_a_rate() {
        let mut arrivals = Arrivals::default();
        run(&mut arrivals, [2.0; 600]);
        let rates = run(&mut arrivals, [5000.0, 2.0, 2.0, 2.0]);
        assert!(rates.iter().all(|rate| *rate < 4.0), "{rates:?}");
    }

    #[test]
    fn more_in_the_last_interval_never_means_less() {
        let mut arrivals = Arrivals::default();
        for i in 0..400_u32 {
            let count = f64::from((i * 7919) % 23) * if i % 90 < 45 { 1.0 } else { 0.1 };
            let next = arrivals.push(count, 1.0);
            let mut last = 0.0;
            for more in 0..60 {
                let rate = arrivals.push(f64::from(more) * 0.5, 1.0).rate(&arrivals);
                assert!(rate >= last - 1e-9, "{i}: {rate} after {last}");
                last = rate;
            }
            arrivals = next;
        }
    }
}
