//! What a schema demands by its own keywords: types, bounds, elements. Properties are in `members`.

use std::fmt::Display;

use super::case::{Case, Facts};
use super::finding::{Finding, list};
use super::node::{Bound, Id, Node, Types};
use super::prove::Prover;

/// Least number, among integers the least integer.
pub fn minimum(facts: &Facts, integers: bool) -> Option<Bound> {
    facts.minimum.map(|bound| among(bound, integers, true))
}

/// Greatest number, among integers the greatest integer.
pub fn maximum(facts: &Facts, integers: bool) -> Option<Bound> {
    facts.maximum.map(|bound| among(bound, integers, false))
}

/// Above 0 and at least 1 are the same among integers.
fn among(bound: Bound, integers: bool, lower: bool) -> Bound {
    match bound.value.integer(lower, bound.exclusive).filter(|_| integers) {
        Some(value) => Bound { value, exclusive: false },
        None => bound,
    }
}

impl Prover<'_> {
    pub(super) fn own(&mut self, case: &Case, reader: Id, path: &str) -> Vec<Finding> {
        let node = &self.nodes[reader];
        let facts = Facts::of(case, self.nodes);
        if node.never {
            return vec![
                Finding::new(path, "never", "the reader refuses every value here")
                    .writer(Some(self.show(case)))
                    .reader(Some("false")),
            ];
        }
        let mut findings = Vec::new();
        let foreign = facts.types.without(node.types);
        if !foreign.is_none() {
            let why = format!("the writer may send {}, which the reader refuses", foreign.show());
            findings.push(
                Finding::new(join(path, "type"), "type", why).writer(Some(facts.types.show())).reader(Some(node.types.show())),
            );
        }
        let types = facts.types.and(node.types);
        if let (Some(values), false) = (&node.values, types.is_none()) {
            let why = "the reader takes the listed values alone, the writer is not bound to them";
            let writer = facts.values.as_deref().map_or_else(|| self.show(case), list);
            findings.push(Finding::new(join(path, "enum"), "enum", why).writer(Some(writer)).reader(Some(list(values))));
        }
        if types.has(Types::NUMBER) {
            numbers(&facts, node, types, path, &mut findings);
        }
        if types.has(Types::STRING) {
            strings(&facts, node, path, &mut findings);
        }
        if types.has(Types::ARRAY) {
            self.elements(case, &facts, reader, path, &mut findings);
        }
        if types.has(Types::OBJECT) {
            self.members(case, &facts, reader, path, &mut findings);
        }
        if types.has(Types::ARRAY.or(Types::OBJECT)) && !node.unknown.is_empty() {
            let why = format!("what {} of the reader refuses is not worked out", node.unknown.join(" and "));
            findings.push(Finding::unproven(path, "unevaluated", why).reader(node.text.as_ref()));
        }
        findings
    }

    fn elements(&mut self, case: &Case, facts: &Facts, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let node = &self.nodes[reader];
        counts(path, "minItems", (facts.min_items, node.min_items), "maxItems", (facts.max_items, node.max_items), findings);
        if node.unique && !facts.unique && facts.max_items.is_none_or(|max| max > 1) {
            let why = "the writer may repeat an element, the reader refuses that";
            findings.push(Finding::new(join(path, "uniqueItems"), "uniqueItems", why).writer(Some(false)).reader(Some(true)));
        }
        let longest = facts.max_items.unwrap_or(u64::MAX);
        let positions = facts.prefix.max(node.prefix.len());
        for at in 0..positions {
            if at as u64 >= longest || self.spent() {
                break;
            }
            let (schema, path) = match (node.prefix.get(at), node.items) {
                (Some(schema), _) => (*schema, format!("{path}/prefixItems/{at}")),
                (None, Some(schema)) => (schema, format!("{path}/items")),
                (None, None) => break,
            };
            let found = self.part_within(&case.element(self.nodes, Some(at)), schema, &path);
            findings.extend(found);
        }
        if let Some(items) = node.items
            && longest > positions as u64
        {
            let found = self.part_within(&case.element(self.nodes, None), items, &format!("{path}/items"));
            findings.extend(found);
        }
        self.contains(case, facts, reader, path, findings);
    }

    fn contains(&mut self, case: &Case, facts: &Facts, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let Some(wanted) = self.nodes[reader].contains else { return };
        let kept: Vec<_> = case.nodes(self.nodes).filter_map(|node| node.contains).collect();
        let mut part = |a: Id, b: Id| self.part_within(&Case::of(self.nodes, [a]), b, "").is_empty();
        let enough = wanted.min == 0 || kept.iter().any(|own| own.min >= wanted.min && part(own.schema, wanted.schema));
        let few = wanted.max.is_none_or(|max| {
            facts.max_items.is_some_and(|most| most <= max)
                || kept.iter().any(|own| own.max.is_some_and(|own| own <= max) && part(wanted.schema, own.schema))
        });
        if !enough || !few {
            let why = "the reader counts elements of a kind, and the writer is not seen to keep to it";
            findings
                .push(Finding::unproven(join(path, "contains"), "contains", why).reader(self.nodes[wanted.schema].text.as_ref()));
        }
    }
}

