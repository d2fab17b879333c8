//! How many messages a second one replica serves, and how long a new one takes to start.

use serde::{Deserialize, Serialize};

use super::number::finite;

/// Messages that have to be acknowledged before a rate is known.
const LEAST: f64 = 4.0;
/// Evidence of less than so many messages is not let go.
const ENOUGH: f64 = 200.0;
/// A rate that was given counts as evidence of so many messages.
const GIVEN: f64 = 50.0;
/// Seconds after which evidence beyond that is let go.
const MEMORY: f64 = 60.0;
/// Seconds a start is taken to last until one was seen.
const DEFAULT_START: f64 = 15.0;

/// Acknowledgements for each second that a replica worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Evidence {
    #[serde(rename = "n", with = "super::number")]
    acknowledged: f64,
    #[serde(rename = "t", with = "super::number")]
    worked: f64,
}

impl Evidence {
    fn push(&mut self, acknowledged: f64, worked: f64, seconds: f64) {
        let kept = (-seconds / MEMORY).exp();
        if self.acknowledged * kept >= ENOUGH {
            self.acknowledged *= kept;
            self.worked *= kept;
        }
        self.acknowledged = finite(self.acknowledged + acknowledged);
        self.worked = finite(self.worked + worked);
    }

    fn rate(&self, least: f64) -> Option<f64> {
        let rate = self.acknowledged / self.worked;
        (self.acknowledged >= least && rate.is_finite() && rate > 1e-9).then_some(rate)
    }
}

/// One interval of the queue and its replicas.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Its length.
    pub seconds: f64,
    /// Messages acknowledged in it.
    pub acknowledged: f64,
    /// Replicas that were ready in all of it.
    pub ready: f64,
    /// Messages waited in all of it, and the replicas had been the same for a while.
    pub saturated: bool,
}

/// What is remembered of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// While messages waited: exact.
    saturated: Evidence,
    /// While replicas may have idled: a lower bound. How many messages they held at the moments that were seen says no
    /// more, since what comes in step with the looks is never seen.
    idling: Evidence,
    /// The rate; 0: not known.
    #[serde(rename = "rate", with = "super::number")]
    learned: f64,
    /// Seconds; 0: not known.
    #[serde(rename = "start", with = "super::number")]
    start: f64,
    /// Seconds that replicas were awaited since the last raise from rest, added up.
    #[serde(rename = "awaited", with = "super::number")]
    awaited: f64,
    /// Replicas that were raised by since then.
    raised: u32,
}

impl Service {
    /// Learns from an interval. `given` is the rate in the spec, if any.
    pub fn learn(&mut self, interval: Interval, given: Option<f64>) {
        let Interval { seconds, acknowledged, ready, saturated } = interval;
        if saturated {
            if self.saturated == Evidence::default()
                && let Some(rate) = self.rate(given).filter(|rate| *rate > 0.0)
            {
                self.saturated = Evidence { acknowledged: GIVEN, worked: finite(GIVEN / rate) };
            }
            self.saturated.push(acknowledged, ready * seconds, seconds);
            if let Some(rate) = self.saturated.rate(LEAST) {
                self.learned = rate;
                // A lower bound from before says nothing about a service that was seen to be slower now.
                self.idling = Evidence::default();
            }
        } else {
            self.idling.push(acknowledged, ready * seconds, seconds);
            // Less what chance may have added, or the highest of many looks would rule.
            let sure = 1.0 - 3.0 / self.idling.acknowledged.max(9.0).sqrt();
            if let Some(rate) = self.idling.rate(ENOUGH).map(|rate| rate * sure)
                && rate > self.rate(given).unwrap_or(0.0)
            {
                self.learned = rate;
                // What is known from now on begins with this.
                self.saturated = Evidence::default();
            }
        }
    }

    /// Messages per second of one replica: learned, or as given.
    pub fn rate(&self, given: Option<f64>) -> Option<f64> {
        Some(self.learned).filter(|rate| *rate > 0.0).or(given)
    }

    /// Learns how long starts last: `raised` more replicas were asked for, `awaited` are not ready.
    pub fn starts(&mut self, raised: u32, awaited: u32, seconds: f64) {
        self.raised = self.raised.saturating_add(raised);
        if awaited == 0 {
            if self.raised > 0 {
                let seen = (self.awaited / f64::from(self.raised)).min(600.0);
                self.start = if self.start > 0.0 { 0.7 * self.start + 0.3 * seen } else { seen };
            }
            (self.raised, self.awaited) = (0, 0.0);
        } else if self.raised > 0 {
            self.awaited = finite(self.awaited + f64::from(awaited) * seconds);
        }
    }

    /// Seconds that a new replica takes to start.
    pub fn start(&self) -> f64 {
        if self.start > 0.0 { self.start } else { DEFAULT_START }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(acknowledged: f64, saturated: bool) -> Interval {
        Interval { seconds: 1.0, acknowledged, ready: 4.0, saturated }
    }

    #[test]
    fn a_given_rate_serves_until_one_is_learned() {
        let mut service = Service::default();
        assert_eq!(service.rate(None), None);
        assert_eq!(service.rate(Some(7.0)), Some(7.0));
        service.learn(interval(20.0, true), None);
        assert_eq!(service.rate(Some(7.0)), Some(5.0));
    }

    #[test]
    fn a_given_rate_gives_way_to_what_is_seen_and_not_to_a_few_messages() {
        let mut service = Service::default();
        service.learn(interval(4.0, true), Some(10.0));
        assert!(service.rate(Some(10.0)).unwrap() > 5.0);
        for _ in 0..300 {
            service.learn(interval(4.0, true), Some(10.0));
        }
        assert!((service.rate(Some(10.0)).unwrap() - 1.0).abs() < 0.1);
    }

    #[test]
    fn idle_replicas_do_not_make_it_look_slow() {
        let mut service = Service::default();
        service.learn(interval(20.0, true), None);
        for _ in 0..600 {
            service.learn(interval(1.0, false), None);
        }
        assert_eq!(service.rate(None), Some(5.0));
    }

    #[test]
    fn a_rate_below_what_is_served_without_a_backlog_is_corrected() {
        let mut service = Service::default();
        service.learn(interval(20.0, true), None);
        for _ in 0..600 {
            service.learn(interval(32.0, false), None);
        }
        let rate = service.rate(None).unwrap();
        assert!((7.0..=8.0).contains(&rate), "{rate}");
    }

    #[test]
    fn one_that_got_slower_is_noticed_while_messages_wait() {
        let mut service = Service::default();
        for _ in 0..100 {
            service.learn(interval(40.0, true), None);
        }
        for _ in 0..180 {
            service.learn(interval(4.0, true), None);
        }
        assert!(service.rate(None).unwrap() < 2.0);
    }

    #[test]
    fn a_start_is_the_time_replicas_were_awaited() {
        let mut service = Service::default();
        service.starts(2, 2, 1.0);
        for _ in 0..9 {
            service.starts(0, 2, 1.0);
        }
        for _ in 0..10 {
            service.starts(0, 1, 1.0);
        }
        service.starts(0, 0, 1.0);
        assert!((service.start() - 15.0).abs() < 1e-9, "one of 10 s, one of 20 s");
    }
}
