//! The keywords of one schema that hold no other schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::decimal::Decimal;
use super::node::{Bound, Node, Types};
use super::pattern::Pattern;
use super::validate;
use crate::contract::SchemaError;

/// Most values of an `enum`.
const MAX_VALUES: usize = 5_000;

/// Values that are compared one by one.
const FEW: usize = 8;

/// What is read, or why it is not.
pub type Parsed<T> = Result<T, SchemaError>;

/// The keywords of one schema, and where it is.
pub struct Keywords<'a, 'p> {
    pub pointer: &'p str,
    pub map: &'a Map<String, Value>,
}

impl<'a> Keywords<'a, '_> {
    pub fn wrong(&self, keyword: &str, problem: &str) -> SchemaError {
        SchemaError::at(format!("{}/{keyword}", self.pointer), format!("{keyword} {problem}"))
    }

    pub fn string(&self, keyword: &str) -> Parsed<Option<&'a str>> {
        self.map.get(keyword).map(|value| value.as_str().ok_or_else(|| self.wrong(keyword, "must be a text"))).transpose()
    }

    pub fn count(&self, keyword: &str) -> Parsed<Option<u64>> {
        let read = |value: &Value| match value.as_f64() {
            // 2.0 is a count, too.
            Some(number) if value.as_u64().is_none() && number >= 0.0 && number.fract() == 0.0 => number.to_string().parse().ok(),
            _ => value.as_u64(),
        };
        self.map
            .get(keyword)
            .map(|value| read(value).ok_or_else(|| self.wrong(keyword, "must be a count: 0, 1, 2, …")))
            .transpose()
    }

    pub fn number(&self, keyword: &str) -> Parsed<Option<Decimal>> {
        let read = |value: &Value| if let Value::Number(number) = value { Decimal::of(number) } else { None };
        self.map.get(keyword).map(|value| read(value).ok_or_else(|| self.wrong(keyword, "must be a number"))).transpose()
    }

    pub fn object(&self, keyword: &str) -> Parsed<impl Iterator<Item = (&'a String, &'a Value)> + use<'a>> {
        let map = match self.map.get(keyword) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(_) => return Err(self.wrong(keyword, "must be an object")),
        };
        Ok(map.into_iter().flatten())
    }

    pub fn names(&self, keyword: &str, value: Option<&Value>) -> Parsed<BTreeSet<String>> {
        let Some(value) = value else { return Ok(BTreeSet::new()) };
        let names = value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        names.ok_or_else(|| self.wrong(keyword, "must be a list of names"))
    }

    pub fn values(&self, node: &mut Node) -> Parsed<()> {
        node.types = match self.map.get("type") {
            None => Types::ALL,
            Some(Value::String(name)) => Types::named(name).ok_or_else(|| self.wrong("type", "is none of the seven types"))?,
            Some(Value::Array(names)) => names
                .iter()
                .try_fold(Types::NONE, |types, name| Some(types.or(Types::named(name.as_str()?)?)))
                .ok_or_else(|| self.wrong("type", "has something that is none of the seven types"))?,
            Some(_) => return Err(self.wrong("type", "must be a name or a list of names")),
        };
        node.values = match self.map.get("enum") {
            None => None,
            Some(Value::Array(values)) if values.len() <= MAX_VALUES => Some(values.clone()),
            Some(_) => return Err(self.wrong("enum", &format!("must be a list of at most {MAX_VALUES} values"))),
        };
        if let Some(value) = self.map.get("const") {
            let refused = node.values.as_ref().is_some_and(|values| !values.iter().any(|other| validate::equal(other, value)));
            node.values = Some(if refused { Vec::new() } else { vec![value.clone()] });
        }
        if let Some(values) = node.values.as_ref().filter(|values| values.len() > FEW) {
            node.keys = Some(values.iter().map(validate::key).collect());
        }
        node.examples = self.map.get("default").into_iter().cloned().collect();
        if let Some(Value::Array(examples)) = self.map.get("examples") {
            node.examples.extend(examples.iter().take(5).cloned());
        }
        Ok(())
    }

    pub fn numbers(&self, node: &mut Node) -> Parsed<()> {
        let bound = |inclusive, exclusive, lower: bool| {
            let inclusive = self.number(inclusive)?.map(|value| Bound { value, exclusive: false });
            let exclusive = self.number(exclusive)?.map(|value| Bound { value, exclusive: true });
            Ok(match (inclusive, exclusive) {
                (Some(a), Some(b)) => Some(if (b.value >= a.value) == lower || b.value == a.value { b } else { a }),
                (a, b) => a.or(b),
            })
        };
        node.minimum = bound("minimum", "exclusiveMinimum", true)?;
        node.maximum = bound("maximum", "exclusiveMaximum", false)?;
        node.multiple_of = self.number("multipleOf")?;
        if node.multiple_of.is_some_and(|of| !of.is_positive()) {
            return Err(self.wrong("multipleOf", "must be greater than 0"));
        }
        Ok(())
    }

    pub fn strings(&self, node: &mut Node) -> Parsed<()> {
        node.min_length = self.count("minLength")?.unwrap_or(0);
        node.max_length = self.count("maxLength")?;
        node.pattern = self.string("pattern")?.map(Pattern::new);
        node.format = self.string("format")?.map(str::to_owned);
        let content = [self.string("contentEncoding")?, self.string("contentMediaType")?];
        node.content =
            content.iter().any(Option::is_some).then(|| content.map(Option::unwrap_or_default).join(" ").trim().to_owned());
        Ok(())
    }
}
