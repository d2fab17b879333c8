//! The broker's process of a pod.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

use crate::chaos::machine::{processes, signal};

/// Name of the Erlang virtual machine's process.
const VIRTUAL_MACHINE: &str = "beam.smp";

/// The Erlang virtual machine of a broker's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerProcess(Vec<u32>);

impl BrokerProcess {
    /// Finds it on this machine, which all nodes of the test cluster run on.
    pub fn of(pod: &Pod) -> Result<Self> {
        Ok(Self(processes(pod.metadata.uid.as_deref().context("a pod without UID")?, VIRTUAL_MACHINE)?))
    }

    /// Sends a signal, such as `KILL`, `STOP`, `CONT`.
    pub async fn signal(&self, name: &str) -> Result<()> {
        signal(name, &self.0).await
    }
}
