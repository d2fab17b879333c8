//! Whether a message keeps a schema; where it does not, the place, with nothing of the message in it but names of the schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::arena::Arena;
use super::decimal::Decimal;
use super::node::{Id, Node, Reading, Types};
use super::parse::parse;
use super::validate::Validator;
use crate::contract::SchemaError;
use crate::contract::checks::{Verdict, Violation, Way};
use crate::contract::text::json;

/// Most steps to judge a message, and as many to find the place of a violation.
const STEPS: u64 = 200_000;
/// Deepest place that is looked for: beyond, the place above it is told.
const DEPTH: usize = 200;

/// A schema that messages are put before.
#[derive(Debug)]
pub struct Judge {
    nodes: Vec<Node>,
    root: Id,
}

impl Judge {
    /// Reads a schema.
    ///
    /// # Errors
    /// It is no JSON Schema, or one that is not understood.
    pub fn of(schema: &str) -> Result<Self, SchemaError> {
        let mut arena = Arena::default();
        let [root] = parse(&json(schema)?, [Reading::Exact], &mut arena)?;
        Ok(Self { nodes: arena.nodes, root })
    }

    /// Judges a message. What a pattern or a format leaves undecided is no violation.
    pub fn judge(&self, message: &Value) -> Verdict {
        let mut search = Search { nodes: &self.nodes, steps: 0, most: STEPS };
        match search.valid(self.root, message) {
            Some(false) => {
                search.most = search.steps.saturating_add(STEPS);
                let (mut way, rule) = (Way::default(), search.locate(self.root, message));
                let rule = rule.tell(&mut way);
                Verdict::Violates(Violation { path: way.told(), rule })
            }
            _ if search.steps > search.most => Verdict::Unchecked,
            _ => Verdict::Conforms,
        }
    }
}

/// A violation, below some steps.
enum Found {
    Here(&'static str),
    Below(Step, Box<Found>),
}

/// One step into a message.
enum Step {
    Named(String),
    Other,
}

impl Found {
    fn below(step: Step, inner: Self) -> Self {
        Self::Below(step, Box::new(inner))
    }

    /// Goes all the way, and gives the rule.
    fn tell(self, way: &mut Way) -> &'static str {
        let mut found = self;
        loop {
            match found {
                Self::Here(rule) => return rule,
                Self::Below(step, inner) => {
                    match step {
                        Step::Named(name) => way.enter(&name),
                        Step::Other => way.enter_other(),
                    }
                    found = *inner;
                }
            }
        }
    }
}

struct Search<'a> {
    nodes: &'a [Node],
    steps: u64,
    most: u64,
}

impl<'a> Search<'a> {
    fn valid(&mut self, id: Id, value: &Value) -> Option<bool> {
        Validator { nodes: self.nodes, steps: &mut self.steps, most: self.most, depth: 0 }.valid(id, value)
    }

    fn breaks(&mut self, id: Id, value: &Value) -> bool {
        self.valid(id, value) == Some(false)
    }

    fn locate(&mut self, id: Id, value: &Value) -> Found {
        self.at(id, value, 0)
    }

    /// The cause nearest to the root of the schema, followed downwards.
    fn at(&mut self, id: Id, value: &Value, depth: usize) -> Found {
        let node: &'a Node = &self.nodes[id];
        if node.never {
            return Found::Here("never");
        }
        if !node.types.has(Types::of(value)) {
            return Found::Here("type");
        }
        if !node.lists(value) {
            return Found::Here("enum");
        }
        if depth >= DEPTH {
            return Found::Here("too-complex");
        }
        let own = match value {
            Value::Number(number) => number_rule(node, Decimal::of(number)).map(Found::Here),
            Value::String(text) => self.text_rule(node, text).map(Found::Here),
            Value::Array(list) => self.in_list(node, list, depth),
            Value::Object(map) => self.in_object(node, map, depth),
            Value::Null | Value::Bool(_) => None,
        };
        own.or_else(|| self.combined(node, value, depth)).unwrap_or(Found::Here("too-complex"))
    }

    fn combined(&mut self, node: &Node, value: &Value, depth: usize) -> Option<Found> {
        for id in node.reference.iter().chain(&node.all) {
            if self.breaks(*id, value) {
                return Some(self.at(*id, value, depth + 1));
            }
        }
        for (branches, rule) in [(&node.any, "any-of"), (&node.one, "one-of")] {
            let answers: Vec<Option<bool>> = branches.iter().map(|id| self.valid(*id, value)).collect();
            let refused = !branches.is_empty() && answers.iter().all(|answer| *answer == Some(false));
            let several = rule == "one-of" && answers.iter().filter(|answer| **answer == Some(true)).count() > 1;
            if several {
                return Some(Found::Here(rule));
            }
            if refused {
                // One branch alone is of the value's type: `null`, or what was meant.
                let meant: Vec<Id> = branches.iter().copied().filter(|id| self.nodes[*id].types.has(Types::of(value))).collect();
                return Some(match meant[..] {
                    [id] => self.at(id, value, depth + 1),
                    _ => Found::Here(rule),
                });
            }
        }
        if node.not.is_some_and(|not| self.valid(not, value) == Some(true)) {
            return Some(Found::Here("not"));
        }
        let condition = node.condition?;
        let branch = if self.valid(condition.test, value)? { condition.then } else { condition.otherwise };
        branch.filter(|id| self.breaks(*id, value)).map(|id| self.at(id, value, depth + 1))
    }

