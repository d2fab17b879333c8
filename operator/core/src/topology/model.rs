//! Objects of a virtual host, as declared to RabbitMQ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Arguments and policy definitions: name to JSON value.
pub type Arguments = BTreeMap<String, Value>;

/// Our exchange type: bindings carry filters. It comes with the broker's image.
pub const SQL_EXCHANGE: &str = "x-sql";

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Replicated by Raft.
    Quorum,
    /// On one node.
    Classic,
    /// A replicated log.
    Stream,
}

impl QueueKind {
    /// RabbitMQ's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
            Self::Stream => "stream",
        }
    }
}

/// A queue to declare. All of it is fixed for the life of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueDeclaration {
    /// Name in its virtual host.
    pub name: String,
    /// Kind.
    pub kind: QueueKind,
    /// Arguments beside `x-queue-type`.
    pub arguments: Arguments,
}

/// An exchange to declare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeDeclaration {
    /// Name in its virtual host.
    pub name: String,
    /// Type, such as `direct`.
    pub kind: String,
    /// Arguments.
    pub arguments: Arguments,
}

/// A policy: the settings of queues that can change in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Name in its virtual host.
    pub name: String,
    /// Regular expression over queue names.
    pub pattern: String,
    /// Kinds of objects it applies to, such as `quorum_queues`.
    pub apply_to: String,
    /// The matching policy of the highest priority wins, whole.
    pub priority: i64,
    /// Settings.
    pub definition: Arguments,
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationKind {
    /// A queue.
    #[default]
    Queue,
    /// An exchange, which routes on.
    Exchange,
}

/// A binding of an exchange to a queue, or to another exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// Exchange.
    pub source: String,
    /// Queue or exchange.
    pub destination: String,
    /// Which of both. A queue and an exchange can have one name.
    pub destination_kind: DestinationKind,
    /// Routing key.
    pub routing_key: String,
    /// Arguments: the filters of our exchange type. All that we set are texts; one of another type that somebody
    /// else set stands here as its JSON text.
    pub arguments: BTreeMap<String, String>,
}

impl Binding {
    /// A binding to a queue, without arguments.
    pub fn new(source: &str, destination: &str, routing_key: &str) -> Self {
        Self {
            source: source.to_owned(),
            destination: destination.to_owned(),
            destination_kind: DestinationKind::Queue,
            routing_key: routing_key.to_owned(),
            arguments: BTreeMap::new(),
        }
    }

    /// A binding to an exchange, without arguments.
    pub fn to_exchange(source: &str, destination: &str, routing_key: &str) -> Self {
        Self { destination_kind: DestinationKind::Exchange, ..Self::new(source, destination, routing_key) }
    }

    /// Whether it leads to this queue.
    pub fn leads_to_queue(&self, queue: &str) -> bool {
        self.destination_kind == DestinationKind::Queue && self.destination == queue
    }
}

/// A virtual host to create. `tags` carries the proof of ownership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Name: the namespace's.
    pub name: String,
    /// For people.
    pub description: String,
    /// Tags; one of them names the owner.
    pub tags: Vec<String>,
}
