//! The Queue controller: `watch → snapshot → validate → desired → diff → apply → status`.

pub mod context;
pub mod controller;
pub mod deletion;
pub mod reconcile;
pub mod vanished;
pub mod writes;

pub use context::QueueContext;
pub use controller::run;
