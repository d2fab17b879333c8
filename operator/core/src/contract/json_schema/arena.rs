//! The schemas of some documents, taken apart: what stands in several of them, or several times in one, is there once.

use std::collections::HashMap;

use super::meaning::Meanings;
use super::node::{Id, Meaning, Node, Reading};

/// Schemas by number.
#[derive(Debug, Default)]
pub struct Arena {
    pub nodes: Vec<Node>,
    /// How many schemas apply to the same value below each; `Some(0)` is one that is being counted.
    pub chains: Vec<Option<usize>>,
    pub meanings: Meanings,
    shared: HashMap<(Meaning, Reading), Id>,
}

impl Arena {
    /// How much memory it takes: so many times 128 bytes, about.
    pub fn size(&self) -> usize {
        8 * self.nodes.len() + self.meanings.len()
    }

    /// One that means the same.
    pub fn known(&self, meaning: Meaning, reading: Reading) -> Option<Id> {
        self.shared.get(&(meaning, reading)).copied()
    }

    /// A schema that is still to be read.
    pub fn reserve(&mut self, reading: Reading, meaning: Option<Meaning>) -> Id {
        let id = self.nodes.len();
        self.nodes.push(Node::new(reading));
        self.chains.push(None);
        if let Some(meaning) = meaning {
            self.shared.insert((meaning, reading), id);
        }
        id
    }

    /// Takes back all from a number on.
    pub fn truncate(&mut self, from: Id) {
        self.nodes.truncate(from);
        self.chains.truncate(from);
        self.shared.retain(|_, id| *id < from);
    }
}
