//! Histories with planted faults: the checker must find each of them, and nothing else.

use proptest::prelude::*;

use super::check::{Rules, Verdict, check};
use super::history::{Entry, Event, Identity};

/// What is done to one message of an otherwise perfect history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    Nothing,
    /// Acknowledged, never received.
    Drop,
    /// Received twice before it is accepted.
    Duplicate,
    /// Given back and received again: no fault.
    GiveBack,
    /// Rejected: no fault.
    Reject,
    /// Received once more after it was rejected.
    Resist,
    /// Received once more after it was accepted.
    Reappear,
    /// Received after all others.
    Reorder,
    /// Another content is received.
    Corrupt,
    /// Received, although nobody sent it.
    Phantom,
    /// No answer, and received.
    Recover,
    /// No answer, and not received: no fault.
    Vanish,
    /// Refused, and not received: no fault.
    Refuse,
    /// Refused, and received.
    Contradict,
    /// Kept out by the filter, and not received: no fault.
    Unwanted,
    /// Kept out by the filter, and received.
    Leak,
}

const PLANTS: [Plant; 16] = [
    Plant::Nothing,
    Plant::Drop,
    Plant::Duplicate,
    Plant::GiveBack,
    Plant::Reject,
    Plant::Resist,
    Plant::Reappear,
    Plant::Reorder,
    Plant::Corrupt,
    Plant::Phantom,
    Plant::Recover,
    Plant::Vanish,
    Plant::Refuse,
    Plant::Contradict,
    Plant::Unwanted,
    Plant::Leak,
];

#[derive(Default)]
struct Made {
    producers: Vec<Vec<Entry>>,
    consumer: Vec<Entry>,
    late: Vec<Entry>,
    at: u64,
}

impl Made {
    fn entry(&mut self, event: Event, message: Identity) -> Entry {
        self.at += 1;
        Entry { at: self.at, event, message }
    }

    fn produce(&mut self, event: Event, message: Identity) {
        let entry = self.entry(event, message);
        self.producers[message.producer as usize].push(entry);
    }

    fn consume(&mut self, event: Event, message: Identity) {
        let entry = self.entry(event, message);
        self.consumer.push(entry);
    }

    fn message(&mut self, plant: Plant, message: Identity) {
        if plant != Plant::Phantom {
            self.produce(Event::Invoke, message);
        }
        match plant {
            Plant::Recover | Plant::Vanish => self.produce(Event::Unknown, message),
            Plant::Refuse | Plant::Contradict => self.produce(Event::Fail, message),
            Plant::Phantom => {}
            _ => self.produce(Event::Ok, message),
        }
        match plant {
            Plant::Drop | Plant::Vanish | Plant::Refuse | Plant::Unwanted => {}
            Plant::Duplicate => {
                self.consume(Event::Received, message);
                self.consume(Event::Unsettled, message);
                self.consume(Event::Received, message);
                self.consume(Event::Accepted, message);
            }
            Plant::GiveBack => {
                self.consume(Event::Received, message);
                self.consume(Event::GivenBack, message);
                self.consume(Event::Received, message);
                self.consume(Event::Accepted, message);
            }
            Plant::Reject => {
                self.consume(Event::Received, message);
                self.consume(Event::Rejected, message);
            }
            Plant::Resist => {
                self.consume(Event::Received, message);
                self.consume(Event::Rejected, message);
                self.consume(Event::Received, message);
            }
            Plant::Reappear => {
                self.consume(Event::Received, message);
                self.consume(Event::Accepted, message);
                self.consume(Event::Received, message);
                self.consume(Event::Accepted, message);
            }
            Plant::Reorder => self.late.push(Entry { at: 0, event: Event::Received, message }),
            Plant::Corrupt => self.consume(Event::Corrupt, message),
            Plant::Nothing | Plant::Phantom | Plant::Recover | Plant::Contradict | Plant::Leak => {
                self.consume(Event::Received, message);
                self.consume(Event::Accepted, message);
            }
        }
    }

    /// Splits what was received between two consumers, which does not change the verdict.
    fn judge(mut self, split: &[bool], unwanted: &[Identity]) -> Verdict {
        for mut entry in std::mem::take(&mut self.late) {
            self.at += 1;
            entry.at = self.at;
            self.consumer.push(entry);
        }
        let mut consumers = vec![Vec::new(), Vec::new()];
        for (number, entry) in self.consumer.into_iter().enumerate() {
            consumers[usize::from(split[number % split.len()])].push(entry);
        }
        check(&self.producers, &consumers, &Rules::of(|message| !unwanted.contains(&message)))
    }
}

fn sorted(plants: &[(Identity, Plant)], which: &[Plant]) -> Vec<Identity> {
    let mut found: Vec<Identity> =
        plants.iter().filter(|(_, plant)| which.contains(plant)).map(|(message, _)| *message).collect();
    found.sort_unstable();
    found
}

