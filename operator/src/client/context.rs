//! What the controller of Clients works with.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use entente_core::client::access::Found;
use entente_core::client::validate::{Entry, Target};
use entente_core::contract::reference::Reference;
use entente_core::subscription::validate::topic_namespace;
use entente_crds::grant::Verb;
use entente_crds::subscription::ContractRef;
use entente_crds::{Broker, Client, Queue, ServiceContract, Subscription, Topic};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};

use super::deletion;
use super::reconcile::{Error, reconcile};
use crate::objects::writes::Written;
use crate::objects::{Kind, Shared};
use crate::visits::Visitor;

/// What the controller works with.
pub struct ClientContext {
    /// What all controllers share.
    pub shared: Arc<Shared>,
    /// What was written last.
    pub written: Written<Client>,
    /// Every Queue.
    pub queues: Store<Queue>,
    /// Every Topic, from the watch whose changes wake Clients: another store may be a moment behind it.
    pub topics: Store<Topic>,
    /// Every Subscription.
    pub subscriptions: Store<Subscription>,
    /// How old the knowledge of users may be, and how often each Client is looked at.
    pub resync: Duration,
    /// When this process wrote which Secret, by the Client's uid: a clock that does not jump.
    pub passwords: Passwords,
}

impl Visitor for ClientContext {
    type Object = Client;
    type Error = Error;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What is not known yet would look absent, and rights would be taken away at each start (invariant I5).
    async fn prepare(&self) {
        self.sightings.all_listed().await;
    }

    async fn visit(&self, client: &Client) -> Result<Action, Error> {
        reconcile(client, self).await
    }

    async fn delete(&self, client: &Client) -> Result<Action, Error> {
        deletion::reconcile(client, self).await
    }
}

impl Deref for ClientContext {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// When passwords were made by this process.
#[derive(Debug, Default)]
pub struct Passwords(Mutex<HashMap<String, (String, Instant)>>);

impl Passwords {
    /// A Secret with a new user was written.
    pub fn note(&self, uid: &str, user: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), (user.to_owned(), Instant::now()));
    }

    /// For how long this user has been in the Secret, if this process put it there.
    pub fn age(&self, uid: &str, user: &str) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(uid).filter(|(known, _)| known == user).map(|(_, at)| at.elapsed())
    }

    /// Forgets a Client that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// What an entry refers to, held.
pub enum Referred {
    /// Nothing of that name.
    Nothing,
    /// A Queue.
    Queue(Arc<Queue>),
    /// A Topic.
    Topic(Arc<Topic>),
    /// A Subscription and its Topic.
    Subscription(Arc<Subscription>, Option<Arc<Topic>>),
    /// A Subscription to a version of a contract, and that.
    Subscribed(Arc<Subscription>, Option<Arc<ServiceContract>>),
    /// A contract, and whether the Client may send under the version already.
    Contract(Arc<ServiceContract>, bool),
}

impl Referred {
    /// The same, lent.
    pub fn found(&self) -> Found<'_> {
        match self {
            Self::Nothing => Found::Nothing,
            Self::Queue(queue) => Found::Queue(queue),
            Self::Topic(topic) => Found::Topic(topic),
            Self::Subscription(subscription, topic) => Found::Subscription(subscription, topic.as_deref()),
            Self::Subscribed(subscription, contract) => Found::Subscribed(subscription, contract.as_deref()),
            Self::Contract(contract, held) => Found::Contract(contract, *held),
        }
    }

    /// Whether it is on this Broker.
    pub fn is_on(&self, broker: &Broker, shared: &Shared) -> bool {
        let home = match self {
            Self::Nothing | Self::Subscription(_, None) | Self::Subscribed(_, None) => return false,
            Self::Queue(queue) => queue.home(shared),
            Self::Topic(topic) | Self::Subscription(_, Some(topic)) => topic.home(shared),
            Self::Contract(contract, _) | Self::Subscribed(_, Some(contract)) => contract.home(shared),
        };
        home.is_ok_and(|home| home.broker.uid() == broker.uid())
    }
}

impl ClientContext {
    /// The Broker that serves a Client.
    pub fn broker(&self, client: &Client) -> Result<Arc<Broker>, entente_core::resolve::Unresolved> {
        let current = client.status.as_ref().and_then(|status| status.broker.as_deref());
        self.shared.broker(client.spec.broker_ref.as_ref(), current, &client.namespace().unwrap_or_default())
    }

    /// The Broker that served a Client last, whether it still does or not. A status that somebody else wrote leads to no
    /// users but this Client's own, whose names are made of its namespace and name.
    pub fn last_broker(&self, client: &Client) -> Option<Arc<Broker>> {
        self.broker_of_status(client.status.as_ref().and_then(|status| status.broker.as_deref()))
    }

    /// Versions of contracts that a Client depends on, and how.
    pub fn contracts_of(&self, client: &Client) -> Vec<(Reference, Verb)> {
        let own = client.namespace().unwrap_or_default();
        let of = |reference: &ContractRef| Reference::of(reference, &own);
        let used = client.spec.access.iter().filter_map(|access| {
            if let Some(reference) = &access.contract_ref {
                return Some((of(reference), Verb::Send));
            }
            let name = &access.subscription_ref.as_ref()?.name;
            let subscription = self.subscriptions.get(&ObjectRef::new(name).within(&own))?;
            subscription.spec.contract_ref.as_ref().map(|reference| (of(reference), Verb::Receive))
        });
        used.collect()
    }

    /// What an entry of a Client refers to.
    pub fn refer(&self, client: &Client, entry: &Entry) -> Referred {
        let own = &client.namespace().unwrap_or_default();
        match &entry.target {
            Target::Queue { namespace, name } => {
                self.queues.get(&ObjectRef::new(name).within(namespace)).map_or(Referred::Nothing, Referred::Queue)
            }
            Target::Topic { namespace, name } => {
                self.topics.get(&ObjectRef::new(name).within(namespace)).map_or(Referred::Nothing, Referred::Topic)
            }
            Target::Subscription { name } => match self.subscriptions.get(&ObjectRef::new(name).within(own)) {
                None => Referred::Nothing,
                Some(subscription) => {
                    let namespace = topic_namespace(&subscription);
                    if let Some(reference) = &subscription.spec.contract_ref {
                        let contract = self.shared.contracts.get(&ObjectRef::new(&reference.name).within(&namespace));
                        return Referred::Subscribed(subscription, contract);
                    }
                    let name = subscription.spec.topic_ref.as_ref().map(|topic| topic.name.as_str()).unwrap_or_default();
                    let topic = self.topics.get(&ObjectRef::new(name).within(&namespace));
                    Referred::Subscription(subscription, topic)
                }
            },
            Target::Contract(reference) => {
                let held = client.status.as_ref().is_some_and(|status| status.contracts.contains(&reference.key()));
                let contract = self.shared.contracts.get(&ObjectRef::new(&reference.contract).within(&reference.namespace));
                contract.map_or(Referred::Nothing, |contract| Referred::Contract(contract, held))
            }
        }
    }
}
