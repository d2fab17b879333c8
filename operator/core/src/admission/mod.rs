//! What is said of an object before the API server stores it.
//!
//! Admission is courtesy: whoever applies an object is told at once what its controller would say later, by the same functions. The
//! controllers check all of it again, since admission can be absent, late, or of another version.
//!
//! - What no version of Entente could serve is refused. What this one does not serve *yet* is let through with a warning: its status
//!   says so, and an upgrade heals it.
//! - Only what changes the spec is judged. An object that is older than a rule must still get labels, lose finalizers and go.

mod judgement;
mod kinds;

pub(crate) use judgement::cut;
pub use judgement::{Judgement, WARNING_LIMIT};
pub use kinds::{judge, plurals};
