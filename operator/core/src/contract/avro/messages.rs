//! Whether a message is as a writer's schema says: in Avro's binary encoding, or as JSON.

use serde_json::Value;

use super::datum::Datum;
use super::schema::{Id, Kind, Schema};
use crate::contract::SchemaError;
use crate::contract::checks::{Stop, Verdict, Way, json};
use crate::contract::text;

/// What begins the single-object encoding: a mark, and the fingerprint of the schema.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];
const FINGERPRINT: usize = 8;
/// Most values of a message in JSON that are looked at: of a union's branches more than one may be.
const STEPS: u64 = 300_000;

/// A schema that messages are put before.
#[derive(Debug)]
pub struct Messages {
    schema: Schema,
    json: bool,
    strict: bool,
}

impl Messages {
    /// Reads a schema. Under `strict` a record in JSON has no fields but its own.
    ///
    /// # Errors
    /// It is no Avro schema.
    pub fn of(schema: &str, json: bool, strict: bool) -> Result<Self, SchemaError> {
        Ok(Self { schema: Schema::parse(&text::json(schema)?)?, json, strict })
    }

    /// Checks a message.
    pub fn check(&self, message: &[u8]) -> Verdict {
        if self.json {
            return json(message, |value| {
                let mut reading = Reading { messages: self, steps: 0, way: Way::default() };
                reading.value(self.schema.root, value).map_or_else(|stop| stop.at(&reading.way), |()| Verdict::Conforms)
            });
        }
        let plain = self.read(message);
        // The mark may be the beginning of plain bytes as well. The fingerprint is not compared.
        let single = message.strip_prefix(&SINGLE_OBJECT).and_then(|rest| rest.get(FINGERPRINT..));
        match (plain, single) {
            (Verdict::Violates(_), Some(rest)) => self.read(rest),
            (plain, _) => plain,
        }
    }

    fn read(&self, message: &[u8]) -> Verdict {
        let mut datum = Datum::new(&self.schema, message);
        datum.read().map_or_else(|stop| stop.at(&datum.way), |()| Verdict::Conforms)
    }
}

struct Reading<'a> {
    messages: &'a Messages,
    steps: u64,
    way: Way,
}

