//! Broker client.
pub mod amqp;
