//! Failover, proven by histories: what clients saw while nodes were killed, and what a checker says of it.
//!
//! Producers and consumers write down each event before they act on it, in files that the broker cannot touch (`history`). Nothing
//! but these files goes into the verdict (`check`, `gaps`): the checker knows neither the broker nor the faults.
//!
//! `plan` says what is sent where, `producer` and `consumer` are the clients, `nemesis` names the kinds of failure, `fault` does and
//! undoes one (with `disk`, `clock`, `drain`, `without_operator` and `machine`), `heal` undoes whatever a run has left, `redundancy` asks the broker when it is whole again, `campaign` runs rounds of it, `figures` is what is told in the end, and `summary` the short form of it.

pub mod campaign;
pub mod check;
pub mod clients;
pub mod clock;
pub mod consumer;
pub mod disk;
pub mod drain;
pub mod fault;
pub mod figures;
pub mod gaps;
pub mod heal;
pub mod history;
pub mod judge;
pub mod machine;
pub mod nemesis;
pub mod plan;
pub mod producer;
pub mod redundancy;
pub mod summary;
pub mod without_operator;

#[cfg(test)]
mod check_tests;
