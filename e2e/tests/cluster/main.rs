//! End to end: a real Kubernetes, the installed chart, a real Broker of three nodes.
//!
//! They run one after another (`e2e/run.sh`): some kill what all need.

mod at_rest;
mod client;
mod crash;
mod deletion;
mod drift;
mod example;
mod filters;
mod order_of_deletion;
mod orphans;
mod queue;
mod redrive;
mod refusal;
mod retention;
mod secrecy;
mod topic;
