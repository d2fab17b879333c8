//! Connections to brokers, shared by everything that asks one.
//!
//! A [`Link`] belongs to one Broker: its administration, what was last observed of its virtual hosts
//! ([`host`]), a circuit breaker, and a task that keeps the observation fresh ([`observer`]) by resync and
//! by the broker's own events ([`events`]). Reconcilers decide on the observation: in steady state none of
//! them asks the broker about its one object.

pub mod events;
pub mod external;
pub mod gathered;
pub mod host;
pub mod link;
pub mod news;
pub mod observer;
pub mod probe;
pub mod refusals;
pub mod registry;
pub mod stale;
pub mod users;
pub mod wakers;

pub use link::{Link, LinkError};
pub use registry::{Links, NoLink};
