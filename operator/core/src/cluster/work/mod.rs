//! Planned work: `(what is seen, little in status) → the next step`.
//!
//! A node is restarted like this: the client Service leaves it out, leaders of its queues are handed to members that are in sync,
//! its connections are closed some at a time, its pod is evicted, the new one joins and its members catch up. Only then comes the
//! next node. Each step follows from what is seen; the status says which node it is, how far it is and since when, so that an
//! operator that dies at any moment is followed by one that goes on.
//!
//! A node that is to be removed goes the same way for good, after its queues' members have moved (`removal`, `placement`).
//!
//! The rules (invariant I1): no node is taken down by us while another one is absent, or has a member of any queue that is not in
//! sync; the disruption budget of Kubernetes has the last word. All that is done before the eviction is a courtesy to clients and
//! bounded in time: the node hands over what is left when it stops.

pub mod machine;
pub mod members;
pub mod placement;
mod removal;
pub mod report;

#[cfg(test)]
mod explorer;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod removal_model_tests;

pub use machine::{Action, Decision, MembersWord, View, Word, next};
pub use members::{Bound, Change, MemberChange, Members, Move, Standing, Weakest};
