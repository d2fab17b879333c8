//! What a kept message says of itself, and its copy.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use fe2o3_amqp_types::{
    messaging::{MessageId, annotations::OwnedKey},
    primitives::Value,
};

use crate::amqp::{message::Incoming, redrive::letter};

/// Annotation of a copy: its offset in the stream.
const OFFSET: &str = "x-opt-entente-offset";
/// The broker's annotations of a message: where it is in a stream, and the exchange that it was sent to.
const STREAM_OFFSET: &str = "x-stream-offset";
const EXCHANGE: &str = "x-exchange";
/// Beginning of the message-id of a mark.
pub(super) const MARK: &str = "entente-mark-";

/// Where it is in the stream that it was read from.
pub(super) fn stream_offset(message: &Incoming) -> Option<u64> {
    number(letter::annotation(message, STREAM_OFFSET)?)
}

/// The offset that it bears as a copy.
pub(super) fn copied_offset(message: &Incoming) -> Option<u64> {
    number(letter::annotation(message, OFFSET)?)
}

/// The exchange that it was sent to; nothing where it was sent to a queue itself.
pub(super) fn exchange(message: &Incoming) -> Option<&str> {
    match letter::annotation(message, EXCHANGE)? {
        Value::String(name) => Some(name.as_str()).filter(|name| !name.is_empty()),
        Value::Symbol(name) => Some(name.as_str()).filter(|name| !name.is_empty()),
        _ => None,
    }
}

/// Whether it is a mark. Of those who send to a Topic nobody can make one: no message of theirs is sent to a queue.
pub(super) fn is_mark(message: &Incoming) -> bool {
    exchange(message).is_none() && id(message).is_some_and(|id| id.starts_with(MARK))
}

/// Whether it is this mark.
pub(super) fn is_the_mark(message: &Incoming, mark: &str) -> bool {
    is_mark(message) && id(message) == Some(mark)
}

fn id(message: &Incoming) -> Option<&str> {
    match message.properties.as_ref()?.message_id.as_ref()? {
        MessageId::String(id) => Some(id),
        _ => None,
    }
}

/// What is sent into the queue.
pub(super) fn copy(message: Incoming, offset: u64) -> Incoming {
    letter::copy_with(message, (OwnedKey::from(OFFSET), Value::Ulong(offset)))
}

fn number(value: &Value) -> Option<u64> {
    match *value {
        Value::Ulong(number) => Some(number),
        Value::Uint(number) => Some(number.into()),
        Value::Long(number) => number.try_into().ok(),
        Value::Int(number) => number.try_into().ok(),
        _ => None,
    }
}

/// Tells messages apart by what their senders wrote: properties, application properties, body and footer. That a pair of
/// 200,000 unlike ones is taken for alike is less probable than 2⁻⁸⁰, whatever is in them: the keys are random.
#[derive(Debug, Default)]
pub(super) struct Digester(RandomState, RandomState);

/// What stands for the content of a message, within one comparison.
pub(super) type Digest = (u64, u64);

impl Digester {
    pub fn digest(&self, message: &Incoming) -> Digest {
        let Incoming {
            header: _,
            delivery_annotations: _,
            message_annotations: _,
            properties,
            application_properties,
            body,
            footer,
        } = message;
        let mut both = Both(self.0.build_hasher(), self.1.build_hasher());
        // Its text for people has every value with its type. Writing to a hasher cannot fail.
        let _ = write!(both, "{:?}", (properties, application_properties, body, footer));
        (both.0.finish(), both.1.finish())
    }
}

struct Both(DefaultHasher, DefaultHasher);

impl fmt::Write for Both {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        self.1.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::{
        messaging::{ApplicationProperties, Batch, Body, Data, Header, MessageAnnotations, Properties, annotations::Annotations},
        primitives::{Binary, SimpleValue},
    };

    use super::*;

    fn message(id: &str, exchange: &str, amount: impl Into<SimpleValue>) -> Incoming {
        let annotations: Annotations = [
            (OwnedKey::from(STREAM_OFFSET), Value::Ulong(7)),
            (OwnedKey::from(EXCHANGE), Value::String(exchange.to_owned())),
            (OwnedKey::from("x-opt-own"), Value::Long(1)),
        ]
        .into_iter()
        .collect();
        Incoming {
            header: Some(Header { durable: true, ..Header::default() }),
            delivery_annotations: None,
            message_annotations: Some(MessageAnnotations(annotations)),
            properties: Some(Properties { message_id: Some(MessageId::String(id.to_owned())), ..Properties::default() }),
            application_properties: Some(ApplicationProperties::builder().insert("amount", amount).build()),
            body: Body::Data(Batch::new(vec![Data(Binary::from(vec![1]))])),
            footer: None,
        }
    }

    #[test]
    fn a_copy_bears_its_offset_and_not_where_it_was_read() {
        let copy = copy(message("m1", "topic.t", 1_i64), 7);
        assert_eq!(copied_offset(&copy), Some(7));
        assert_eq!((stream_offset(&copy), exchange(&copy)), (None, None));
        assert_eq!(letter::annotation(&copy, "x-opt-own"), Some(&Value::Long(1)));
    }

    #[test]
    fn a_tenants_message_is_no_mark() {
        let id = format!("{MARK}1");
        assert!(is_the_mark(&message(&id, "", 1_i64), &id));
        assert!(!is_the_mark(&message(&id, "", 1_i64), "entente-mark-2"));
        assert!(!is_mark(&message(&id, "topic.t", 1_i64)));
        assert!(!is_mark(&message("m1", "", 1_i64)));
    }

    #[test]
    fn content_is_told_apart_by_value_and_type_and_by_nothing_else() {
        let digester = Digester::default();
        let one = digester.digest(&message("m", "topic.t", 1_i64));
        assert_eq!(one, digester.digest(&copy(message("m", "other", 1_i64), 9)));
        for other in [message("m2", "topic.t", 1_i64), message("m", "topic.t", 2_i64), message("m", "topic.t", 1_i32)] {
            assert_ne!(one, digester.digest(&other), "{other:?}");
        }
    }
}
