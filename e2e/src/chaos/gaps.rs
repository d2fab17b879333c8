//! Unavailability, as clients saw it.

use super::history::{Entry, Event};

/// A stretch of a run, in microseconds of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here,
    pub from: u64,
    /// to here.
    pub to: u64,
}

/// The longest time without a success that touches the window, in microseconds: from one success to the next, also where these lie
/// outside. A client that never succeeds again is without success until the window ends.
pub fn longest(entries: &[Entry], success: Event, window: Window) -> u64 {
    let mut longest = 0;
    let mut last = None;
    for at in entries.iter().filter(|entry| entry.event == success).map(|entry| entry.at) {
        if at >= window.from {
            longest = longest.max(at - last.unwrap_or(window.from));
        }
        last = Some(at);
        if at > window.to {
            return longest;
        }
    }
    longest.max(window.to.saturating_sub(last.unwrap_or(window.from)))
}

#[cfg(test)]
mod tests {
    use super::super::history::Identity;
    use super::*;

    fn oks(times: &[u64]) -> Vec<Entry> {
        let message = Identity { producer: 0, sequence: 0 };
        times.iter().map(|at| Entry { at: *at, event: Event::Ok, message }).collect()
    }

    #[test]
    fn a_gap_is_whole_even_where_it_begins_before_the_window_or_ends_after_it() {
        let window = Window { from: 100, to: 200 };
        assert_eq!(longest(&oks(&[0, 90, 120, 130, 190, 290, 400]), Event::Ok, window), 100);
        assert_eq!(longest(&oks(&[0, 10, 150, 160, 170, 180, 190, 205]), Event::Ok, window), 140);
    }

    #[test]
    fn gaps_elsewhere_do_not_count() {
        let window = Window { from: 100, to: 130 };
        assert_eq!(longest(&oks(&[0, 95, 105, 115, 125, 135, 500]), Event::Ok, window), 10);
    }

    #[test]
    fn what_never_comes_again_is_a_gap_to_the_end() {
        let window = Window { from: 100, to: 1_000 };
        assert_eq!(longest(&oks(&[90, 110]), Event::Ok, window), 890);
        assert_eq!(longest(&[], Event::Ok, window), 900);
        assert_eq!(longest(&oks(&[90, 110, 120]), Event::Received, window), 900);
    }
}
