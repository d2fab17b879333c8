//! JSON Schema, 2020-12 and draft-07.
//!
//! A version is compatible in a way if every message that is valid under the writer's schema is valid under the reader's. This is
//! proven, not looked up: both are taken apart ([`node`]), the writer's values become a [`case`] that falls into smaller ones where
//! it has branches, and [`prove`] goes through what the reader demands. Where a proof fails, [`sample`] looks for a message
//! that shows it.
//!
//! `format` and `contentEncoding` count as demands, although validators may pass over them: a reader that names a format relies
//! on it. Two patterns are equal or not; what a third one lets through of both is not worked out.

mod case;
mod changes;
mod decimal;
mod finding;
mod members;
mod node;
mod own;
mod parse;
mod pattern;
mod prove;
mod sample;
mod validate;

use serde_json::Value;

use self::case::Case;
use self::finding::Finding;
use self::node::{Id, Node, Reading};
use self::prove::Prover;
use self::validate::Validator;
use super::text::json;
use super::{Comparison, Policy, Report, SchemaError, Side, Way, Witness};

/// Most steps to validate one made-up message.
const STEPS_OF_A_MESSAGE: u64 = 50_000;

/// Compares two versions.
///
/// # Errors
/// One of them is no JSON Schema, or is one that is not understood.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    let old = json(old).map_err(|error| error.on(Side::Old))?;
    let new = json(new)?;
    let mut changes = Vec::new();
    let mut witnesses = Vec::new();
    let mut complete = true;
    for way in how.direction.ways() {
        let pair = Pair::read(&old, &new, *way, how.policy)?;
        let (findings, whole) = pair.findings();
        complete &= whole;
        if !findings.is_empty() {
            witnesses.extend(pair.witness(*way));
        }
        changes.extend(findings.into_iter().map(|finding| finding.change(*way)));
    }
    if complete {
        let breaks: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
        let touched = |path: &str| breaks.iter().any(|other| other == path || below(other, path) || below(path, other));
        changes.extend(changes::changes(&old, &new).into_iter().filter(|change| !touched(&change.path)));
    }
    Ok(Report::new(changes, witnesses))
}

fn below(inner: &str, outer: &str) -> bool {
    outer == "/" || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Messages that a schema lets through, at most some dozens, for tests and documents.
///
/// # Errors
/// It is no JSON Schema.
pub fn examples(schema: &str) -> Result<Vec<Value>, SchemaError> {
    let document = json(schema)?;
    let mut nodes = Vec::new();
    let root = parse::parse(&document, Reading::Exact, &mut nodes)?;
    let values = sample::samples(&nodes, root);
    Ok(values.into_iter().filter(|value| valid(&nodes, root, value) == Some(true)).collect())
}

/// Whether a message is valid under a schema; nothing where a pattern or a format is not decided.
///
/// # Errors
/// It is no JSON Schema.
pub fn is_valid(schema: &str, message: &Value) -> Result<Option<bool>, SchemaError> {
    let document = json(schema)?;
    let mut nodes = Vec::new();
    let root = parse::parse(&document, Reading::Exact, &mut nodes)?;
    Ok(valid(&nodes, root, message))
}

fn valid(nodes: &[Node], root: Id, message: &Value) -> Option<bool> {
    Validator { nodes, steps: &mut 0, most: STEPS_OF_A_MESSAGE, depth: 0 }.valid(root, message)
}

/// A writer's and a reader's schema.
struct Pair {
    nodes: Vec<Node>,
    writer: Id,
    reader: Id,
    /// Both are the same text.
    same: bool,
}

impl Pair {
    fn read(old: &Value, new: &Value, way: Way, policy: Policy) -> Result<Self, SchemaError> {
        let (readings, mut nodes) = (way.writer_reader(Reading::Writer, Reading::Reader), Vec::new());
        let readings = if policy == Policy::Strict { (Reading::Exact, Reading::Exact) } else { readings };
        let old_id = parse::parse(old, readings.0, &mut nodes).map_err(|error| error.on(Side::Old))?;
        let new_id = parse::parse(new, readings.1, &mut nodes)?;
        let (writer, reader) = way.writer_reader(old_id, new_id);
        Ok(Self { nodes, writer, reader, same: old == new })
    }

    /// What stands in the way, and whether that is all.
    fn findings(&self) -> (Vec<Finding>, bool) {
        if self.same {
            return (Vec::new(), true);
        }
        let mut prover = Prover::new(&self.nodes);
        let findings = prover.within(&Case::of(&self.nodes, [self.writer]), self.reader, "");
        (findings, !prover.spent())
    }

    fn witness(&self, way: Way) -> Option<Witness> {
        let samples = sample::samples(&self.nodes, self.writer);
        let shows = |value: &Value| {
            valid(&self.nodes, self.writer, value) == Some(true) && valid(&self.nodes, self.reader, value) == Some(false)
        };
        let message = samples.into_iter().filter(shows).min_by_key(|value| value.to_string().len())?;
        let (writer, reader) = way.writer_reader("old", "new");
        let why = format!("valid under the {writer} version, refused by the {reader} one");
        Some(Witness { way, message, why })
    }
}

#[cfg(test)]
mod tests;
