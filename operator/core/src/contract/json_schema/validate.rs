//! Whether a value is valid. Three answers, as patterns and formats are not always decided.

use serde_json::Value;

use super::decimal::Decimal;
use super::node::{Id, Node, Types};

/// Texts of well-known formats, and nothing else, are decided: what a witness is made of.
const FORMATS: [(&str, &str); 10] = [
    ("date-time", "2026-01-02T03:04:05Z"),
    ("date", "2026-01-02"),
    ("time", "03:04:05Z"),
    ("duration", "P1D"),
    ("email", "a@example.org"),
    ("hostname", "example.org"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("uri", "https://example.org/a"),
    ("uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
];
/// Valid in none of them.
pub const NO_FORMAT: &str = "?";

/// A text of a format, where the format is known.
pub fn sample_of_format(format: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(name, _)| *name == format).map(|(_, text)| *text)
}

fn has_format(format: &str, text: &str) -> Option<bool> {
    let sample = sample_of_format(format)?;
    if text == sample {
        return Some(true);
    }
    (text == NO_FORMAT).then_some(false)
}

/// A text that two values share if, and only if, they are [`equal`].
pub fn key(value: &Value) -> String {
    match value {
        Value::Number(number) => Decimal::of(number).map_or_else(|| number.to_string(), |decimal| format!("{decimal:?}")),
        Value::Array(list) => format!("[{}]", list.iter().map(key).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<&String, &Value> = map.iter().collect();
            let entries: Vec<String> = sorted.into_iter().map(|(name, value)| format!("{name:?}:{}", key(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::String(text) => format!("{text:?}"),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// JSON's equality: 1 and 1.0 are the same number.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (Decimal::of(x), Decimal::of(y)) {
            (Some(x), Some(y)) => x == y,
            _ => x == y,
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| equal(x, y)))
        }
        _ => a == b,
    }
}

/// Conjunction of three-valued answers.
fn all(answers: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            None => unknown = true,
            Some(true) => {}
        }
    }
    (!unknown).then_some(true)
}

/// How many of them are true: at least, and at most.
fn count(answers: impl IntoIterator<Item = Option<bool>>) -> (u64, u64) {
    answers.into_iter().fold((0, 0), |(sure, possible), answer| {
        (sure + u64::from(answer == Some(true)), possible + u64::from(answer != Some(false)))
    })
}

/// Whether a count lies within bounds.
fn within((sure, possible): (u64, u64), min: u64, max: Option<u64>) -> Option<bool> {
    let max = max.unwrap_or(u64::MAX);
    if sure >= min && possible <= max {
        return Some(true);
    }
    if possible < min || sure > max {
        return Some(false);
    }
    None
}

/// Validates, and counts what it does: each schema put before each value is a step.
pub struct Validator<'a> {
    pub nodes: &'a [Node],
    pub steps: &'a mut u64,
    /// Beyond as many steps every answer is unknown.
    pub most: u64,
    pub depth: usize,
}

/// Most schemas and values one within the other. Beyond, a stack of 2 MiB would end.
const MOST_DEPTH: usize = 500;

