//! Messages whose properties have every type of AMQP 1.0, also those that no well-behaved client sends.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use entente_core::filter::{Field, Message, Value};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::SendError;
use fe2o3_amqp::link::delivery::DeliveryFut;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Sender, Session};
use fe2o3_amqp_types::messaging::{self, ApplicationProperties, Data, Header, MessageId, Outcome, Priority, Properties};
use fe2o3_amqp_types::primitives::{Binary, SimpleValue, Symbol, Timestamp};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::retyped::{Retyped, Retyping, code};

/// What will become of a message.
pub type Pending = DeliveryFut<Result<Outcome, SendError>>;

/// Whom to speak to.
pub struct Peer {
    /// Address, without a port.
    pub address: String,
    /// Name in the certificate.
    pub host: String,
    /// Trust in the certificate.
    pub tls: ClientConfig,
}

/// A connection with one link to send.
pub struct TypedSender {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
    sender: Sender,
    retyping: Retyping,
}

impl TypedSender {
    /// Connects as this user, to send to this address.
    pub async fn connect(peer: Peer, virtual_host: &str, user: (&str, &str), address: &str) -> Result<Self> {
        let tcp = TcpStream::connect((peer.address.as_str(), 5671)).await?;
        let tls = TlsConnector::from(Arc::new(peer.tls)).connect(ServerName::try_from(peer.host)?, tcp).await?;
        let retyping = Retyping::default();
        let host = format!("vhost:{virtual_host}");
        let mut connection = Connection::builder()
            .container_id("entente-e2e-typed")
            .hostname(host.as_str())
            .scheme("amqp")
            .sasl_profile(SaslProfile::Plain { username: user.0.to_owned(), password: user.1.to_owned() })
            .open_with_stream(Retyped::new(tls, retyping.clone()))
            .await?;
        let mut session = Session::begin(&mut connection).await?;
        let sender = Sender::attach(&mut session, "typed", address).await?;
        Ok(Self { connection, session, sender, retyping })
    }

    /// Sends a message; its outcome can be waited for later.
    pub async fn post(&mut self, message: &Message, body: &str) -> Result<Pending> {
        let mut application = ApplicationProperties::builder();
        for (name, value) in &message.application {
            application = application.insert(name.clone(), self.simple(value)?);
        }
        let message = messaging::Message {
            header: message.header.priority.map(|priority| Header { priority: Priority(priority), ..Header::default() }),
            delivery_annotations: None,
            message_annotations: None,
            properties: (!message.properties.is_empty()).then(|| properties(message)).transpose()?,
            application_properties: (!message.application.is_empty()).then(|| application.build()),
            body: Data(Binary::from(body.as_bytes().to_vec())),
            footer: None,
        };
        Ok(self.sender.send_batchable(message).await?)
    }

    /// Closes in order.
    pub async fn close(mut self) -> Result<()> {
        self.sender.close().await?;
        self.session.end().await?;
        Ok(self.connection.close().await?)
    }

