//! A schema taken apart: nodes that refer to each other by number, references resolved.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::decimal::Decimal;
use super::pattern::Pattern;

/// A node's number.
pub type Id = usize;

/// A set of types. An integer is a number without a fraction, so that "number" is two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Types(pub u8);

impl Types {
    pub const NULL: Self = Self(1);
    pub const BOOLEAN: Self = Self(2);
    pub const INTEGER: Self = Self(4);
    pub const FRACTION: Self = Self(8);
    pub const NUMBER: Self = Self(12);
    pub const STRING: Self = Self(16);
    pub const ARRAY: Self = Self(32);
    pub const OBJECT: Self = Self(64);
    pub const ALL: Self = Self(127);
    pub const NONE: Self = Self(0);

    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if Decimal::of(number).is_some_and(Decimal::is_integer) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// One set for each type in it.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..7).map(|bit| Self(1 << bit)).filter(move |single| self.has(*single))
    }

    pub fn show(self) -> String {
        if self == Self::ALL {
            return "any type".into();
        }
        let names = [
            (Self::NULL, "null"),
            (Self::BOOLEAN, "boolean"),
            (Self::NUMBER, "number"),
            (Self::STRING, "string"),
            (Self::ARRAY, "array"),
            (Self::OBJECT, "object"),
        ];
        let text: Vec<&str> = names
            .into_iter()
            .filter_map(|(types, name)| match self.and(types) {
                Self::NONE => None,
                Self::INTEGER => Some("integer"),
                Self::FRACTION => Some("number with a fraction"),
                _ => Some(name),
            })
            .collect();
        if text.is_empty() { "nothing".into() } else { text.join(", ") }
    }
}

/// What a schema's closed and open objects mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reading {
    /// As the specification has it.
    Exact,
    /// The writer's under Lenient: an object that names properties has no others.
    Writer,
    /// The reader's under Lenient: what is not named is passed over.
    Reader,
}

/// The rules by which a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Draft {
    Seven,
    Latest,
}

/// What a schema says: by words and references, see [`super::meaning`], and by the rules for them.
pub type Meaning = (Draft, u32);

/// The least or greatest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub value: Decimal,
    pub exclusive: bool,
}

/// `contains` with its counts.
#[derive(Debug, Clone, Copy)]
pub struct Contains {
    pub schema: Id,
    pub min: u64,
    pub max: Option<u64>,
}

/// `if` with what follows.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    pub test: Id,
    pub then: Option<Id>,
    pub otherwise: Option<Id>,
}

/// A schema. Keywords that are absent have the value that lets everything through.
#[derive(Debug, Clone)]
pub struct Node {
    pub reading: Reading,
    /// Two with one number are the same text.
    pub words: u32,
    /// Two with one meaning let the same values through, in one reading. Nothing where references lead round.
    pub meaning: Option<Meaning>,
    /// The text of the schema, to be shown; nothing if it has references, whose text does not tell what they mean.
    pub text: Option<String>,
    /// `false`: nothing is valid.
    pub never: bool,
    pub types: Types,
    pub values: Option<Vec<Value>>,
    /// The keys of many values: to compare each with each would take long.
    pub keys: Option<HashSet<String>>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<Decimal>,
    pub min_length: u64,
    pub max_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub format: Option<String>,
    pub content: Option<String>,
    pub prefix: Vec<Id>,
    pub items: Option<Id>,
    pub min_items: u64,
    pub max_items: Option<u64>,
    pub unique: bool,
    pub contains: Option<Contains>,
    pub properties: BTreeMap<String, Id>,
    pub patterns: Vec<(Pattern, Id)>,
    pub additional: Option<Id>,
    pub required: BTreeSet<String>,
    pub min_properties: u64,
    pub max_properties: Option<u64>,
    pub names: Option<Id>,
    pub dependent_required: BTreeMap<String, BTreeSet<String>>,
    pub dependent_schemas: BTreeMap<String, Id>,
    pub reference: Option<Id>,
    pub all: Vec<Id>,
    pub any: Vec<Id>,
    pub one: Vec<Id>,
    pub not: Option<Id>,
    pub condition: Option<Condition>,
    /// Keywords whose meaning is not worked out: nothing is proven about a reader that has them.
    pub unknown: Vec<&'static str>,
    /// Values that the schema's author gives: `default`, `examples`.
    pub examples: Vec<Value>,
}

impl Node {
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            words: 0,
            meaning: None,
            text: None,
            never: false,
            types: Types::ALL,
            values: None,
            keys: None,
            minimum: None,
            maximum: None,
            multiple_of: None,
            min_length: 0,
            max_length: None,
            pattern: None,
            format: None,
            content: None,
            prefix: Vec::new(),
            items: None,
            min_items: 0,
            max_items: None,
            unique: false,
            contains: None,
            properties: BTreeMap::new(),
            patterns: Vec::new(),
            additional: None,
            required: BTreeSet::new(),
            min_properties: 0,
            max_properties: None,
            names: None,
            dependent_required: BTreeMap::new(),
            dependent_schemas: BTreeMap::new(),
            reference: None,
            all: Vec::new(),
            any: Vec::new(),
            one: Vec::new(),
            not: None,
            condition: None,
            unknown: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// The schemas that apply to the same value, each in its way. A cycle of them would have no end.
    pub fn in_place(&self) -> Vec<Id> {
        let condition = self.condition.iter().flat_map(|c| [Some(c.test), c.then, c.otherwise]).flatten();
        self.reference
            .into_iter()
            .chain(self.all.iter().copied())
            .chain(self.any.iter().copied())
            .chain(self.one.iter().copied())
            .chain(self.not)
            .chain(condition)
            .chain(self.dependent_schemas.values().copied())
            .collect()
    }

    /// Whether its `enum` and `const` let a value through.
    pub fn lists(&self, value: &Value) -> bool {
        match (&self.keys, &self.values) {
            (Some(keys), _) => keys.contains(&super::validate::key(value)),
            (None, Some(values)) => values.iter().any(|other| super::validate::equal(other, value)),
            (None, None) => true,
        }
    }

    /// Under [`Reading::Writer`]: whether it closes the object.
    pub fn closes(&self) -> bool {
        self.reading == Reading::Writer && (!self.properties.is_empty() || !self.patterns.is_empty())
    }
}
