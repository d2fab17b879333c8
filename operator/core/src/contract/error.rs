//! Why a text is no schema.

use std::fmt;

/// Most bytes of a schema. An object of Kubernetes, which has to hold it, ends at 1.5 MiB with all its versions.
pub const MAX_BYTES: usize = 256 * 1024;

/// Which of two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The earlier version.
    Old,
    /// The later version.
    New,
}

/// A text that is no schema of its format, or one that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// Which of the two.
    pub side: Side,
    /// The earlier version's name, where there are several.
    pub version: Option<String>,
    /// Where in the text: a JSON pointer, or line and column; empty for all of it.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl SchemaError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { side: Side::New, version: None, place: String::new(), problem: problem.into() }
    }

    pub(super) fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::new(problem) }
    }

    pub(super) fn on(mut self, side: Side) -> Self {
        self.side = side;
        self
    }

    pub(super) fn of_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.side, &self.version) {
            (Side::Old, Some(version)) => write!(f, "version {version}: ")?,
            (Side::Old, None) => f.write_str("the old version: ")?,
            (Side::New, _) => f.write_str("the new version: ")?,
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for SchemaError {}
