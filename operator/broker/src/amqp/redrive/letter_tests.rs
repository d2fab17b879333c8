use fe2o3_amqp_types::{
    messaging::{
        AmqpSequence, AmqpValue, ApplicationProperties, Batch, Body, Data, DeliveryAnnotations, Footer, MessageId, Priority,
        Properties,
        message::{__private::Serializable, DecodeIntoMessage},
    },
    primitives::{Array, Binary, OrderedMap, Symbol, Timestamp},
};
use proptest::prelude::*;

use super::*;

fn annotations(entries: &[(&str, Value)]) -> Annotations {
    entries.iter().map(|(key, value)| (OwnedKey::from(*key), value.clone())).collect()
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// As RabbitMQ delivers a dead letter.
fn dead(body: Body<Value>) -> Incoming {
    Incoming {
        header: Some(Header { durable: true, priority: Priority(7), ttl: Some(500), first_acquirer: true, delivery_count: 21 }),
        delivery_annotations: Some(DeliveryAnnotations(annotations(&[("x-hop", text("gone"))]))),
        message_annotations: Some(MessageAnnotations(annotations(&[
            ("x-opt-own", Value::Long(5)),
            ("x-acquired-count", Value::Ulong(3)),
            ("x-delivery-count", Value::Ulong(2)),
            ("x-exchange", text("orders")),
            ("x-routing-key", text("new")),
            ("x-cc", Value::List(vec![text("other")])),
            ("x-opt-deaths", Value::Binary(Binary::from(vec![1]))),
            ("x-first-death-queue", text("first")),
            ("x-last-death-queue", text("last")),
            ("x-last-death-reason", text("rejected")),
        ]))),
        properties: Some(Properties {
            message_id: Some(MessageId::Ulong(5)),
            user_id: Some(Binary::from(b"me".to_vec())),
            to: Some("to".to_owned()),
            subject: Some("subject".to_owned()),
            correlation_id: Some(MessageId::Binary(Binary::from(vec![0, 255]))),
            content_type: Some(Symbol::from("text/plain")),
            absolute_expiry_time: Some(Timestamp::from_milliseconds(-1)),
            group_sequence: Some(u32::MAX),
            ..Properties::default()
        }),
        application_properties: Some(ApplicationProperties::builder().insert("amount", 12_u8).insert("empty", "").build()),
        body,
        footer: Some(Footer(annotations(&[("x-opt-sum", Value::Ulong(1))]))),
    }
}

/// Over the wire and back, as the library does it.
fn sent(message: Incoming) -> Incoming {
    let bytes = serde_amqp::to_vec(&Serializable(message)).unwrap();
    Body::<Value>::decode_message_from_reader(serde_amqp::read::SliceReader::new(&bytes)).unwrap()
}

fn data(bytes: &[u8]) -> Body<Value> {
    Body::Data(Batch::new(vec![Data(Binary::from(bytes.to_vec()))]))
}

#[test]
fn what_is_the_senders_is_kept_and_what_is_the_brokers_is_not() {
    let letter = dead(data(b"hello"));
    let copy = sent(copy(letter.clone(), "r1"));
    assert_eq!(copy.properties, letter.properties);
    assert_eq!(copy.application_properties, letter.application_properties);
    assert_eq!(copy.body, letter.body);
    assert_eq!(copy.footer, letter.footer);
    let header = Header { durable: true, priority: Priority(7), ttl: Some(500), first_acquirer: false, delivery_count: 0 };
    assert_eq!(copy.header, Some(header));
    assert_eq!(copy.delivery_annotations, None);
    let kept = copy.message_annotations.unwrap();
    assert_eq!(kept.0, annotations(&[("x-opt-own", Value::Long(5)), (RUN, text("r1"))]));
}

#[test]
fn a_run_knows_its_own_and_marks_anew_what_another_moved() {
    let once = copy(dead(data(b"x")), "r1");
    assert!(is_of(&once, "r1") && !is_of(&once, "r2") && !is_of(&dead(data(b"x")), "r1"));
    let twice = copy(once, "r2");
    assert!(is_of(&twice, "r2") && !is_of(&twice, "r1"));
    assert!(is_of(&sent(twice), "r2"));
}

#[test]
fn the_source_is_where_it_died_last() {
    let letter = dead(data(b"x"));
    assert_eq!(source(&letter, "last.dead").as_deref(), Some("last"));
    assert_eq!(source(&letter, "elsewhere").as_deref(), Some("last"));
    let never_died = Incoming { message_annotations: None, ..letter.clone() };
    assert_eq!(source(&never_died, "orders.dead").as_deref(), Some("orders"));
    assert_eq!(source(&never_died, "orders"), None);
    assert_eq!(source(&never_died, ".dead"), None);
    assert_eq!(source(&letter, "last"), None, "a queue cannot give back to itself");
}

#[test]
fn the_user_id_of_others_is_noticed() {
    let letter = dead(data(b"x"));
    assert!(!is_of_other_user(&letter, "me") && is_of_other_user(&letter, "you"));
    assert!(!is_of_other_user(&Incoming { properties: None, ..letter }, "you"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::Ubyte),
        any::<u16>().prop_map(Value::Ushort),
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Ulong),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        any::<f64>().prop_map(|float| Value::Double(float.into())),
        any::<i64>().prop_map(|time| Value::Timestamp(time.into())),
        any::<[u8; 16]>().prop_map(|bytes| Value::Uuid(bytes.into())),
        any::<[u8; 8]>().prop_map(|bytes| Value::Decimal64(bytes.into())),
        any::<char>().prop_map(Value::Char),
        ".*".prop_map(Value::String),
        "[ -~]*".prop_map(|text| Value::Symbol(Symbol(text))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Binary(Binary::from(bytes))),
        prop::collection::vec(any::<i64>().prop_map(Value::Long), 1..5).prop_map(|items| Value::Array(Array::from(items))),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((".*".prop_map(Value::String), inner), 0..5)
                .prop_map(|entries| Value::Map(entries.into_iter().collect::<OrderedMap<_, _>>())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Body<Value>> {
    let section = prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Data(Binary::from(bytes)));
    prop_oneof![
        any_value().prop_map(|value| Body::Value(AmqpValue(value))),
        prop::collection::vec(section, 1..4).prop_map(|sections| Body::Data(Batch::new(sections))),
        prop::collection::vec(prop::collection::vec(any_value(), 0..4).prop_map(AmqpSequence), 1..4)
            .prop_map(|sections| Body::Sequence(Batch::new(sections))),
    ]
}

proptest! {
    /// Read, sent and read again, it is the message that it was, whatever its body.
    #[test]
    fn a_body_of_any_type_is_kept(body in any_body()) {
        let letter = dead(body);
        let copy = sent(copy(sent(letter.clone()), "r"));
        // By how it is shown: what is not a number is not equal to itself.
        prop_assert_eq!(format!("{:?}", copy.body), format!("{:?}", letter.body));
        prop_assert_eq!(copy.properties, letter.properties);
        prop_assert_eq!(copy.footer, letter.footer);
    }
}
