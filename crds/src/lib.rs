//! API types of `entente.dev/v1alpha1`.
//!
//! The types here are the whole contract with users: fields, defaults, bounds,
//! CEL rules, printer columns. `crdgen` turns them into `crds/yaml/*.yaml`, which
//! are committed and checked for drift. Nothing here does I/O.

pub mod broker;
pub mod client;
pub mod condition;
pub mod grant;
pub mod meta;
pub mod queue;
pub mod scaling;
pub mod service_contract;
pub mod subscription;
pub mod text;
pub mod topic;

pub use broker::{Broker, BrokerSpec, BrokerStatus};
pub use client::{Client, ClientSpec, ClientStatus};
pub use queue::{Queue, QueueSpec, QueueStatus};
pub use service_contract::{ServiceContract, ServiceContractSpec, ServiceContractStatus};
pub use subscription::{Subscription, SubscriptionSpec, SubscriptionStatus};
pub use topic::{Topic, TopicSpec, TopicStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every CustomResourceDefinition that is served, in the order of their kinds' names.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Broker::crd(), Client::crd(), Queue::crd(), ServiceContract::crd(), Subscription::crd(), Topic::crd()]
}
