//! A received message as filters see it.

use entente_core::filter::{Field, Header, Message, Value};
use fe2o3_amqp_types::{
    messaging::{MessageId, Properties},
    primitives::SimpleValue,
};

use crate::amqp::message::Incoming;

/// The sections that a filter can speak of.
pub(in crate::amqp) fn seen(message: &Incoming) -> Message {
    let application = message.application_properties.iter().flat_map(|section| section.iter());
    Message {
        header: Header { priority: message.header.as_ref().map(|header| header.priority.0) },
        properties: message.properties.as_ref().map(properties).into_iter().flatten().collect(),
        application: application.map(|(name, property)| (name.clone(), value(property))).collect(),
    }
}

fn properties(section: &Properties) -> Vec<(Field, Value)> {
    let Properties {
        message_id,
        user_id,
        to,
        subject,
        reply_to,
        correlation_id,
        content_type,
        content_encoding,
        absolute_expiry_time,
        creation_time,
        group_id,
        group_sequence,
        reply_to_group_id,
    } = section;
    let text = |text: &Option<String>| text.clone().map(Value::String);
    [
        (Field::MessageId, message_id.as_ref().map(id)),
        (Field::UserId, user_id.as_ref().map(|user| Value::Binary(user.to_vec()))),
        (Field::To, text(to)),
        (Field::Subject, text(subject)),
        (Field::ReplyTo, text(reply_to)),
        (Field::CorrelationId, correlation_id.as_ref().map(id)),
        (Field::ContentType, content_type.clone().map(|symbol| Value::Symbol(symbol.0))),
        (Field::ContentEncoding, content_encoding.clone().map(|symbol| Value::Symbol(symbol.0))),
        (Field::AbsoluteExpiryTime, absolute_expiry_time.clone().map(|time| Value::Timestamp(time.into_inner()))),
        (Field::CreationTime, creation_time.clone().map(|time| Value::Timestamp(time.into_inner()))),
        (Field::GroupId, text(group_id)),
        (Field::GroupSequence, group_sequence.map(Value::Uint)),
        (Field::ReplyToGroupId, text(reply_to_group_id)),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field, value?)))
    .collect()
}

fn id(id: &MessageId) -> Value {
    match id {
        MessageId::Ulong(number) => Value::Ulong(*number),
        MessageId::Uuid(uuid) => Value::Uuid(*uuid.as_ref()),
        MessageId::Binary(bytes) => Value::Binary(bytes.to_vec()),
        MessageId::String(text) => Value::String(text.clone()),
    }
}

fn value(value: &SimpleValue) -> Value {
    match value.clone() {
        // AMQP has no described values here; no filter looks into one.
        SimpleValue::Null | SimpleValue::Described(_) => Value::Null,
        SimpleValue::Bool(value) => Value::Boolean(value),
        SimpleValue::Ubyte(value) => Value::Ubyte(value),
        SimpleValue::Ushort(value) => Value::Ushort(value),
        SimpleValue::Uint(value) => Value::Uint(value),
        SimpleValue::Ulong(value) => Value::Ulong(value),
        SimpleValue::Byte(value) => Value::Byte(value),
        SimpleValue::Short(value) => Value::Short(value),
        SimpleValue::Int(value) => Value::Int(value),
        SimpleValue::Long(value) => Value::Long(value),
        SimpleValue::Float(value) => Value::Float(value.into()),
        SimpleValue::Double(value) => Value::Double(value.into()),
        SimpleValue::Decimal32(value) => Value::Decimal(value.into_inner().to_vec()),
        SimpleValue::Decimal64(value) => Value::Decimal(value.into_inner().to_vec()),
        SimpleValue::Decimal128(value) => Value::Decimal(value.into_inner().to_vec()),
        SimpleValue::Char(value) => Value::Char(value),
        SimpleValue::Timestamp(value) => Value::Timestamp(value.into_inner()),
        SimpleValue::Uuid(value) => Value::Uuid(value.into_inner()),
        SimpleValue::Binary(value) => Value::Binary(value.to_vec()),
        SimpleValue::String(value) => Value::String(value),
        SimpleValue::Symbol(value) => Value::Symbol(value.0),
    }
}

#[cfg(test)]
mod tests {
    use entente_core::filter::parse;
    use fe2o3_amqp_types::{
        messaging::{ApplicationProperties, Body, Header as AmqpHeader, Priority},
        primitives::{Binary, Symbol, Timestamp},
    };

    use super::*;

    fn message() -> Incoming {
        Incoming {
            header: Some(AmqpHeader { priority: Priority(7), ..AmqpHeader::default() }),
            delivery_annotations: None,
            message_annotations: None,
            properties: Some(Properties {
                message_id: Some(MessageId::Ulong(5)),
                user_id: Some(Binary::from(b"me".to_vec())),
                subject: Some("orders.new".to_owned()),
                content_type: Some(Symbol::from("text/plain")),
                creation_time: Some(Timestamp::from_milliseconds(1000)),
                group_sequence: Some(3),
                ..Properties::default()
            }),
            application_properties: Some(
                ApplicationProperties::builder().insert("country", "NL").insert("amount", 12_i32).build(),
            ),
            body: Body::Empty,
            footer: None,
        }
    }

    #[test]
    fn every_section_is_seen() {
        let seen = seen(&message());
        for (filter, expected) in [
            ("header.priority = 7", true),
            ("properties.message_id = 5", true),
            ("properties.user_id = 'me'", true),
            ("properties.subject LIKE 'orders.%'", true),
            ("properties.content_type = 'text/plain'", true),
            ("properties.creation_time = 1000 AND properties.group_sequence = 3", true),
            ("country = 'NL' AND amount > 10", true),
            ("country = 'BE'", false),
            ("properties.to IS NULL AND absent IS NULL", true),
        ] {
            let expression = parse(filter).unwrap();
            assert_eq!(expression.matches(&seen, jiff::Timestamp::UNIX_EPOCH), expected, "{filter}");
        }
    }

    #[test]
    fn a_message_without_sections_is_seen_too() {
        let bare = Incoming { header: None, properties: None, application_properties: None, ..message() };
        let expression = parse("header.priority = 4 AND country IS NULL").unwrap();
        assert!(expression.matches(&seen(&bare), jiff::Timestamp::UNIX_EPOCH));
    }
}
