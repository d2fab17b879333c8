//! How long the messages of the backlog have waited.
//!
//! The broker tells no ages. But what was taken in when is known, and a queue serves the oldest first: so the backlog
//! is the latest arrivals that were not acknowledged yet. Each part keeps its own deadline, counted from its arrival;
//! a deadline counted anew at each look would never come.

use serde::{Deserialize, Serialize};

use super::number::{of_count, seconds};

/// So many parts at most.
const PARTS: usize = 24;

/// Messages of the backlog by the time they came, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(Vec<(i64, u64)>);

/// What happened to the backlog in an interval.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When the interval began.
    pub since: i64,
    /// When it ended.
    pub now: i64,
    /// Messages taken in, if it is known.
    pub published: Option<u64>,
    /// Messages acknowledged, if it is known.
    pub acknowledged: Option<u64>,
    /// Messages in the queue now.
    pub backlog: u64,
    /// Arrivals within so many milliseconds are one part.
    pub width: i64,
}

impl Ledger {
    /// Takes a change in.
    pub fn update(&mut self, change: Change) {
        let Change { since, now, published, acknowledged, backlog, width } = change;
        // The earlier time: messages are taken for older than they are, never for younger.
        self.add(since - since.rem_euclid(width.max(1)), published.unwrap_or(0));
        let surplus = self.total().saturating_sub(backlog);
        self.remove_oldest(acknowledged.unwrap_or(surplus));
        // What does not add up, since counters and depths are not read at the very same moment, is taken from the
        // youngest and given to the youngest: so it never makes the old ones look younger.
        let total = self.total();
        if total > backlog {
            self.remove_youngest(total - backlog);
        } else {
            self.add(now, backlog - total);
        }
        while self.0.len() > PARTS {
            let (_, second) = self.0.remove(1);
            self.0[0].1 = self.0[0].1.saturating_add(second);
        }
    }

    /// The same backlog, if no message is known to have left: what a depth that may be too low tells.
    pub fn at_least(&self, now: i64, backlog: u64) -> Self {
        let mut copy = self.clone();
        let total = copy.total();
        if total > backlog {
            copy.remove_youngest(total - backlog);
        } else {
            copy.add(now, backlog - total);
        }
        copy
    }

    fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn add(&mut self, at: i64, count: u64) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some((last, sum)) if *last >= at => *sum = sum.saturating_add(count),
            _ => self.0.push((at, count)),
        }
    }

    fn remove_oldest(&mut self, mut count: u64) {
        self.0.retain_mut(|(_, part)| {
            let gone = count.min(*part);
            count -= gone;
            *part -= gone;
            *part > 0
        });
    }

    fn remove_youngest(&mut self, mut count: u64) {
        while count > 0
            && let Some((_, part)) = self.0.last_mut()
        {
            let gone = count.min(*part);
            count -= gone;
            *part -= gone;
            if *part == 0 {
                self.0.pop();
            }
        }
    }

    /// How long the oldest message has waited, in milliseconds.
    pub fn oldest_age(&self, now: i64) -> i64 {
        self.0.first().map_or(0, |(at, _)| now.saturating_sub(*at).max(0))
    }

    /// For each part: the messages up to it that nobody works on yet, and the seconds left until it is `within` old.
    pub fn due(&self, now: i64, within: i64, in_work: u64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let mut sum: u64 = 0;
        self.0.iter().map(move |(at, count)| {
            sum = sum.saturating_add(*count);
            (of_count(sum.saturating_sub(in_work)), seconds(at.saturating_add(within).saturating_sub(now)))
        })
    }

    /// What was read from a text is only kept if it is in order.
    pub fn is_sound(&self, now: i64) -> bool {
        self.0.len() <= PARTS
            && self.0.iter().all(|(at, _)| (-86_400_000 * 7..=now).contains(at))
            && self.0.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(now: i64, published: u64, acknowledged: u64, backlog: u64) -> Change {
        let (published, acknowledged) = (Some(published), Some(acknowledged));
        Change { since: now - 1000, now, published, acknowledged, backlog, width: 1000 }
    }

    #[test]
    fn the_oldest_leave_first_and_the_age_follows() {
        let mut ledger = Ledger::default();
        ledger.update(change(1000, 10, 0, 10));
        ledger.update(change(2000, 5, 0, 15));
        assert_eq!(ledger.oldest_age(2000), 2000);
        ledger.update(change(3000, 0, 10, 5));
        assert_eq!(ledger.oldest_age(3000), 2000);
        ledger.update(change(4000, 0, 5, 0));
        assert_eq!(ledger.oldest_age(4000), 0);
    }

    #[test]
    fn a_deadline_is_not_moved_by_later_arrivals() {
        let mut ledger = Ledger::default();
        ledger.update(change(1000, 10, 0, 10));
        ledger.update(change(5000, 90, 0, 100));
        let due: Vec<_> = ledger.due(5000, 30_000, 0).collect();
        assert_eq!(due, [(10.0, 25.0), (100.0, 29.0)]);
    }

    #[test]
    fn messages_in_work_need_nobody_else() {
        let mut ledger = Ledger::default();
        ledger.update(change(1000, 10, 0, 10));
        assert_eq!(ledger.due(1000, 30_000, 4).next(), Some((6.0, 29.0)));
        assert_eq!(ledger.due(1000, 30_000, 40).next(), Some((0.0, 29.0)));
    }

    #[test]
    fn without_counters_the_depth_tells() {
        let mut ledger = Ledger::default();
        let mut update = |now, backlog| {
            ledger.update(Change { since: now - 1000, now, published: None, acknowledged: None, backlog, width: 1000 });
            ledger.oldest_age(now)
        };
        assert_eq!(update(1000, 10), 0);
        assert_eq!(update(2000, 20), 1000);
        assert_eq!(update(3000, 5), 1000, "the five youngest are left");
    }

    #[test]
    fn it_stays_small_and_whole() {
        let mut ledger = Ledger::default();
        for second in 1..500 {
            ledger.update(change(second * 1000, 3, 1, u64::try_from(second).unwrap() * 2));
            assert!(ledger.0.len() <= PARTS);
            assert_eq!(ledger.total(), u64::try_from(second).unwrap() * 2);
        }
    }

    #[test]
    fn huge_counts_do_not_overflow() {
        let mut ledger = Ledger::default();
        ledger.update(change(1000, u64::MAX, 0, u64::MAX));
        ledger.update(change(2000, u64::MAX, 0, u64::MAX));
        assert_eq!(ledger.total(), u64::MAX);
    }
}
