//! Several versions of one schema, each read once however often it is compared.

use serde_json::Value;

use super::arena::Arena;
use super::case::Case;
use super::finding::Finding;
use super::node::{Id, Node, Reading};
use super::prove::Prover;
use super::{parse, sample, valid};
use crate::contract::{Change, Direction, Policy, SchemaError, Way, Witness};

/// Versions of one schema, under one policy.
#[derive(Debug)]
pub struct History {
    policy: Policy,
    versions: Vec<Version>,
    /// Of all versions.
    arena: Arena,
}

/// The root of a version's schema, as it is written by and as it is read by.
#[derive(Debug, Clone, Copy)]
struct Version {
    writer: Id,
    reader: Id,
}

/// What stands between two versions.
#[derive(Debug, Default)]
pub struct Breaks {
    /// What breaks, or is not seen not to.
    pub changes: Vec<Change>,
    /// Messages that show it.
    pub witnesses: Vec<Witness>,
    /// That is all: no limit was met.
    pub complete: bool,
}

impl History {
    /// Without a version.
    pub fn new(policy: Policy) -> Self {
        Self { policy, versions: Vec::new(), arena: Arena::default() }
    }

    /// How much memory it takes: so many times 128 bytes, about.
    pub fn size(&self) -> usize {
        self.arena.size()
    }

    /// Forgets all versions.
    pub fn clear(&mut self) {
        self.versions = Vec::new();
        self.arena = Arena::default();
    }

    /// Reads a version, and gives its number.
    ///
    /// # Errors
    /// It is no JSON Schema, or one that is not understood.
    pub fn add(&mut self, document: &Value) -> Result<usize, SchemaError> {
        let (writer, reader) = match self.policy {
            Policy::Strict => {
                let [root] = parse::parse(document, [Reading::Exact], &mut self.arena)?;
                (root, root)
            }
            Policy::Lenient => {
                let [writer, reader] = parse::parse(document, [Reading::Writer, Reading::Reader], &mut self.arena)?;
                (writer, reader)
            }
        };
        self.versions.push(Version { writer, reader });
        Ok(self.versions.len() - 1)
    }

    /// Compares two versions.
    pub fn breaks(&self, old: usize, new: usize, direction: Direction) -> Breaks {
        let mut breaks = Breaks { complete: true, ..Breaks::default() };
        let (old, new) = (self.versions[old], self.versions[new]);
        if self.arena.nodes[old.writer].words == self.arena.nodes[new.writer].words {
            return breaks;
        }
        for way in direction.ways() {
            let (writer, reader) = way.writer_reader(old, new);
            let pair = Pair { nodes: &self.arena.nodes, writer: writer.writer, reader: reader.reader };
            let (findings, complete) = pair.findings();
            breaks.complete &= complete;
            if !findings.is_empty() {
                breaks.witnesses.extend(pair.witness(*way));
            }
            breaks.changes.extend(findings.into_iter().map(|finding| finding.change(*way)));
        }
        breaks
    }
}

/// A writer's and a reader's schema.
struct Pair<'a> {
    nodes: &'a [Node],
    writer: Id,
    reader: Id,
}

impl Pair<'_> {
    /// What stands in the way, and whether that is all.
    fn findings(&self) -> (Vec<Finding>, bool) {
        let mut prover = Prover::new(self.nodes);
        let findings = prover.within(&Case::of(self.nodes, [self.writer]), self.reader, "");
        (findings, !prover.spent())
    }

    fn witness(&self, way: Way) -> Option<Witness> {
        let samples = sample::samples(self.nodes, self.writer);
        let shows = |value: &Value| {
            valid(self.nodes, self.writer, value) == Some(true) && valid(self.nodes, self.reader, value) == Some(false)
        };
        let message = samples.into_iter().filter(shows).min_by_key(|value| value.to_string().len())?;
        let (writer, reader) = way.writer_reader("old", "new");
        let why = format!("valid under the {writer} version, refused by the {reader} one");
        Some(Witness { way, message, why })
    }
}
