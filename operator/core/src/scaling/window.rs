//! The highest value of the last while, in little room.

use serde::{Deserialize, Serialize};

/// A window is kept in so many parts: a value leaves it at most a twelfth of the window late, never early.
const PARTS: i64 = 12;

/// The highest value seen within a span of time. For the lowest, use [`std::cmp::Reverse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Highest<T>(Vec<(i64, T)>);

impl<T> Default for Highest<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord + Copy> Highest<T> {
    /// Adds what is seen at `at` and forgets what is older than `span`. Times may not go back.
    pub fn push(&mut self, at: i64, value: T, span: i64) {
        self.0.retain(|(until, _)| at - until <= span);
        // Values below a later one can never be the highest again.
        while self.0.last().is_some_and(|(_, last)| *last <= value) {
            self.0.pop();
        }
        let part = (span / PARTS).max(1);
        let until = at.div_euclid(part).saturating_add(1).saturating_mul(part);
        if self.0.last().is_none_or(|(last, _)| *last < until) {
            self.0.push((until, value));
        }
    }

    /// The highest of what is not forgotten.
    pub fn get(&self) -> Option<T> {
        self.0.first().map(|(_, value)| *value)
    }

    /// What was read from a text is only kept if `push` could have made it.
    pub fn is_sound(&self, now: i64, span: i64) -> bool {
        let limit = now.saturating_add(span).saturating_add(1);
        self.0.len() <= 32
            && self.0.iter().all(|(until, _)| (0..=limit).contains(until))
            && self.0.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    #[test]
    fn the_highest_stays_for_the_window_and_leaves_soon_after() {
        let mut window = Highest::default();
        window.push(0, 9, 120);
        for at in 1..=120 {
            window.push(at, 1, 120);
            assert_eq!(window.get(), Some(9), "at {at}");
        }
        for at in 121..=131 {
            window.push(at, 1, 120);
        }
        assert_eq!(window.get(), Some(1));
    }

    #[test]
    fn it_stays_small() {
        let mut window = Highest::default();
        for at in 0..10_000 {
            window.push(at, 10_000 - at, 120);
            assert!(window.0.len() <= 14);
        }
    }

    #[test]
    fn reversed_it_is_the_lowest() {
        let mut window = Highest::default();
        for (at, value) in [(0, 5_u32), (10, 3), (20, 7)] {
            window.push(at, Reverse(value), 60);
        }
        assert_eq!(window.get(), Some(Reverse(3)));
    }
}
