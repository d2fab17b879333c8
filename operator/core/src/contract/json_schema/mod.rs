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
mod history;
mod judge;
mod members;
mod node;
mod own;
mod parse;
mod pattern;
mod prove;
mod sample;
mod validate;

pub use self::history::History;
pub use self::judge::Judge;

use serde_json::Value;

use self::node::{Id, Node, Reading};
use self::validate::Validator;
use super::text::json;
use super::{Comparison, Policy, Report, SchemaError, Side};

/// Most steps to validate one made-up message.
const STEPS_OF_A_MESSAGE: u64 = 50_000;

/// Compares two versions.
///
/// # Errors
/// One of them is no JSON Schema, or is one that is not understood.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    let mut history = History::new(how.policy);
    let old = history.add(old).map_err(|error| error.on(Side::Old))?;
    let new = history.add(new)?;
    history.check(old, new, how.direction)
}

/// Whether a text is a JSON Schema.
///
/// # Errors
/// It is not, or is one that is not understood.
pub fn read(text: &str) -> Result<(), SchemaError> {
    let mut history = History::new(Policy::Strict);
    let version = history.add(text)?;
    history.read(version)
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

#[cfg(test)]
mod tests;
