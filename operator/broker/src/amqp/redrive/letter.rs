//! What a dead letter says of itself, and what of it is sent again.

use entente_core::topology::names::DEAD_LETTER_SUFFIX;
use fe2o3_amqp_types::{
    messaging::{
        Header, MessageAnnotations,
        annotations::{Annotations, OwnedKey},
    },
    primitives::Value,
};

use crate::amqp::message::Incoming;

/// Annotation of a redriven message: which run it was.
pub(super) const RUN: &str = "x-opt-entente-redrive";

const LAST_DEATH_QUEUE: &str = "x-last-death-queue";

/// The queue whose dead letter this is. Not the first it died in: where dead letters die once more, each
/// dead-letter queue gives back to the one before it.
pub(super) fn source(message: &Incoming, from: &str) -> Option<String> {
    let told = match annotation(message, LAST_DEATH_QUEUE) {
        Some(Value::String(queue)) => Some(queue.as_str()),
        Some(Value::Symbol(queue)) => Some(queue.as_str()),
        _ => None,
    };
    // A message that somebody sent to the dead-letter queue itself has never died.
    told.or_else(|| from.strip_suffix(DEAD_LETTER_SUFFIX)).filter(|queue| !queue.is_empty() && *queue != from).map(str::to_owned)
}

/// Whether it was sent by this run, and has died again since.
pub(super) fn is_of(message: &Incoming, run: &str) -> bool {
    matches!(annotation(message, RUN), Some(Value::String(text)) if text == run)
}

/// Whether the message carries the user-id of somebody else than this user.
pub(super) fn is_of_other_user(message: &Incoming, user: &str) -> bool {
    let user_id = message.properties.as_ref().and_then(|properties| properties.user_id.as_ref());
    user_id.is_some_and(|id| id.as_slice() != user.as_bytes())
}

/// The message as it is sent again.
///
/// The sections that are the sender's own (properties, application properties, body, footer) are kept whole. Of the header:
/// whether it is durable, its priority, and its time to live, which the broker has taken away where the
/// message died of it. Not kept:
/// - how often it was delivered (in the header, and as the broker's annotation): its deliveries are counted anew;
/// - delivery annotations, which are for one hop;
/// - annotations about its deaths and its routing, which the broker makes: a message that says that it died in this queue
///   before would be taken for one that goes round in a circle, and be dropped;
/// - `x-cc`, which would have the broker send copies to other queues than the one where the message died.
pub(super) fn copy(message: Incoming, run: &str) -> Incoming {
    copy_with(message, (OwnedKey::from(RUN), Value::String(run.to_owned())))
}

/// The same with another mark.
pub(in crate::amqp) fn copy_with(message: Incoming, mark: (OwnedKey, Value)) -> Incoming {
    let Incoming { header, delivery_annotations: _, message_annotations, properties, application_properties, body, footer } =
        message;
    let header = header.map(|Header { durable, priority, ttl, first_acquirer: _, delivery_count: _ }| Header {
        durable,
        priority,
        ttl,
        ..Header::default()
    });
    let kept = message_annotations.into_iter().flat_map(|section| section.0.into_inner());
    let annotations: Annotations = kept.filter(|(key, _)| !is_the_brokers(key)).chain([mark]).collect();
    Incoming {
        header,
        delivery_annotations: None,
        message_annotations: Some(MessageAnnotations(annotations)),
        properties,
        application_properties,
        body,
        footer,
    }
}

fn is_the_brokers(key: &OwnedKey) -> bool {
    let OwnedKey::Symbol(key) = key else { return false };
    let key = key.as_str();
    ["x-first-death-", "x-last-death-"].iter().any(|prefix| key.starts_with(prefix))
        || ["x-opt-deaths", "x-delivery-count", "x-acquired-count", "x-exchange", "x-routing-key", "x-cc", "x-stream-offset"]
            .contains(&key)
}

/// One annotation of a message.
pub(in crate::amqp) fn annotation<'a>(message: &'a Incoming, name: &str) -> Option<&'a Value> {
    let annotations = message.message_annotations.as_ref()?;
    annotations.iter().find_map(|(key, value)| matches!(key, OwnedKey::Symbol(key) if key.as_str() == name).then_some(value))
}

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
