//! Checks of messages: whether what is sent under a version is as its schema says.
//!
//! [`place`] is where a sample of the messages is taken at the broker, [`Checker`] puts a message before a schema, [`tally`] counts
//! and says what is worth telling. All are functions of values; messages are read by the operator.
//!
//! - Nothing is held up or refused: a message is looked at once it has gone its way.
//! - What is told of a violation is its place and the rule that is broken, and neither has anything of the message in it: names that the
//!   schema does not have are told as `*`, as are places in lists and keys of maps.
//! - What cannot be decided is no violation: unknown formats and patterns, schemas that take too long, files of Protobuf of which it is not
//!   known which message is sent.
//! - Schemas and messages are written by others: their size, nesting and the work on them are bounded.

mod known;
pub mod place;
pub mod tally;

pub use known::{Key, Known, known};

use entente_crds::service_contract::{Compatibility, SchemaFormat};
use serde_json::Value;

use super::json_schema::Judge;
use super::text::step;
use super::{Policy, SchemaError, avro, protobuf};

/// Largest message that is checked, in bytes.
pub const MOST_BYTES: usize = 256 * 1024;
/// Longest place that is told, in bytes.
const LONGEST_PATH: usize = 256;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Conforms,
    /// The schema does not allow it.
    Violates(Violation),
    /// It was not decided.
    Unchecked,
}

/// What is wrong with a message, without anything of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer into the message: names of the schema, and `*`. Empty for the message as a whole.
    pub path: String,
    /// What is broken: one of a closed set of words, see `docs/contracts.md`.
    pub rule: &'static str,
}

/// A way into a message, for a [`Violation`].
#[derive(Clone, Debug, Default)]
pub struct Way(Vec<String>);

impl Way {
    /// A step to what the schema has a name for.
    pub fn enter(&mut self, name: &str) {
        self.0.push(step(name));
    }

    /// A step to something in a list or a map, or whose name the schema does not have.
    pub fn enter_other(&mut self) {
        self.0.push("*".to_owned());
    }

    /// Back again.
    pub fn leave(&mut self) {
        self.0.pop();
    }

    /// The way in words, as far as it is told.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for step in &self.0 {
            if told.len() + step.len() + 5 > LONGEST_PATH {
                told.push_str("/…");
                break;
            }
            told.push('/');
            told.push_str(step);
        }
        told
    }
}

/// Why a message is not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A rule is broken, where the way has led to.
    Broken(&'static str),
    /// It would take too long.
    TooComplex,
}

impl Stop {
    /// As a verdict.
    pub fn at(self, way: &Way) -> Verdict {
        match self {
            Self::Broken(rule) => Verdict::Violates(Violation { path: way.told(), rule }),
            Self::TooComplex => Verdict::Unchecked,
        }
    }
}

/// Puts messages before a schema.
#[derive(Debug)]
pub struct Checker(Kind);

#[derive(Debug)]
enum Kind {
    Json(Judge),
    Avro(avro::Messages),
    Protobuf(protobuf::Messages),
}

impl Checker {
    /// A checker by a schema. Nothing where messages of its kind are not checked.
    ///
    /// # Errors
    /// The schema cannot be used.
    pub fn of(schema: &str, format: SchemaFormat, how: &Compatibility) -> Result<Option<Self>, SchemaError> {
        let Compatibility { policy, transitive: _, json_encoding } = how;
        let strict = Policy::from(*policy) == Policy::Strict;
        super::fits(schema)?;
        Ok(match format {
            SchemaFormat::JsonSchema => Some(Kind::Json(Judge::of(schema)?)),
            SchemaFormat::Avro => Some(Kind::Avro(avro::Messages::of(schema, *json_encoding, strict)?)),
            // Which of the fields' two names is sent, and how numbers are spelt, is the sender's choice in JSON.
            SchemaFormat::Protobuf if *json_encoding => None,
            SchemaFormat::Protobuf => protobuf::Messages::of(schema, strict)?.map(Kind::Protobuf),
            SchemaFormat::Opaque => None,
        }
        .map(Self))
    }

    /// Checks the bytes of a message.
    pub fn check(&self, message: &[u8]) -> Verdict {
        if message.len() > MOST_BYTES {
            return Verdict::Unchecked;
        }
        match &self.0 {
            Kind::Json(judge) => json(message, |value| judge.judge(value)),
            Kind::Avro(messages) => messages.check(message),
            Kind::Protobuf(messages) => messages.check(message),
        }
    }
}

/// Reads a message that is JSON.
pub(super) fn json(message: &[u8], check: impl FnOnce(&Value) -> Verdict) -> Verdict {
    match serde_json::from_slice(message) {
        Ok(value) => check(&value),
        Err(error) => {
            // It may be JSON all the same, beyond what is read here.
            let text = error.to_string();
            let ours = ["recursion limit", "number out of range"].iter().any(|limit| text.starts_with(limit));
            if ours { Verdict::Unchecked } else { Stop::Broken("encoding").at(&Way::default()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checker(schema: &str, format: SchemaFormat, how: &Value) -> Option<Checker> {
        Checker::of(schema, format, &serde_json::from_value(how.clone()).unwrap()).unwrap()
    }

    fn json_checker() -> Checker {
        checker(r#"{"type": "object"}"#, SchemaFormat::JsonSchema, &json!({})).unwrap()
    }

    #[test]
    fn what_is_no_json_breaks_the_encoding() {
        let broken = Verdict::Violates(Violation { path: String::new(), rule: "encoding" });
        for (message, expected) in [
            (&b"{}"[..], Verdict::Conforms),
            (b"{", broken.clone()),
            (b"", broken.clone()),
            (b"secret", broken.clone()),
            (b"\xff", broken.clone()),
            (b"{} {}", broken),
            (b"1e999", Verdict::Unchecked),
        ] {
            assert_eq!(json_checker().check(message), expected, "{message:?}");
        }
        assert_eq!(json_checker().check("[".repeat(500).as_bytes()), Verdict::Unchecked);
        assert_eq!(json_checker().check(" ".repeat(MOST_BYTES + 1).as_bytes()), Verdict::Unchecked);
    }

    #[test]
    fn what_is_not_checked_has_no_checker() {
        let proto = "syntax = \"proto3\"; message A { int32 a = 1; }";
        assert!(checker("x", SchemaFormat::Opaque, &json!({})).is_none());
        assert!(checker(proto, SchemaFormat::Protobuf, &json!({"jsonEncoding": true})).is_none());
        assert!(checker(proto, SchemaFormat::Protobuf, &json!({})).is_some());
        assert!(Checker::of("{", SchemaFormat::JsonSchema, &Compatibility::default()).is_err());
        assert!(Checker::of(&" ".repeat(300_000), SchemaFormat::JsonSchema, &Compatibility::default()).is_err());
    }

    #[test]
    fn a_place_has_an_end() {
        let mut way = Way::default();
        (0..100).for_each(|_| way.enter("long~name/of a field"));
        let told = way.told();
        assert!(told.len() <= LONGEST_PATH && told.ends_with("/…") && told.starts_with("/long~0name~1of a field/"), "{told}");
        let mut huge = Way::default();
        huge.enter(&"é".repeat(10_000));
        assert_eq!(huge.told(), "/…");
    }
}
