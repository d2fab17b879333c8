//! Dead letters back to where they came from.
//!
//! Each dead letter is received unsettled, its copy is sent, and only when the broker has accepted the copy is the dead
//! letter accepted. So nothing is lost, whatever ends a run and wherever: what was on its way then is in the target and still
//! in the dead-letter queue, and the next run sends it again. Both copies have the same message-id, by which receivers can
//! tell. Delivery is at least once; exactly once is not given and not claimed.
//!
//! What stays (it does not match the filter, it cannot be read, nobody knows where it belongs) is held unsettled until the end
//! and then released in order: released earlier, the broker would deliver it again and again. So other consumers of the
//! dead-letter queue do not see it meanwhile, and the broker takes it back where it has a limit on how long a message
//! may be held (`consumerTimeout`).
//!
//! A run ends although messages die again as fast as it sends them: each copy bears the mark of its run and is not sent twice
//! by it. It does not end while others die for the first time, unless it has a `limit`.
//!
//! A copy is the message as the protocol library reads and writes it: the same values of the same types, encoded
//! perhaps otherwise. Three things differ: a message without any body gets the body null; an array in the message annotations
//! arrives as a binary (see `nesting`); a message that the library cannot read stays.

pub(super) mod filter;
pub(super) mod letter;
mod pace;
mod report;
mod run;

use std::time::Duration;

use entente_core::filter::Expression;

pub use report::{End, Failed, Progress, Report};
pub use run::redrive;

/// Where dead letters go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Each to the queue where it died, as the broker noted it on the message; without a note, from `<queue>.dead` to
    /// `<queue>`. Directly: taps of that queue got their copies the first time.
    Source,
    /// All to one address (see [`super::address`]).
    Address(String),
}

/// What to move, and how.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// The dead-letter queue.
    pub from: String,
    /// Where to.
    pub to: Target,
    /// At most this many messages per second.
    pub rate: Option<f64>,
    /// At most this many messages in all.
    pub limit: Option<u64>,
    /// Only messages for which this is true.
    pub filter: Option<Expression>,
    /// The user may send messages in the name of others (RabbitMQ's tag `impersonator`). Otherwise messages with a user-id
    /// of somebody else stay: the broker would refuse them and end the session.
    pub impersonates: bool,
    /// The queue has been seen through when nothing came for so long.
    pub idle: Duration,
    /// At most this many messages that stay; then the run ends.
    pub max_held: u32,
}

impl Redrive {
    /// Everything in this queue, back to where it came from, as fast as possible.
    pub fn new(from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: Target::Source,
            rate: None,
            limit: None,
            filter: None,
            impersonates: false,
            // Longer than a quorum queue takes to elect another leader, as a rule.
            idle: Duration::from_secs(3),
            max_held: 10_000,
        }
    }
}
