//! Messages that a schema lets through, those first that are at its edges.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::case::{Case, Facts};
use super::decimal::Decimal;
use super::node::{Id, Node, Types};
use super::validate::{NO_FORMAT, Validator, sample_of_format};

/// Most values of one schema, and most levels of nesting.
const MOST: usize = 60;
const LEVELS: usize = 7;
/// Longest text that is made up.
const LONGEST: u64 = 2_000;
/// Most steps of making values up.
const MOST_STEPS: u64 = 60_000;

/// What both schemas speak of. A value that shows a difference is at a bound of one of them.
#[derive(Debug, Default)]
struct Pool {
    numbers: Vec<Value>,
    lengths: BTreeSet<u64>,
    counts: BTreeSet<u64>,
    texts: Vec<String>,
    names: BTreeSet<String>,
}

impl Pool {
    fn of(nodes: &[Node]) -> Self {
        let mut pool = Self::default();
        for number in [0.into(), 1.into(), (-1).into()] {
            pool.numbers.push(number);
        }
        pool.numbers.extend(serde_json::Number::from_f64(0.5).map(Value::Number));
        pool.lengths.extend([0, 1]);
        pool.counts.extend([0, 1, 2]);
        pool.texts.push(NO_FORMAT.into());
        for node in nodes {
            pool.add(node);
        }
        pool.numbers.dedup();
        pool.numbers.truncate(MOST);
        pool.texts.truncate(MOST);
        pool
    }

    fn add(&mut self, node: &Node) {
        let around = |decimal: Decimal| [0, 1, -1].into_iter().filter_map(move |by| decimal.moved(by)).map(Value::Number);
        for bound in node.minimum.iter().chain(&node.maximum) {
            self.numbers.extend(around(bound.value));
        }
        self.numbers.extend(node.multiple_of.into_iter().flat_map(around));
        let near = |count: u64| [count.saturating_sub(1), count, count.saturating_add(1)];
        for length in [Some(node.min_length), node.max_length].into_iter().flatten().filter(|length| *length > 0) {
            self.lengths.extend(near(length));
        }
        for count in [Some(node.min_items), node.max_items].into_iter().flatten().filter(|count| *count > 0) {
            self.counts.extend(near(count));
        }
        for value in node.values.iter().flatten().chain(&node.examples).take(MOST) {
            match value {
                Value::Number(_) => self.numbers.push(value.clone()),
                Value::String(text) if !self.texts.contains(text) => self.texts.push(text.clone()),
                _ => {}
            }
        }
        if let Some(text) = node.format.as_deref().and_then(sample_of_format) {
            self.texts.push(text.into());
        }
        self.names.extend(node.properties.keys().take(MOST).cloned());
        self.names.extend(node.required.iter().take(MOST).cloned());
    }
}

/// Values that are valid under a schema, as far as that is decided. `nodes` are those of both schemas.
pub fn samples(nodes: &[Node], root: Id) -> Vec<Value> {
    let mut maker = Maker { nodes, pool: Pool::of(nodes), steps: 0 };
    maker.of(&Case::of(nodes, [root]), LEVELS)
}

struct Maker<'a> {
    nodes: &'a [Node],
    pool: Pool,
    steps: u64,
}

