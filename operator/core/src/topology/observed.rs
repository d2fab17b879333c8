//! What was read of one virtual host at one moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::model::{Arguments, Binding, DestinationKind, ExchangeDeclaration, Policy, QueueKind};
use super::plan::Action;

/// A queue as the broker reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedQueue {
    /// Kind.
    pub kind: QueueKind,
    /// Arguments beside `x-queue-type`.
    pub arguments: Arguments,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
    /// The leader's node; `None` where it was not reported.
    pub leader: Option<String>,
    /// Nodes that hold a copy. Empty where they are not known.
    pub members: Vec<String>,
    /// Members that are up.
    pub online: Vec<String>,
    /// Counters; `None` where they were not reported. Never zero in place of unknown (invariant I5).
    pub counts: Option<Counts>,
}

impl ObservedQueue {
    /// One that was declared a moment ago, of which nothing else is known.
    pub fn declared(kind: QueueKind) -> Self {
        let (members, online) = (Vec::new(), Vec::new());
        Self { kind, arguments: Arguments::default(), durable: true, leader: None, members, online, counts: None }
    }

    /// How many of its members may still fail: those that run, beyond a majority. Less than zero: so many are missing of one, and
    /// nothing is accepted or delivered. `None` where its members are not known. A queue of type `Classic` has one.
    pub fn spare(&self) -> Option<i64> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let running = || self.members.iter().filter(|member| self.online.contains(member)).count();
        (!self.members.is_empty()).then(|| count(running()) - count(self.members.len() / 2 + 1))
    }
}

/// Counters of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages ready for delivery.
    pub ready: i64,
    /// Messages delivered and not yet settled.
    pub unacknowledged: i64,
    /// Consumers.
    pub consumers: i64,
}

impl Counts {
    /// Messages in the queue.
    pub fn messages(self) -> i64 {
        self.ready.saturating_add(self.unacknowledged)
    }

    /// Those of two queues together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let Self { ready, unacknowledged, consumers } = other;
        Self {
            ready: self.ready.saturating_add(ready),
            unacknowledged: self.unacknowledged.saturating_add(unacknowledged),
            consumers: self.consumers.saturating_add(consumers),
        }
    }
}

/// Whether an exchange is one that every virtual host has. What is observed leaves these out.
pub fn is_predeclared(exchange: &str) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.")
}

/// A virtual host as the broker reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedVirtualHost {
    /// Its tags: proof of ownership.
    pub tags: BTreeSet<String>,
    /// Queues by name.
    pub queues: BTreeMap<String, ObservedQueue>,
    /// Exchanges by name, without the predeclared ones.
    pub exchanges: BTreeMap<String, ExchangeDeclaration>,
    /// Policies by name.
    pub policies: BTreeMap<String, Policy>,
    /// Bindings, without those of the default exchange.
    pub bindings: BTreeSet<Binding>,
    /// Largest limits by name, such as `max-queues`.
    pub limits: BTreeMap<String, i64>,
    /// When reading began.
    pub seen_at: Option<Timestamp>,
}

impl ObservedVirtualHost {
    /// The bindings from one exchange. They are sorted by it, so that the others are not looked at.
    pub fn bindings_from<'a>(&'a self, exchange: &'a str) -> impl Iterator<Item = &'a Binding> {
        self.bindings.range(Binding::new(exchange, "", "")..).take_while(move |binding| binding.source == exchange)
    }

    /// Whether there is an exchange of this name.
    pub fn has_exchange(&self, name: &str) -> bool {
        is_predeclared(name) || self.exchanges.contains_key(name)
    }

    /// Without bindings from or to what is not there.
    ///
    /// Exchanges, queues and bindings are read one after another, and from a node that hears of each by itself. With an
    /// exchange that is gone and bindings that seem to be left, the exchange would be made anew and nothing bound to it. Too
    /// few do no harm: to bind once more changes nothing.
    #[must_use]
    pub fn without_loose_ends(mut self) -> Self {
        let mut bindings = std::mem::take(&mut self.bindings);
        bindings.retain(|binding| {
            let leads = match binding.destination_kind {
                DestinationKind::Queue => self.queues.contains_key(&binding.destination),
                DestinationKind::Exchange => self.has_exchange(&binding.destination),
            };
            leads && self.has_exchange(&binding.source)
        });
        Self { bindings, ..self }
    }

    /// Notes that an action succeeded, so that the next decision builds on it before the next read.
    ///
    /// The broker remains the judge: the next read replaces all of this.
    pub fn note(&mut self, action: &Action) {
        match action {
            Action::CreateVirtualHost(host) => self.tags = host.tags.iter().cloned().collect(),
            Action::DeleteVirtualHost => *self = Self::default(),
            Action::SetLimit { name, value } => match value {
                Some(value) => {
                    self.limits.insert(name.clone(), *value);
                }
                None => {
                    self.limits.remove(name);
                }
            },
            Action::PutPolicy(policy) => {
                self.policies.insert(policy.name.clone(), policy.clone());
            }
            Action::DeletePolicy { name } => {
                self.policies.remove(name);
            }
            Action::DeclareExchange(exchange) => {
                self.exchanges.insert(exchange.name.clone(), exchange.clone());
            }
            Action::DeleteExchange { name } => {
                self.exchanges.remove(name);
                self.bindings.retain(|binding| {
                    let leads_to_it = binding.destination_kind == DestinationKind::Exchange && binding.destination == *name;
                    binding.source != *name && !leads_to_it
                });
            }
            Action::DeclareQueue(queue) => {
                self.queues.entry(queue.name.clone()).or_insert_with(|| ObservedQueue {
                    arguments: queue.arguments.clone(),
                    ..ObservedQueue::declared(queue.kind)
                });
            }
            Action::DeleteQueue { name } => {
                self.queues.remove(name);
                self.bindings.retain(|binding| !binding.leads_to_queue(name));
            }
            Action::Bind(binding) => {
                self.bindings.insert(binding.clone());
            }
            Action::Unbind(binding) => {
                self.bindings.remove(binding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::QueueDeclaration;
    use super::*;

    /// What is read of an exchange that somebody deletes at that very moment.
    #[test]
    fn a_binding_without_an_end_is_none() {
        let mut seen = ObservedVirtualHost::default();
        let exchange = ExchangeDeclaration { name: "front".into(), kind: "x-sql".into(), arguments: Arguments::new() };
        seen.note(&Action::DeclareExchange(exchange));
        let queue = QueueDeclaration { name: "q".into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        seen.note(&Action::DeclareQueue(queue));
        let whole = [Binding::new("front", "q", ""), Binding::new("amq.topic", "q", "")];
        let onward = Binding { destination_kind: DestinationKind::Exchange, ..Binding::new("front", "gone", "") };
        let loose = [Binding::new("gone", "q", ""), Binding::new("front", "gone", ""), onward];
        seen.bindings.extend(whole.iter().chain(&loose).cloned());
        assert_eq!(seen.without_loose_ends().bindings, whole.into());
    }
}