impl Reading<'_> {
    fn value(&mut self, id: Id, value: &Value) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps > STEPS {
            return Err(Stop::TooComplex);
        }
        let messages = self.messages;
        match (&messages.schema.types[id].kind, value) {
            (Kind::Null, Value::Null)
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::Float | Kind::Double, Value::Number(_))
            | (Kind::String, Value::String(_)) => Ok(()),
            // Each character is a byte.
            (Kind::Bytes, Value::String(text)) if text.chars().all(|char| u32::from(char) < 256) => Ok(()),
            (Kind::Float | Kind::Double, Value::String(text)) if ["NaN", "Infinity", "-Infinity"].contains(&text.as_str()) => {
                Ok(())
            }
            (Kind::Int, Value::Number(number)) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => Ok(()),
            (Kind::Long, Value::Number(number)) if number.is_i64() => Ok(()),
            (Kind::Fixed(size), Value::String(text)) if text.chars().count() as u64 == *size => Ok(()),
            (Kind::Enum { symbols, .. }, Value::String(text)) => {
                if symbols.contains(text) {
                    Ok(())
                } else {
                    Err(Stop::Broken("enum-symbol"))
                }
            }
            (Kind::Array(items), Value::Array(list)) => {
                self.way.enter_other();
                list.iter().try_for_each(|value| self.value(*items, value))?;
                self.way.leave();
                Ok(())
            }
            (Kind::Map(values), Value::Object(map)) => {
                self.way.enter_other();
                map.values().try_for_each(|value| self.value(*values, value))?;
                self.way.leave();
                Ok(())
            }
            (Kind::Record(fields), Value::Object(map)) => {
                for field in fields {
                    self.way.enter(&field.name);
                    let value = map.get(&field.name).ok_or(Stop::Broken("required"))?;
                    self.value(field.schema, value)?;
                    self.way.leave();
                }
                if messages.strict && map.keys().any(|name| fields.iter().all(|field| field.name != *name)) {
                    self.way.enter_other();
                    return Err(Stop::Broken("unknown-field"));
                }
                Ok(())
            }
            (Kind::Union(branches), value) => self.branch(branches, value),
            _ => Err(Stop::Broken("type")),
        }
    }

    /// `null`, or an object with the branch's name.
    fn branch(&mut self, branches: &[Id], value: &Value) -> Result<(), Stop> {
        let types = &self.messages.schema.types;
        let labelled = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
        let found = match (value, labelled) {
            (Value::Null, _) => branches.iter().find(|id| types[**id].kind == Kind::Null).map(|id| (*id, value)),
            (_, Some((label, inner))) => branches.iter().find(|id| types[**id].label() == *label).map(|id| (*id, inner)),
            _ => None,
        };
        let (id, inner) = found.ok_or(Stop::Broken("union"))?;
        self.value(id, inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contract::checks::Violation;

    fn schema() -> Value {
        json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
            {"name": "id", "type": "string"},
            {"name": "count", "type": "int"},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "note", "type": ["null", "string"]},
            {"name": "tags", "type": {"type": "map", "values": "boolean"}},
            {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
                {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}}, {"name": "next", "type": ["null", "Line"]}]}}},
        ]})
    }

    fn told(json: bool, message: &[u8]) -> String {
        let messages = Messages::of(&schema().to_string(), json, json).unwrap();
        match messages.check(message) {
            Verdict::Conforms => "conforms".to_owned(),
            Verdict::Unchecked => "unchecked".to_owned(),
            Verdict::Violates(Violation { path, rule }) => format!("{path} {rule}"),
        }
    }

    /// id "ab", count 1, kind B, no note, one tag, two lines.
    const GOOD: [u8; 18] = [4, b'a', b'b', 2, 2, 0, 2, 2, b'k', 1, 0, 3, 6, 9, 9, 0, 0, 0];

    #[test]
    fn bytes_are_read_to_their_end() {
        let mut good = GOOD.to_vec();
        // One line in a block with a size.
        good.truncate(11);
        good.extend([1, 6, 9, 9, 0, 0]);
        assert_eq!(told(false, &good), "conforms");
        let with = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            changed
        };
        for (message, expected) in [
            (good[..2].to_vec(), "/id encoding"),
            (with(1, 0xff), "/id encoding"),
            (with(4, 4), "/kind enum-symbol"),
            (with(5, 4), "/note union"),
            (with(9, 2), "/tags/* encoding"),
            (with(15, 8), "/lines/*/next union"),
            ([&good[..], &[0]].concat(), " trailing"),
            ([&good[..3], &[0x80, 0x80, 0x80, 0x80, 0x20], &good[4..]].concat(), "/count type"),
            (vec![], "/id encoding"),
            ([&[0xc3, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &good[..]].concat(), "conforms"),
            ([&[0xc3, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &with(4, 4)[..]].concat(), "/kind enum-symbol"),
        ] {
            assert_eq!(told(false, &message), expected, "{message:?}");
        }
    }

    #[test]
    fn json_is_avros_own() {
        let good = json!({"id": "ab", "count": 1, "kind": "A", "note": null, "tags": {"secret": true},
            "lines": [{"hash": "\u{ff}a", "next": {"shop.Line": {"hash": "bb", "next": null}}}]});
        let with = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed
        };
        let mut more = good.clone();
        more["secret"] = json!(1);
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove("note");
        for (message, expected) in [
            (good.clone(), "conforms"),
            (with("/count", json!(3_000_000_000_i64)), "/count type"),
            (with("/kind", json!("C")), "/kind enum-symbol"),
            (with("/note", json!("plain")), "/note union"),
            (with("/note", json!({"string": "s"})), "conforms"),
            (with("/note", json!({"secret": "s"})), "/note union"),
            (with("/tags/secret", json!(1)), "/tags/* type"),
            (with("/lines/0/hash", json!("abc")), "/lines/*/hash type"),
            (with("/lines/0/next", json!({"shop.Line": {"hash": "bb"}})), "/lines/*/next/next required"),
            (less, "/note required"),
            (more, "/* unknown-field"),
        ] {
            assert_eq!(told(true, message.to_string().as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn what_would_take_long_is_not_checked() {
        let nothing = Messages::of(r#"{"type": "array", "items": "null"}"#, false, false).unwrap();
        // 2^62 values without a byte.
        let message = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        assert_eq!(nothing.check(&message), Verdict::Unchecked);
        let list = r#"{"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}"#;
        assert_eq!(Messages::of(list, false, false).unwrap().check(&[2; 1_000]), Verdict::Unchecked);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(message in proptest::collection::vec(any::<u8>(), 0..200), json: bool) {
            let told = told(json, &message);
            prop_assert!(told.len() < 300);
        }
    }
}
