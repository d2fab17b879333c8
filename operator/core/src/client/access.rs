//! What one entry of a Client's `access` comes to, given what it refers to.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::condition::reasons;
use entente_crds::grant::{Grant, Verb};
use entente_crds::queue::{Partitions, QueueType};
use entente_crds::{Queue, ServiceContract, Subscription, Topic};
use jiff::Timestamp;

use super::grants::admits;
use super::rights::Rights;
use super::validate::{Entry, Settings, Target, several_hosts};
use crate::contract::reference::{Reference, usable};
use crate::object::Refusal;
use crate::queue::parts;
use crate::resolve::Asker;
use crate::topology::diff::{Claim, Desired};
use crate::topology::model::{Arguments, ExchangeDeclaration, SQL_EXCHANGE};
use crate::topology::names::{
    contract_exchange, dead_letter_queue, exchange_address, front, queue_address, subscription_queue, topic_exchange,
};
use crate::topology::observed::ObservedVirtualHost;

/// What an entry refers to, as it was found.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// Nothing of that name.
    Nothing,
    /// A Queue.
    Queue(&'a Queue),
    /// A Topic.
    Topic(&'a Topic),
    /// A Subscription, and its Topic where there is one.
    Subscription(&'a Subscription, Option<&'a Topic>),
    /// A Subscription to a version of a ServiceContract, and that where there is one.
    Subscribed(&'a Subscription, Option<&'a ServiceContract>),
    /// A ServiceContract, and whether the Client may send under this version already.
    Contract(&'a ServiceContract, bool),
}

/// An entry that may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// What it allows at the broker.
    pub rights: Rights,
    /// Keys after `address.<entry>`, and addresses.
    pub addresses: BTreeMap<&'static str, String>,
    /// The queue that is to have a front exchange, to be sent to.
    pub front: Option<String>,
    /// Queues that must be there before it can be used.
    pub queues: BTreeSet<String>,
    /// Exchanges that must be there before it can be used.
    pub exchanges: BTreeSet<String>,
    /// The version of a contract that it sends under.
    pub contract: Option<Reference>,
    /// Why it has no rights for the time being, and until when.
    pub closed: Option<(Unusable, Timestamp)>,
}

/// An entry that may not be used as it stands. The others are not concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// A reason of [`reasons`].
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// The virtual host of all entries: the namespace of what they use. Without entries, the Client's own.
pub fn place(settings: &Settings, found: &[Found<'_>]) -> Result<String, Refusal> {
    let hosts: BTreeSet<String> =
        settings.entries.iter().zip(found).filter_map(|(entry, found)| host(&settings.namespace, entry, *found)).collect();
    if hosts.len() > 1 {
        return Err(Refusal { reason: reasons::INVALID, message: several_hosts(hosts.iter().map(String::as_str)) });
    }
    Ok(hosts.into_iter().next().unwrap_or_else(|| settings.namespace.clone()))
}

/// The virtual host of one entry, where it is known.
pub fn host(own: &str, entry: &Entry, found: Found<'_>) -> Option<String> {
    match (&entry.target, found) {
        (Target::Queue { namespace, .. } | Target::Topic { namespace, .. }, _) => Some(namespace.clone()),
        (Target::Contract(reference), _) => Some(reference.namespace.clone()),
        (Target::Subscription { .. }, Found::Subscription(subscription, _) | Found::Subscribed(subscription, _)) => {
            Some(topic_namespace(own, subscription))
        }
        (Target::Subscription { .. }, _) => None,
    }
}

fn topic_namespace(own: &str, subscription: &Subscription) -> String {
    let (topic, contract) = (&subscription.spec.topic_ref, &subscription.spec.contract_ref);
    let named = topic.as_ref().map(|topic| &topic.namespace).or(contract.as_ref().map(|contract| &contract.namespace));
    named.cloned().flatten().unwrap_or_else(|| own.to_owned())
}

fn topic_name(subscription: &Subscription) -> &str {
    subscription.spec.topic_ref.as_ref().map(|topic| topic.name.as_str()).unwrap_or_default()
}

/// What an entry may do. `same_broker` says whether what was found is on the Client's Broker.
pub fn grant(entry: &Entry, found: Found<'_>, same_broker: bool, asker: Asker<'_>) -> Result<Granted, Unusable> {
    let granted = match (&entry.target, found) {
        (Target::Queue { namespace, name }, Found::Queue(queue)) => {
            each_verb(entry, &queue.spec.grants, namespace, asker)?;
            of_queue(entry, queue, namespace, name)?
        }
        (Target::Topic { namespace, name }, Found::Topic(topic)) => {
            each_verb(entry, &topic.spec.grants, namespace, asker)?;
            of_topic(name)
        }
        (Target::Subscription { name }, Found::Subscription(subscription, topic)) => {
            let namespace = topic_namespace(asker.namespace, subscription);
            let admitted = topic.is_some_and(|topic| admits(&topic.spec.grants, &namespace, asker, Verb::Receive));
            if !admitted {
                return Err(not_granted(
                    &format!("Topic {namespace}/{} of the Subscription {name}", topic_name(subscription)),
                    "Receive",
                ));
            }
            of_subscription(asker.namespace, name)
        }
        (Target::Subscription { name }, Found::Subscribed(subscription, contract)) => {
            let reference = subscription.spec.contract_ref.as_ref().map(|reference| Reference::of(reference, asker.namespace));
            let Some(reference) = reference else { return Err(absent(entry)) };
            // Whether the Subscription may join is its own matter; whoever reads from it goes on until the version is retired.
            usable(&reference, contract, asker, Verb::Receive, true).map_err(unusable)?;
            of_subscription(asker.namespace, name)
        }
        (Target::Contract(reference), found) => {
            let (contract, held) = match found {
                Found::Contract(contract, held) => (Some(contract), held),
                _ => (None, false),
            };
            usable(reference, contract, asker, Verb::Send, held).map_err(unusable)?;
            of_contract(reference)
        }
        _ => return Err(absent(entry)),
    };
    if !same_broker {
        return Err(Unusable {
            reason: reasons::INVALID,
            message: format!(
                "{} is on another Broker than this Client; set brokerRef in a Client for that Broker",
                words(entry, asker.namespace)
            ),
        });
    }
    Ok(granted)
}

fn unusable(Refusal { reason, message }: Refusal) -> Unusable {
    Unusable { reason, message }
}

fn each_verb(entry: &Entry, grants: &[Grant], owner: &str, asker: Asker<'_>) -> Result<(), Unusable> {
    if entry.verbs.iter().all(|verb| admits(grants, owner, asker, *verb)) { Ok(()) } else { Err(absent(entry)) }
}

/// One answer for absent and forbidden: names of other namespaces are not for everyone to try (invariant I3).
fn absent(entry: &Entry) -> Unusable {
    let verbs: Vec<String> = entry.verbs.iter().map(|verb| format!("{verb:?}")).collect();
    let verbs = verbs.join(" and ");
    match &entry.target {
        Target::Queue { namespace, name } => not_granted(&format!("Queue {namespace}/{name}"), &verbs),
        Target::Topic { namespace, name } => not_granted(&format!("Topic {namespace}/{name}"), &verbs),
        Target::Subscription { name } => Unusable {
            reason: reasons::ACCESS_NOT_GRANTED,
            message: format!("the Subscription {name} does not exist in this namespace; create it"),
        },
        Target::Contract(Reference { namespace, contract, .. }) => {
            not_granted(&format!("ServiceContract {namespace}/{contract}"), &verbs)
        }
    }
}

fn not_granted(what: &str, verbs: &str) -> Unusable {
    Unusable {
        reason: reasons::ACCESS_NOT_GRANTED,
        message: format!(
            "the {what} does not exist or does not grant {verbs} to this namespace; check the name, or ask its owner to add this namespace to spec.grants"
        ),
    }
}

fn words(entry: &Entry, own: &str) -> String {
    match &entry.target {
        Target::Queue { namespace, name } => format!("the Queue {namespace}/{name}"),
        Target::Topic { namespace, name } => format!("the Topic {namespace}/{name}"),
        Target::Subscription { name } => format!("the Subscription {own}/{name}"),
        Target::Contract(Reference { namespace, contract, .. }) => format!("the ServiceContract {namespace}/{contract}"),
    }
}

fn of_queue(entry: &Entry, queue: &Queue, namespace: &str, name: &str) -> Result<Granted, Unusable> {
    let stream = queue.spec.type_ == QueueType::Stream;
    if entry.verbs.contains(&Verb::Browse) && !stream {
        return Err(Unusable {
            reason: reasons::INVALID,
            message: format!("the Queue {namespace}/{name} is no Stream, and only a Stream can be browsed; ask for Receive"),
        });
    }
    if let Some(partitions) = &queue.spec.partitions {
        return Ok(of_parts(entry, partitions, name));
    }
    let mut granted = Granted { queues: BTreeSet::from([name.to_owned()]), ..Granted::default() };
    if entry.verbs.contains(&Verb::Send) {
        let front = front(name);
        granted.addresses.insert("", exchange_address(&front));
        granted.addresses.insert(".send", exchange_address(&front));
        granted.rights.write.insert(front);
        granted.front = Some(name.to_owned());
    }
    if entry.verbs.iter().any(|verb| *verb != Verb::Send) {
        granted.addresses.insert("", queue_address(name));
        granted.rights.read.insert(name.to_owned());
    }
    // A Stream has no dead letters: nothing is taken from it.
    if entry.verbs.contains(&Verb::Receive) && !stream {
        let dead = dead_letter_queue(name);
        granted.addresses.insert(".dead", queue_address(&dead));
        granted.rights.read.insert(dead);
    }
    Ok(granted)
}

/// A Queue with partitions makes its front itself. Receivers get the addresses of all parts in one entry: there is no one
/// address to receive from.
fn of_parts(entry: &Entry, partitions: &Partitions, name: &str) -> Granted {
    let Partitions { count, by: _, grow: _ } = partitions;
    let parts = parts::names(name, usize::try_from(*count).unwrap_or_default());
    let mut granted = Granted { queues: parts.iter().cloned().collect(), ..Granted::default() };
    if entry.verbs.contains(&Verb::Send) {
        let front = front(name);
        granted.addresses.insert("", exchange_address(&front));
        granted.addresses.insert(".send", exchange_address(&front));
        granted.exchanges.insert(front.clone());
        granted.rights.write.insert(front);
    }
    if entry.verbs.contains(&Verb::Receive) {
        let addresses: Vec<String> = parts.iter().map(|part| queue_address(part)).collect();
        let dead = dead_letter_queue(name);
        granted.addresses.insert(".parts", addresses.join(","));
        granted.addresses.insert(".dead", queue_address(&dead));
        granted.rights.parts.insert(name.to_owned());
        granted.rights.read.insert(dead);
    }
    granted
}

fn of_topic(name: &str) -> Granted {
    let exchange = topic_exchange(name);
    let mut granted = Granted { exchanges: BTreeSet::from([exchange.clone()]), ..Granted::default() };
    granted.addresses.insert("", exchange_address(&exchange));
    granted.addresses.insert(".send", exchange_address(&exchange));
    granted.rights.write.insert(exchange);
    granted
}

fn of_contract(reference: &Reference) -> Granted {
    let exchange = contract_exchange(&reference.contract, &reference.version, &reference.operation);
    let mut granted = Granted { exchanges: BTreeSet::from([exchange.clone()]), ..Granted::default() };
    granted.addresses.insert("", exchange_address(&exchange));
    granted.addresses.insert(".send", exchange_address(&exchange));
    granted.rights.write.insert(exchange);
    granted.contract = Some(reference.clone());
    granted
}

fn of_subscription(namespace: &str, name: &str) -> Granted {
    let queue = subscription_queue(namespace, name);
    let dead = dead_letter_queue(&queue);
    let mut granted = Granted { queues: BTreeSet::from([queue.clone()]), ..Granted::default() };
    granted.addresses.insert("", queue_address(&queue));
    granted.addresses.insert(".dead", queue_address(&dead));
    granted.rights.read.extend([queue, dead]);
    granted
}

/// The exchanges in front of queues that are sent to, as a Queue with taps makes its own.
pub fn fronts(queues: &BTreeSet<String>) -> Desired {
    let exchange =
        |queue: &String| ExchangeDeclaration { name: front(queue), kind: SQL_EXCHANGE.to_owned(), arguments: Arguments::new() };
    Desired {
        exchanges: queues.iter().map(exchange).collect(),
        claims: queues.iter().map(|queue| Claim::route(&front(queue), queue, Some(queue))).collect(),
        ..Desired::default()
    }
}

/// What all entries of a Client come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rights of the entries that may be used.
    pub rights: Rights,
    /// Keys `address.<entry>…` of the Secret, and addresses.
    pub addresses: BTreeMap<String, String>,
    /// Queues that are to have a front exchange.
    pub fronts: BTreeSet<String>,
    /// Why the others may not be used.
    pub unusable: Vec<Unusable>,
    /// What is not in the broker yet, in words.
    pub missing: Vec<String>,
    /// Versions of contracts that it may send under, as status names them; one in a brown-out is among them.
    pub contracts: BTreeSet<String>,
    /// When the first entry gets back what it may not do for the time being.
    pub opens_at: Option<Timestamp>,
}

/// Sums up. An entry that may not be used takes nothing from the others.
pub fn sum(entries: &[(&Entry, Result<Granted, Unusable>)], observed: Option<&ObservedVirtualHost>) -> Summary {
    let mut summary = Summary::default();
    for (entry, result) in entries {
        let granted = match result {
            Ok(granted) => granted,
            Err(unusable) => {
                summary.unusable.push(named(entry, unusable));
                continue;
            }
        };
        let rights = summary.rights.clone().with(&granted.rights);
        if !rights.fit() {
            let message = "the names of this and the entries before are together too long for the broker's permissions (1024 bytes each for sending and receiving); make another Client for the rest".to_owned();
            summary.unusable.push(named(entry, &Unusable { reason: reasons::INVALID, message }));
            continue;
        }
        summary.rights = rights;
        if let Some((unusable, until)) = &granted.closed {
            summary.unusable.push(named(entry, unusable));
            summary.opens_at = summary.opens_at.into_iter().chain([*until]).min();
        }
        summary.contracts.extend(granted.contract.as_ref().map(Reference::key));
        summary.addresses.extend(
            granted.addresses.iter().map(|(suffix, address)| (format!("address.{}{suffix}", entry.name), address.clone())),
        );
        let missing_queues = granted.queues.iter().filter(|name| observed.is_none_or(|seen| !seen.queues.contains_key(*name)));
        let mut missing: Vec<String> = missing_queues.map(|name| format!("the queue {name}")).collect();
        let absent = granted.exchanges.iter().filter(|name| observed.is_none_or(|seen| !seen.exchanges.contains_key(*name)));
        missing.extend(absent.map(|name| format!("the exchange {name}")));
        if missing.is_empty() {
            // A binding to a queue that is not there would be refused.
            summary.fronts.extend(granted.front.clone());
        }
        summary.missing.extend(missing);
    }
    summary
}

fn named(entry: &Entry, unusable: &Unusable) -> Unusable {
    Unusable { reason: unusable.reason, message: format!("access {}: {}", entry.name, unusable.message) }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
