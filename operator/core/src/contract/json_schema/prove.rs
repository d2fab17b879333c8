//! Whether every value of a case is valid under a schema of the reader.
//!
//! No findings: that is proven. Findings: it is wrong, or not proven. Case and schema may refer to themselves. A claim that is
//! being proven may be used for a part of the value, which is smaller, and not for the value itself; a claim proven with the
//! help of one that is still open is not remembered, as the open one may turn out wrong.

use std::collections::HashSet;
use std::mem::replace;

use serde_json::Value;

use super::case::{Case, Facts};
use super::finding::{Finding, list};
use super::node::{Id, Node, Reading, Types};
use super::validate::Validator;

/// Most steps of one comparison; measured, some 100,000 take a quarter of a second.
const MOST_STEPS: u64 = 200_000;
/// Most schemas one within the other that are looked into. Beyond, a stack of 2 MiB would end.
const MOST_DEPTH: usize = 100;
/// Levels of members that are looked into for a contradiction.
const LEVELS: usize = 3;

/// What one schema demands, in parts that are proven one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Its types, values, bounds, elements and properties.
    Own,
    Any,
    One,
    Not,
    Condition,
}

pub struct Prover<'a> {
    pub nodes: &'a [Node],
    pub steps: u64,
    depth: usize,
    /// How many times a part of a value was gone into.
    descents: usize,
    /// A branch is tried: cases are not told apart, as that is done around it.
    whole: bool,
    /// It is being looked at whether a case lies within what it denies: to look again within that would try every order.
    denying: bool,
    open: Vec<(Case, Id, usize)>,
    /// The first of `open` that was used, since somebody last asked.
    used: usize,
    proven: HashSet<(Case, Id)>,
}

impl<'a> Prover<'a> {
    pub fn new(nodes: &'a [Node]) -> Self {
        Self {
            nodes,
            steps: 0,
            depth: 0,
            descents: 0,
            whole: false,
            denying: false,
            open: Vec::new(),
            used: usize::MAX,
            proven: HashSet::new(),
        }
    }

    /// Whether a limit was met, so that the findings are not all.
    pub fn spent(&self) -> bool {
        self.steps > MOST_STEPS
    }

    /// As [`Prover::within`], of a part of the value.
    pub fn part_within(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        self.descents += 1;
        let whole = replace(&mut self.whole, false);
        let denying = replace(&mut self.denying, false);
        let findings = self.within(case, reader, path);
        self.whole = whole;
        self.denying = denying;
        self.descents -= 1;
        findings
    }

    /// As [`Prover::within`], of a branch: the case is told apart around all branches, and not within each again.
    fn branch_within(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let apart = self.whole || case.choices(self.nodes).is_some();
        let whole = replace(&mut self.whole, apart);
        let findings = self.within(case, reader, path);
        self.whole = whole;
        findings
    }

    /// What stands in the way of every value of a case being valid under a schema.
    pub fn within(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        self.steps += 1 + case.all.len() as u64;
        if self.spent() || self.depth >= MOST_DEPTH {
            return vec![Finding::unproven(path, "too-complex", "the comparison was given up here: it would take too long")];
        }
        if self.is_same(case, reader) || self.proven.contains(&(case.clone(), reader)) {
            return Vec::new();
        }
        if let Some(at) = self.open.iter().position(|(other, id, _)| *id == reader && other == case) {
            if self.descents > self.open[at].2 {
                self.used = self.used.min(at);
                return Vec::new();
            }
            return vec![Finding::unproven(path, "unproven", "the proof would go round in a circle")];
        }
        let at = self.open.len();
        self.open.push((case.clone(), reader, self.descents));
        let before = replace(&mut self.used, usize::MAX);
        self.depth += 1;
        let findings = self.prove(case, reader, path);
        self.depth -= 1;
        self.open.truncate(at);
        let used = replace(&mut self.used, before);
        if used < at {
            self.used = self.used.min(used);
        } else if findings.is_empty() {
            self.proven.insert((case.clone(), reader));
        }
        findings
    }

