//! How a Subscription that begins in the past gets it: decisions. What is done about them is in the operator.
//!
//! A live message passes no hands but the broker's; the past is put into the Subscription's queue once, before the queue is
//! bound to the Topic. The two meet at the *seam*.
//!
//! # Steps
//!
//! What is there at the broker tells how far it is, so that an operator that is killed anywhere is followed by one that goes on:
//!
//! | Step | There is | Ends with |
//! | --- | --- | --- |
//! | past | the exchange `….past`. Nothing but the replay feeds the queue, so that **a replay that was cut off begins anew**: the queue is deleted and made again. | the exchange goes |
//! | seam | the exchange `….seam`, bound to the queue and to the stream `….seam`, the *ledger*. The Topic is bound to that exchange. The routing key of the ledger's binding says up to which offset the past was replayed. **The queue is never deleted any more.** | the ledger's binding goes |
//! | over | the Topic bound to the queue, as ever after | what is left goes |
//!
//! # Why each message comes once
//!
//! The Topic's exchange decides about a message at one moment: it goes to the retained stream, and, if the Topic is bound to the
//! exchange `….seam` by then, also to it, and so to queue **and** ledger. So the ledger has exactly the messages that came
//! live; and what is in the stream behind the replayed offset, matches the filter, and is not in the ledger, has not come. That
//! rest is sent to the exchange `….seam`, and so to the queue and to the ledger again, with its offset as a mark: who
//! looks again finds it given.
//!
//! Stream and ledger are compared by content (see [`super::seam`]). A message is in both as soon as
//! its sender knows that it was accepted. So the comparison, made [`SETTLE`] after the binding, is right for each message whose
//! outcome came by then: every node has the binding, and what was routed before has arrived. Only a message that takes longer than
//! that from its routing to the stream, unacknowledged all the while, could be missed.
//!
//! In the end the Topic is bound to the queue itself. A message that both bindings lead to is put into a queue once, and only
//! when the second binding has been there for a while does the first go.
//!
//! Order: the past comes in its own order. The rest at the seam (what was sent in the last moments before the binding) comes behind
//! the first live messages.

use std::time::Duration;

use super::start::Start;
use super::validate::Settings;
use crate::object::Stages;
use crate::queue;
use crate::topic::desired::keeping;
use crate::topology::diff::{Claim, Desired, Scope};
use crate::topology::model::{Arguments, Binding, DestinationKind, ExchangeDeclaration, QueueDeclaration, QueueKind};
use crate::topology::names::{past_mark, seam, topic_exchange};
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::{Action, Plan};

/// After so long every node has heard of a binding, and what was routed before has arrived in its queues.
pub const SETTLE: Duration = Duration::from_secs(5);
/// Beginning of the routing key that says up to which offset, exclusively, the past was replayed.
const REPLAYED_TO: &str = "replayed-to.";

/// How far the past of a Subscription is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// There is none to replay, or no longer.
    Over,
    /// It was replayed; this is left to be cleared away.
    Leftovers(Plan),
    /// The Topic keeps none.
    NotRetained,
    /// The Topic is not in the broker yet.
    NoTopic,
    /// Nothing was done yet: this comes first.
    New(Plan),
    /// It is being replayed, from the beginning whenever that is interrupted.
    Past,
    /// It was replayed up to this offset of the retained stream, exclusively; the queue gets live messages.
    Seam(u64),
}

/// Reads off the broker how far it is. `observed` must be fresh where the answer is [`State::New`].
pub fn state(settings: &Settings, observed: &ObservedVirtualHost) -> State {
    let Settings { topic, start, arguments: _, queue, exchange: _ } = settings;
    let queue = &queue.name;
    let (mark, seam) = (past_mark(queue), seam(queue));
    if observed.exchanges.contains_key(&mark) && *start != Start::Latest {
        return State::Past;
    }
    if let Some(offset) = replayed_to(&seam, observed) {
        return State::Seam(offset);
    }
    let left = leftovers(queue, observed);
    if !left.is_empty() {
        return State::Leftovers(left);
    }
    if *start == Start::Latest || observed.queues.contains_key(queue) {
        return State::Over;
    }
    if !observed.exchanges.contains_key(&topic_exchange(topic)) {
        return State::NoTopic;
    }
    if !observed.bindings.contains(&keeping(topic)) {
        return State::NotRetained;
    }
    // Before the queue: one that is there without the mark has its past.
    State::New(Plan::of(Action::DeclareExchange(exchange(mark))))
}

