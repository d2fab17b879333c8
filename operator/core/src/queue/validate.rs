//! What a Queue may ask for.
//!
//! Repeats each rule of the CRD, since admission may have been another version's, and adds
//! what CEL does not say: durations and sizes that parse, and what this version does not serve.

use entente_crds::Queue;
use entente_crds::queue::{DeadLetter, DeletionPolicy, Grow, Overflow, Partitions, QueueSpec, QueueType};
use entente_crds::text::{ByteSize, DurationText, TextError};

use crate::object::{Refusal, check_name_of_place, refuse_if_any};
use crate::scaling::{Caps, Config};
use crate::taps::{self, Tap};

/// RabbitMQ keeps times to live and time-outs in 32 bits of milliseconds.
const MAX_MILLIS: u64 = u32::MAX as u64;

/// The most parts of a Queue.
pub const MOST_PARTS: usize = 128;

/// A spec whose texts are numbers and whose rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the queue at the broker.
    pub name: String,
    /// How messages are kept.
    pub type_: QueueType,
    /// Time to live in milliseconds.
    pub message_ttl: Option<u64>,
    /// Bound in messages.
    pub max_length: Option<i64>,
    /// Bound in bytes.
    pub max_bytes: Option<u64>,
    /// What a full queue does.
    pub overflow: Overflow,
    /// Deliveries before a message is dead-lettered, if set.
    pub delivery_limit: Option<i32>,
    /// Wait before a redelivery in milliseconds.
    pub retry_delay: Option<u64>,
    /// How long a consumer may hold a message, in milliseconds.
    pub consumer_timeout: Option<u64>,
    /// Priorities of a classic queue.
    pub priorities: Option<i32>,
    /// One consumer at a time.
    pub single_active_consumer: bool,
    /// Split by a property.
    pub parts: Option<Parts>,
    /// Where dead letters go.
    pub dead_letters: DeadLetters,
    /// Copies to other queues.
    pub taps: Vec<Tap>,
    /// What deletion does.
    pub deletion_policy: DeletionPolicy,
}

/// How a queue is split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Number of parts.
    pub count: usize,
    /// The property whose value chooses the part.
    pub by: String,
    /// When further parts get messages.
    pub grow: Grow,
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetters {
    /// To `<name>.dead`.
    Own,
    /// To another queue of the namespace.
    Queue(String),
    /// Nowhere.
    Discard,
}

/// Checks a Queue. All problems are reported at once.
pub fn validate(queue: &Queue) -> Result<Settings, Refusal> {
    let name = queue.metadata.name.clone().unwrap_or_default();
    let mut problems = Vec::new();
    check_name_of_place("Queue", &name, &mut problems);
    settings(name, &queue.spec, problems)
}

/// Checks the settings of a queue of this name, which need not be a Queue's. `problems` are those found before.
pub fn settings(name: String, spec: &QueueSpec, mut problems: Vec<String>) -> Result<Settings, Refusal> {
    // Exhaustive: a new field cannot be skipped.
    let QueueSpec {
        broker_ref: _, // resolved elsewhere
        type_,
        message_ttl,
        max_length,
        max_bytes,
        overflow,
        delivery_limit,
        retry_delay,
        consumer_timeout,
        priorities,
        single_active_consumer,
        partitions,
        dead_letter,
        taps,
        scaling,
        grants: _, // they concern Clients
        deletion_policy,
    } = spec;
    check_type(spec, &mut problems);
    let settings = Settings {
        type_: *type_,
        message_ttl: millis("messageTTL", message_ttl.as_ref(), &mut problems),
        max_length: *max_length,
        max_bytes: bytes("maxBytes", max_bytes.as_ref(), &mut problems),
        overflow: overflow.unwrap_or(Overflow::RejectPublish),
        delivery_limit: *delivery_limit,
        retry_delay: millis("retryDelay", retry_delay.as_ref(), &mut problems),
        consumer_timeout: millis("consumerTimeout", consumer_timeout.as_ref(), &mut problems),
        priorities: *priorities,
        single_active_consumer: *single_active_consumer,
        parts: partitions.as_ref().map(|partitions| parts(partitions, *type_, &mut problems)),
        taps: taps::validate(taps, Some(&name), &mut problems),
        dead_letters: dead_letters(&name, dead_letter.as_ref(), *type_, &mut problems),
        deletion_policy: *deletion_policy,
        name,
    };
    if let Some(scaling) = scaling {
        let count = partitions.as_ref().and_then(|partitions| u32::try_from(partitions.count).ok());
        let caps = Caps { single_active_consumer: *single_active_consumer, partitions: count };
        if *type_ == QueueType::Stream {
            problems
                .push("scaling needs type Quorum or Classic: a Stream keeps what was read, so that it has no backlog".to_owned());
        }
        // Its translation is the autoscaler's.
        let _ = Config::new(scaling, caps, &mut problems);
    }
    refuse_if_any(&problems)?;
    Ok(settings)
}