impl Validator<'_> {
    pub fn valid(&mut self, id: Id, value: &Value) -> Option<bool> {
        if *self.steps > self.most || self.depth > MOST_DEPTH {
            return None;
        }
        *self.steps = self.steps.saturating_add(cost(&self.nodes[id], value));
        if *self.steps > self.most {
            return None;
        }
        self.depth += 1;
        let answer = self.decide(id, value);
        self.depth -= 1;
        answer
    }

    fn decide(&mut self, id: Id, value: &Value) -> Option<bool> {
        let node = &self.nodes[id];
        if node.never || !node.types.has(Types::of(value)) {
            return Some(false);
        }
        if !node.lists(value) {
            return Some(false);
        }
        let typed = match value {
            Value::Number(number) => valid_number(node, Decimal::of(number)),
            Value::String(text) => valid_text(node, text),
            Value::Array(list) => self.valid_list(node, list),
            Value::Object(map) => self.valid_object(node, map),
            Value::Null | Value::Bool(_) => Some(true),
        };
        if typed == Some(false) {
            return typed;
        }
        let unknown =
            if node.unknown.is_empty() || !matches!(value, Value::Array(_) | Value::Object(_)) { Some(true) } else { None };
        let combined = self.combined(node, value);
        all([typed, unknown, combined])
    }

    fn combined(&mut self, node: &Node, value: &Value) -> Option<bool> {
        let mut answers = Vec::new();
        for id in node.reference.iter().chain(&node.all) {
            answers.push(self.valid(*id, value));
        }
        if !node.any.is_empty() {
            let counted = count(node.any.iter().map(|id| self.valid(*id, value)).collect::<Vec<_>>());
            answers.push(within(counted, 1, None));
        }
        if !node.one.is_empty() {
            let counted = count(node.one.iter().map(|id| self.valid(*id, value)).collect::<Vec<_>>());
            answers.push(within(counted, 1, Some(1)));
        }
        if let Some(not) = node.not {
            answers.push(self.valid(not, value).map(|valid| !valid));
        }
        if let Some(condition) = node.condition {
            let test = self.valid(condition.test, value);
            let mut branch = |id: Option<Id>| id.map_or(Some(true), |id| self.valid(id, value));
            answers.push(match test {
                Some(true) => branch(condition.then),
                Some(false) => branch(condition.otherwise),
                None => match (branch(condition.then), branch(condition.otherwise)) {
                    (then, otherwise) if then == otherwise => then,
                    _ => None,
                },
            });
        }
        all(answers)
    }

    fn valid_list(&mut self, node: &Node, list: &[Value]) -> Option<bool> {
        let length = list.len() as u64;
        if length < node.min_items || node.max_items.is_some_and(|max| length > max) {
            return Some(false);
        }
        if node.unique && has_twice(list) {
            return Some(false);
        }
        let mut answers = Vec::new();
        for (at, item) in list.iter().enumerate() {
            if let Some(id) = node.prefix.get(at).copied().or(node.items) {
                answers.push(self.valid(id, item));
            }
        }
        if let Some(contains) = node.contains {
            let counted = count(list.iter().map(|item| self.valid(contains.schema, item)).collect::<Vec<_>>());
            answers.push(within(counted, contains.min, contains.max));
        }
        all(answers)
    }

    fn valid_object(&mut self, node: &Node, map: &serde_json::Map<String, Value>) -> Option<bool> {
        let length = map.len() as u64;
        if length < node.min_properties || node.max_properties.is_some_and(|max| length > max) {
            return Some(false);
        }
        let missing = |names: &std::collections::BTreeSet<String>| names.iter().any(|name| !map.contains_key(name));
        if missing(&node.required) || node.dependent_required.iter().any(|(name, names)| map.contains_key(name) && missing(names))
        {
            return Some(false);
        }
        let mut answers = Vec::new();
        for (name, value) in map {
            let declared = node.properties.get(name);
            answers.extend(declared.map(|id| self.valid(*id, value)));
            let mut covered = Some(declared.is_some());
            for (pattern, id) in &node.patterns {
                match pattern.matches(name) {
                    Some(true) => {
                        answers.push(self.valid(*id, value));
                        covered = Some(true);
                    }
                    Some(false) => {}
                    None => {
                        answers.push(self.valid(*id, value).filter(|valid| *valid));
                        covered = covered.filter(|covered| *covered);
                    }
                }
            }
            if let (Some(additional), Some(false) | None) = (node.additional, covered) {
                let answer = self.valid(additional, value);
                answers.push(if covered.is_none() { answer.filter(|valid| *valid) } else { answer });
            }
            if let Some(names) = node.names {
                answers.push(self.valid(names, &Value::String(name.clone())));
            }
        }
        for (name, id) in &node.dependent_schemas {
            if map.contains_key(name) {
                answers.push(self.valid(*id, &Value::Object(map.clone())));
            }
        }
        all(answers)
    }
}

/// Values that are compared one by one. Of more, keys are: a stranger's list may be long.
const FEW: usize = 16;

fn has_twice(list: &[Value]) -> bool {
    if list.len() <= FEW {
        return list.iter().enumerate().any(|(at, a)| list[..at].iter().any(|b| equal(a, b)));
    }
    let mut seen = std::collections::HashSet::new();
    !list.iter().all(|value| seen.insert(key(value)))
}

/// What it takes to put a value before a schema, without what is below: texts are read, and values compared, as long as they are.
fn cost(node: &Node, value: &Value) -> u64 {
    let compared = node.keys.is_some() || node.values.is_some();
    1 + match value {
        Value::String(text) => text.len() as u64 / 32,
        Value::Array(_) if node.unique || compared => size(value),
        Value::Object(_) if compared || !node.dependent_schemas.is_empty() => {
            size(value) * (1 + node.dependent_schemas.len() as u64)
        }
        Value::Object(map) => (node.required.len() + node.dependent_required.len() + node.patterns.len() * map.len()) as u64 / 8,
        _ => 0,
    }
}

/// How large a value is: parts of it, and a little more for long texts.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(list) => list.iter().map(size).sum::<u64>() + 1,
        Value::Object(map) => map.iter().map(|(name, value)| size(value) + name.len() as u64 / 32).sum::<u64>() + 1,
        Value::String(text) => 1 + text.len() as u64 / 32,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

fn valid_number(node: &Node, number: Option<Decimal>) -> Option<bool> {
    let bounded = node.minimum.is_some() || node.maximum.is_some() || node.multiple_of.is_some();
    let Some(number) = number else { return (!bounded).then_some(true) };
    let low = node.minimum.is_some_and(|min| number < min.value || min.exclusive && number == min.value);
    let high = node.maximum.is_some_and(|max| number > max.value || max.exclusive && number == max.value);
    if low || high {
        return Some(false);
    }
    node.multiple_of.map_or(Some(true), |of| number.is_multiple_of(of))
}

fn valid_text(node: &Node, text: &str) -> Option<bool> {
    let length = text.chars().count() as u64;
    if length < node.min_length || node.max_length.is_some_and(|max| length > max) {
        return Some(false);
    }
    let pattern = node.pattern.as_ref().map_or(Some(true), |pattern| pattern.matches(text));
    let format = node.format.as_ref().map_or(Some(true), |format| has_format(format, text));
    // What the content decodes to is not looked at.
    let content = if node.content.is_some() { None } else { Some(true) };
    all([pattern, format, content])
}
