//! What is sent where, and which of it is wanted there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use entente_broker::amqp::{Outgoing, address};
use entente_core::topology::names::dead_letter_queue;
use entente_crds::{Subscription, Topic};
use serde_json::{Value, json};

use super::history::Identity;
use crate::object::Objects;
use crate::scene::Scene;

/// A way to use the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// A quorum queue, two producers, one consumer.
    Quorum,
    /// A Topic and three Subscriptions: without a filter, with one in SQL, with one by subject.
    Topic,
    /// A quorum queue with a single active consumer, and one that stands by.
    SingleActive,
    /// A quorum queue with messages of 256 KiB.
    Large,
    /// A quorum queue with messages of every priority.
    Priorities,
    /// A quorum queue from which some messages are rejected and some fail until the limit of deliveries: both kinds end in its
    /// dead-letter queue.
    DeadLetter,
    /// A quorum queue from which nobody receives: each message expires, and ends in its dead-letter queue.
    Ttl,
    /// A classic queue on one node with messages that need not be kept. **It loses messages**: it shows that the checker sees it.
    Classic,
}

impl Workload {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Quorum,
        Self::Topic,
        Self::SingleActive,
        Self::Large,
        Self::Priorities,
        Self::DeadLetter,
        Self::Ttl,
        Self::Classic,
    ];

    /// As it is written in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Topic => "topic",
            Self::SingleActive => "single-active",
            Self::Large => "large",
            Self::Priorities => "priorities",
            Self::DeadLetter => "dead-letter",
            Self::Ttl => "ttl",
            Self::Classic => "classic",
        }
    }

    /// Whether an acknowledged message may never be lost.
    pub fn is_safe(self) -> bool {
        self != Self::Classic
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|workload| workload.name() == text) {
            Some(workload) => Ok(workload),
            None => bail!("there is no workload {text}; there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// What a consumer does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It is done.
    Accept,
    /// It never will be.
    Reject,
    /// It failed this time.
    GiveBack,
}

/// A queue that messages are received from.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Name at the broker.
    pub queue: String,
    /// Consumers, each with a connection of its own.
    pub consumers: u32,
    /// Whether a message of this sequence number comes here.
    pub wanted: fn(u64) -> bool,
    /// What becomes of it.
    pub settle: fn(u64) -> Settle,
    /// Messages of one producer are in order within each lane.
    pub lane: fn(u64) -> u64,
    /// How long after it was sent a message may come.
    pub not_before: Duration,
}

impl Destination {
    fn of(queue: &str) -> Self {
        Self {
            queue: queue.to_owned(),
            consumers: 1,
            wanted: always,
            settle: |_| Settle::Accept,
            lane: |_| 0,
            not_before: Duration::ZERO,
        }
    }
}

/// One workload, laid out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which.
    pub workload: Workload,
    /// Where producers send to.
    pub send_to: String,
    /// Numbers of its producers, each with a connection of its own.
    pub producers: Vec<u32>,
    /// Time between two messages of one producer.
    pub pause: Duration,
    /// Bytes of each message.
    pub bytes: usize,
    /// Whether messages must survive a restart of the broker.
    pub durable: bool,
    /// Whether consumers begin only when the faults are over, so that messages wait in the queue meanwhile.
    pub late: bool,
    /// Where they arrive.
    pub destinations: Vec<Destination>,
    /// The queue whose dead letters are received too.
    pub dead_letters_of: Option<&'static str>,
}

/// Of the queue from which nobody receives.
const TTL: Duration = Duration::from_secs(3);
/// After so many failures a message becomes a dead letter. One that is under way when a connection ends has failed once too, so the
/// limit must be more than the failures that one message can meet.
const DELIVERIES: u32 = 10;