fn check_type(spec: &QueueSpec, problems: &mut Vec<String>) {
    let mut refuse = |refused: bool, text: &str| {
        if refused {
            problems.push(text.to_owned());
        }
    };
    refuse(spec.priorities.is_some() && spec.type_ != QueueType::Classic, "priorities need type Classic");
    refuse(spec.priorities.is_some_and(|count| !(2..=32).contains(&count)), "priorities must be 2 to 32");
    refuse(
        spec.type_ != QueueType::Quorum && (spec.delivery_limit.is_some() || spec.retry_delay.is_some()),
        "deliveryLimit and retryDelay need type Quorum",
    );
    refuse(
        spec.type_ == QueueType::Stream && (spec.single_active_consumer || spec.max_length.is_some() || spec.overflow.is_some()),
        "singleActiveConsumer, maxLength and overflow do not apply to a Stream; bound it by maxBytes and messageTTL",
    );
    refuse(
        spec.type_ == QueueType::Stream && spec.consumer_timeout.is_some(),
        "consumerTimeout does not apply to a Stream: its consumers hold no messages",
    );
    refuse(spec.max_length.is_some_and(|length| length < 1), "maxLength must be at least 1");
    refuse(spec.delivery_limit.is_some_and(|limit| limit < -1), "deliveryLimit must be -1 (no limit) or more");
}

fn parts(declared: &Partitions, type_: QueueType, problems: &mut Vec<String>) -> Parts {
    let Partitions { count, by, grow } = declared;
    if type_ == QueueType::Stream {
        problems.push("partitions do not apply to a Stream: it never becomes empty, so that it could never grow".to_owned());
    }
    let count = usize::try_from(*count).unwrap_or_default();
    if !(2..=MOST_PARTS).contains(&count) {
        problems.push(format!("partitions.count must be 2 to {MOST_PARTS}"));
    }
    if !(1..=128).contains(&by.chars().count()) {
        problems.push("partitions.by must be the name of an application property, of 1 to 128 characters".to_owned());
    }
    Parts { count, by: by.clone(), grow: *grow }
}

fn dead_letters(name: &str, declared: Option<&DeadLetter>, type_: QueueType, problems: &mut Vec<String>) -> DeadLetters {
    let Some(DeadLetter { queue_ref, discard }) = declared else {
        // A Stream's messages leave by age or size and are not dead letters.
        return if type_ == QueueType::Stream { DeadLetters::Discard } else { DeadLetters::Own };
    };
    match queue_ref {
        Some(_) if *discard => problems.push("deadLetter takes a queueRef or discard: true, not both".to_owned()),
        _ if type_ == QueueType::Stream && !discard => {
            problems.push("deadLetter does not apply to a Stream: its messages leave by age or size".to_owned());
        }
        Some(target) if target.name == name => {
            problems.push("deadLetter.queueRef names this very Queue: dead letters would come back for ever".to_owned());
        }
        Some(target) => return DeadLetters::Queue(target.name.clone()),
        None if !discard => return DeadLetters::Own,
        None => {}
    }
    DeadLetters::Discard
}

fn millis(field: &str, text: Option<&DurationText>, problems: &mut Vec<String>) -> Option<u64> {
    let parsed = parsed(field, text.map(DurationText::as_millis), problems)?;
    if parsed > MAX_MILLIS {
        problems.push(format!("{field} is longer than the broker can keep: at most {MAX_MILLIS}ms (49 days)"));
    }
    Some(parsed)
}

fn bytes(field: &str, text: Option<&ByteSize>, problems: &mut Vec<String>) -> Option<u64> {
    let parsed = parsed(field, text.map(ByteSize::as_bytes), problems)?;
    if parsed == 0 {
        problems.push(format!("{field} must be at least 1"));
    }
    Some(parsed)
}

