//! Documents of a contract, for tools and for people, made of its spec and its status.
//!
//! - [`asyncapi`]: AsyncAPI 3.0, one channel for each version of an operation.
//! - [`xregistry`]: an xRegistry document: a group of messages for each version, and the schemas with their history.
//! - [`markdown`]: a page to read.
//!
//! Shown is what may be relied on: versions that are offered, and, in the page, those that were. Drafts are nobody's business yet.
//! The state of a version is that of the status, as dependents meet it; without a status it is the one that is asked for.

pub mod asyncapi;
mod embedded;
mod headers;
pub mod markdown;
mod offer;
#[cfg(test)]
mod tests;
pub mod xregistry;

pub use embedded::Draft;
pub use headers::headers;
pub use offer::{DocumentError, Message, Offer, Offered};
