//! What came of a comparison.

use serde::{Deserialize, Serialize};

/// Most changes that a report lists. A schema that was replaced altogether needs no longer list to say so.
const MOST: usize = 200;

/// One of the two ways in which a version has to understand another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// The new version reads what the old one wrote.
    Backward,
    /// The old version reads what the new one writes.
    Forward,
}

impl Way {
    /// Of an old and a new thing: the writer's and the reader's.
    pub(super) fn writer_reader<T>(self, old: T, new: T) -> (T, T) {
        match self {
            Self::Backward => (old, new),
            Self::Forward => (new, old),
        }
    }

    /// Of a writer's and a reader's thing: the one before and the one after. It is its own inverse.
    pub(super) fn before_after<T>(self, writer: T, reader: T) -> (T, T) {
        self.writer_reader(writer, reader)
    }
}

/// What a change does to those who rely on the other version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Nothing breaks.
    Compatible,
    /// The engine cannot tell. It counts as a break.
    Unproven,
    /// There are messages that the reader refuses or misreads.
    Breaking,
}

/// One change between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where: a path from the schema's root.
    pub path: String,
    /// The rule it falls under, as named in `docs/contracts.md`.
    pub rule: &'static str,
    /// What it does.
    pub effect: Effect,
    /// In which way it breaks; none for a change that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// How it was; nothing where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How it is now; nothing where it is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What comes of it.
    pub why: String,
    /// What to do; empty for a change that does not break.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

/// A message that the reader refuses or misreads although the writer may send it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// In which way.
    pub way: Way,
    /// The message, as JSON. Of Avro in its JSON encoding.
    pub message: serde_json::Value,
    /// What happens to it.
    pub why: String,
}

/// The changes between two versions, those that break first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The changes.
    pub changes: Vec<Change>,
    /// Messages that show a break; at most one each way. Not every break has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

impl Report {
    pub(super) fn new(mut changes: Vec<Change>, witnesses: Vec<Witness>) -> Self {
        changes.sort_by(|a, b| (b.effect, &a.path, a.rule, a.way).cmp(&(a.effect, &b.path, b.rule, b.way)));
        changes.dedup();
        changes.truncate(MOST);
        Self { changes, witnesses }
    }

    /// Whether nothing breaks, and that is proven.
    pub fn compatible(&self) -> bool {
        self.changes.iter().all(|change| change.effect == Effect::Compatible)
    }

    /// Whether nothing breaks in one way, and that is proven.
    pub fn compatible_in(&self, way: Way) -> bool {
        self.changes.iter().all(|change| change.effect == Effect::Compatible || change.way != Some(way))
    }

    /// The changes that break, or may.
    pub fn breaks(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.effect != Effect::Compatible)
    }
}