/// A Subscription, its filter, and which messages that lets pass.
type Filter = (&'static str, Value, fn(u64) -> bool);

fn always(_: u64) -> bool {
    true
}

fn even(sequence: u64) -> bool {
    sequence.is_multiple_of(2)
}

/// Of 16 messages one is rejected, and one fails each time.
fn settle(sequence: u64) -> Settle {
    match sequence % 16 {
        3 => Settle::Reject,
        9 => Settle::GiveBack,
        _ => Settle::Accept,
    }
}

fn becomes_dead(sequence: u64) -> bool {
    settle(sequence) != Settle::Accept
}

/// From 0 to 31, in no order.
fn priority(sequence: u64) -> u64 {
    sequence.wrapping_mul(7) % 32
}

fn first_quarter(sequence: u64) -> bool {
    sequence.is_multiple_of(4)
}

impl Plan {
    /// Declares what a workload needs, and waits until it is Ready. Producers are numbered from `first`.
    pub async fn declare(scene: &Scene, workload: Workload, first: u32) -> Result<Self> {
        let name = workload.name();
        let mut plan = Self {
            workload,
            send_to: address::queue(name),
            producers: vec![first],
            pause: Duration::from_millis(20),
            bytes: 64,
            durable: true,
            late: false,
            destinations: vec![Destination::of(name)],
            dead_letters_of: None,
        };
        // Without a limit of deliveries: a message that was under way in each of many failures is no dead letter.
        let mut spec = json!({"deliveryLimit": -1, "deletionPolicy": "Delete"});
        match workload {
            Workload::Quorum => {
                plan.producers.push(first + 1);
                plan.pause = Duration::from_millis(10);
            }
            Workload::Topic => return Self::declare_topic(scene, plan).await,
            Workload::SingleActive => {
                spec["singleActiveConsumer"] = json!(true);
                plan.destinations = vec![Destination { consumers: 2, ..Destination::of(name) }];
            }
            Workload::Large => {
                plan.bytes = 256 * 1024;
                plan.pause = Duration::from_millis(150);
            }
            Workload::Priorities => {
                plan.pause = Duration::from_millis(10);
                plan.destinations = vec![Destination { lane: priority, ..Destination::of(name) }];
            }
            Workload::DeadLetter => {
                spec["deliveryLimit"] = json!(DELIVERIES);
                let dead = Destination { wanted: becomes_dead, ..Destination::of(&dead_letter_queue(name)) };
                plan.destinations = vec![Destination { settle, ..Destination::of(name) }, dead];
                plan.dead_letters_of = Some(name);
            }
            Workload::Ttl => {
                spec["messageTTL"] = json!(format!("{}s", TTL.as_secs()));
                plan.destinations = vec![Destination { not_before: TTL, ..Destination::of(&dead_letter_queue(name)) }];
                plan.dead_letters_of = Some(name);
            }
            Workload::Classic => {
                spec = json!({"type": "Classic", "deletionPolicy": "Delete"});
                plan.durable = false;
                plan.late = true;
            }
        }
        scene.create_ready(name, spec).await?;
        Ok(plan)
    }

    async fn declare_topic(scene: &Scene, mut plan: Self) -> Result<Self> {
        let name = plan.workload.name();
        Objects::<Topic>::of(&scene.cluster, &scene.namespace).create_ready(name, json!({"deletionPolicy": "Delete"})).await?;
        plan.send_to = address::exchange(&format!("topic.{name}"), "");
        plan.producers.push(plan.producers.first().map_or(0, |first| first + 1));
        plan.destinations.clear();
        let filters: [Filter; 3] = [
            ("all", Value::Null, always),
            ("sql", json!({"sql": "part = 0 AND properties.subject LIKE 'chaos.%'"}), first_quarter),
            ("subject", json!({"subject": "chaos.even"}), even),
        ];
        for (subscription, filter, wanted) in filters {
            let mut spec = json!({"topicRef": {"name": name}, "deliveryLimit": -1, "deletionPolicy": "Delete"});
            if !filter.is_null() {
                spec["filter"] = filter;
            }
            Objects::<Subscription>::of(&scene.cluster, &scene.namespace).create_ready(subscription, spec).await?;
            let queue = format!("subscription.{}.{subscription}", scene.namespace);
            plan.destinations.push(Destination { wanted, ..Destination::of(&queue) });
        }
        Ok(plan)
    }

    /// Every queue of it.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        let received = self.destinations.iter().map(|destination| destination.queue.as_str());
        let other = self.dead_letters_of.filter(|queue| self.destinations.iter().all(|destination| destination.queue != *queue));
        received.chain(other)
    }

    /// The message of an identity. Its content follows from that, so that a receiver can tell whether it is whole.
    pub fn message(&self, identity: Identity) -> Outgoing {
        let subject = if even(identity.sequence) { "chaos.even" } else { "chaos.odd" };
        let part = i64::try_from(identity.sequence % 4).unwrap_or_default();
        let mut message = Outgoing::new(identity.to_string(), body(identity, self.bytes)).subject(subject).property("part", part);
        message.durable = self.durable;
        if self.workload == Workload::Priorities {
            message.priority = u8::try_from(priority(identity.sequence)).ok();
        }
        message
    }

    /// Numbers of producers that it takes, at most.
    pub const MOST_PRODUCERS: u32 = 2;
}

/// Bytes that no other message has.
pub fn body(identity: Identity, length: usize) -> Vec<u8> {
    let word = (identity.sequence ^ (u64::from(identity.producer) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    word.into_iter().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_differ() {
        let of = |producer, sequence| body(Identity { producer, sequence }, 20);
        assert_eq!(of(1, 2).len(), 20);
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(2, 1) && of(0, 1) != of(0, 2) && of(1, 0) != of(2, 0));
    }

    #[test]
    fn messages_become_dead_in_both_ways_and_priorities_are_all_used() {
        let count = |how| (0..160).filter(|sequence| settle(*sequence) == how).count();
        assert_eq!((count(Settle::Reject), count(Settle::GiveBack)), (10, 10));
        assert!(becomes_dead(3) && becomes_dead(9) && !becomes_dead(0));
        let priorities: std::collections::BTreeSet<u64> = (0..32).map(priority).collect();
        assert_eq!(priorities.len(), 32);
    }

    #[test]
    fn names_are_read_back() {
        for workload in Workload::ALL {
            assert_eq!(workload.name().parse::<Workload>().unwrap(), workload);
        }
        assert!("none".parse::<Workload>().unwrap_err().to_string().contains("single-active"));
    }
}
