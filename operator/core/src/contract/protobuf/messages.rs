//! Whether a message is as a file says.

use std::collections::BTreeSet;

use super::file::{File, Type};
use super::read;
use super::wire::Reader;
use crate::contract::SchemaError;
use crate::contract::checks::Verdict;

/// A file, and the message of it that is sent.
#[derive(Debug)]
pub struct Messages {
    file: File,
    root: String,
    strict: bool,
}

impl Messages {
    /// Reads a file. Nothing where it does not tell which of its messages is sent: that is the only one that no other has a field of.
    ///
    /// # Errors
    /// It is no .proto file.
    pub fn of(text: &str, strict: bool) -> Result<Option<Self>, SchemaError> {
        let file = read(text)?;
        Ok(root(&file).map(|root| Self { file, root, strict }))
    }

    /// Checks a message in Protobuf's binary encoding.
    pub fn check(&self, message: &[u8]) -> Verdict {
        let mut reader = Reader::new(&self.file, self.strict);
        reader.read(&self.root, message).map_or_else(|stop| stop.at(&reader.way), |()| Verdict::Conforms)
    }
}

fn root(file: &File) -> Option<String> {
    let mut used = BTreeSet::new();
    for (name, message) in &file.messages {
        for field in message.fields.values() {
            let ty = if let Type::Map(_, value) = &field.ty { value } else { &field.ty };
            // One that has itself in it may be sent all the same, and so may one that has fields of what is defined in it.
            if let Type::Named(other) = ty
                && other.split('.').next() != name.split('.').next()
            {
                used.insert(other.as_str());
            }
        }
    }
    let mut roots =
        file.messages.keys().filter(|name| !name.contains('.') && !name.contains(' ') && !used.contains(name.as_str()));
    let root = roots.next()?;
    roots.next().is_none().then(|| root.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::contract::checks::Violation;

    const FILE: &str = r#"
        syntax = "proto2";
        package shop;
        message Order {
          required string id = 1;
          repeated sint32 counts = 2;
          optional Kind kind = 3;
          repeated Line lines = 4;
          map<string, Line> named = 5;
          optional group Extra = 6 { required int32 a = 1; }
          oneof one { fixed64 big = 7; bytes raw = 8; }
          enum Kind { NONE = 0; SOME = 1; LESS = -1; }
        }
        message Line { required uint32 number = 1; optional Line next = 2; }
    "#;

    fn told(strict: bool, message: &[u8]) -> String {
        match Messages::of(FILE, strict).unwrap().unwrap().check(message) {
            Verdict::Conforms => "conforms".to_owned(),
            Verdict::Unchecked => "unchecked".to_owned(),
            Verdict::Violates(Violation { path, rule }) => format!("{path} {rule}"),
        }
    }

    #[test]
    fn fields_are_what_the_file_says() {
        let id = [0x0a, 1, b'x'];
        let with = |more: &[u8]| [&id[..], more].concat();
        for (message, expected) in [
            (with(&[]), "conforms"),
            (vec![], "/id required"),
            (with(&[0x0a, 1, 0xff]), "/id encoding"),
            (vec![0x08, 1], "/id type"),
            (with(&[0x12, 2, 1, 2]), "conforms"),
            (with(&[0x10, 1]), "conforms"),
            (with(&[0x12, 2, 1, 0x80]), "/counts/* encoding"),
            (with(&[0x15, 1, 1, 1, 1]), "/counts/* type"),
            (with(&[0x22, 2, 0x08, 5]), "conforms"),
            (with(&[0x22, 0]), "/lines/*/number required"),
            (with(&[0x22, 4, 0x08, 5, 0x12, 0]), "/lines/*/next/number required"),
            (with(&[0x2a, 7, 0x0a, 1, b's', 0x12, 2, 0x08, 1]), "conforms"),
            (with(&[0x2a, 5, 0x0a, 1, b's', 0x12, 0]), "/named/*/number required"),
            (with(&[0x33, 0x08, 1, 0x34]), "conforms"),
            (with(&[0x33, 0x34]), "/extra/a required"),
            (with(&[0x33, 0x08, 1]), "/extra encoding"),
            (with(&[0x39, 1, 2, 3, 4, 5, 6, 7, 8]), "conforms"),
            (with(&[0x39, 1]), "/big encoding"),
            (with(&[0x42, 9]), "/raw encoding"),
            (with(&[0x00, 1]), " encoding"),
            (with(&[0x0f]), " encoding"),
        ] {
            assert_eq!(told(false, &message), expected, "{message:?}");
        }
    }

    #[test]
    fn what_readers_do_not_know_breaks_strict_alone() {
        let id = [0x0a, 1, b'x'];
        let minus_one = [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        for (more, strict) in [
            (&[0x18, 1][..], "conforms"),
            (&minus_one, "conforms"),
            (&[0x18, 9], "/kind enum-value"),
            (&[0x78, 1], "/* unknown-field"),
            (&[0x7b, 0x08, 1, 0x7c], "/* unknown-field"),
        ] {
            let message = [&id[..], more].concat();
            assert_eq!(told(true, &message), strict, "{more:?}");
            assert_eq!(told(false, &message), "conforms", "{more:?}");
        }
    }

    #[test]
    fn the_message_that_is_sent_is_the_one_that_no_other_has() {
        let root = |text: &str| root(&read(&format!("syntax = \"proto3\"; {text}")).unwrap());
        assert_eq!(root("message A { B b = 1; } message B { int32 a = 1; }").as_deref(), Some("A"));
        assert_eq!(root("message A { A next = 1; message In { int32 a = 1; } In b = 2; }").as_deref(), Some("A"));
        assert_eq!(root("message A { map<string, B> b = 1; } message B { int32 a = 1; }").as_deref(), Some("A"));
        assert_eq!(root("message A { int32 a = 1; } message B { int32 a = 1; }"), None);
        assert_eq!(root("message A { B b = 1; } message B { A a = 1; }"), None);
        assert_eq!(root("enum E { X = 0; }"), None);
    }

    #[test]
    fn what_would_take_long_is_not_checked() {
        let line = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
            let mut line = vec![0x08, 1, 0x12];
            prost::encoding::encode_varint(inner.len() as u64, &mut line);
            line.extend(inner);
            line
        });
        let mut order = vec![0x0a, 1, b'x', 0x22];
        prost::encoding::encode_varint(line.len() as u64, &mut order);
        order.extend(line);
        assert_eq!(told(false, &order), "unchecked");
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Order {
        #[prost(string, required, tag = "1")]
        id: String,
        #[prost(sint32, repeated, tag = "2")]
        counts: Vec<i32>,
        #[prost(int32, optional, tag = "3")]
        kind: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        lines: Vec<Line>,
        #[prost(btree_map = "string, message", tag = "5")]
        named: std::collections::BTreeMap<String, Line>,
        #[prost(bytes = "vec", optional, tag = "8")]
        raw: Option<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Line {
        #[prost(uint32, required, tag = "1")]
        number: u32,
        #[prost(message, optional, boxed, tag = "2")]
        next: Option<Box<Line>>,
    }

    proptest! {
        /// What another's encoder writes conforms, and nothing of it is told once it is cut.
        #[test]
        fn what_is_written_by_another_conforms(id in "[a-z]{1,9}", counts: Vec<i32>, number: u32, raw: Vec<u8>, cut in 0..40_usize) {
            let line = Line { number, next: Some(Box::new(Line { number, next: None })) };
            let named = [("hunter2".to_owned(), line.clone())].into();
            let order = Order { id, counts, kind: Some(-1), lines: vec![line], named, raw: Some(raw) };
            let bytes = order.encode_to_vec();
            prop_assert_eq!(told(true, &bytes), "conforms");
            let cut = told(true, &bytes[..bytes.len().saturating_sub(cut)]);
            prop_assert!(!cut.contains("hunter2"), "{}", cut);
        }

        #[test]
        fn no_bytes_are_too_much(message in proptest::collection::vec(any::<u8>(), 0..200), strict: bool) {
            prop_assert!(told(strict, &message).len() < 300);
        }
    }
}
