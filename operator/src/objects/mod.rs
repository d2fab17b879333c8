//! The controllers of whatever stands for something in a virtual host:
//! `watch → snapshot → validate → desired → diff → apply → status`.
//!
//! One pipeline for all kinds. What differs is decided in `entente_core` ([`Object`](entente_core::object::Object));
//! where an object's virtual host is, in [`home`].

pub mod context;
pub mod deletion;
pub mod growth;
pub mod home;
pub mod reconcile;
pub mod writes;

pub use context::{Context, Shared};
pub use home::Kind;
