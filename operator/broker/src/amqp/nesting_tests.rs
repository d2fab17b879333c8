use fe2o3_amqp_types::{
    messaging::{Body, Data, Header, Message, annotations::OwnedKey, message::DecodeIntoMessage},
    performatives,
    primitives::{Array, OrderedMap, Symbol, Timestamp, Value},
};
use proptest::prelude::*;
use serde_amqp::{described::Described, descriptor::Descriptor, read::SliceReader};

use super::*;

fn frame(channel: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + FRAME_HEADER).unwrap();
    [&size.to_be_bytes()[..], &[2, 0, 0, channel], body].concat()
}

fn transfer(handle: u32, more: bool, payload: &[u8]) -> Vec<u8> {
    let performative = performatives::Transfer {
        handle: handle.into(),
        delivery_id: Some(7),
        delivery_tag: Some(vec![1, 2, 3].into()),
        message_format: Some(0),
        settled: Some(false),
        more,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    };
    let mut body = serde_amqp::to_vec(&performative).unwrap();
    body.extend_from_slice(payload);
    body
}

/// A value as the body of a message.
fn section(value: &[u8]) -> Vec<u8> {
    [&[0x00, 0x53, 0x77], value].concat()
}

fn nested_lists(depth: usize) -> Vec<u8> {
    (0..depth).fold(vec![0x40], |inner, _| {
        let size = u32::try_from(inner.len() + 4).unwrap();
        [&[0xd0][..], &size.to_be_bytes(), &1_u32.to_be_bytes(), &inner].concat()
    })
}

fn walked(mut payload: Vec<u8>) -> Vec<u8> {
    Walker::default().walk(&mut payload);
    payload
}

fn decode(payload: &[u8]) -> Result<Message<Body<Value>>, serde_amqp::Error> {
    Body::<Value>::decode_message_from_reader(SliceReader::new(payload))
}

#[test]
fn what_is_nested_a_little_passes() {
    let payload = section(&nested_lists(MAX_DEPTH - 1));
    assert_eq!(walked(payload.clone()), payload);
    decode(&payload).unwrap();
}

#[test]
fn what_is_nested_deeply_fails_to_decode_and_nothing_worse() {
    for depth in [MAX_DEPTH, 1000, 20_000] {
        let payload = walked(section(&nested_lists(depth)));
        assert!(decode(&payload).is_err(), "{depth}");
    }
}

#[test]
fn descriptions_of_descriptions_are_nesting_too() {
    let payload = walked([vec![0x00; 5000], section(&[0x40])].concat());
    assert!(payload[MAX_DEPTH..].iter().all(|byte| *byte == POISON));
    assert!(decode(&payload).is_err());
}

#[test]
fn arrays_of_arrays_are_nesting_too() {
    let arrays = (0..2000).fold(vec![0x40], |inner: Vec<u8>, _| {
        let size = u32::try_from(inner.len() + 4).unwrap();
        [&[0xf0][..], &size.to_be_bytes(), &1_u32.to_be_bytes(), &inner].concat()
    });
    assert!(decode(&walked(section(&arrays))).is_err());
}

#[test]
fn what_is_hidden_by_a_wrong_size_is_not_decoded() {
    // A list of one element that claims to be shorter than its element: whoever trusts the size reads
    // the lists inside the binary.
    let hidden = nested_lists(5000);
    let length = u32::try_from(hidden.len()).unwrap();
    let value = [&[0xc0, 7, 1, 0xb0][..], &length.to_be_bytes(), &hidden].concat();
    let payload = walked(section(&value));
    assert!(payload[payload.len() - hidden.len()..].iter().all(|byte| *byte == POISON));
    let _ = decode(&payload);

    // A list that claims to be longer than its elements.
    let value = [&[0xc0, 200, 1, 0x40][..], &hidden].concat();
    let payload = walked(section(&value));
    assert!(payload[payload.len() - hidden.len()..].iter().all(|byte| *byte == POISON));
    let _ = decode(&payload);
}

/// The decoder computes with these without looking, and panics.
#[test]
fn impossible_sizes_and_counts_fail_to_decode() {
    let long = |code: u8, size: u32, count: u32| [&[code][..], &size.to_be_bytes(), &count.to_be_bytes(), &[0x40; 9]].concat();
    let mut values =
        vec![vec![0xc0, 0, 0], vec![0xc1, 0, 0], vec![0xe0, 0, 0], vec![0xc1, 2, 1, 0x40], vec![0xc1, 4, 3, 0x40, 0x40, 0x40]];
    for code in [0xd0, 0xd1, 0xf0] {
        values.extend((0..4).map(|size| long(code, size, 1)));
    }
    values.push(long(0xd1, 5, 1));
    for value in values {
        assert!(decode(&walked(section(&value))).is_err(), "{value:02x?}");
    }
}

#[test]
fn nested_bytes_in_a_binary_are_just_bytes() {
    let hidden = nested_lists(5000);
    let length = u32::try_from(hidden.len()).unwrap();
    let payload = section(&[&[0xb0][..], &length.to_be_bytes(), &hidden].concat());
    assert_eq!(walked(payload.clone()), payload);
}

#[test]
fn an_array_of_billions_of_nothings_takes_no_time() {
    let value = [&[0xf0][..], &5_u32.to_be_bytes(), &u32::MAX.to_be_bytes(), &[0x40]].concat();
    let payload = section(&value);
    assert_eq!(walked(payload.clone()), payload);
}

