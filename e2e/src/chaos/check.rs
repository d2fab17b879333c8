//! The verdict over histories.
//!
//! Judged is one destination: a queue, and those who sent to it and received from it. A message that a filter keeps from it is not
//! wanted there. The consumers must have received until nothing was left, else what still waits counts as lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{Entry, Event, Identity};

/// What became of the messages of one destination. Lists are sorted, each message once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages that were wanted here and sent.
    pub invoked: u64,
    /// Of these, those for which the broker took responsibility.
    pub acked: u64,
    /// Of these, those that it refused.
    pub failed: u64,
    /// Of these, those without an answer.
    pub unknown: u64,
    /// Messages received, however often.
    pub received: u64,
    /// The most often that one was received.
    pub most_deliveries: u64,
    /// Acknowledged, and never received.
    pub lost: Vec<Identity>,
    /// Received, and never sent here: from nobody, or kept out by the filter.
    pub phantom: Vec<Identity>,
    /// Received with a content that was not sent.
    pub corrupt: Vec<Identity>,
    /// Received more often than it was given back, and once.
    pub duplicated: Vec<Identity>,
    /// First received after a later message of the same producer (and lane).
    pub reordered: Vec<Identity>,
    /// Received once more after it had been accepted or rejected.
    pub reappeared: Vec<Identity>,
    /// Received sooner than it may be.
    pub early: Vec<Identity>,
    /// Received although nobody had said that the broker had it.
    pub recovered: Vec<Identity>,
    /// Received although the broker had refused it. Of a topic no contradiction: one queue may refuse what another takes.
    pub refused_but_received: Vec<Identity>,
}

/// The same as numbers, which can be added up over destinations and runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the length of the list of the same name")]
pub struct Counts {
    pub invoked: u64,
    pub acked: u64,
    pub failed: u64,
    pub unknown: u64,
    pub received: u64,
    pub most_deliveries: u64,
    pub lost: u64,
    pub phantom: u64,
    pub corrupt: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub reappeared: u64,
    pub recovered: u64,
    pub refused_but_received: u64,
    /// Histories of earlier versions have none.
    #[serde(default)]
    pub early: u64,
}

/// What one destination promises.
#[derive(Clone, Copy, Debug)]
pub struct Rules<W> {
    /// Whether a message belongs here.
    pub wanted: W,
    /// In which lane a sequence number is: messages of one producer are in order within each.
    pub lane: fn(u64) -> u64,
    /// Microseconds that must pass between sending and receiving.
    pub not_before: u64,
}

impl<W: Fn(Identity) -> bool> Rules<W> {
    /// What belongs here comes in order, at any time.
    pub fn of(wanted: W) -> Self {
        Self { wanted, lane: |_| 0, not_before: 0 }
    }
}

impl Verdict {
    /// As numbers.
    pub fn counts(&self) -> Counts {
        let Self { invoked, acked, failed, unknown, received, most_deliveries, .. } = *self;
        Counts {
            invoked,
            acked,
            failed,
            unknown,
            received,
            most_deliveries,
            lost: self.lost.len() as u64,
            phantom: self.phantom.len() as u64,
            corrupt: self.corrupt.len() as u64,
            duplicated: self.duplicated.len() as u64,
            reordered: self.reordered.len() as u64,
            reappeared: self.reappeared.len() as u64,
            recovered: self.recovered.len() as u64,
            refused_but_received: self.refused_but_received.len() as u64,
            early: self.early.len() as u64,
        }
    }
}

impl Counts {
    /// Of two destinations or runs together.
    pub fn add(&mut self, other: &Self) {
        let Self {
            invoked,
            acked,
            failed,
            unknown,
            received,
            most_deliveries,
            lost,
            phantom,
            corrupt,
            duplicated,
            reordered,
            reappeared,
            recovered,
            refused_but_received,
            early,
        } = other;
        self.invoked += invoked;
        self.acked += acked;
        self.failed += failed;
        self.unknown += unknown;
        self.received += received;
        self.most_deliveries = self.most_deliveries.max(*most_deliveries);
        self.lost += lost;
        self.phantom += phantom;
        self.corrupt += corrupt;
        self.duplicated += duplicated;
        self.reordered += reordered;
        self.reappeared += reappeared;
        self.recovered += recovered;
        self.refused_but_received += refused_but_received;
        self.early += early;
    }
}