/// Deletes what a replay has made beside the queue, and what is there of it.
pub fn leftovers(queue: &str, observed: &ObservedVirtualHost) -> Plan {
    let mut plan = Plan::default();
    let names = [past_mark(queue), seam(queue)];
    let there = |name: &&String| observed.exchanges.contains_key(*name);
    plan.step(names.iter().filter(there).map(|name| Action::DeleteExchange { name: name.clone() }).collect());
    plan.step(queue::deletion::queue_if_there(&seam(queue), observed));
    plan
}

/// What a Subscription's queue is before its past is replayed into it: without bounds, which hold from when it is Ready, and
/// bound to nothing.
pub fn unbound(settings: &Settings) -> Stages {
    let queue = queue::validate::Settings { max_length: None, max_bytes: None, ..settings.queue.clone() };
    queue::desired::desired(&queue)
}

/// Begins the past anew. Nothing but an earlier replay can have fed the queue.
pub fn anew(settings: &Settings, observed: &ObservedVirtualHost) -> Plan {
    let queue = &settings.queue.name;
    let mut plan = Plan::default();
    plan.step(queue::deletion::queue_if_there(queue, observed));
    let seam = seam(queue);
    plan.step(queue::deletion::exchange_if_there(&seam, observed));
    plan.step(queue::deletion::queue_if_there(&seam, observed));
    plan
}

/// The exchange and the ledger of the seam.
pub fn at_the_seam(settings: &Settings, replayed_to: u64) -> Desired {
    let queue = &settings.queue.name;
    let seam = seam(queue);
    let bindings = vec![Binding::new(&seam, queue, ""), ledger_binding(queue, replayed_to)];
    Desired {
        exchanges: vec![exchange(seam.clone())],
        queues: vec![QueueDeclaration { name: seam.clone(), kind: QueueKind::Stream, arguments: Arguments::new() }],
        claims: vec![Claim { scope: Scope::Keys { source: seam, prefix: String::new() }, bindings }],
        ..Desired::default()
    }
}

/// The step from the past to the seam: from here on the queue is kept.
pub fn keep_the_queue(queue: &str) -> Plan {
    Plan::of(Action::DeleteExchange { name: past_mark(queue) })
}

/// The step that ends it: who looks now finds nothing to replay.
pub fn end(queue: &str, replayed_to: u64) -> Plan {
    Plan::of(Action::Unbind(ledger_binding(queue, replayed_to)))
}

/// The binding of the Topic to the exchange `….seam`: the one that is there, or else one with the filter that holds.
pub fn live(settings: &Settings, observed: &ObservedVirtualHost) -> Binding {
    let Settings { topic, arguments, queue, start: _, exchange: _ } = settings;
    let (topic, seam) = (topic_exchange(topic), seam(&queue.name));
    let is_it = |binding: &&Binding| binding.destination_kind == DestinationKind::Exchange && binding.destination == seam;
    let bound = observed.bindings_from(&topic).find(is_it).cloned();
    bound.unwrap_or_else(|| Binding { arguments: arguments.clone(), ..Binding::to_exchange(&topic, &seam, &seam) })
}

fn ledger_binding(queue: &str, replayed_to: u64) -> Binding {
    let seam = seam(queue);
    Binding::new(&seam, &seam, &format!("{REPLAYED_TO}{replayed_to}"))
}

fn replayed_to(seam: &str, observed: &ObservedVirtualHost) -> Option<u64> {
    let mut bound = observed.bindings_from(seam).filter(|binding| binding.leads_to_queue(seam));
    bound.find_map(|binding| binding.routing_key.strip_prefix(REPLAYED_TO)?.parse().ok())
}

/// It gives what comes to all that is bound to it.
fn exchange(name: String) -> ExchangeDeclaration {
    ExchangeDeclaration { name, kind: "fanout".to_owned(), arguments: Arguments::new() }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
