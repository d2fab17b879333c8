//! What is sent where, and which of it is wanted there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use entente_broker::amqp::{Outgoing, address};
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
    /// A classic queue on one node with messages that need not be kept. **It loses messages**: it shows that the checker sees it.
    Classic,
}

impl Workload {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Quorum, Self::Topic, Self::SingleActive, Self::Large, Self::Classic];
    /// Those from which nothing may be lost.
    pub const SAFE: [Self; 4] = [Self::Quorum, Self::Topic, Self::SingleActive, Self::Large];

    /// As it is written in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Topic => "topic",
            Self::SingleActive => "single-active",
            Self::Large => "large",
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

/// A queue that messages end up in.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Name at the broker.
    pub queue: String,
    /// Consumers, each with a connection of its own.
    pub consumers: u32,
    /// Whether the filter lets a message of this sequence number through.
    pub wanted: fn(u64) -> bool,
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
}

/// A Subscription, its filter, and which messages that lets pass.
type Filter = (&'static str, Value, fn(u64) -> bool);

fn always(_: u64) -> bool {
    true
}

fn even(sequence: u64) -> bool {
    sequence.is_multiple_of(2)
}

fn first_quarter(sequence: u64) -> bool {
    sequence.is_multiple_of(4)
}

impl Plan {
    /// Declares what a workload needs, and waits until it is Ready. Producers are numbered from `first`.
    pub async fn declare(scene: &Scene, workload: Workload, first: u32) -> Result<Self> {
        let name = workload.name();
        let queue = |consumers| vec![Destination { queue: name.to_owned(), consumers, wanted: always }];
        let mut plan = Self {
            workload,
            send_to: address::queue(name),
            producers: vec![first],
            pause: Duration::from_millis(20),
            bytes: 64,
            durable: true,
            late: false,
            destinations: queue(1),
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
                plan.destinations = queue(2);
            }
            Workload::Large => {
                plan.bytes = 256 * 1024;
                plan.pause = Duration::from_millis(150);
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
            plan.destinations.push(Destination { queue, consumers: 1, wanted });
        }
        Ok(plan)
    }

    /// The message of an identity. Its content follows from that, so that a receiver can tell whether it is whole.
    pub fn message(&self, identity: Identity) -> Outgoing {
        let subject = if even(identity.sequence) { "chaos.even" } else { "chaos.odd" };
        let part = i64::try_from(identity.sequence % 4).unwrap_or_default();
        let mut message = Outgoing::new(identity.to_string(), body(identity, self.bytes)).subject(subject).property("part", part);
        message.durable = self.durable;
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
    fn names_are_read_back() {
        for workload in Workload::ALL {
            assert_eq!(workload.name().parse::<Workload>().unwrap(), workload);
        }
        assert!("none".parse::<Workload>().unwrap_err().to_string().contains("single-active"));
    }
}
