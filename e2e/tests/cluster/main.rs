//! End to end: a real Kubernetes, the installed chart, a real Broker of three nodes.
//!
//! They run one after another (`e2e/run.sh`): some kill what all need.

mod admission;
mod assurances;
mod at_rest;
mod brownouts;
mod chaos;
mod checks;
mod client;
mod contracts;
mod crash;
mod deletion;
mod drift;
mod evolution;
mod example;
mod external;
mod filters;
mod foreign;
mod keda;
mod mqtt;
mod order_of_deletion;
mod orphans;
mod partitions;
mod planned;
mod promises;
mod queue;
mod quorum;
mod quota;
mod redrive;
mod refusal;
mod retention;
mod scaling;
mod secrecy;
mod serving;
mod settings;
mod topic;