proptest! {
    #[test]
    fn planted_faults_are_found_exactly(
        choices in prop::collection::vec((0_u32..3, 0_usize..PLANTS.len()), 1..200),
        split in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut made = Made { producers: vec![Vec::new(); 3], ..Made::default() };
        let mut plants = Vec::new();
        let mut next = [0_u64; 3];
        let last = [(0, 0), (1, 0), (2, 0)];
        // Each producer's last message is as it should be: what is received after it is out of order.
        for (producer, choice) in choices.iter().chain(&last) {
            let sequence = &mut next[*producer as usize];
            let message = Identity { producer: *producer, sequence: *sequence };
            *sequence += 1;
            made.message(PLANTS[*choice], message);
            plants.push((message, PLANTS[*choice]));
        }
        let unwanted = sorted(&plants, &[Plant::Unwanted, Plant::Leak]);
        let verdict = made.judge(&split, &unwanted);

        prop_assert_eq!(&verdict.lost, &sorted(&plants, &[Plant::Drop]));
        prop_assert_eq!(&verdict.phantom, &sorted(&plants, &[Plant::Phantom, Plant::Leak]));
        prop_assert_eq!(&verdict.corrupt, &sorted(&plants, &[Plant::Corrupt]));
        prop_assert_eq!(&verdict.duplicated, &sorted(&plants, &[Plant::Duplicate, Plant::Resist, Plant::Reappear]));
        prop_assert_eq!(&verdict.reappeared, &sorted(&plants, &[Plant::Resist, Plant::Reappear]));
        prop_assert_eq!(&verdict.reordered, &sorted(&plants, &[Plant::Reorder]));
        prop_assert_eq!(&verdict.recovered, &sorted(&plants, &[Plant::Recover]));
        prop_assert_eq!(&verdict.refused_but_received, &sorted(&plants, &[Plant::Contradict]));
        let number = |which: &[Plant]| sorted(&plants, which).len() as u64;
        prop_assert_eq!(verdict.unknown, number(&[Plant::Recover, Plant::Vanish]));
        prop_assert_eq!(verdict.failed, number(&[Plant::Refuse, Plant::Contradict]));
        prop_assert_eq!(verdict.invoked, plants.len() as u64 - number(&[Plant::Phantom, Plant::Unwanted, Plant::Leak]));
        prop_assert_eq!(verdict.acked, verdict.invoked - verdict.failed - verdict.unknown);
    }
}

#[test]
fn a_message_without_any_outcome_is_unknown() {
    let message = Identity { producer: 0, sequence: 0 };
    let verdict = check(&[vec![Entry { at: 1, event: Event::Invoke, message }]], &[], &Rules::of(|_| true));
    assert_eq!((verdict.invoked, verdict.unknown, verdict.acked), (1, 1, 0));
    assert!(verdict.lost.is_empty() && verdict.recovered.is_empty());
}

#[test]
fn the_most_deliveries_of_one_message_are_told() {
    let message = Identity { producer: 0, sequence: 0 };
    let entry = |at, event| Entry { at, event, message };
    let producer = vec![entry(1, Event::Invoke), entry(2, Event::Ok)];
    let consumer = (3..8).map(|at| entry(at, Event::Received)).collect();
    assert_eq!(check(&[producer], &[consumer], &Rules::of(|_| true)).most_deliveries, 5);
}

#[test]
fn order_holds_within_a_lane() {
    let entry = |at, event, sequence| Entry { at, event, message: Identity { producer: 0, sequence } };
    let producer = (0..4).map(|sequence| entry(sequence, Event::Invoke, sequence)).collect();
    let consumer = [1, 3, 2, 0].into_iter().map(|sequence| entry(9, Event::Received, sequence)).collect();
    let rules = Rules { lane: |sequence| sequence % 2, ..Rules::of(|_| true) };
    let verdict = check(&[producer], &[consumer], &rules);
    assert_eq!(verdict.reordered, [Identity { producer: 0, sequence: 0 }]);
}

#[test]
fn what_comes_too_early_is_told() {
    let entry = |at, event, sequence| Entry { at, event, message: Identity { producer: 0, sequence } };
    let producer = vec![entry(10, Event::Invoke, 0), entry(20, Event::Invoke, 1)];
    let consumer = vec![entry(110, Event::Received, 0), entry(119, Event::Received, 1)];
    let rules = Rules { not_before: 100, ..Rules::of(|_| true) };
    assert_eq!(check(&[producer], &[consumer], &rules).early, [Identity { producer: 0, sequence: 1 }]);
}

#[test]
fn counts_add_up() {
    let message = Identity { producer: 0, sequence: 0 };
    let one = check(
        &[vec![Entry { at: 1, event: Event::Invoke, message }, Entry { at: 2, event: Event::Ok, message }]],
        &[],
        &Rules::of(|_| true),
    )
    .counts();
    assert_eq!((one.lost, one.acked), (1, 1));
    let mut both = one;
    both.add(&one);
    assert_eq!((both.lost, both.acked, both.invoked), (2, 2, 2));
}
