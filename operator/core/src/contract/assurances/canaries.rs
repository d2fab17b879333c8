//! The messages that probes send: which came back, which were lost, and for how long none comes.

use std::collections::VecDeque;
use std::time::Duration;

use super::report::Seen;
use super::window::{Probe, Window};

/// Messages that were accepted and did not come, at most. With more, the oldest are not waited for.
const MOST: usize = 1_000;
/// A message that was sent so long before one that came back, and did not come, is lost: queues keep the order.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// A probe stands for no more time than this: a process that was stopped saw nothing.
const STANDS_FOR: Duration = Duration::from_secs(30);

/// What is known of them. Times are those of a clock that does not jump, from the first probe on.
#[derive(Clone, Debug, Default)]
pub struct Canaries {
    window: Window,
    /// Number, and when it was sent.
    awaited: VecDeque<(u64, Duration)>,
    failing_since: Option<Duration>,
    /// The last probe, which stands for the time up to the next.
    last: Option<(Duration, Probe)>,
}

impl Canaries {
    /// A probe begins.
    pub fn begin(&mut self, at: Duration) {
        if let Some((began, probe)) = self.last.take() {
            self.window.note(began, probe, at.saturating_sub(began).min(STANDS_FOR));
        }
    }

    /// The broker has accepted a message.
    pub fn accepted(&mut self, number: u64, at: Duration) {
        if self.awaited.len() >= MOST {
            self.awaited.pop_front();
        }
        self.awaited.push_back((number, at));
    }

    /// A message came, perhaps late.
    pub fn came(&mut self, number: u64) {
        self.awaited.retain(|(awaited, _)| *awaited != number);
    }

    /// What is awaited will not come, and not by a failure: its queue was made anew.
    pub fn forget(&mut self) {
        self.awaited.clear();
    }

    /// A probe ended: its message came back so long after it was sent, or did not in time.
    pub fn end(&mut self, number: u64, began: Duration, at: Duration, latency: Option<Duration>) {
        let Some(latency) = latency else {
            self.failing_since = self.failing_since.or(Some(began));
            self.last = Some((began, Probe::Failed));
            return;
        };
        self.last = Some((began, Probe::Back(latency)));
        if let Some(since) = self.failing_since.take() {
            self.window.recovered(at, at.saturating_sub(since));
        }
        self.look_for_losses(number, at);
    }

    fn look_for_losses(&mut self, number: u64, at: Duration) {
        let earlier = self.awaited.iter().filter(|(awaited, _)| *awaited < number);
        let (Some(first), Some(last)) = (earlier.clone().next(), earlier.clone().next_back()) else { return };
        if at.saturating_sub(last.1) >= LOST_AFTER {
            let count = u64::try_from(earlier.count()).unwrap_or(u64::MAX);
            // What was sent between them and just before: no less than was lost.
            let within = last.1.saturating_sub(first.1).saturating_add(EVERY);
            self.window.lost(at, count, within);
            self.awaited.retain(|(awaited, _)| *awaited >= number);
        }
    }

    /// What was seen, as of now.
    pub fn seen(&self, at: Duration) -> Seen {
        let failing = self.failing_since.map(|since| at.saturating_sub(since));
        Seen { sum: self.window.sum(at), failing, age: at }
    }

    /// How long to wait before the next probe: soon at first, and while none comes back, so that recovery is seen when it is.
    pub fn pause(&self, number: u64) -> Duration {
        if self.failing_since.is_some() {
            WHILE_FAILING
        } else if number <= FIRST {
            AT_FIRST
        } else {
            EVERY
        }
    }
}

/// From one probe to the next.
pub const EVERY: Duration = Duration::from_secs(5);
const WHILE_FAILING: Duration = Duration::from_millis(500);
/// So many probes follow each other faster, so that there is something to tell.
const FIRST: u64 = 5;
const AT_FIRST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A probe that is accepted and comes back within a second, or is not accepted.
    fn probe(canaries: &mut Canaries, number: u64, at: u64, back: bool) {
        canaries.begin(secs(at));
        if back {
            canaries.accepted(number, secs(at));
            canaries.came(number);
        }
        canaries.end(number, secs(at), secs(at + 1), back.then_some(secs(1)));
    }

    #[test]
    fn a_probe_stands_for_the_time_up_to_the_next() {
        let mut canaries = Canaries::default();
        for (number, at, back) in [(1, 0, true), (2, 5, false), (3, 7, false), (4, 9, true), (5, 14, true), (6, 5_000, true)] {
            probe(&mut canaries, number, at, back);
        }
        let seen = canaries.seen(secs(5_000));
        assert_eq!((seen.sum.up, seen.sum.down), (secs(5 + 5 + 30), secs(4)), "and not for an hour without any");
        assert_eq!((seen.sum.probes, seen.sum.longest_recovery, seen.failing), (5, secs(5), None));
    }

    #[test]
    fn a_failure_that_lasts_is_seen() {
        let mut canaries = Canaries::default();
        probe(&mut canaries, 1, 0, true);
        assert_eq!(canaries.pause(1), secs(1));
        probe(&mut canaries, 2, 5, false);
        probe(&mut canaries, 3, 8, false);
        assert_eq!(canaries.seen(secs(20)).failing, Some(secs(15)));
        assert_eq!((canaries.pause(3), canaries.pause(9)), (WHILE_FAILING, WHILE_FAILING));
        probe(&mut canaries, 4, 21, true);
        assert_eq!((canaries.seen(secs(22)).failing, canaries.pause(9)), (None, EVERY));
    }

    #[test]
    fn what_was_accepted_and_never_came_is_lost_and_what_came_late_is_not() {
        let mut canaries = Canaries::default();
        for (number, at) in [(1, 0), (2, 5), (3, 10)] {
            canaries.begin(secs(at));
            canaries.accepted(number, secs(at));
            canaries.end(number, secs(at), secs(at + 1), None);
        }
        canaries.came(2);
        probe(&mut canaries, 4, 20, true);
        assert_eq!(canaries.seen(secs(20)).sum.lost, 0, "it may still come");
        probe(&mut canaries, 5, 45, true);
        let sum = canaries.seen(secs(45)).sum;
        assert_eq!((sum.lost, sum.longest_loss), (2, secs(15)));
        probe(&mut canaries, 6, 90, true);
        assert_eq!(canaries.seen(secs(90)).sum.lost, 2, "told once");
        canaries.accepted(7, secs(91));
        canaries.forget();
        probe(&mut canaries, 8, 200, true);
        assert_eq!(canaries.seen(secs(200)).sum.lost, 2);
    }

    #[test]
    fn what_is_awaited_is_bounded() {
        let mut canaries = Canaries::default();
        (0..5_000).for_each(|number| canaries.accepted(number, secs(number)));
        assert_eq!(canaries.awaited.len(), MOST);
    }
}
