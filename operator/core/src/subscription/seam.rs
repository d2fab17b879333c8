//! What is left to be given at the seam: the retained stream without the ledger. See [`super::replay`].

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// At most so many messages of the stream are kept in mind. The rest lies among the first, between the replayed offset and the
/// binding: less than two seconds of them. At 20,000 a second this is 10 s.
pub const MOST: usize = 200_000;

/// What was seen behind the replayed offset. `M` stands for the content of a message.
///
/// To be shown, in this order: the stream up to its end ([`Self::kept`]), the ledger up to its end, and what has come to the stream
/// since ([`Self::kept_later`]). A message that came live is in the stream's first part only if it is in the ledger, and what is in
/// the ledger is in one of the stream's parts. So messages that are unlike all others are told apart exactly. Equal ones
/// are counted; if one is sent at the very moment of the comparison, it may be in the second part and not in the ledger, and an
/// earlier one is given again: rather twice than never.
#[derive(Clone, Debug)]
pub struct Seam<M> {
    kept: HashMap<M, Kept>,
    looked_at: usize,
    /// Offsets that the ledger says were given at the seam.
    given: BTreeSet<u64>,
}

/// What is known of messages of one content.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Offsets in the first part of the stream.
    offsets: BTreeSet<u64>,
    /// How many are behind it.
    later: usize,
    /// How many came live.
    live: usize,
}

impl<M> Default for Seam<M> {
    fn default() -> Self {
        Self { kept: HashMap::new(), looked_at: 0, given: BTreeSet::new() }
    }
}

impl<M: Eq + Hash> Seam<M> {
    /// A message of the stream's first part that matches the filter.
    pub fn kept(&mut self, offset: u64, message: M) {
        if self.looked_at >= MOST {
            return self.kept_later(&message);
        }
        self.looked_at += 1;
        self.kept.entry(message).or_default().offsets.insert(offset);
    }

    /// A message that has come to the stream since.
    pub fn kept_later(&mut self, message: &M) {
        if let Some(kept) = self.kept.get_mut(message) {
            kept.later += 1;
        }
    }

    /// The ledger has a message that bears this offset: it was given at the seam.
    pub fn given(&mut self, offset: u64) {
        self.given.insert(offset);
    }

    /// The ledger has a message that came live.
    pub fn live(&mut self, message: &M) {
        if let Some(kept) = self.kept.get_mut(message) {
            kept.live += 1;
        }
    }

    /// Offsets of what has not come, in order. Of equal messages the earlier ones: the later ones came live.
    pub fn rest(&self) -> Vec<u64> {
        let mut rest = BTreeSet::new();
        for Kept { offsets, later, live } in self.kept.values() {
            let missing: Vec<u64> = offsets.difference(&self.given).copied().collect();
            let count = (missing.len() + later).saturating_sub(*live).min(missing.len());
            rest.extend(&missing[..count]);
        }
        rest.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One message on its way: its content, and when each part of its routing happens.
    #[derive(Clone, Debug)]
    struct Message {
        content: u8,
        /// When the exchange decides.
        routed: u32,
        /// How much later it is in the stream and in the ledger.
        delays: [u32; 2],
    }

    const BOUND: u32 = 100;
    /// The latest that what was routed before the binding arrives.
    const SETTLED: u32 = BOUND + 50;

    fn message() -> impl Strategy<Value = Message> {
        (0..4_u8, 0..400_u32, [0..50_u32, 0..50_u32]).prop_map(|(content, routed, delays)| Message { content, routed, delays })
    }

    fn counts(contents: impl IntoIterator<Item = u8>) -> BTreeMap<u8, usize> {
        contents.into_iter().fold(BTreeMap::new(), |mut counts, content| {
            *counts.entry(content).or_default() += 1;
            counts
        })
    }

    /// What the queue has in the end. What is done at the seam is cut off after so many messages, and begun again.
    fn replayed(messages: &[Message], stopped: u32, cuts: &[usize]) -> Vec<u8> {
        // The stream, in the order of arrival. What was there when the replay stopped has come.
        let arrival = |message: &Message| message.routed + message.delays[0];
        let mut stream = messages.to_vec();
        stream.sort_by_key(arrival);
        let end_at = |time: u32| stream.iter().filter(|message| arrival(message) <= time).count();
        let begin = end_at(stopped);
        let mut queue: Vec<u8> = stream[..begin].iter().map(|message| message.content).collect();
        // From the binding on, queue and ledger get it live.
        let live: Vec<&Message> = messages.iter().filter(|message| message.routed >= BOUND).collect();
        queue.extend(live.iter().map(|message| message.content));
        let mut given = Vec::new();
        for (again, cut) in cuts.iter().copied().chain([usize::MAX]).enumerate() {
            let now = SETTLED + u32::try_from(again).unwrap() * 10;
            let mut seam = Seam::default();
            for (offset, message) in stream.iter().enumerate().take(end_at(now)).skip(begin) {
                seam.kept(offset as u64, message.content);
            }
            // Each look waits as long as messages may take.
            let in_ledger = |message: &&&Message| message.routed + message.delays[1] <= now + 50;
            live.iter().filter(in_ledger).for_each(|message| seam.live(&message.content));
            for offset in &given {
                seam.given(*offset);
            }
            stream[end_at(now).max(begin)..end_at(now + 100).max(begin)]
                .iter()
                .for_each(|message| seam.kept_later(&message.content));
            for offset in seam.rest().into_iter().take(cut) {
                given.push(offset);
                queue.push(stream[usize::try_from(offset).unwrap()].content);
            }
        }
        queue
    }

    proptest! {
        /// Whatever the order in which messages arrive, wherever the replay stopped, and however often what is done at the seam
        /// is cut off and begun again: the queue has each message once.
        #[test]
        fn i1_each_message_comes_once(
            mut messages in prop::collection::vec(message(), 0..60),
            stopped in 0..BOUND,
            cuts in prop::collection::vec(0..5_usize, 0..4),
        ) {
            messages.iter_mut().zip(0..).for_each(|(message, content)| message.content = content);
            let got = replayed(&messages, stopped, &cuts);
            prop_assert_eq!(counts(got), counts(messages.iter().map(|message| message.content)));
        }

        /// I1: of messages that are equal in all that their senders wrote, none is missing.
        #[test]
        fn i1_none_of_equal_messages_is_lost(
            messages in prop::collection::vec(message(), 0..60),
            stopped in 0..BOUND,
            cuts in prop::collection::vec(0..5_usize, 0..4),
        ) {
            let got = counts(replayed(&messages, stopped, &cuts));
            for (content, sent) in counts(messages.iter().map(|message| message.content)) {
                prop_assert!(got[&content] >= sent, "{} of {} of content {}", got[&content], sent, content);
            }
        }
    }

    #[test]
    fn of_equal_messages_the_later_came_live() {
        let mut seam = Seam::default();
        for offset in [7, 8, 9] {
            seam.kept(offset, "a");
        }
        seam.kept(10, "b");
        seam.live(&"a");
        seam.live(&"elsewhere");
        assert_eq!(seam.rest(), [7, 8, 10]);
        seam.given(7);
        assert_eq!(seam.rest(), [8, 10], "what was given is not given again");
        seam.live(&"b");
        assert_eq!(seam.rest(), [8]);
        seam.kept_later(&"b");
        assert_eq!(seam.rest(), [8, 10], "that one may be the one that came live");
    }
}
