//! The controller of `ServiceContract`s: versions that come, honour each other, and end with notice.
//!
//! Expected flow of a visit: compare the schemas of versions that are to be offered; see who uses those that are; let each version take
//! its next step, and write the states, refused by the API server if somebody else wrote meanwhile; then the pipeline of
//! [`crate::objects`] makes the broker as the states say. What is decided is in `entente_core::contract`.

mod checks;
mod clock;
mod context;
pub mod dependents;
mod measured;
mod probes;
mod refused;
mod schemas;
pub mod told;
mod usage;
mod visit;

pub use context::ContractContext;
