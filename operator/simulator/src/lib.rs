//! A queue, its consumers and the autoscaler, simulated message by message in seeded time.
//!
//! One [`World`](world::World) is one run: messages arrive as a [`Trace`](trace::Trace) says, are delivered with prefetch,
//! take as long as a [`Service`](chance::Service) draws, and a [`Policy`](policy::Policy) looks now and then and changes
//! the number of replicas. New replicas take their time to start; one that goes while it holds messages gives them back.
//! What comes out is [`Figures`](figures::Figures).
//!
//! Simulated: the age of the broker's figures, the phase of every poll, starts of pods, prefetch and redelivery, an outage,
//! counters that start again, a downstream that serves no more than so much. Not simulated: the delay of the API server
//! and the scheduler, a lack of nodes, consumers that fail.

pub mod chance;
pub mod figures;
pub mod plot;
pub mod policy;
pub mod suite;
pub mod trace;
pub mod world;

/// What all runs have in common.
pub mod setting {
    /// Mean seconds that one message takes.
    pub const SERVICE_SECONDS: f64 = 0.5;
    /// Objective: no message is older, in seconds.
    pub const OBJECTIVE_SECONDS: f64 = 30.0;
    /// The most replicas.
    pub const MAX_REPLICAS: u32 = 50;
    /// Seconds between two refreshes of the broker's figures.
    pub const REFRESH_SECONDS: f64 = 1.0;
}
