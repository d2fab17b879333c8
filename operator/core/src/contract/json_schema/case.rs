//! A set of values, as a conjunction: valid under each of some schemas and under none of others.
//!
//! What is taken from it may be too much, never too little: a proof about the larger set holds for the smaller one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use super::decimal::Decimal;
use super::node::{Bound, Id, Node, Reading, Types};

/// A disjunction of a node, which can be told apart into cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    Any(Id),
    One(Id),
    Condition(Id),
}

/// The values that are valid under all of `all`, under none of `not`, and of one of `types`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    pub all: BTreeSet<Id>,
    pub not: BTreeSet<Id>,
    pub types: Types,
    /// Choices that were made already.
    pub made: BTreeSet<Choice>,
}

impl Case {
    pub fn of(nodes: &[Node], all: impl IntoIterator<Item = Id>) -> Self {
        let mut case = Self { all: BTreeSet::new(), not: BTreeSet::new(), types: Types::ALL, made: BTreeSet::new() };
        for id in all {
            case.add(nodes, id);
        }
        case
    }

    /// Adds a schema with all that applies together with it.
    pub fn add(&mut self, nodes: &[Node], id: Id) {
        if self.all.insert(id) {
            let node = &nodes[id];
            self.types = self.types.and(node.types);
            self.not.extend(node.not);
            for inner in node.reference.iter().chain(&node.all) {
                self.add(nodes, *inner);
            }
        }
    }

    pub fn with(&self, nodes: &[Node], id: Id) -> Self {
        let mut case = self.clone();
        case.add(nodes, id);
        case
    }

    pub fn without(&self, id: Id) -> Self {
        let mut case = self.clone();
        case.not.insert(id);
        case
    }

    pub fn nodes<'a>(&'a self, nodes: &'a [Node]) -> impl Iterator<Item = &'a Node> + use<'a> {
        self.all.iter().map(|id| &nodes[*id])
    }

    /// The cases of one choice that was not made yet: together they are this one.
    pub fn choices(&self, nodes: &[Node]) -> Option<Vec<Self>> {
        for id in &self.all {
            let node = &nodes[*id];
            let made = |choice| {
                let mut case = self.clone();
                case.made.insert(choice).then_some(case)
            };
            if !node.any.is_empty()
                && let Some(case) = made(Choice::Any(*id))
            {
                return Some(node.any.iter().map(|branch| case.with(nodes, *branch)).collect());
            }
            if !node.one.is_empty()
                && let Some(case) = made(Choice::One(*id))
            {
                let branch = |at: usize| {
                    let mut case = case.with(nodes, node.one[at]);
                    case.not.extend(node.one.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, id)| *id));
                    case
                };
                return Some((0..node.one.len()).map(branch).collect());
            }
            if let Some(condition) = node.condition
                && let Some(case) = made(Choice::Condition(*id))
            {
                let mut then = case.with(nodes, condition.test);
                let mut otherwise = case.without(condition.test);
                condition.then.into_iter().for_each(|id| then.add(nodes, id));
                condition.otherwise.into_iter().for_each(|id| otherwise.add(nodes, id));
                return Some(vec![then, otherwise]);
            }
        }
        None
    }

    /// One case for each type, if there are several.
    pub fn by_type(&self) -> Option<Vec<Self>> {
        let cases: Vec<Self> = self.types.each().map(|types| Self { types, ..self.clone() }).collect();
        (cases.len() > 1).then_some(cases)
    }

    /// What the values of a property have to be; nothing if there can be no such property.
    pub fn member(&self, nodes: &[Node], name: &str) -> Option<Case> {
        let mut member = Case::of(nodes, []);
        let (mut closed, mut named) = (false, false);
        for node in self.nodes(nodes) {
            let mut covered = false;
            let mut perhaps = false;
            if let Some(id) = node.properties.get(name) {
                member.add(nodes, *id);
                covered = true;
            }
            for (pattern, id) in &node.patterns {
                match pattern.matches(name) {
                    Some(true) => {
                        member.add(nodes, *id);
                        covered = true;
                    }
                    Some(false) => {}
                    None => perhaps = true,
                }
            }
            if let (Some(additional), false, false) = (node.additional, covered, perhaps) {
                member.add(nodes, additional);
            }
            closed |= node.closes();
            named |= node.reading != Reading::Reader && (covered || perhaps || node.additional.is_some());
        }
        let mentions = |id: &Id| {
            let node = &nodes[*id];
            node.properties.contains_key(name) || node.additional.is_some() || !node.patterns.is_empty()
        };
        (!closed || named || self.undecided(nodes).iter().any(mentions)).then_some(member)
    }

    /// What the values of properties have to be that are neither named nor fit a pattern; nothing if there can be none.
    pub fn other_members(&self, nodes: &[Node]) -> Option<Case> {
        let open = |node: &Node| node.reading != Reading::Reader && node.additional.is_some();
        let closed = self.nodes(nodes).any(Node::closes)
            && !self.nodes(nodes).any(open)
            && !self.undecided(nodes).iter().any(|id| nodes[*id].additional.is_some() || !nodes[*id].patterns.is_empty());
        let others = Case::of(nodes, self.nodes(nodes).filter_map(|node| node.additional));
        (!closed && !others.nodes(nodes).any(|node| node.never)).then_some(others)
    }

    /// What an element has to be; `None` for `at` is every one behind those that have a schema of their own.
    pub fn element(&self, nodes: &[Node], at: Option<usize>) -> Case {
        Case::of(nodes, self.nodes(nodes).filter_map(|node| at.and_then(|at| node.prefix.get(at).copied()).or(node.items)))
    }

    /// The names of properties that some schema names.
    pub fn named(&self, nodes: &[Node]) -> BTreeSet<String> {
        let undecided = self.undecided(nodes);
        self.nodes(nodes).chain(undecided.iter().map(|id| &nodes[*id])).flat_map(|node| node.properties.keys().cloned()).collect()
    }

    /// Schemas that may apply or not: branches of choices that were not made, and what depends on a property.
    ///
    /// They name properties as well, to which a lenient writer is then not closed.
    fn undecided(&self, nodes: &[Node]) -> BTreeSet<Id> {
        let mut found = BTreeSet::new();
        if !self.nodes(nodes).any(Node::closes) {
            return found;
        }
        let mut waiting = Vec::new();
        for id in &self.all {
            let node = &nodes[*id];
            let open = |choice: Choice| !self.made.contains(&choice);
            waiting.extend(node.any.iter().filter(|_| open(Choice::Any(*id))));
            waiting.extend(node.one.iter().filter(|_| open(Choice::One(*id))));
            let condition = node.condition.iter().filter(|_| open(Choice::Condition(*id)));
            waiting.extend(condition.flat_map(|c| [Some(c.test), c.then, c.otherwise]).flatten());
            waiting.extend(node.dependent_schemas.values());
        }
        while let Some(id) = waiting.pop() {
            if found.insert(id) {
                waiting.extend(nodes[id].in_place());
            }
        }
        found
    }
}

