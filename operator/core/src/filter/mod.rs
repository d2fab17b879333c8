//! Filters of Subscriptions.
//!
//! - [`parse`] reads the SQL filter language: AMQP Filter Expressions 1.0, section 6. Its errors have a place and a hint.
//! - [`subject`] has the wildcards of `filter.subject`.
//! - [`properties`] makes such an expression of `filter.properties`.
//!
//! The broker decides which messages pass; what is here tells beforehand what it will decide, and so follows RabbitMQ 4.3
//! wherever that departs from the specification. One table of cases runs against both (`tests/filter-cases.yaml`).
//! In RabbitMQ:
//! - Keywords are in capitals. In another case they are neither keywords nor names.
//! - Strings may also be between double quotes.
//! - Binaries, strings, symbols and UUIDs are all bytes, equal if their bytes are; characters and timestamps are integers.
//! - `<>` of values of unlike types is true; every other comparison of them is false.
//! - Lists, arrays, maps, decimals, and floats that are not finite, are as if absent.
//! - Integers have no bounds; `/` always divides floats; `%` is for integers. Division by zero is unknown.
//! - Of functions there is UTC(), of the header there is `priority`; there are no sections of annotations.
//! - `a IN (b)` is false where b is unknown.
//! - What LIKE does is told in `like`.

mod ast;
mod error;
mod eval;
mod hints;
mod lexer;
mod like;
mod message;
mod names;
mod number;
mod parser;
pub mod properties;
pub mod subject;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub use ast::Expression;
pub use error::FilterError;
pub use eval::Truth;
pub use message::{Header, Message};
pub use names::{Field, Identifier};
pub use parser::parse;
pub use value::Value;

/// Most characters of a filter, in RabbitMQ.
///
/// A binding that is made over RabbitMQ's HTTP API has a bound of its own: 5000 bytes for the whole body, as JSON.
pub const MAX_CHARACTERS: usize = 4096;

/// Most tokens of a filter, in RabbitMQ: a name, a value, an operator, a parenthesis or a comma is one.
pub const MAX_TOKENS: usize = 200;
