//! Pure logic of Entente.
//!
//! Data flows one way, `snapshot → validate → desired → diff → plan → status`, and the
//! modules are named after the steps. Nothing here does I/O, sleeps or reads a clock:
//! `now` is always an argument, so every decision can be tested as a value.

pub mod admission;
pub mod breaker;
pub mod client;
pub mod cluster;
pub mod conditions;
pub mod contract;
pub mod filter;
pub mod lease;
pub mod object;
pub mod orphans;
pub mod queue;
pub mod quota;
pub mod resolve;
pub mod scaling;
pub mod subscription;
pub mod subset;
pub mod taps;
pub mod topic;
pub mod topology;
