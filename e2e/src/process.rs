//! Processes of pods, seen from the machine that all nodes of the test cluster run on.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use tokio::process::Command;

/// The Erlang virtual machine of a broker's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerProcess(u32);

impl BrokerProcess {
    /// Finds it by the pod's UID in its control groups, which no two pods share.
    pub async fn of(pod: &Pod) -> Result<Self> {
        let uid = pod.metadata.uid.as_deref().context("a pod without UID")?;
        let processes = std::fs::read_dir("/proc").context("only on the machine of the test cluster")?;
        for entry in processes.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if is_virtual_machine(&entry.path()) && is_of(&entry.path(), uid) {
                return Ok(Self(id));
            }
        }
        bail!("no broker process of the pod {} runs on this machine", pod.metadata.name.as_deref().unwrap_or_default())
    }

    /// Sends a signal, such as `KILL`, `STOP`, `CONT`.
    pub async fn signal(self, name: &str) -> Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.0.to_string()).status().await?;
        ensure!(status.success(), "kill -{name} {}: {status}", self.0);
        Ok(())
    }
}

fn is_virtual_machine(process: &Path) -> bool {
    std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "beam.smp")
}

/// With or without the dashes that the control groups of systemd replace.
fn is_of(process: &Path, uid: &str) -> bool {
    let underscored = uid.replace('-', "_");
    std::fs::read_to_string(process.join("cgroup")).is_ok_and(|groups| groups.contains(uid) || groups.contains(&underscored))
}
