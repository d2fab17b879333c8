//! The broker's event stream: what happened to its queues, exchanges, connections.
//!
//! The caller has declared a queue and bound it to the exchange `amq.rabbitmq.event`
//! in the virtual host `/`, and the broker has `event_exchange.protocol = amqp_1_0`.
//! Everything an event says stands in the message annotations; the body is empty.

use std::collections::BTreeMap;

use fe2o3_amqp_types::{messaging::annotations::OwnedKey, primitives::Value};
use jiff::Timestamp;

use super::{address, connection::Connection, error::Error, message::Incoming, options::ConnectOptions, receiver::Receiver};

/// Enough to keep the broker busy, little enough to be given back quickly.
const CREDIT: u32 = 200;
/// What a tenant puts into the name of a connection is not kept beyond this.
const MAX_DETAIL: usize = 1024;
/// A detail is one word of the event; its annotation has this prefix.
const PREFIX: &str = "x-opt-";

/// Something that happened in the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerEvent {
    /// What, such as `queue.deleted`. Kinds not known here are kept as they are.
    pub kind: String,
    /// Where, if it belongs to a virtual host.
    pub virtual_host: Option<String>,
    /// The name of the queue, exchange, virtual host, user or connection it is about.
    pub name: Option<String>,
    /// When, by the broker's clock, in milliseconds.
    pub at: Option<Timestamp>,
    /// What else the event says, as text, without what is not a single value.
    pub details: BTreeMap<String, String>,
}

impl BrokerEvent {
    /// Reads an event; `None` if the message is none.
    pub fn parse(message: &Incoming) -> Option<Self> {
        let mut details = BTreeMap::new();
        let mut kind = None;
        for (key, value) in message.message_annotations.as_ref()?.iter() {
            let OwnedKey::Symbol(key) = key else { continue };
            if key.as_str() == "x-routing-key" {
                kind = text(value);
            } else if let (Some(name), Some(value)) = (key.as_str().strip_prefix(PREFIX), text(value)) {
                details.insert(name.to_owned(), value);
            }
        }
        let kind = kind?;
        let name = subject(&kind, &details);
        // An event about a virtual host names it as its subject only.
        let virtual_host = details.get("vhost").cloned().or_else(|| kind.starts_with("vhost.").then(|| name.clone()).flatten());
        let created = message.properties.as_ref().and_then(|properties| properties.creation_time.as_ref());
        let at = created.and_then(|time| Timestamp::from_millisecond(time.clone().into_inner()).ok());
        Some(Self { kind, virtual_host, name, at, details })
    }
}

/// Most events name their subject `name`; the others are listed.
fn subject(kind: &str, details: &BTreeMap<String, String>) -> Option<String> {
    let key = match kind.split('.').next() {
        Some("consumer") => "queue",
        Some("binding") => "destination-name",
        Some("permission" | "topic") if !details.contains_key("name") => "user",
        _ => "name",
    };
    details.get(key).cloned()
}