/// What the keywords of a case's schemas say together.
#[derive(Debug, Clone)]
pub struct Facts {
    pub never: bool,
    pub types: Types,
    /// The values of the shortest `enum`; others may forbid some of them.
    pub values: Option<Vec<Value>>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiples: Vec<Decimal>,
    pub min_length: u64,
    pub max_length: Option<u64>,
    pub patterns: Vec<String>,
    pub formats: Vec<String>,
    pub contents: Vec<String>,
    pub min_items: u64,
    pub max_items: Option<u64>,
    pub unique: bool,
    /// Elements that some schema has a schema of their own for.
    pub prefix: usize,
    pub required: BTreeSet<String>,
    pub min_properties: u64,
    pub max_properties: Option<u64>,
}

impl Facts {
    pub fn of(case: &Case, nodes: &[Node]) -> Self {
        let mut facts = Self {
            never: false,
            types: case.types,
            values: None,
            minimum: None,
            maximum: None,
            multiples: Vec::new(),
            min_length: 0,
            max_length: None,
            patterns: Vec::new(),
            formats: Vec::new(),
            contents: Vec::new(),
            min_items: 0,
            max_items: None,
            unique: false,
            prefix: 0,
            required: BTreeSet::new(),
            min_properties: 0,
            max_properties: None,
        };
        for node in case.nodes(nodes) {
            facts.add(node);
        }
        facts.contradictions();
        facts
    }

    fn add(&mut self, node: &Node) {
        self.never |= node.never;
        if let Some(values) = &node.values
            && self.values.as_ref().is_none_or(|shortest| values.len() < shortest.len())
        {
            self.values = Some(values.clone());
        }
        self.minimum = tighter(self.minimum, node.minimum, Ordering::Greater);
        self.maximum = tighter(self.maximum, node.maximum, Ordering::Less);
        self.multiples.extend(node.multiple_of);
        self.min_length = self.min_length.max(node.min_length);
        self.max_length = least(self.max_length, node.max_length);
        self.patterns.extend(node.pattern.as_ref().map(|pattern| pattern.text.clone()));
        self.formats.extend(node.format.clone());
        self.contents.extend(node.content.clone());
        self.min_items = self.min_items.max(node.min_items);
        self.max_items = least(self.max_items, node.max_items);
        self.unique |= node.unique;
        self.prefix = self.prefix.max(node.prefix.len());
        self.required.extend(node.required.iter().cloned());
        self.min_properties = self.min_properties.max(node.min_properties);
        self.max_properties = least(self.max_properties, node.max_properties);
    }

    /// Types that no value can have: the bounds of a number, a text, a list or an object leave nothing.
    fn contradictions(&mut self) {
        if let (Some(min), Some(max)) = (self.minimum, self.maximum)
            && (min.value > max.value || min.value == max.value && (min.exclusive || max.exclusive))
        {
            self.types = self.types.without(Types::NUMBER);
        }
        let empty = |min: u64, max: Option<u64>| max.is_some_and(|max| min > max);
        if empty(self.min_length, self.max_length) {
            self.types = self.types.without(Types::STRING);
        }
        if empty(self.min_items, self.max_items) {
            self.types = self.types.without(Types::ARRAY);
        }
        if empty(self.min_properties.max(self.required.len() as u64), self.max_properties) {
            self.types = self.types.without(Types::OBJECT);
        }
        if self.multiples.iter().any(|of| of.is_integer()) {
            self.types = self.types.without(Types::FRACTION);
        }
        if self.never {
            self.types = Types::NONE;
        }
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// The bound that leaves less: the greater of two minima, the lesser of two maxima.
fn tighter(a: Option<Bound>, b: Option<Bound>, wanted: Ordering) -> Option<Bound> {
    match (a, b) {
        (Some(x), Some(y)) => {
            let order = x.value.cmp(&y.value);
            Some(if order == wanted || order.is_eq() && x.exclusive { x } else { y })
        }
        (a, b) => a.or(b),
    }
}
