//! The Broker controller: from a Broker to running nodes, and from these to its status.

pub mod context;
pub mod controller;
pub mod credentials;
pub mod events;
mod external;
mod failover;
pub mod guard;
pub mod nodes;
pub mod observe;
pub mod probe;
pub mod secrets;
#[cfg(test)]
pub(crate) mod testing;
pub mod work;

pub use context::{BrokerContext, BrokerSettings, Namespaces};
pub use controller::{Error, Outcome, reconcile, run};
pub use probe::BrokerProbe;