pub(super) fn join(path: &str, keyword: &str) -> String {
    format!("{path}/{keyword}")
}

/// Least and greatest counts: of characters, elements, properties.
pub(super) fn counts(
    path: &str,
    min: &'static str,
    (writer_min, reader_min): (u64, u64),
    max: &'static str,
    (writer_max, reader_max): (Option<u64>, Option<u64>),
    findings: &mut Vec<Finding>,
) {
    if reader_min > writer_min {
        let why = "the writer may send less than the reader demands";
        findings.push(
            Finding::new(join(path, min), min, why).writer((writer_min > 0).then_some(writer_min)).reader(Some(reader_min)),
        );
    }
    if let Some(reader) = reader_max
        && writer_max.is_none_or(|writer| writer > reader)
    {
        let why = "the writer may send more than the reader takes";
        findings.push(Finding::new(join(path, max), max, why).writer(writer_max).reader(Some(reader)));
    }
}

fn numbers(facts: &Facts, node: &Node, types: Types, path: &str, findings: &mut Vec<Finding>) {
    let integers = !types.has(Types::FRACTION);
    let show = |bound: Bound| {
        let number = bound.value.moved(0).map_or_else(|| "a number".into(), |number| number.to_string());
        if bound.exclusive { format!("{number} excluded") } else { number }
    };
    if let Some(reader) = node.minimum.map(|bound| among(bound, integers, true)) {
        let writer = minimum(facts, integers);
        let kept = |own: Bound| own.value > reader.value || own.value == reader.value && (own.exclusive || !reader.exclusive);
        if !writer.is_some_and(kept) {
            let why = "the writer may send a lesser number than the reader takes";
            findings
                .push(Finding::new(join(path, "minimum"), "minimum", why).writer(writer.map(show)).reader(Some(show(reader))));
        }
    }
    if let Some(reader) = node.maximum.map(|bound| among(bound, integers, false)) {
        let writer = maximum(facts, integers);
        let kept = |own: Bound| own.value < reader.value || own.value == reader.value && (own.exclusive || !reader.exclusive);
        if !writer.is_some_and(kept) {
            let why = "the writer may send a greater number than the reader takes";
            findings
                .push(Finding::new(join(path, "maximum"), "maximum", why).writer(writer.map(show)).reader(Some(show(reader))));
        }
    }
    if let Some(of) = node.multiple_of {
        let any_integer = integers && super::decimal::Decimal::ONE.is_multiple_of(of) == Some(true);
        if !any_integer && !facts.multiples.iter().any(|own| own.is_multiple_of(of) == Some(true)) {
            let show = |of: super::decimal::Decimal| of.moved(0).map_or_else(String::new, |number| number.to_string());
            let why = "the writer may send numbers between the steps that the reader takes";
            let writer = facts.multiples.first().copied().map(show);
            findings.push(Finding::new(join(path, "multipleOf"), "multipleOf", why).writer(writer).reader(Some(show(of))));
        }
    }
}

fn strings(facts: &Facts, node: &Node, path: &str, findings: &mut Vec<Finding>) {
    counts(path, "minLength", (facts.min_length, node.min_length), "maxLength", (facts.max_length, node.max_length), findings);
    let mut same = |keyword, own: &[String], wanted: Option<&String>, why| {
        if let Some(wanted) = wanted
            && !own.contains(wanted)
        {
            let finding = if own.is_empty() {
                Finding::new(join(path, keyword), keyword, why)
            } else {
                Finding::unproven(join(path, keyword), keyword, why)
            };
            findings.push(finding.writer(own.first()).reader(Some(wanted as &dyn Display)));
        }
    };
    let pattern = node.pattern.as_ref().map(|pattern| &pattern.text);
    same(
        "pattern",
        &facts.patterns,
        pattern,
        "the reader demands a pattern that the writer does not; two patterns are only equal or not",
    );
    same("format", &facts.formats, node.format.as_ref(), "the reader demands a format that the writer does not");
    same("content", &facts.contents, node.content.as_ref(), "the reader expects another encoding or media type in the text");
}
