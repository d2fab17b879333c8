//! What a received message says of itself, for whoever looks at messages of others.

use fe2o3_amqp_types::{
    messaging::{AmqpValue, Body, annotations::OwnedKey},
    primitives::Value,
};

use super::message::Incoming;

/// Annotation with the exchange that a message was sent to.
const EXCHANGE: &str = "x-exchange";
/// Content encodings that are none.
const PLAIN: [&str; 4] = ["", "identity", "utf-8", "UTF-8"];

/// The exchange that a message was sent to, as the broker tells it: a sender that writes this annotation finds it replaced.
pub fn exchange(message: &Incoming) -> Option<&str> {
    let is_exchange = |key: &OwnedKey| matches!(key, OwnedKey::Symbol(key) if key.as_str() == EXCHANGE);
    let (_, value) = message.message_annotations.as_ref()?.iter().find(|(key, _)| is_exchange(key))?;
    if let Value::String(name) = value { Some(name) } else { None }
}

/// The payload: data sections one after another, or a value that is a text or bytes. Nothing of other bodies, nor of one that is
/// encoded once more, such as compressed.
pub fn payload(message: &Incoming) -> Option<Vec<u8>> {
    let encoding = message.properties.as_ref().and_then(|properties| properties.content_encoding.as_ref());
    if encoding.is_some_and(|encoding| !PLAIN.contains(&encoding.as_str())) {
        return None;
    }
    match &message.body {
        Body::Data(sections) => Some(sections.iter().flat_map(|data| data.0.iter().copied()).collect()),
        Body::Value(AmqpValue(Value::String(text))) => Some(text.clone().into_bytes()),
        Body::Value(AmqpValue(Value::Binary(bytes))) => Some(bytes.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::{
        messaging::{Batch, Data, MessageAnnotations, Properties, annotations::Annotations},
        primitives::{Binary, Symbol},
    };

    use super::*;

    fn message(body: Body<Value>, encoding: Option<&str>) -> Incoming {
        Incoming {
            header: None,
            delivery_annotations: None,
            message_annotations: None,
            properties: Some(Properties { content_encoding: encoding.map(Symbol::from), ..Properties::default() }),
            application_properties: None,
            body,
            footer: None,
        }
    }

    #[test]
    fn a_payload_is_bytes_or_a_text() {
        let data = |parts: &[&[u8]]| {
            let sections: Vec<Data> = parts.iter().map(|part| Data(Binary::from(part.to_vec()))).collect();
            Body::Data(Batch::new(sections))
        };
        let value = |value: Value| Body::Value(AmqpValue(value));
        for (body, encoding, expected) in [
            (data(&[b"ab", b"c"]), None, Some(b"abc".to_vec())),
            (data(&[b"abc"]), Some("gzip"), None),
            (data(&[b"abc"]), Some("utf-8"), Some(b"abc".to_vec())),
            (value(Value::String("abc".into())), None, Some(b"abc".to_vec())),
            (value(Value::Binary(Binary::from(b"abc".to_vec()))), None, Some(b"abc".to_vec())),
            (value(Value::Int(5)), None, None),
            (Body::Empty, None, None),
        ] {
            assert_eq!(payload(&message(body.clone(), encoding)), expected, "{body:?} {encoding:?}");
        }
    }

    #[test]
    fn the_exchange_is_an_annotation() {
        let mut sent = message(Body::Empty, None);
        assert_eq!(exchange(&sent), None);
        let mut annotations = Annotations::new();
        annotations.insert("x-routing-key".into(), Value::String("k".into()));
        annotations.insert(EXCHANGE.into(), Value::String("contract.orders.v1.placed".into()));
        sent.message_annotations = Some(MessageAnnotations(annotations));
        assert_eq!(exchange(&sent), Some("contract.orders.v1.placed"));
    }
}
