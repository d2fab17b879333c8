//! Protocol Buffers: messages of one name in two versions of a file, field by field by number.
//!
//! Own parser, as what is read is written by strangers: bounded, without files (what is imported is known by name alone), and
//! with places in its errors. Editions are not read. Services are passed over: operations are the contract's.

mod compare;
mod enums;
mod file;
mod lexer;
mod messages;
mod names;
mod parser;
mod scalars;
mod wire;

pub use self::messages::Messages;

use self::compare::Files;
use self::file::File;
use super::{Comparison, Report, SchemaError, Side};

/// Compares two versions.
///
/// # Errors
/// One of them is no .proto file of proto2 or proto3, or one with numbers or names used twice.
pub fn check(old: &str, new: &str, how: Comparison) -> Result<Report, SchemaError> {
    let old_file = read(old).map_err(|error| error.on(Side::Old))?;
    let new_file = read(new)?;
    if old == new {
        return Ok(Report::default());
    }
    let mut files = Files { old: &old_file, new: &new_file, how, changes: Vec::new(), witnesses: Vec::new() };
    files.compare();
    let Files { changes, witnesses, .. } = files;
    Ok(Report::new(changes, witnesses))
}

fn read(text: &str) -> Result<File, SchemaError> {
    let mut file = parser::parse(text)?;
    names::resolve(&mut file)?;
    Ok(file)
}