// What happened to one message; each may be so or not.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Default)]
struct Fate {
    outcome: Option<Event>,
    invoked: Option<u64>,
    deliveries: u64,
    given_back: u64,
    settled: bool,
    corrupt: bool,
    reordered: bool,
    reappeared: bool,
    early: bool,
}

/// Judges one destination by the histories of its producers and of its consumers.
pub fn check<W: Fn(Identity) -> bool>(producers: &[Vec<Entry>], consumers: &[Vec<Entry>], rules: &Rules<W>) -> Verdict {
    let mut fates: BTreeMap<Identity, Fate> = BTreeMap::new();
    for entry in producers.iter().flatten().filter(|entry| (rules.wanted)(entry.message)) {
        let fate = fates.entry(entry.message).or_default();
        match entry.event {
            Event::Invoke => fate.invoked = Some(entry.at),
            Event::Ok | Event::Fail | Event::Unknown => fate.outcome = Some(entry.event),
            Event::Received | Event::Corrupt | Event::Accepted | Event::Rejected | Event::GivenBack | Event::Unsettled => {}
        }
    }
    receive(&mut fates, consumers, rules);
    verdict(fates)
}

fn receive<W>(fates: &mut BTreeMap<Identity, Fate>, consumers: &[Vec<Entry>], rules: &Rules<W>) {
    let mut entries: Vec<&Entry> = consumers.iter().flatten().collect();
    // Stable: events of one client at one moment stay in its order.
    entries.sort_by_key(|entry| entry.at);
    let mut latest: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    for entry in entries {
        let fate = fates.entry(entry.message).or_default();
        match entry.event {
            Event::Received | Event::Corrupt => {
                fate.corrupt |= entry.event == Event::Corrupt;
                fate.reappeared |= fate.settled;
                fate.early |= fate.invoked.is_some_and(|invoked| entry.at < invoked + rules.not_before);
                if fate.deliveries == 0 {
                    let Identity { producer, sequence } = entry.message;
                    let latest = latest.entry((producer, (rules.lane)(sequence))).or_default();
                    fate.reordered = sequence < *latest;
                    *latest = sequence.max(*latest);
                }
                fate.deliveries += 1;
            }
            Event::Accepted | Event::Rejected => fate.settled = true,
            Event::GivenBack => fate.given_back += 1,
            Event::Unsettled | Event::Invoke | Event::Ok | Event::Fail | Event::Unknown => {}
        }
    }
}

fn verdict(fates: BTreeMap<Identity, Fate>) -> Verdict {
    let mut verdict = Verdict::default();
    for (message, fate) in fates {
        let Fate { outcome, invoked, deliveries, given_back, settled: _, corrupt, reordered, reappeared, early } = fate;
        let (invoked, received) = (invoked.is_some(), deliveries > 0);
        verdict.received += u64::from(received);
        verdict.most_deliveries = verdict.most_deliveries.max(deliveries);
        let mut list = |is: bool, list: fn(&mut Verdict) -> &mut Vec<Identity>| {
            if is {
                list(&mut verdict).push(message);
            }
        };
        list(received && !invoked, |verdict| &mut verdict.phantom);
        list(corrupt, |verdict| &mut verdict.corrupt);
        list(deliveries > 1 + given_back, |verdict| &mut verdict.duplicated);
        list(reordered && invoked, |verdict| &mut verdict.reordered);
        list(reappeared, |verdict| &mut verdict.reappeared);
        list(early, |verdict| &mut verdict.early);
        if !invoked {
            continue;
        }
        list(outcome == Some(Event::Ok) && !received, |verdict| &mut verdict.lost);
        list(outcome == Some(Event::Fail) && received, |verdict| &mut verdict.refused_but_received);
        list(!matches!(outcome, Some(Event::Ok | Event::Fail)) && received, |verdict| &mut verdict.recovered);
        verdict.invoked += 1;
        match outcome {
            Some(Event::Ok) => verdict.acked += 1,
            Some(Event::Fail) => verdict.failed += 1,
            // No outcome at all: the producer itself was stopped. Nothing is known of it either.
            _ => verdict.unknown += 1,
        }
    }
    verdict
}