/// Single values as text; lists, maps and bytes are left out.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Symbol(text) => text.0.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Ubyte(value) => value.to_string(),
        Value::Ushort(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Ulong(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Short(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Timestamp(value) => value.clone().into_inner().to_string(),
        _ => return None,
    };
    (text.len() <= MAX_DETAIL).then_some(text)
}

/// Receives the broker's events.
#[derive(Debug)]
pub struct EventStream {
    receiver: Receiver,
}

impl EventStream {
    /// Connects to the virtual host given in `options` (the event exchange is in `/`)
    /// and receives from `queue`. After an error, connect anew; what happened in
    /// between waits in the queue, as far as the queue's limits keep it.
    pub async fn connect(options: &ConnectOptions, queue: &str) -> Result<Self, Error> {
        let connection = Connection::connect(options).await?;
        let receiver = connection.receiver(&address::queue(queue), CREDIT).await?;
        Ok(Self { receiver })
    }

    /// Waits for the next event. Messages that are no events are dropped, since
    /// holding them would stop the stream.
    pub async fn next(&mut self) -> Result<BrokerEvent, Error> {
        loop {
            let delivery = self.receiver.recv().await?;
            self.receiver.accept(&delivery).await?;
            match delivery.content.as_ref().map(BrokerEvent::parse) {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => tracing::warn!("a message in the event queue is no event; dropped"),
                Err(error) => tracing::warn!(%error, "an event cannot be read; dropped"),
            }
        }
    }

    /// Closes the stream and its connection.
    pub async fn close(self) -> Result<(), Error> {
        let connection = self.receiver.connection().clone();
        let closed = self.receiver.close().await;
        connection.close().await.and(closed)
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::{
        messaging::{Body, Message, MessageAnnotations, Properties},
        primitives::{OrderedMap, Symbol, Timestamp as AmqpTimestamp},
    };
    use proptest::prelude::*;

    use super::*;

    fn message(annotations: Vec<(&str, Value)>, at: Option<i64>) -> Incoming {
        let mut map = OrderedMap::new();
        for (key, value) in annotations {
            map.insert(OwnedKey::from(key), value);
        }
        Message {
            header: None,
            delivery_annotations: None,
            message_annotations: Some(MessageAnnotations(map)),
            properties: Some(Properties { creation_time: at.map(AmqpTimestamp::from), ..Properties::default() }),
            application_properties: None,
            body: Body::Empty,
            footer: None,
        }
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn parse(annotations: Vec<(&str, Value)>) -> BrokerEvent {
        BrokerEvent::parse(&message(annotations, None)).unwrap()
    }

    /// As RabbitMQ 4.3.6 sends it.
    #[test]
    fn a_deleted_queue() {
        let event = BrokerEvent::parse(&message(
            vec![
                ("x-routing-key", string("queue.deleted")),
                ("x-exchange", string("amq.rabbitmq.event")),
                ("x-opt-vhost", string("team")),
                ("x-opt-name", string("orders")),
                ("x-opt-type", string("rabbit_quorum_queue")),
                ("x-opt-user-who-performed-action", string("guest")),
            ],
            Some(1_795_593_806_028),
        ))
        .unwrap();
        assert_eq!(event.kind, "queue.deleted");
        assert_eq!(event.virtual_host.as_deref(), Some("team"));
        assert_eq!(event.name.as_deref(), Some("orders"));
        assert_eq!(event.at, Timestamp::from_millisecond(1_795_593_806_028).ok());
        assert_eq!(event.details["user-who-performed-action"], "guest");
    }

    #[test]
    fn subjects_that_are_not_called_name() {
        let vhost = parse(vec![("x-routing-key", string("vhost.deleted")), ("x-opt-name", string("team"))]);
        assert_eq!((vhost.virtual_host.as_deref(), vhost.name.as_deref()), (Some("team"), Some("team")));
        let consumer = parse(vec![("x-routing-key", string("consumer.created")), ("x-opt-queue", string("q"))]);
        assert_eq!(consumer.name.as_deref(), Some("q"));
        let binding = parse(vec![
            ("x-routing-key", string("binding.deleted")),
            ("x-opt-source-name", string("s")),
            ("x-opt-destination-name", string("d")),
        ]);
        assert_eq!(binding.name.as_deref(), Some("d"));
        let permission = parse(vec![("x-routing-key", string("permission.created")), ("x-opt-user", string("u"))]);
        assert_eq!(permission.name.as_deref(), Some("u"));
    }

    #[test]
    fn an_unknown_kind_is_kept() {
        let event = parse(vec![("x-routing-key", string("moon.landed"))]);
        assert_eq!((event.kind.as_str(), event.name, event.virtual_host), ("moon.landed", None, None));
    }

    #[test]
    fn a_message_without_a_kind_is_no_event() {
        assert_eq!(BrokerEvent::parse(&message(vec![("x-opt-name", string("a"))], None)), None);
        assert_eq!(BrokerEvent::parse(&message(vec![("x-routing-key", Value::List(vec![]))], None)), None);
        let bare = Incoming { message_annotations: None, ..message(vec![], None) };
        assert_eq!(BrokerEvent::parse(&bare), None);
    }

    #[test]
    fn what_is_no_single_value_is_left_out() {
        let event = parse(vec![
            ("x-routing-key", string("queue.created")),
            ("x-opt-arguments", Value::List(vec![Value::Null])),
            ("x-opt-durable", Value::Bool(true)),
            ("x-opt-port", Value::Long(5672)),
            ("x-opt-container-id", string(&"x".repeat(MAX_DETAIL + 1))),
        ]);
        assert_eq!(event.details.keys().collect::<Vec<_>>(), ["durable", "port"]);
    }

    #[test]
    fn an_impossible_time_is_left_out() {
        let event = BrokerEvent::parse(&message(vec![("x-routing-key", string("k"))], Some(i64::MAX))).unwrap();
        assert_eq!(event.at, None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Long),
            any::<u64>().prop_map(Value::Ulong),
            any::<i64>().prop_map(|t| Value::Timestamp(t.into())),
            ".*".prop_map(Value::String),
            ".*".prop_map(|s| Value::Symbol(Symbol(s))),
            any::<char>().prop_map(Value::Char),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Value::List))
    }

    proptest! {
        #[test]
        fn no_content_makes_it_fail(
            entries in prop::collection::vec((prop_oneof![
                Just("x-routing-key".to_owned()), Just("x-opt-vhost".to_owned()), Just("x-opt-name".to_owned()), ".*"
            ], any_value()), 0..10),
            at in any::<Option<i64>>(),
        ) {
            let entries = entries.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            let _ = BrokerEvent::parse(&message(entries, at));
        }
    }
}
