//! Whom a change at a broker concerns.

use entente_core::topology::names::Owner;
use entente_crds::{Client, Queue, ServiceContract, Subscription, Topic};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Wakes the visits to objects. Clones share it.
#[derive(Clone, Debug)]
pub struct Wakers {
    queues: UnboundedSender<ObjectRef<Queue>>,
    topics: UnboundedSender<ObjectRef<Topic>>,
    subscriptions: UnboundedSender<ObjectRef<Subscription>>,
    contracts: UnboundedSender<ObjectRef<ServiceContract>>,
    clients: UnboundedSender<ObjectRef<Client>>,
}

/// Objects to visit, by kind.
#[derive(Debug)]
pub struct Woken {
    /// Queues.
    pub queues: UnboundedReceiver<ObjectRef<Queue>>,
    /// Topics.
    pub topics: UnboundedReceiver<ObjectRef<Topic>>,
    /// Subscriptions.
    pub subscriptions: UnboundedReceiver<ObjectRef<Subscription>>,
    /// `ServiceContract`s.
    pub contracts: UnboundedReceiver<ObjectRef<ServiceContract>>,
    /// Clients.
    pub clients: UnboundedReceiver<ObjectRef<Client>>,
}

impl Wakers {
    /// Both ends.
    pub fn new() -> (Self, Woken) {
        let (queues, woken_queues) = unbounded_channel();
        let (topics, woken_topics) = unbounded_channel();
        let (subscriptions, woken_subscriptions) = unbounded_channel();
        let (contracts, woken_contracts) = unbounded_channel();
        let (clients, woken_clients) = unbounded_channel();
        let woken = Woken {
            queues: woken_queues,
            topics: woken_topics,
            subscriptions: woken_subscriptions,
            contracts: woken_contracts,
            clients: woken_clients,
        };
        (Self { queues, topics, subscriptions, contracts, clients }, woken)
    }

    /// Wakes a Client.
    pub fn wake_client(&self, namespace: &str, name: &str) {
        // The receiver is gone only while the process ends.
        let _ = self.clients.send(ObjectRef::new(name).within(namespace));
    }

    /// Wakes the object that something in a virtual host belongs to.
    pub fn wake(&self, virtual_host: &str, owner: &Owner) {
        // The receivers are gone only while the process ends.
        match owner {
            Owner::Queue(name) => drop(self.queues.send(ObjectRef::new(name).within(virtual_host))),
            Owner::Topic(name) => drop(self.topics.send(ObjectRef::new(name).within(virtual_host))),
            Owner::Contract(name) => drop(self.contracts.send(ObjectRef::new(name).within(virtual_host))),
            Owner::Subscription { namespace, name } => {
                drop(self.subscriptions.send(ObjectRef::new(name).within(namespace)));
            }
        }
    }
}
