//! Which numbers of each producer have been seen.

use std::collections::{BTreeMap, HashMap};

/// Numbers seen, per producer. Runs of numbers take the space of one.
#[derive(Debug, Default)]
pub struct Sequences {
    producers: HashMap<String, Runs>,
    duplicates: u64,
}

impl Sequences {
    /// True if the number is new.
    pub fn insert(&mut self, producer: &str, number: u64) -> bool {
        let runs = match self.producers.get_mut(producer) {
            Some(runs) => runs,
            None => self.producers.entry(producer.to_owned()).or_default(),
        };
        let new = runs.insert(number);
        if !new {
            self.duplicates += 1;
        }
        new
    }

    /// Different messages seen.
    pub fn unique(&self) -> u64 {
        self.producers.values().map(Runs::len).sum()
    }

    /// Messages seen again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Numbers never seen below the highest seen, counting from 0.
    pub fn missing(&self) -> u64 {
        self.producers.values().map(Runs::missing).sum()
    }

    /// The first few gaps, to be told to a person.
    pub fn gaps(&self, limit: usize) -> Vec<String> {
        let mut producers: Vec<_> = self.producers.iter().collect();
        producers.sort_unstable_by_key(|(producer, _)| *producer);
        producers
            .into_iter()
            .flat_map(|(producer, runs)| runs.gaps().map(move |(first, last)| format!("{producer} {first}-{last}")))
            .take(limit)
            .collect()
    }
}

/// Disjoint runs, none touching another: first number to last number.
#[derive(Debug, Default)]
struct Runs(BTreeMap<u64, u64>);

impl Runs {
    fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let first = before.filter(|(_, last)| last.checked_add(1) == Some(number)).map_or(number, |(first, _)| first);
        let last = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        self.0.insert(first, last);
        true
    }

    fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first).fold(0_u64, |sum, n| sum.saturating_add(n).saturating_add(1))
    }

    fn missing(&self) -> u64 {
        self.gaps().map(|(first, last)| last - first).fold(0_u64, |sum, n| sum.saturating_add(n).saturating_add(1))
    }

    fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let starts = self.0.keys().copied();
        let ends = std::iter::once(None).chain(self.0.values().copied().map(Some));
        starts.zip(ends).filter_map(|(start, previous_end)| {
            let first = previous_end.map_or(0, |end| end.saturating_add(1));
            (first < start).then(|| (first, start - 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_order_takes_one_run() {
        let mut sequences = Sequences::default();
        for number in 0..1000 {
            assert!(sequences.insert("p", number));
        }
        assert_eq!((sequences.unique(), sequences.duplicates(), sequences.missing()), (1000, 0, 0));
        assert_eq!(sequences.producers["p"].0.len(), 1);
    }

    #[test]
    fn gaps_and_duplicates() {
        let mut sequences = Sequences::default();
        for number in [2, 3, 7, 3, 2] {
            sequences.insert("p", number);
        }
        sequences.insert("q", 0);
        assert_eq!((sequences.unique(), sequences.duplicates(), sequences.missing()), (4, 2, 5));
        assert_eq!(sequences.gaps(10), ["p 0-1", "p 4-6"]);
        assert_eq!(sequences.gaps(1), ["p 0-1"]);
    }

    #[test]
    fn the_highest_number_does_not_overflow() {
        let mut sequences = Sequences::default();
        assert!(sequences.insert("p", u64::MAX) && !sequences.insert("p", u64::MAX));
        assert!(sequences.insert("p", u64::MAX - 1) && sequences.insert("p", 0));
        assert_eq!(sequences.missing(), u64::MAX - 2);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(numbers in prop::collection::vec(0_u64..60, 0..120)) {
            let mut sequences = Sequences::default();
            let mut set = BTreeSet::new();
            for number in &numbers {
                prop_assert_eq!(sequences.insert("p", *number), set.insert(*number));
            }
            let unique = set.len() as u64;
            prop_assert_eq!(sequences.unique(), unique);
            prop_assert_eq!(sequences.duplicates(), numbers.len() as u64 - unique);
            prop_assert_eq!(sequences.missing(), set.last().map_or(0, |highest| highest + 1 - unique));
        }
    }
}
