//! Typed actions on one virtual host, in the order they must run.

use std::fmt;

use serde::Serialize;

use super::model::{Binding, ExchangeDeclaration, Policy, QueueDeclaration, VirtualHost};

/// One change at the broker. Every action is idempotent: run twice, it leaves what it left once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// Create the virtual host.
    CreateVirtualHost(VirtualHost),
    /// Delete the virtual host and all that is in it.
    DeleteVirtualHost,
    /// Set or clear (`None`) a limit of the virtual host, such as `max-queues`.
    SetLimit {
        /// RabbitMQ's name of the limit.
        name: String,
        /// The limit.
        value: Option<i64>,
    },
    /// Create or replace a policy.
    PutPolicy(Policy),
    /// Delete a policy.
    DeletePolicy {
        /// Its name.
        name: String,
    },
    /// Declare an exchange.
    DeclareExchange(ExchangeDeclaration),
    /// Delete an exchange and its bindings.
    DeleteExchange {
        /// Its name.
        name: String,
    },
    /// Declare a queue.
    DeclareQueue(QueueDeclaration),
    /// Delete a queue and its messages.
    DeleteQueue {
        /// Its name.
        name: String,
    },
    /// Bind an exchange to a queue.
    Bind(Binding),
    /// Remove a binding.
    Unbind(Binding),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateVirtualHost(host) => write!(f, "create virtual host {}", host.name),
            Self::DeleteVirtualHost => f.write_str("delete the virtual host"),
            Self::SetLimit { name, value: Some(value) } => write!(f, "limit {name} to {value}"),
            Self::SetLimit { name, value: None } => write!(f, "clear limit {name}"),
            Self::PutPolicy(policy) => write!(f, "set policy {}", policy.name),
            Self::DeletePolicy { name } => write!(f, "delete policy {name}"),
            Self::DeclareExchange(exchange) => write!(f, "declare exchange {}", exchange.name),
            Self::DeleteExchange { name } => write!(f, "delete exchange {name}"),
            Self::DeclareQueue(queue) => write!(f, "declare {} queue {}", queue.kind.as_str(), queue.name),
            Self::DeleteQueue { name } => write!(f, "delete queue {name}"),
            Self::Bind(binding) => {
                write!(f, "bind {} to {} by {}", binding.source, binding.destination, Terms(binding))
            }
            Self::Unbind(binding) => {
                write!(f, "unbind {} from {} by {}", binding.source, binding.destination, Terms(binding))
            }
        }
    }
}

/// Routing key and arguments of a binding.
struct Terms<'a>(&'a Binding);

impl fmt::Display for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.routing_key)?;
        self.0.arguments.iter().try_for_each(|(name, value)| write!(f, " {name}={value:?}"))
    }
}

/// Actions in order: steps run one after another, the actions of one step side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Steps; none of them is empty.
    pub steps: Vec<Vec<Action>>,
}

impl Plan {
    /// A plan of one action.
    pub fn of(action: Action) -> Self {
        Self { steps: vec![vec![action]] }
    }

    /// Adds a step, unless it is empty.
    pub fn step(&mut self, actions: Vec<Action>) {
        if !actions.is_empty() {
            self.steps.push(actions);
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// All actions in order.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().flatten()
    }
}