    /// Whether the schema is one of the case's, by number or by meaning.
    fn is_same(&self, case: &Case, reader: Id) -> bool {
        let node = &self.nodes[reader];
        // What a lenient reader lets through of an opened schema is more than what the same says elsewhere.
        let alike = |other: &Node| other.reading != Reading::Reader || node.reading == Reading::Reader;
        case.all.contains(&reader)
            || node.meaning.is_some() && case.nodes(self.nodes).any(|other| alike(other) && other.meaning == node.meaning)
    }

    fn prove(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let node = &self.nodes[reader];
        if self.is_empty(case, 1) {
            return Vec::new();
        }
        if let Some(values) = self.finite(case) {
            return self.values_within(&values, reader, path);
        }
        let mut findings = Vec::new();
        for inner in node.reference.iter().chain(&node.all) {
            findings.extend(self.within(case, *inner, path));
        }
        findings.extend(self.duty(case, reader, Duty::Own, path));
        for (duty, there) in [
            (Duty::Any, !node.any.is_empty()),
            (Duty::One, !node.one.is_empty()),
            (Duty::Not, node.not.is_some()),
            (Duty::Condition, node.condition.is_some()),
        ] {
            if there {
                findings.extend(self.duty(case, reader, duty, path));
            }
        }
        findings
    }

    /// Proves one part, of the case as a whole if possible, else of the cases that it falls into.
    fn duty(&mut self, case: &Case, reader: Id, duty: Duty, path: &str) -> Vec<Finding> {
        self.steps += 1 + case.all.len() as u64;
        let findings = self.attempt(case, reader, duty, path);
        if findings.is_empty() || self.spent() || self.depth >= MOST_DEPTH {
            return findings;
        }
        if !case.not.is_empty() && self.is_empty(case, LEVELS) {
            return Vec::new();
        }
        if self.whole {
            return findings;
        }
        let cases = case.choices(self.nodes).or_else(|| if duty == Duty::Own { None } else { case.by_type() });
        let Some(cases) = cases else { return findings };
        let mut remaining: Vec<Finding> = Vec::new();
        self.depth += 1;
        for case in cases {
            if self.is_empty(&case, 1) {
                continue;
            }
            let found = match self.finite(&case) {
                Some(values) => self.values_within(&values, reader, path),
                None => self.duty(&case, reader, duty, path),
            };
            for finding in found {
                if !remaining.contains(&finding) {
                    remaining.push(finding);
                }
            }
        }
        self.depth -= 1;
        if self.spent() { findings } else { remaining }
    }

    fn attempt(&mut self, case: &Case, reader: Id, duty: Duty, path: &str) -> Vec<Finding> {
        match duty {
            Duty::Own => self.own(case, reader, path),
            Duty::Any => self.any(case, reader, path),
            Duty::One => self.one(case, reader, path),
            Duty::Not => self.not(case, reader, path),
            Duty::Condition => self.condition(case, reader, path),
        }
    }

    fn any(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let mut possible = Vec::new();
        for (at, branch) in self.nodes[reader].any.iter().enumerate() {
            let findings = self.branch_within(case, *branch, &format!("{path}/anyOf/{at}"));
            if findings.is_empty() {
                return findings;
            }
            if !self.is_empty(&case.with(self.nodes, *branch), LEVELS) {
                possible.push(findings);
            }
        }
        let proven = possible.is_empty();
        match <[_; 1]>::try_from(possible) {
            Ok([findings]) => findings,
            Err(_) => vec![self.no_branch(proven, format!("{path}/anyOf"), "any-of", case, &self.nodes[reader].any)],
        }
    }