impl Maker<'_> {
    fn valid(&mut self, id: Id, value: &Value) -> Option<bool> {
        Validator { nodes: self.nodes, steps: &mut self.steps, most: MOST_STEPS, depth: 0 }.valid(id, value)
    }

    /// Values of a case; in the end those that it does not refuse.
    fn of(&mut self, case: &Case, levels: usize) -> Vec<Value> {
        self.steps += 1;
        if levels == 0 || self.steps > MOST_STEPS {
            return Vec::new();
        }
        if let Some(cases) = case.choices(self.nodes) {
            let share = (MOST / cases.len()).max(3);
            let mut values = Vec::new();
            for case in cases.iter().take(MOST) {
                values.extend(self.of(case, levels - usize::from(cases.len() > 1)).into_iter().take(share));
            }
            return values;
        }
        let facts = Facts::of(case, self.nodes);
        let mut candidates = facts.values.clone().unwrap_or_default();
        if facts.values.is_none() {
            for node in case.nodes(self.nodes) {
                candidates.extend(node.examples.iter().cloned());
            }
            for types in [Types::OBJECT, Types::ARRAY, Types::STRING, Types::NUMBER, Types::BOOLEAN, Types::NULL] {
                if facts.types.has(types) {
                    candidates.extend(self.of_type(case, &facts, types, levels));
                }
            }
        }
        candidates.truncate(MOST * 6);
        let mut values: Vec<Value> = Vec::new();
        for value in candidates {
            let refused = case.all.iter().any(|id| self.valid(*id, &value) == Some(false));
            if !refused && facts.types.has(Types::of(&value)) && !values.contains(&value) {
                values.push(value);
            }
            if values.len() >= MOST {
                break;
            }
        }
        values
    }

    fn of_type(&mut self, case: &Case, facts: &Facts, types: Types, levels: usize) -> Vec<Value> {
        match types {
            Types::NULL => vec![Value::Null],
            Types::BOOLEAN => vec![true.into(), false.into()],
            Types::NUMBER => self.pool.numbers.clone(),
            Types::STRING => self.strings(facts),
            Types::ARRAY => self.arrays(case, facts, levels),
            _ => self.objects(case, facts, levels),
        }
    }

    fn strings(&self, facts: &Facts) -> Vec<Value> {
        let mut values: Vec<Value> =
            facts.formats.iter().filter_map(|format| sample_of_format(format)).map(Value::from).collect();
        for length in self.pool.lengths.iter().chain([&facts.min_length]).filter(|length| **length <= LONGEST) {
            values.push("a".repeat(usize::try_from(*length).unwrap_or_default()).into());
        }
        values.extend(self.pool.texts.iter().map(|text| text.as_str().into()));
        values.extend(["A", "abc", "ABC", "1", "123", "x-1"].map(Value::from));
        values
    }

    fn arrays(&mut self, case: &Case, facts: &Facts, levels: usize) -> Vec<Value> {
        let mut lists = Vec::new();
        let counts: BTreeSet<u64> = self
            .pool
            .counts
            .iter()
            .copied()
            .chain([facts.min_items, facts.prefix as u64])
            .filter(|count| *count <= 100)
            .collect();
        let mut kinds = Vec::new();
        for at in 0..=facts.prefix {
            kinds.push(self.of(&case.element(self.nodes, (at < facts.prefix).then_some(at)), levels - 1));
        }
        let kind = |at: usize| &kinds[at.min(facts.prefix)];
        for count in counts {
            let count = usize::try_from(count).unwrap_or_default();
            // Each with another one, for what must be unique, and all with the same.
            for rotate in [true, false] {
                let list: Option<Vec<Value>> = (0..count)
                    .map(|at| {
                        let kind = kind(at);
                        kind.get(if rotate { at % kind.len().max(1) } else { 0 }).cloned()
                    })
                    .collect();
                lists.extend(list.map(Value::from));
            }
        }
        let base: Vec<Value> = (0..facts.prefix.max(1)).filter_map(|at| kind(at).first().cloned()).collect();
        for at in 0..base.len() {
            for value in kind(at) {
                let mut list = base.clone();
                list[at] = value.clone();
                lists.push(list.into());
            }
        }
        lists
    }

    fn objects(&mut self, case: &Case, facts: &Facts, levels: usize) -> Vec<Value> {
        let mut base = Map::new();
        let mut whole = Map::new();
        let named = case.named(self.nodes);
        let mut each = Vec::new();
        for name in named.iter().chain(facts.required.difference(&named)).take(200) {
            let Some(member) = case.member(self.nodes, name) else { continue };
            let values = self.of(&member, levels - 1);
            let Some(first) = values.first() else { continue };
            if facts.required.contains(name) {
                base.insert(name.clone(), first.clone());
            }
            whole.insert(name.clone(), first.clone());
            each.push((name.clone(), values));
        }
        let mut objects = vec![base.clone(), whole.clone()];
        // One after the other, so that each property has its turn before one has all of its values.
        let longest = each.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
        for at in 0..longest {
            for (name, values) in &each {
                if let Some(value) = values.get(at) {
                    objects.push(with(&base, name, value));
                }
            }
            if objects.len() > MOST * 5 {
                break;
            }
        }
        objects.extend(
            whole
                .keys()
                .map(|name| whole.iter().filter(|(other, _)| *other != name).map(|(n, v)| (n.clone(), v.clone())).collect()),
        );
        // What only the other schema names, where this one is open to it.
        if let Some(others) = case.other_members(self.nodes) {
            let unnamed: Vec<String> = self.pool.names.iter().filter(|name| !named.contains(*name)).take(12).cloned().collect();
            let values: Vec<Value> =
                self.of(&others, levels.min(2) - 1).into_iter().take(8).chain([Value::Null, 0.into(), "?".into()]).collect();
            for name in unnamed.iter().map(String::as_str).chain(["other"]) {
                objects.extend(values.iter().map(|value| with(&base, name, value)));
            }
        }
        objects.into_iter().map(Value::Object).collect()
    }
}

fn with(base: &Map<String, Value>, name: &str, value: &Value) -> Map<String, Value> {
    let mut object = base.clone();
    object.insert(name.to_owned(), value.clone());
    object
}
