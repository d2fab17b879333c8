//! What tests and benchmarks against a real cluster share.
//!
//! They speak to three sides: Kubernetes as an administrator, the broker behind the operator's back, and the audit log and the
//! broker's access log, where writes are counted by those who receive them.

pub mod access_log;
pub mod amqp;
pub mod audit;
pub mod broker;
pub mod chance;
pub mod chaos;
pub mod cluster;
pub mod foreign;
pub mod histogram;
pub mod interrupt;
pub mod leaving;
pub mod manifest;
pub mod object;
pub mod operator;
pub mod planned;
pub mod process;
pub mod queue;
pub mod ranks;
pub mod report;
pub mod retyped;
pub mod scaled;
pub mod scene;
pub mod typed;
pub mod usage;
pub mod wait;