    /// `proven`: every branch excludes all of the case; else one may take it, together with another one, or unseen.
    fn no_branch(&self, proven: bool, path: String, rule: &'static str, case: &Case, branches: &[Id]) -> Finding {
        let why =
            if proven { "no branch of the reader's takes it" } else { "no branch of the reader's is seen to take all of it" };
        let finding = if proven { Finding::new(path, rule, why) } else { Finding::unproven(path, rule, why) };
        finding.writer(Some(self.show(case))).reader(Some(self.branches(branches)))
    }

    fn one(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let branches = &self.nodes[reader].one;
        let mut possible = Vec::new();
        for (at, branch) in branches.iter().enumerate() {
            let findings = self.branch_within(case, *branch, &format!("{path}/oneOf/{at}"));
            if !findings.is_empty() {
                if !self.is_empty(&case.with(self.nodes, *branch), LEVELS) {
                    possible.push(findings);
                }
                continue;
            }
            let others = branches.iter().enumerate().filter(|(other, _)| *other != at);
            let overlap = others.map(|(_, other)| *other).find(|other| !self.is_empty(&case.with(self.nodes, *other), LEVELS));
            return match overlap {
                None => Vec::new(),
                Some(other) => vec![
                    Finding::unproven(
                        format!("{path}/oneOf"),
                        "one-of",
                        "a message may fit two branches of the reader's, and is then refused",
                    )
                    .writer(Some(self.show(case)))
                    .reader(Some(self.branches(&[*branch, other]))),
                ],
            };
        }
        let proven = possible.is_empty();
        match <[_; 1]>::try_from(possible) {
            Ok([findings]) => findings,
            Err(_) => vec![self.no_branch(proven, format!("{path}/oneOf"), "one-of", case, branches)],
        }
    }

    fn not(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let Some(not) = self.nodes[reader].not else { return Vec::new() };
        if self.is_empty(&case.with(self.nodes, not), LEVELS) {
            return Vec::new();
        }
        let why = "the writer may send what the reader excludes";
        vec![
            Finding::unproven(format!("{path}/not"), "not", why)
                .writer(Some(self.show(case)))
                .reader(self.nodes[not].text.as_ref()),
        ]
    }

    fn condition(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let Some(condition) = self.nodes[reader].condition else { return Vec::new() };
        let mut findings = Vec::new();
        if let Some(then) = condition.then {
            findings.extend(self.within(&case.with(self.nodes, condition.test), then, &format!("{path}/then")));
        }
        if let Some(otherwise) = condition.otherwise {
            let case = case.without(condition.test);
            if !self.is_empty(&case, LEVELS) {
                findings.extend(self.within(&case, otherwise, &format!("{path}/else")));
            }
        }
        findings
    }

    /// Whether a case is seen to have no value.
    ///
    /// `levels` is how deep to look; at 1 only at what its keywords say together and what its properties need.
    pub fn is_empty(&mut self, case: &Case, levels: usize) -> bool {
        self.steps += 1 + case.all.len() as u64;
        let facts = Facts::of(case, self.nodes);
        let types = self.live_types(case, &facts, levels);
        if types.is_none() {
            return true;
        }
        if facts.values.is_some() && self.finite(case).is_some_and(|values| values.is_empty()) {
            return true;
        }
        if levels < 2 || self.spent() || self.depth >= MOST_DEPTH {
            return false;
        }
        let case = Case { types, ..case.clone() };
        if !self.denying {
            self.denying = true;
            let denied = case.not.iter().any(|not| self.within(&case, *not, "").is_empty());
            self.denying = false;
            if denied {
                return true;
            }
        }
        let Some(cases) = case.choices(self.nodes) else { return false };
        self.depth += 1;
        let empty = cases.iter().all(|case| self.is_empty(case, levels - 1));
        self.depth -= 1;
        empty
    }