#[test]
fn only_the_guilty_delivery_is_changed() {
    let good = section(b"\xa1\x02ok");
    let bad = section(&nested_lists(1000));
    let (first, second) = bad.split_at(150);
    let frames = [
        b"AMQP\x00\x01\x00\x00".to_vec(),
        frame(0, &serde_amqp::to_vec(&performatives::Close { error: None }).unwrap()),
        frame(0, b""),
        // Two deliveries interleaved, on links of the same number in two sessions.
        frame(1, &transfer(0, true, first)),
        frame(2, &transfer(0, false, &good)),
        frame(1, &transfer(0, false, second)),
        frame(1, &transfer(0, false, &good)),
    ];
    let mut stream = frames.concat();
    Guard::new().filter(&mut stream);
    let mut at = 0;
    for (number, frame) in frames.iter().enumerate() {
        let changed = stream[at..at + frame.len()] != frame[..];
        assert_eq!(changed, number == 5, "frame {number}");
        at += frame.len();
    }
}

/// As RabbitMQ 4.3.6 delivers a message that was dead-lettered: an array of maps of arrays.
fn dead_lettered() -> Vec<u8> {
    let hex: Vec<u8> = include_bytes!("testdata/dead-lettered.hex").iter().copied().filter(u8::is_ascii_hexdigit).collect();
    hex.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_dead_lettered_message_decodes() {
    let payload = dead_lettered();
    assert!(
        decode(&payload).is_err(),
        "if the decoder has learned arrays of maps, binaries in their place are not needed any more"
    );
    let changed = walked(payload.clone());
    assert_eq!(changed.iter().zip(&payload).filter(|(a, b)| a != b).count(), 1);
    let message = decode(&changed).unwrap();
    let annotations = message.message_annotations.unwrap();
    let reason = annotations.0.iter().find(|(key, _)| **key == OwnedKey::from("x-first-death-reason")).unwrap().1;
    assert_eq!(*reason, Value::String("expired".to_owned()));
    assert_eq!(message.body, Body::Data(vec![Data(b"x".to_vec().into())].into()));
}

#[test]
fn an_array_in_another_section_stays_one() {
    let array = serde_amqp::to_vec(&Value::Array(Array(vec![Value::Uint(1000)]))).unwrap();
    let payload = section(&array);
    assert_eq!(walked(payload.clone()), payload);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::Ubyte),
        any::<u16>().prop_map(Value::Ushort),
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Ulong),
        any::<i64>().prop_map(Value::Long),
        any::<i64>().prop_map(|t| Value::Timestamp(Timestamp::from(t))),
        any::<char>().prop_map(Value::Char),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Value::Binary(b.into())),
        ".*".prop_map(Value::String),
        "[a-z]*".prop_map(|s| Value::Symbol(Symbol(s))),
        prop::collection::vec(any::<u32>(), 0..5).prop_map(|v| Value::Array(Array(v.into_iter().map(Value::Uint).collect()))),
        prop::collection::vec("[a-z]{0,9}", 1..5).prop_map(|v| Value::Array(Array(v.into_iter().map(Value::String).collect()))),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((".{0,4}", inner.clone()), 0..6).prop_map(|entries| {
                let mut map = OrderedMap::new();
                for (key, value) in entries {
                    map.insert(Value::String(key), value);
                }
                Value::Map(map)
            }),
            inner.prop_map(|value| Value::Described(Box::new(Described { descriptor: Descriptor::Code(0x1234), value }))),
        ]
    })
}

/// Bytes that look like values more often than chance has it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let codes = vec![
        0x00, 0x40, 0x41, 0x43, 0x44, 0x45, 0x50, 0x52, 0x53, 0x54, 0x56, 0x60, 0x70, 0x71, 0x73, 0x77, 0x80, 0x83, 0x98, 0xa0,
        0xa1, 0xa3, 0xb0, 0xb1, 0xb3, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0,
    ];
    prop::collection::vec(prop_oneof![3 => prop::sample::select(codes), 3 => 0_u8..9, 1 => any::<u8>()], 0..120)
}

proptest! {
    #[test]
    fn ordinary_messages_pass_unchanged_in_pieces_of_any_size(
        values in prop::collection::vec(value(), 1..4),
        piece in 1_usize..50,
        split in any::<prop::sample::Index>(),
    ) {
        let header = serde_amqp::to_vec(&Header { durable: true, ..Header::default() }).unwrap();
        let mut stream = b"AMQP\x00\x01\x00\x00".to_vec();
        for value in &values {
            let payload = [header.clone(), section(&serde_amqp::to_vec(value).unwrap())].concat();
            let (first, second) = payload.split_at(split.index(payload.len()));
            stream.extend(frame(3, &transfer(300, true, first)));
            stream.extend(frame(3, &transfer(300, false, second)));
        }
        let mut filtered = stream.clone();
        let mut guard = Guard::new();
        for piece in filtered.chunks_mut(piece) {
            guard.filter(piece);
        }
        prop_assert_eq!(filtered, stream);
        prop_assert!(guard.unfinished.is_empty());
    }

    #[test]
    fn pieces_make_no_difference(bytes in bytes(), piece in 1_usize..20) {
        let whole = walked(bytes.clone());
        let mut pieces = bytes;
        let mut walker = Walker::default();
        for piece in pieces.chunks_mut(piece) {
            walker.walk(piece);
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn no_bytes_make_it_fail(bytes in bytes()) {
        let mut filtered = bytes.clone();
        Guard::new().filter(&mut filtered);
        let mut in_transfer = frame(0, &transfer(0, false, &bytes));
        Guard::new().filter(&mut in_transfer);
        let _ = decode(&walked(section(&bytes)));
    }

    #[test]
    fn data_of_any_size_passes(body in prop::collection::vec(any::<u8>(), 0..2000)) {
        let message = Message::<Data>::from(Data(body.into()));
        let payload = serde_amqp::to_vec(&fe2o3_amqp_types::messaging::message::__private::Serializable(message)).unwrap();
        prop_assert_eq!(walked(payload.clone()), payload);
    }
}