    fn simple(&self, value: &Value) -> Result<SimpleValue> {
        Ok(match value {
            Value::Null => SimpleValue::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Ubyte(value) => (*value).into(),
            Value::Ushort(value) => (*value).into(),
            Value::Uint(value) => (*value).into(),
            Value::Ulong(value) => (*value).into(),
            Value::Byte(value) => (*value).into(),
            Value::Short(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Long(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Double(value) => (*value).into(),
            Value::Decimal(bytes) => match bytes.len() {
                4 => SimpleValue::Decimal32(<[u8; 4]>::try_from(bytes.as_slice())?.into()),
                8 => SimpleValue::Decimal64(<[u8; 8]>::try_from(bytes.as_slice())?.into()),
                _ => SimpleValue::Decimal128(<[u8; 16]>::try_from(bytes.as_slice())?.into()),
            },
            Value::Char(value) => (*value).into(),
            Value::Timestamp(value) => SimpleValue::Timestamp(Timestamp::from_milliseconds(*value)),
            Value::Uuid(value) => SimpleValue::Uuid((*value).into()),
            Value::Binary(value) => SimpleValue::Binary(Binary::from(value.clone())),
            Value::String(value) => value.clone().into(),
            Value::Symbol(value) => SimpleValue::Symbol(Symbol::from(value.as_str())),
            // The library sends neither: a binary with the same bytes gets its type on the way.
            Value::List(items) => SimpleValue::Binary(Binary::from(self.retyping.add(code::LIST, list(items)?))),
            Value::Array(items) => SimpleValue::Binary(Binary::from(self.retyping.add(code::ARRAY, array(items)?))),
        })
    }
}

fn properties(message: &Message) -> Result<Properties> {
    let mut section = Properties::new();
    for (field, value) in &message.properties {
        let wrong = || format!("{} cannot be {value:?}", field.name());
        match field {
            Field::MessageId => section.message_id = Some(message_id(value).with_context(wrong)?),
            Field::CorrelationId => section.correlation_id = Some(message_id(value).with_context(wrong)?),
            Field::UserId => match value {
                Value::Binary(bytes) => section.user_id = Some(Binary::from(bytes.clone())),
                _ => bail!(wrong()),
            },
            Field::To => section.to = Some(text(value).with_context(wrong)?),
            Field::Subject => section.subject = Some(text(value).with_context(wrong)?),
            Field::ReplyTo => section.reply_to = Some(text(value).with_context(wrong)?),
            Field::GroupId => section.group_id = Some(text(value).with_context(wrong)?),
            Field::ReplyToGroupId => section.reply_to_group_id = Some(text(value).with_context(wrong)?),
            Field::ContentType => section.content_type = Some(symbol(value).with_context(wrong)?),
            Field::ContentEncoding => section.content_encoding = Some(symbol(value).with_context(wrong)?),
            Field::AbsoluteExpiryTime => section.absolute_expiry_time = Some(time(value).with_context(wrong)?),
            Field::CreationTime => section.creation_time = Some(time(value).with_context(wrong)?),
            Field::GroupSequence => match value {
                Value::Uint(number) => section.group_sequence = Some(*number),
                _ => bail!(wrong()),
            },
        }
    }
    Ok(section)
}

fn message_id(value: &Value) -> Option<MessageId> {
    Some(match value {
        Value::String(text) => MessageId::String(text.clone()),
        Value::Ulong(number) => MessageId::Ulong(*number),
        Value::Uuid(bytes) => MessageId::Uuid((*bytes).into()),
        Value::Binary(bytes) => MessageId::Binary(Binary::from(bytes.clone())),
        _ => return None,
    })
}

fn text(value: &Value) -> Option<String> {
    if let Value::String(text) = value { Some(text.clone()) } else { None }
}

fn symbol(value: &Value) -> Option<Symbol> {
    if let Value::Symbol(text) = value { Some(Symbol::from(text.as_str())) } else { None }
}

fn time(value: &Value) -> Option<Timestamp> {
    if let Value::Timestamp(milliseconds) = value { Some(Timestamp::from_milliseconds(*milliseconds)) } else { None }
}

/// What comes after type and length of a short list: how many items, and each with its type.
fn list(items: &[Value]) -> Result<Vec<u8>> {
    let mut bytes = vec![u8::try_from(items.len())?];
    for item in items {
        let (constructor, item) = encode(item)?;
        bytes.push(constructor);
        bytes.extend(item);
    }
    Ok(bytes)
}

/// What comes after type and length of a short array: how many items, their type, and each without it.
fn array(items: &[Value]) -> Result<Vec<u8>> {
    let encoded = items.iter().map(encode).collect::<Result<Vec<_>>>()?;
    let constructor = encoded.first().context("an array without items has no type")?.0;
    anyhow::ensure!(encoded.iter().all(|(other, _)| *other == constructor), "the items of an array are of one type");
    let mut bytes = vec![u8::try_from(items.len())?, constructor];
    bytes.extend(encoded.into_iter().flat_map(|(_, item)| item));
    Ok(bytes)
}

fn encode(value: &Value) -> Result<(u8, Vec<u8>)> {
    Ok(match value {
        Value::Long(number) => (code::LONG, number.to_be_bytes().to_vec()),
        Value::String(text) => {
            let mut bytes = vec![u8::try_from(text.len())?];
            bytes.extend(text.as_bytes());
            (code::STRING, bytes)
        }
        other => bail!("{other:?} in a list or array is not supported"),
    })
}