    /// The types that values of a case can have, as far as is seen.
    fn live_types(&mut self, case: &Case, facts: &Facts, levels: usize) -> Types {
        let mut types = facts.types;
        if types.has(Types::INTEGER)
            && let (Some(min), Some(max)) = (super::own::minimum(facts, true), super::own::maximum(facts, true))
            && (min.value > max.value)
        {
            types = types.without(Types::INTEGER);
        }
        if levels == 0 || self.spent() {
            return types;
        }
        if types.has(Types::OBJECT) {
            for name in &facts.required {
                let member = case.member(self.nodes, name);
                // One schema alone rarely contradicts itself; to look for that everywhere would take long.
                let below = |member: &Case| if member.all.len() > 1 { levels - 1 } else { 0 };
                if member.is_none_or(|member| self.is_empty(&member, below(&member))) {
                    types = types.without(Types::OBJECT);
                    break;
                }
            }
        }
        if types.has(Types::ARRAY)
            && (0..facts.min_items.min(4))
                .any(|at| self.is_empty(&case.element(self.nodes, usize::try_from(at).ok()), levels - 1))
        {
            types = types.without(Types::ARRAY);
        }
        types
    }

    /// The values of a case, if they are listed. Those that it forbids by other keywords are left out.
    fn finite(&mut self, case: &Case) -> Option<Vec<Value>> {
        let facts = Facts::of(case, self.nodes);
        let values = match facts.values {
            Some(values) => values,
            None if facts.types.without(Types::NULL.or(Types::BOOLEAN)).is_none() => {
                vec![Value::Null, Value::Bool(false), Value::Bool(true)]
            }
            None => return None,
        };
        let may = |value: &Value| {
            facts.types.has(Types::of(value))
                && case.all.iter().all(|id| self.valid(*id, value) != Some(false))
                && case.not.iter().all(|id| self.valid(*id, value) != Some(true))
        };
        Some(values.into_iter().filter(may).collect())
    }

    pub fn valid(&mut self, id: Id, value: &Value) -> Option<bool> {
        Validator { nodes: self.nodes, steps: &mut self.steps, most: MOST_STEPS, depth: 0 }.valid(id, value)
    }

    fn values_within(&mut self, values: &[Value], reader: Id, path: &str) -> Vec<Finding> {
        let (mut refused, mut unknown) = (Vec::new(), Vec::new());
        for value in values {
            match self.valid(reader, value) {
                Some(true) => {}
                Some(false) => refused.push(value.clone()),
                None => unknown.push(value.clone()),
            }
        }
        let types = Case::of(self.nodes, [reader]).types;
        let mut findings = Vec::new();
        if !refused.is_empty() {
            let foreign = !refused.iter().any(|value| types.has(Types::of(value)));
            let reader = if foreign {
                Some(types.show())
            } else {
                self.nodes[reader].values.as_deref().map(list).or_else(|| self.nodes[reader].text.clone())
            };
            let why = "the writer may send values that the reader refuses";
            findings
                .push(Finding::new(path, if foreign { "type" } else { "enum" }, why).writer(Some(list(&refused))).reader(reader));
        }
        if !unknown.is_empty() {
            let why =
                "whether the reader takes these values is not decided: a pattern, a format or a keyword that is not worked out";
            findings.push(
                Finding::unproven(path, "unproven", why).writer(Some(list(&unknown))).reader(self.nodes[reader].text.clone()),
            );
        }
        findings
    }

    /// What a case is, in short.
    pub fn show(&self, case: &Case) -> String {
        let texts: Vec<&str> = case
            .nodes(self.nodes)
            .filter_map(|node| node.text.as_deref())
            .filter(|text| *text != "{}" && *text != "true")
            .collect();
        if texts.is_empty() { Facts::of(case, self.nodes).types.show() } else { texts.join(" and ") }
    }

    fn branches(&self, ids: &[Id]) -> String {
        ids.iter().map(|id| self.nodes[*id].text.as_deref().unwrap_or("a reference")).collect::<Vec<_>>().join(", ")
    }
}