fn parsed(field: &str, value: Option<Result<u64, TextError>>, problems: &mut Vec<String>) -> Option<u64> {
    match value? {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(format!("{field}: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::condition::reasons;
    use serde_json::{Value, json};

    use super::*;

    fn checked(name: &str, spec: Value) -> Result<Settings, Refusal> {
        validate(&Queue::new(name, serde_json::from_value(spec).unwrap()))
    }

    #[test]
    fn the_smallest_queue_is_bounded_by_nothing_and_has_dead_letters() {
        let settings = checked("orders", json!({})).unwrap();
        assert_eq!(settings.type_, QueueType::Quorum);
        assert_eq!(settings.dead_letters, DeadLetters::Own);
        assert_eq!(settings.overflow, Overflow::RejectPublish);
        assert_eq!(settings.deletion_policy, DeletionPolicy::DeleteIfEmpty);
    }

    #[test]
    fn texts_become_numbers() {
        let settings = checked(
            "orders",
            json!({"messageTTL": "1h", "maxBytes": "1Gi", "retryDelay": "5s", "consumerTimeout": "30m", "maxLength": 7}),
        )
        .unwrap();
        assert_eq!(settings.message_ttl, Some(3_600_000));
        assert_eq!(settings.max_bytes, Some(1 << 30));
        assert_eq!(settings.retry_delay, Some(5_000));
        assert_eq!(settings.consumer_timeout, Some(1_800_000));
        assert_eq!(settings.max_length, Some(7));
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        for (name, spec, word) in [
            ("Orders", json!({}), "DNS label"),
            ("a.dead", json!({}), "DNS label"),
            ("", json!({}), "DNS label"),
            ("amq/x", json!({}), "DNS label"),
            ("q", json!({"priorities": 5}), "priorities need type Classic"),
            ("q", json!({"type": "Classic", "priorities": 64}), "2 to 32"),
            ("q", json!({"type": "Classic", "deliveryLimit": 3}), "need type Quorum"),
            ("q", json!({"type": "Stream", "maxLength": 3}), "do not apply to a Stream"),
            ("q", json!({"type": "Stream", "consumerTimeout": "1m"}), "hold no messages"),
            ("q", json!({"type": "Stream", "deadLetter": {}}), "leave by age or size"),
            ("q", json!({"type": "Stream", "partitions": {"count": 2, "by": "k"}}), "never becomes empty"),
            ("q", json!({"partitions": {"count": 1, "by": "k"}}), "2 to 128"),
            ("q", json!({"partitions": {"count": 129, "by": "k"}}), "2 to 128"),
            ("q", json!({"partitions": {"count": -3, "by": "k"}}), "2 to 128"),
            ("q", json!({"partitions": {"count": 2, "by": ""}}), "partitions.by"),
            ("q", json!({"partitions": {"count": 2, "by": "ż".repeat(129)}}), "partitions.by"),
            ("q", json!({"messageTTL": "50d"}), "49 days"),
            ("q", json!({"messageTTL": "soon"}), "messageTTL: \"soon\" is not a duration"),
            ("q", json!({"maxBytes": "0"}), "at least 1"),
            ("q", json!({"maxLength": 0}), "at least 1"),
            ("q", json!({"deliveryLimit": -2}), "-1 (no limit)"),
            ("q", json!({"scaling": {"targetRef": {"name": "w"}}}), "at least one objective"),
            ("q", json!({"type": "Stream", "scaling": {"targetRef": {"name": "w"}, "maxAge": "1m"}}), "no backlog"),
            ("q", json!({"deadLetter": {"queueRef": {"name": "q"}}}), "this very Queue"),
            ("q", json!({"deadLetter": {"queueRef": {"name": "p"}, "discard": true}}), "not both"),
        ] {
            let refusal = checked(name, spec.clone()).unwrap_err();
            assert_eq!(refusal.reason, reasons::INVALID, "{spec}");
            assert!(refusal.message.contains(word), "{spec}: {refusal}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let refusal = checked("q", json!({"messageTTL": "x", "maxBytes": "y"})).unwrap_err();
        assert!(refusal.message.contains("messageTTL") && refusal.message.contains("maxBytes"), "{refusal}");
    }
}
