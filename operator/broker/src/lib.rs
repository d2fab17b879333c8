//! Broker client: administration over RabbitMQ's HTTP API, messages over AMQP 1.0.

pub mod admin;
pub mod amqp;
pub mod nodes;
pub mod rabbitmq;
pub mod tls;
pub mod users;
