//! Messages over AMQP 1.0.
//!
//! A layer over fe2o3-amqp that keeps one promise the library does not: every
//! operation returns. Each one races the end of its connection and a limit in time,
//! and tells which of them it was by a typed [`Error`].
//!
//! Delivery is at least once. A message whose outcome is unknown when a connection
//! ends is sent again with the same message-id, so receivers can tell; exactly once
//! is not given and not claimed.

pub mod address;
mod backoff;
mod connection;
pub mod content;
mod error;
mod events;
mod message;
mod nesting;
mod options;
mod outcome;
mod pipeline;
mod receiver;
mod reconnect;
mod reconnecting_receiver;
mod reconnecting_sender;
pub mod redrive;
pub mod replay;
mod sender;
mod wire;

pub use backoff::Backoff;
pub use connection::Connection;
pub use error::Error;
pub use events::{BrokerEvent, EventStream};
pub use message::{Delivery, Incoming, Outgoing};
pub use options::{ConnectOptions, Timeouts, Tls};
pub use outcome::Outcome;
pub use pipeline::Pipeline;
pub use receiver::{Receiver, StreamOffset};
pub use reconnect::{OptionsSource, ReconnectPolicy};
pub use reconnecting_receiver::ReconnectingReceiver;
pub use reconnecting_sender::{ReconnectingSender, Settled, Settlement, WhenUnknown};
pub use sender::{Pending, Sender};

pub use fe2o3_amqp_types::primitives::{SimpleValue, Value};

#[cfg(test)]
mod tests;
