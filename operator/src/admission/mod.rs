//! The validating admission webhook.
//!
//! What it says is decided in `entente_core::admission` and `entente_core::contract::review`; here is what brings the question there
//! and the answer back. Every replica serves it, the leader alone keeps its certificate and tells the API server whom to trust.
//!
//! - It only validates, and only helps: its configuration says `failurePolicy: Ignore`, so that without an operator everything can be
//!   created, changed, deleted and upgraded. The controllers check all of it again.
//! - Nothing that arrives is trusted. Whoever reaches the port may ask; the answer allows nothing but the API server's own write, and
//!   tells nothing of objects whose content the asker does not know already.
//! - Size, number, time and memory of reviews are bounded. One that takes too long is admitted, with a warning that says so.

mod answer;
mod gather;
pub mod keeper;
pub(crate) mod listener;
mod names;
mod question;
pub(crate) mod secret;
mod server;

pub use gather::Lookup;
pub use names::{Certificates, Names, WEBHOOK};
pub use server::serve;
