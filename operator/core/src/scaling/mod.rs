//! How many replicas the consumers of a queue should have: a pure function of what was seen.
//!
//! ```text
//! Config::new(&Scaling, Caps) → Config            once for each version of the spec
//! step(&Config, State, &Sample, now) → (State, Decision)   each tick, about once a second
//! ```
//!
//! # How a controller uses it
//!
//! 1. `State::resume(text)` with the text that the object's status holds, or `None`. A text that is not understood
//!    counts as none; what was resumed never lowers replicas before a whole down window was seen again.
//! 2. Each tick: a [`Sample`] of the queue and the target, then [`step`] with the wall clock.
//! 3. [`Decision::write`] says what to write to `/scale`, if anything.
//! 4. [`State::encode`] is the text to keep in the status. Writing it each tick would be a write a second:
//!    [`State::worth_saving`] says when it differs enough from what was saved.
//!
//! # Rules it keeps
//!
//! - A read that failed, or that is older than the last, never lowers replicas. Where a node did not answer,
//!   the depth is a lower bound: it may raise, never lower.
//! - Replicas are never lowered below those that may hold unacknowledged messages, except to a lowered maximum.
//! - Never zero while a message is ready or unacknowledged.
//! - Time is the wall clock, which may jump: a step back, or ahead by more than a minute, counts as no time at all.
//!   Schedules alone go by the wall clock itself; what they end is lowered as anything else is.
//! - Numbers may be anything: not-a-number, negative and huge ones are taken for absent or clamped.
//!
//! The formulas are explained in `docs/scaling.md`. Durations are milliseconds, rates are messages per second.

mod arrivals;
mod config;
mod cron;
mod decision;
pub mod deletion;
mod downstream;
pub mod keda;
mod ledger;
mod need;
mod number;
mod sample;
mod schedule;
mod service;
mod state;
mod step;
mod window;

pub use config::{Cap, Caps, Config};
pub use decision::{Decision, HeldBack, Inputs, Objective};
pub use sample::{Reading, Sample, Seen, Target};
pub use schedule::Schedule;
pub use state::State;
pub use step::step;

#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod testing;
