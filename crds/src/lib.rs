//! API types of `entente.dev/v1alpha1`.
//!
//! The types here are the whole contract with users: fields, defaults, bounds,
//! CEL rules, printer columns. `crdgen` turns them into `crds/yaml/*.yaml`, which
//! are committed and checked for drift. Nothing here does I/O.

pub mod broker;
pub mod condition;
pub mod meta;
pub mod queue;
pub mod scaling;
pub mod text;

pub use broker::{Broker, BrokerSpec, BrokerStatus};
pub use queue::{Queue, QueueSpec, QueueStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every CustomResourceDefinition of this API group, in the order of their kinds' names.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Broker::crd(), Queue::crd()]
}
