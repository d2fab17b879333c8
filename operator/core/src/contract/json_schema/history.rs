//! Several versions of one schema, each read once however often it is compared: reading takes most of the time.

use serde_json::Value;

use super::case::Case;
use super::finding::Finding;
use super::node::{Id, Node, Reading};
use super::prove::Prover;
use super::{below, changes, parse, sample, valid};
use crate::contract::text::json;
use crate::contract::{Direction, Policy, Report, SchemaError, Side, Way, Witness};

/// Versions of one schema, under one policy.
#[derive(Debug)]
pub struct History {
    policy: Policy,
    versions: Vec<Version>,
    /// Of all versions. A node refers to none but those of its own.
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Version {
    document: Value,
    /// Its root in each reading that was asked for.
    roots: Vec<(Reading, Id)>,
}

impl History {
    /// Without a version.
    pub fn new(policy: Policy) -> Self {
        Self { policy, versions: Vec::new(), nodes: Vec::new() }
    }

    /// How much it holds: schemas, counting each within another.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets all versions.
    pub fn clear(&mut self) {
        self.versions = Vec::new();
        self.nodes = Vec::new();
    }

    /// Adds a version, and gives its number.
    ///
    /// # Errors
    /// It is no JSON. Whether it is a schema, [`History::check`] tells, or [`History::read`].
    pub fn add(&mut self, text: &str) -> Result<usize, SchemaError> {
        self.versions.push(Version { document: json(text)?, roots: Vec::new() });
        Ok(self.versions.len() - 1)
    }

    /// Whether a version is a schema.
    ///
    /// # Errors
    /// It is not, or is one that is not understood.
    pub fn read(&mut self, version: usize) -> Result<(), SchemaError> {
        self.root(version, Reading::Exact).map(drop)
    }

    /// Compares two versions.
    ///
    /// # Errors
    /// One of them is no JSON Schema, or is one that is not understood.
    pub fn check(&mut self, old: usize, new: usize, direction: Direction) -> Result<Report, SchemaError> {
        let mut changes = Vec::new();
        let mut witnesses = Vec::new();
        let mut complete = true;
        for way in direction.ways() {
            let pair = self.pair(old, new, *way)?;
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
            let all = changes::changes(&self.versions[old].document, &self.versions[new].document);
            changes.extend(all.into_iter().filter(|change| !touched(&change.path)));
        }
        Ok(Report::new(changes, witnesses))
    }

    fn pair(&mut self, old: usize, new: usize, way: Way) -> Result<Pair<'_>, SchemaError> {
        let lenient = way.writer_reader(Reading::Writer, Reading::Reader);
        let (of_old, of_new) = if self.policy == Policy::Strict { (Reading::Exact, Reading::Exact) } else { lenient };
        let old_root = self.root(old, of_old).map_err(|error| error.on(Side::Old))?;
        let new_root = self.root(new, of_new)?;
        let (writer, reader) = way.writer_reader(old_root, new_root);
        let same = self.versions[old].document == self.versions[new].document;
        Ok(Pair { nodes: &self.nodes, writer, reader, same })
    }

    fn root(&mut self, version: usize, reading: Reading) -> Result<Id, SchemaError> {
        let Self { policy: _, versions, nodes } = self;
        let Version { document, roots } = &mut versions[version];
        if let Some((_, root)) = roots.iter().find(|(known, _)| *known == reading) {
            return Ok(*root);
        }
        let before = nodes.len();
        let root = parse::parse(document, reading, nodes).inspect_err(|_| nodes.truncate(before))?;
        roots.push((reading, root));
        Ok(root)
    }
}

/// A writer's and a reader's schema.
struct Pair<'a> {
    nodes: &'a [Node],
    writer: Id,
    reader: Id,
    /// Both are the same text.
    same: bool,
}

impl Pair<'_> {
    /// What stands in the way, and whether that is all.
    fn findings(&self) -> (Vec<Finding>, bool) {
        if self.same {
            return (Vec::new(), true);
        }
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
