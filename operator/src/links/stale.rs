//! Objects whose figures in their status are no longer those that were read.

use std::collections::{HashSet, VecDeque};

use entente_core::topology::names::Owner;

/// An object, by its virtual host.
pub type Of = (String, Owner);

/// They wait in the order in which it was noticed, each once.
#[derive(Debug, Default)]
pub struct Stale {
    waiting: VecDeque<Of>,
    known: HashSet<Of>,
}

impl Stale {
    /// Notes one.
    pub fn add(&mut self, virtual_host: &str, owner: Owner) {
        let one = (virtual_host.to_owned(), owner);
        if self.known.insert(one.clone()) {
            self.waiting.push_back(one);
        }
    }

    /// Those that have waited longest, at most so many.
    pub fn take(&mut self, most: usize) -> Vec<Of> {
        let taken: Vec<Of> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        for one in &taken {
            self.known.remove(one);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise those at the end of the alphabet would never be told of where many change.
    #[test]
    fn who_waited_longest_is_first_and_each_is_told_once() {
        let mut stale = Stale::default();
        let queue = |name: &str| Owner::Queue(name.to_owned());
        for name in ["z", "a", "z", "b"] {
            stale.add("shop", queue(name));
        }
        let names = |taken: Vec<Of>| taken.into_iter().map(|(_, owner)| owner).collect::<Vec<_>>();
        assert_eq!(names(stale.take(2)), [queue("z"), queue("a")]);
        stale.add("shop", queue("z"));
        assert_eq!(names(stale.take(9)), [queue("b"), queue("z")]);
        assert!(stale.take(9).is_empty());
    }
}
