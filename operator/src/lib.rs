//! The Entente operator: all Kubernetes I/O.
//!
//! Decisions are made in `entente_core`, which is pure; this crate reads, asks it, and writes.
//! [`run`] is its life, [`work`] wires it up. [`visits`] is what the controllers do alike, [`broker`], [`objects`],
//! [`client`] and [`contract`] what each kind does; [`links`] are the connections to brokers, [`schemas`] are read from ConfigMaps,
//! [`scaling`] is the autoscaler, [`keda`] what KEDA is told.

pub mod activity;
pub mod admission;
pub mod apply;
pub mod broker;
pub mod certificates;
pub mod client;
pub mod contract;
pub mod crds;
pub mod documents;
pub mod follow;
pub mod http;
pub mod keda;
pub mod lanes;
pub mod leader;
pub mod links;
pub mod metrics;
pub mod objects;
pub mod orphans;
pub mod replay;
pub mod run;
pub mod scaling;
pub mod schemas;
pub mod settings;
pub mod telemetry;
pub mod visits;
pub mod work;
