//! JSON Schema, 2020-12 and draft-07.
//!
//! A version is compatible in a way if every message that is valid under the writer's schema is valid under the reader's. This is
//! proven, not looked up: both are taken apart ([`node`]), the writer's values become a [`case`] that falls into smaller ones where
//! it has branches, and [`prove`] goes through what the reader demands. Where a proof fails, [`sample`] looks for a message
//! that shows it.
//!
//! `format` and `contentEncoding` count as demands, although validators may pass over them: a reader that names a format relies
//! on it. Two patterns are equal or not; what a third one lets through of both is not worked out.

mod arena;
mod case;
mod changes;
mod decimal;
mod finding;
mod history;
mod judge;
mod keywords;
mod meaning;
mod members;
mod node;
mod own;
mod parse;
mod pattern;
mod prove;
mod references;
mod sample;
mod validate;

pub use self::history::{Breaks, History};
pub use self::judge::Judge;

use serde_json::Value;

use self::arena::Arena;
use self::node::{Id, Node, Reading};
use self::validate::Validator;
use super::text::json;
use super::{Comparison, Report, SchemaError, Side};

/// Most steps to validate one made-up message.
const STEPS_OF_A_MESSAGE: u64 = 50_000;

/// Compares two versions.
///
/// # Errors
/// One of them is no JSON Schema, or is one that is not understood.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    let (before, after) = (json(old).map_err(|error| error.on(Side::Old))?, json(new)?);
    let mut history = History::new(how.policy);
    let old = history.add(&before).map_err(|error| error.on(Side::Old))?;
    let new = history.add(&after)?;
    let Breaks { mut changes, witnesses, complete } = history.breaks(old, new, how.direction);
    if complete {
        let breaks: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
        let touched = |path: &str| breaks.iter().any(|other| other == path || below(other, path) || below(path, other));
        changes.extend(changes::changes(&before, &after).into_iter().filter(|change| !touched(&change.path)));
    }
    Ok(Report::new(changes, witnesses))
}

/// Whether a text is a JSON Schema.
///
/// # Errors
/// It is not, or is one that is not understood.
pub fn read(text: &str) -> Result<(), SchemaError> {
    exact(text).map(drop)
}

fn below(inner: &str, outer: &str) -> bool {
    outer == "/" || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Messages that a schema lets through, at most some dozens, for tests and documents.
///
/// # Errors
/// It is no JSON Schema.
pub fn examples(schema: &str) -> Result<Vec<Value>, SchemaError> {
    let (nodes, root) = exact(schema)?;
    let values = sample::samples(&nodes, root);
    Ok(values.into_iter().filter(|value| valid(&nodes, root, value) == Some(true)).collect())
}

/// Whether a message is valid under a schema; nothing where a pattern or a format is not decided.
///
/// # Errors
/// It is no JSON Schema.
pub fn is_valid(schema: &str, message: &Value) -> Result<Option<bool>, SchemaError> {
    let (nodes, root) = exact(schema)?;
    Ok(valid(&nodes, root, message))
}

fn exact(schema: &str) -> Result<(Vec<Node>, Id), SchemaError> {
    let mut arena = Arena::default();
    let [root] = parse::parse(&json(schema)?, [Reading::Exact], &mut arena)?;
    Ok((arena.nodes, root))
}

fn valid(nodes: &[Node], root: Id, message: &Value) -> Option<bool> {
    Validator { nodes, steps: &mut 0, most: STEPS_OF_A_MESSAGE, depth: 0 }.valid(root, message)
}

#[cfg(test)]
mod tests;
