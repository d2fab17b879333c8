//! What probes saw in the last day. Its size does not depend on how many there were.

use std::collections::VecDeque;
use std::time::Duration;

/// What goes out of the window at once.
const SLOT: Duration = Duration::from_mins(5);
/// A day of them.
const SLOTS: u64 = 288;
const BUCKETS: usize = 68;
/// Upper ends of latencies in microseconds, each about a fifth above the one before: from a quarter of a millisecond to half a minute.
const BOUNDS: [u64; BUCKETS] = bounds();

const fn bounds() -> [u64; BUCKETS] {
    let mut all = [250; BUCKETS];
    let mut at = 1;
    while at < BUCKETS {
        all[at] = all[at - 1] * 1_189 / 1_000 + 1;
        at += 1;
    }
    all
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It came back after so long.
    Back(Duration),
    /// It did not come back in time.
    Failed,
}

/// What was seen in one part of the window.
#[derive(Clone, Debug)]
struct Slot {
    number: u64,
    sum: Sum,
}

/// Figures of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Time for which probes came back.
    pub up: Duration,
    /// Time for which they did not.
    pub down: Duration,
    /// Probes.
    pub probes: u64,
    /// Probes that the broker had accepted and that never came.
    pub lost: u64,
    /// The longest time in which those were sent that one failure lost.
    pub longest_loss: Duration,
    /// The longest time from a probe that failed to the next that came back.
    pub longest_recovery: Duration,
    latencies: [u32; BUCKETS],
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            up: Duration::ZERO,
            down: Duration::ZERO,
            probes: 0,
            lost: 0,
            longest_loss: Duration::ZERO,
            longest_recovery: Duration::ZERO,
            latencies: [0; BUCKETS],
        }
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        let Self { up, down, probes, lost, longest_loss, longest_recovery, latencies } = other;
        self.up = self.up.saturating_add(*up);
        self.down = self.down.saturating_add(*down);
        self.probes = self.probes.saturating_add(*probes);
        self.lost = self.lost.saturating_add(*lost);
        self.longest_loss = self.longest_loss.max(*longest_loss);
        self.longest_recovery = self.longest_recovery.max(*longest_recovery);
        for (own, other) in self.latencies.iter_mut().zip(latencies) {
            *own = own.saturating_add(*other);
        }
    }

    /// The latency that so many of a hundred kept, of those that came back: a little more, by at most a fifth. Nothing where none did.
    pub fn latency(&self, of_hundred: u64) -> Option<Duration> {
        let all: u64 = self.latencies.iter().map(|count| u64::from(*count)).sum();
        let wanted = all.saturating_mul(of_hundred).div_ceil(100);
        let mut seen = 0;
        for (count, bound) in self.latencies.iter().zip(BOUNDS) {
            seen += u64::from(*count);
            if seen >= wanted && seen > 0 {
                return Some(Duration::from_micros(bound));
            }
        }
        None
    }
}

/// The last day, by a clock that does not jump.
#[derive(Clone, Debug, Default)]
pub struct Window(VecDeque<Slot>);

impl Window {
    /// Notes a probe that stands for so much time.
    pub fn note(&mut self, at: Duration, probe: Probe, stands_for: Duration) {
        let sum = self.slot(at);
        sum.probes += 1;
        match probe {
            Probe::Failed => sum.down = sum.down.saturating_add(stands_for),
            Probe::Back(latency) => {
                sum.up = sum.up.saturating_add(stands_for);
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                let bucket = BOUNDS.partition_point(|bound| *bound < micros).min(BUCKETS - 1);
                if let Some(count) = sum.latencies.get_mut(bucket) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// Notes that a failure lost so many probes, sent within this time.
    pub fn lost(&mut self, at: Duration, count: u64, within: Duration) {
        let sum = self.slot(at);
        sum.lost = sum.lost.saturating_add(count);
        sum.longest_loss = sum.longest_loss.max(within);
    }

    /// Notes that probes come back again, after so long.
    pub fn recovered(&mut self, at: Duration, after: Duration) {
        let sum = self.slot(at);
        sum.longest_recovery = sum.longest_recovery.max(after);
    }

    /// All of it, as of now.
    pub fn sum(&self, at: Duration) -> Sum {
        let oldest = oldest(at);
        let mut all = Sum::default();
        self.0.iter().filter(|slot| slot.number >= oldest).for_each(|slot| all.add(&slot.sum));
        all
    }

    fn slot(&mut self, at: Duration) -> &mut Sum {
        let number = at.as_secs() / SLOT.as_secs();
        let oldest = oldest(at);
        self.0.retain(|slot| slot.number >= oldest);
        if self.0.back().is_none_or(|last| last.number < number) {
            self.0.push_back(Slot { number, sum: Sum::default() });
        }
        let last = self.0.len() - 1;
        &mut self.0[last].sum
    }
}

fn oldest(at: Duration) -> u64 {
    (at.as_secs() / SLOT.as_secs()).saturating_sub(SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let mut window = Window::default();
        window.note(secs(0), Probe::Failed, secs(7));
        window.recovered(secs(0), secs(7));
        window.lost(secs(0), 2, secs(5));
        for at in (5..86_400 + 600).step_by(5) {
            window.note(secs(at), Probe::Back(Duration::from_millis(3)), secs(5));
            assert!(window.0.len() <= 288);
            assert_eq!(window.sum(secs(at)).down, if at < 86_400 { secs(7) } else { secs(0) });
        }
        let sum = window.sum(secs(86_400 + 599));
        assert_eq!((sum.down, sum.lost, sum.longest_loss, sum.longest_recovery), Default::default());
        assert!(sum.up >= secs(86_100) && sum.up <= secs(86_400), "{:?}", sum.up);
        assert_eq!(window.sum(secs(10 * 86_400)), Sum::default(), "old figures are not told for new ones");
    }

    #[test]
    fn without_a_probe_that_came_back_there_is_no_latency() {
        let mut window = Window::default();
        window.note(secs(1), Probe::Failed, secs(5));
        assert_eq!(window.sum(secs(1)).latency(99), None);
        window.note(secs(2), Probe::Back(secs(3_600)), secs(5));
        assert!(window.sum(secs(2)).latency(99) >= Some(secs(25)), "more than is told apart");
    }

    proptest! {
        /// What is told is no less than what was, and a fifth above it at most.
        #[test]
        fn quantiles_are_near_and_never_flattering(mut millis in proptest::collection::vec(1..20_000_u64, 1..500), of_hundred in 1..=100_u64) {
            let mut window = Window::default();
            for millis in &millis {
                window.note(secs(1), Probe::Back(Duration::from_millis(*millis)), secs(1));
            }
            millis.sort_unstable();
            let rank = (millis.len() as u64 * of_hundred).div_ceil(100).max(1);
            let exact = Duration::from_millis(millis[usize::try_from(rank).unwrap() - 1]);
            let told = window.sum(secs(1)).latency(of_hundred).unwrap();
            prop_assert!(told >= exact && told <= exact * 12 / 10 + Duration::from_micros(2), "{told:?} {exact:?}");
        }
    }
}
