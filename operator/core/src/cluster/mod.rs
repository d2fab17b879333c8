//! `(Broker, Inputs) → Kubernetes objects`: the nodes of a Broker, as values.
//!
//! One file for each kind of object, and `observation → status` for the way back. Nothing here
//! reads what is there: what must be kept of it is handed in by [`Inputs`].

pub mod additional_config;
pub mod certificate;
pub mod channels;
pub mod config;
pub mod config_map;
pub mod disruption_budget;
pub mod external;
pub mod failover;
pub mod meta;
pub mod names;
pub mod network_policy;
pub mod observation;
pub mod pod;
pub mod quantity;
pub mod resources;
pub mod secrets;
pub mod services;
pub mod serving;
pub mod stateful_set;
pub mod status;
pub mod validate;
pub mod volumes;
pub mod work;

#[cfg(test)]
mod testing;

/// What the objects are made of beside the Broker itself.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// How many nodes there are to be now, see [`stateful_set::size`].
    pub size: i32,
    /// The image of Brokers that name none.
    pub image: &'a str,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: &'a str,
    /// Where the operator runs: it must reach the HTTP API.
    pub operator_namespace: &'a str,
    /// Which admin Secret the nodes must have read (its uid). Another one restarts them, one by one.
    pub credentials: Option<&'a str>,
    /// The volume size in the `StatefulSet` that is there: Kubernetes lets no one change it.
    pub live_storage: Option<&'a str>,
    /// The last restart that was asked for, in the `StatefulSet` that is there: taking the annotation back restarts nobody.
    pub live_restart: Option<&'a str>,
}