    fn text_rule(&mut self, node: &Node, text: &str) -> Option<&'static str> {
        let length = text.chars().count() as u64;
        if length < node.min_length {
            return Some("minLength");
        }
        if node.max_length.is_some_and(|max| length > max) {
            return Some("maxLength");
        }
        if node.pattern.as_ref().is_some_and(|pattern| pattern.matches(text) == Some(false)) {
            return Some("pattern");
        }
        // What else a node says of a text alone is its format.
        let alone = Node { format: node.format.clone(), ..Node::new(node.reading) };
        let answer = Validator { nodes: &[alone], steps: &mut self.steps, most: self.most, depth: 0 }
            .valid(0, &Value::String(text.to_owned()));
        (answer == Some(false)).then_some("format")
    }

    fn in_list(&mut self, node: &Node, list: &[Value], depth: usize) -> Option<Found> {
        let length = list.len() as u64;
        if length < node.min_items {
            return Some(Found::Here("minItems"));
        }
        if node.max_items.is_some_and(|max| length > max) {
            return Some(Found::Here("maxItems"));
        }
        for (at, item) in list.iter().enumerate() {
            if let Some(id) = node.prefix.get(at).copied().or(node.items)
                && self.breaks(id, item)
            {
                return Some(Found::below(Step::Other, self.at(id, item, depth + 1)));
            }
        }
        if let Some(contains) = node.contains {
            let answers: Vec<Option<bool>> = list.iter().map(|item| self.valid(contains.schema, item)).collect();
            let sure = answers.iter().filter(|answer| **answer == Some(true)).count() as u64;
            let possible = answers.iter().filter(|answer| **answer != Some(false)).count() as u64;
            if possible < contains.min || contains.max.is_some_and(|max| sure > max) {
                return Some(Found::Here("contains"));
            }
        }
        let alone = Node { unique: node.unique, ..Node::new(node.reading) };
        let answer = Validator { nodes: &[alone], steps: &mut self.steps, most: self.most, depth: 0 }
            .valid(0, &Value::Array(list.to_vec()));
        (answer == Some(false)).then_some(Found::Here("uniqueItems"))
    }

    fn in_object(&mut self, node: &Node, map: &Map<String, Value>, depth: usize) -> Option<Found> {
        let missing = |names: &BTreeSet<String>| names.iter().find(|name| !map.contains_key(*name)).cloned();
        if let Some(name) = missing(&node.required) {
            return Some(Found::below(Step::Named(name), Found::Here("required")));
        }
        for (_, names) in node.dependent_required.iter().filter(|(name, _)| map.contains_key(*name)) {
            if let Some(missing) = missing(names) {
                return Some(Found::below(Step::Named(missing), Found::Here("dependentRequired")));
            }
        }
        let length = map.len() as u64;
        if length < node.min_properties {
            return Some(Found::Here("minProperties"));
        }
        if node.max_properties.is_some_and(|max| length > max) {
            return Some(Found::Here("maxProperties"));
        }
        for (name, value) in map {
            if let Some(found) = self.property(node, name, value, depth) {
                return Some(found);
            }
        }
        for (name, id) in &node.dependent_schemas {
            let whole = Value::Object(map.clone());
            if map.contains_key(name) && self.breaks(*id, &whole) {
                return Some(self.at(*id, &whole, depth + 1));
            }
        }
        None
    }

    fn property(&mut self, node: &Node, name: &str, value: &Value, depth: usize) -> Option<Found> {
        let declared = node.properties.get(name).copied();
        // A name that the schema does not have is as secret as a value.
        let step = || if declared.is_some() { Step::Named(name.to_owned()) } else { Step::Other };
        if let Some(id) = declared.filter(|id| self.breaks(*id, value)) {
            return Some(Found::below(step(), self.at(id, value, depth + 1)));
        }
        let mut covered = Some(declared.is_some());
        for (pattern, id) in &node.patterns {
            match pattern.matches(name) {
                Some(true) => {
                    covered = Some(true);
                    if self.breaks(*id, value) {
                        return Some(Found::below(step(), self.at(*id, value, depth + 1)));
                    }
                }
                Some(false) => {}
                None => covered = covered.filter(|covered| *covered),
            }
        }
        if let (Some(id), Some(false)) = (node.additional, covered)
            && self.breaks(id, value)
        {
            let inner = if self.nodes[id].never { Found::Here("object-closed") } else { self.at(id, value, depth + 1) };
            return Some(Found::below(step(), inner));
        }
        let is_name = node.names.is_none_or(|id| !self.breaks(id, &Value::String(name.to_owned())));
        (!is_name).then(|| Found::below(step(), Found::Here("propertyNames")))
    }
}

fn number_rule(node: &Node, number: Option<Decimal>) -> Option<&'static str> {
    let number = number?;
    if node.minimum.is_some_and(|min| number < min.value || min.exclusive && number == min.value) {
        return Some("minimum");
    }
    if node.maximum.is_some_and(|max| number > max.value || max.exclusive && number == max.value) {
        return Some("maximum");
    }
    node.multiple_of.filter(|of| number.is_multiple_of(*of) == Some(false)).map(|_| "multipleOf")
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
