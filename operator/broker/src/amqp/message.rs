//! Messages as they are sent and received.

use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp_types::{
    messaging::{ApplicationProperties, Body, Data, Header, Message, MessageId, Properties},
    primitives::{Binary, SimpleValue, Value},
};

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Unique per message, the same in every attempt to send it: receivers tell a
    /// repeated message by it.
    pub message_id: String,
    /// Whether the message must survive a restart of the broker.
    pub durable: bool,
    /// The priority, higher first; without one, the broker's default of 4.
    pub priority: Option<u8>,
    /// The subject; brokers can filter on its words.
    pub subject: Option<String>,
    /// Application properties; brokers can filter on them.
    pub properties: Vec<(String, SimpleValue)>,
    /// The payload.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// A durable message without properties.
    pub fn new(message_id: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            message_id: message_id.into(),
            durable: true,
            priority: None,
            subject: None,
            properties: Vec::new(),
            body: body.into(),
        }
    }

    /// Adds an application property.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<SimpleValue>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(super) fn into_message(self) -> Message<Data> {
        let Self { message_id, durable, priority, subject, properties, body } = self;
        let mut properties_section = Properties::builder().message_id(MessageId::String(message_id)).build();
        properties_section.subject = subject;
        let application = (!properties.is_empty()).then(|| {
            properties.into_iter().fold(ApplicationProperties::builder(), |b, (name, value)| b.insert(name, value)).build()
        });
        let mut header = Header { durable, ..Header::default() };
        if let Some(priority) = priority {
            header.priority = priority.into();
        }
        Message {
            header: Some(header),
            delivery_annotations: None,
            message_annotations: None,
            properties: Some(properties_section),
            application_properties: application,
            body: Data(Binary::from(body)),
            footer: None,
        }
    }
}

/// A received message, not yet settled.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) info: DeliveryInfo,
    /// Counts the connections of a reconnecting receiver, so that a settlement is
    /// not given to a connection that does not know the delivery.
    pub(super) epoch: u64,
    /// The content, or why it cannot be read. An unreadable message must be settled too.
    pub content: Result<Incoming, String>,
}

/// Content of a received message.
pub type Incoming = Message<Body<Value>>;

impl Delivery {
    /// Message-id as text, whatever its type.
    pub fn message_id(&self) -> Option<String> {
        let id = self.content.as_ref().ok()?.properties.as_ref()?.message_id.as_ref()?;
        Some(match id {
            MessageId::String(text) => text.clone(),
            MessageId::Ulong(number) => number.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// One application property.
    pub fn property(&self, name: &str) -> Option<&SimpleValue> {
        self.content.as_ref().ok()?.application_properties.as_ref()?.get(name)
    }

    /// How often this message was delivered before, as far as the broker counts.
    pub fn delivery_count(&self) -> u32 {
        let header = self.content.as_ref().ok().and_then(|message| message.header.as_ref());
        header.map_or(0, |header| header.delivery_count)
    }

    /// Bytes of payload in data sections.
    pub fn body_len(&self) -> usize {
        match self.content.as_ref().map(|message| &message.body) {
            Ok(Body::Data(sections)) => sections.iter().map(|data| data.0.len()).sum(),
            _ => 0,
        }
    }
}
