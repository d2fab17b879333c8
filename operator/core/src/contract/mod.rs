//! Compatibility of contracts: may a new version of a schema take the place of an old one?
//!
//! [`check`] compares two schemas as texts, [`check_history`] a new one with every version that is not retired. Each format has an
//! engine: [`json_schema`], [`avro`], [`protobuf`], and for what cannot be read, a hash.
//!
//! What a whole ServiceContract comes to is in [`spec`] (its rules), [`kept`] (schemas in ConfigMaps), [`schemas`] and [`ranks`] (its versions compared), [`conduct`] (their
//! states), [`brownouts`] (rehearsals of their end), [`assurances`] (what they are measured by), [`checks`] (whether messages are as promised), [`offer`] and [`object`] (the broker's part), [`usage`] (who uses them), [`refusals`] (who tried to and was refused), [`reference`](mod@reference) and [`notice`](mod@notice) (those who depend on them).
//!
//! - What an engine cannot prove compatible counts as incompatible, and the change says so ([`Effect::Unproven`]).
//! - Schemas are written by others: their size, nesting and number of parts are bounded, and so is the work done on them.
//!   Nothing is read but the texts given; a reference that leaves its text is refused.

pub mod assurances;
pub mod avro;
pub mod brownouts;
pub mod checks;
pub mod conduct;
pub mod documents;
mod error;
pub mod json_schema;
pub mod kept;
pub mod lifecycle;
pub mod notice;
pub mod object;
pub mod offer;
mod opaque;
pub mod protobuf;
pub mod ranks;
pub mod reference;
pub mod refusals;
mod report;
pub mod review;
pub mod schemas;
mod settle;
pub mod spec;
pub mod terms;
#[cfg(test)]
mod testing;
mod text;
pub mod usage;

pub use error::{MAX_BYTES, SchemaError, Side};
pub use report::{Change, Effect, Report, Way, Witness};

use serde::{Deserialize, Serialize};

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// JSON Schema, 2020-12 or draft-07.
    JsonSchema,
    /// Avro 1.12, as JSON.
    Avro,
    /// Protocol Buffers, proto2 or proto3.
    Protobuf,
    /// Anything else: any change is a break.
    Opaque,
}

impl Format {
    /// The format that a file's name tells: `.json`, `.avsc` and `.proto`.
    pub fn of_file(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "json" => Some(Self::JsonSchema),
            "avsc" => Some(Self::Avro),
            "proto" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// What is taken for granted of writers and readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Policy {
    /// A writer sends what its schema names and nothing else; a reader passes over what it does not know.
    #[default]
    Lenient,
    /// A writer may send whatever its schema lets through; a reader refuses what its schema does not.
    Strict,
}

/// Who has to understand whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// The new version reads what the old one wrote.
    Backward,
    /// The old version reads what the new one writes.
    Forward,
    /// Both.
    Full,
}

impl Direction {
    /// The ways to look at: one, or both.
    pub const fn ways(self) -> &'static [Way] {
        match self {
            Self::Backward => &[Way::Backward],
            Self::Forward => &[Way::Forward],
            Self::Full => &[Way::Backward, Way::Forward],
        }
    }
}

/// What the owner of a contract does in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// The owner sends: readers that know the old version must read what it will send.
    Send,
    /// The owner receives: what senders of the old version send must stay valid.
    Receive,
}

impl Action {
    /// The direction in which an operation of the owner must be compatible.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Send => Direction::Forward,
            Self::Receive => Direction::Backward,
        }
    }
}

/// How two schemas are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// The format of both.
    pub format: Format,
    /// Who has to understand whom.
    pub direction: Direction,
    /// What is taken for granted.
    pub policy: Policy,
    /// Whether messages are sent as JSON. Protobuf and Avro then also go by names; JSON Schema always does.
    pub json_encoding: bool,
}

/// Compares two versions of a schema.
///
/// # Errors
/// One of them is no schema of the format, is too large, or refers to something outside of it.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    fits(old).map_err(|error| error.on(Side::Old))?;
    fits(new)?;
    match how.format {
        Format::JsonSchema => json_schema::check(old, new, how),
        Format::Avro => avro::check(old, new, how),
        Format::Protobuf => protobuf::check(old, new, how),
        Format::Opaque => Ok(opaque::check(old, new, how)),
    }
}

/// Whether a text is short enough to be looked at.
fn fits(text: &str) -> Result<(), SchemaError> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(SchemaError::new(format!("{} bytes, the most are {MAX_BYTES}", text.len())))
}

/// Whether a text is a schema of a format, as a first version has nothing to be compared with.
///
/// # Errors
/// It is not.
pub fn parse(text: &str, format: Format) -> Result<(), SchemaError> {
    if format == Format::JsonSchema {
        return fits(text).and_then(|()| json_schema::read(text));
    }
    let how = Comparison { format, direction: Direction::Backward, policy: Policy::Strict, json_encoding: false };
    check(text, text, how).map(|_| ())
}

/// What came of the comparison with one earlier version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The earlier version.
    pub version: String,
    /// The comparison.
    pub report: Report,
}

/// Compares a new version with every earlier one that is given: compatibility with the last alone does not carry over,
/// as a field that was removed may come back with another type.
///
/// # Errors
/// One of them is no schema of the format; the version is named.
pub fn check_history<'a>(
    earlier: impl IntoIterator<Item = (&'a str, &'a str)>,
    new: &str,
    how: Comparison,
) -> Result<Vec<Verdict>, SchemaError> {
    earlier
        .into_iter()
        .map(|(version, old)| match check(old, new, how) {
            Ok(report) => Ok(Verdict { version: version.to_owned(), report }),
            Err(error) => Err(if error.side == Side::Old { error.of_version(version) } else { error }),
        })
        .collect()
}

#[cfg(test)]
mod tests;
