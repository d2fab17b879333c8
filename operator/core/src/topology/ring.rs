//! An exchange that spreads messages over queues by a hash of one of their properties.
//!
//! RabbitMQ numbers the queues of such an exchange in the order in which they are bound, and which number a value has
//! depends on how many there are. So a queue that joins takes some of the values of all others over. Whoever binds the same
//! queues in the same order gets the same numbers: that is why they are bound one after another.
//!
//! What this cannot keep: a queue that is deleted at the broker renumbers those after it.

use std::collections::BTreeSet;

use super::model::{Arguments, Binding, ExchangeDeclaration};
use super::observed::{Counts, ObservedVirtualHost};
use super::plan::{Action, Plan};

/// RabbitMQ's exchange type that hashes.
const HASH_EXCHANGE: &str = "x-consistent-hash";
/// The argument that names the header, or application property, to hash by.
const HASH_HEADER: &str = "hash-header";
/// The routing key of a binding is its weight. All are equal.
const WEIGHT: &str = "1";

/// An exchange and the queues it spreads messages over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The exchange. All bindings from it are this ring's.
    pub exchange: String,
    /// The property whose value is hashed.
    pub by: String,
    /// Queues, in the order in which they are bound.
    pub queues: Vec<String>,
    /// Whether a further queue joins at once, rather than when all are empty.
    pub at_once: bool,
}

/// Queues that do not get messages yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Joining {
    /// How many get messages.
    pub joined: usize,
    /// How many are to join.
    pub queues: usize,
    /// Messages that have to go first; `None` where that is not known.
    pub left: Option<i64>,
    /// What lets them join.
    pub plan: Plan,
}

impl Ring {
    /// The exchange.
    pub fn declaration(&self) -> ExchangeDeclaration {
        let arguments = Arguments::from([(HASH_HEADER.to_owned(), self.by.clone().into())]);
        ExchangeDeclaration { name: self.exchange.clone(), kind: HASH_EXCHANGE.to_owned(), arguments }
    }

    fn binding(&self, queue: &str) -> Binding {
        Binding::new(&self.exchange, queue, WEIGHT)
    }

    /// Whether a queue gets messages.
    pub fn has(&self, queue: &str, observed: &ObservedVirtualHost) -> bool {
        observed.bindings.contains(&self.binding(queue))
    }

    fn missing(&self, observed: &ObservedVirtualHost) -> Vec<Binding> {
        let bindings = self.queues.iter().map(|queue| self.binding(queue));
        bindings.filter(|binding| !observed.bindings.contains(binding)).collect()
    }

    /// Whether some must wait: where nothing is bound, no value can move, and messages would have nowhere to go.
    fn has_to_wait(&self, observed: &ObservedVirtualHost) -> bool {
        !self.at_once && self.queues.iter().any(|queue| self.has(queue, observed))
    }

    /// What binds all that need not wait. One step each.
    pub fn binds(&self, observed: &ObservedVirtualHost) -> Plan {
        if self.has_to_wait(observed) { Plan::default() } else { in_order(self.missing(observed)) }
    }

    /// What unbinds all that is not of this ring: it would take messages away from it.
    ///
    /// With a second binding of a queue RabbitMQ forgets both, although it goes on to list the first one: the queue has to
    /// join anew.
    pub fn unbinds(&self, observed: &ObservedVirtualHost) -> Vec<Action> {
        let wanted: BTreeSet<Binding> = self.queues.iter().map(|queue| self.binding(queue)).collect();
        let surplus: BTreeSet<&Binding> = observed.bindings_from(&self.exchange).filter(|seen| !wanted.contains(seen)).collect();
        let forgotten = wanted.iter().filter(|binding| {
            observed.bindings.contains(binding) && surplus.iter().any(|seen| seen.leads_to_queue(&binding.destination))
        });
        surplus.iter().copied().chain(forgotten).cloned().map(Action::Unbind).collect()
    }

    /// Queues that wait until all are empty. None of them where nothing waits.
    pub fn joining(&self, observed: &ObservedVirtualHost) -> Option<Joining> {
        let missing = self.missing(observed);
        if missing.is_empty() || !self.has_to_wait(observed) {
            return None;
        }
        let left = self.queues.iter().map(|queue| messages(queue, observed)).sum();
        let queues = missing.len();
        Some(Joining { joined: self.queues.len() - queues, queues, left, plan: in_order(missing) })
    }
}

/// Messages in a queue. Of one that is not there they are not known: it is about to be made (invariant I5).
fn messages(queue: &str, observed: &ObservedVirtualHost) -> Option<i64> {
    observed.queues.get(queue)?.counts.map(Counts::messages)
}

fn in_order(bindings: Vec<Binding>) -> Plan {
    Plan { steps: bindings.into_iter().map(|binding| vec![Action::Bind(binding)]).collect() }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
