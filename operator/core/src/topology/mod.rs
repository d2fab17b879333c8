//! What exists in a broker, what should, and the way from one to the other.
//!
//! [`model`] has the objects, [`names`] what they are called and whose they are, [`observed`] what was read of a virtual host, [`plan`] the typed
//! actions, [`ring`] exchanges that hash, [`foundation`] what every virtual host of ours holds, [`diff`] the pure
//! `(desired, observed) → plan`.

pub mod affected;
pub mod diff;
pub mod foundation;
pub mod model;
pub mod names;
pub mod observed;
pub mod plan;
pub mod ring;
