//! Processes of a pod, and what the scripts of the test cluster can do to a node.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::SYSTEM;

/// No script takes longer unless it hangs.
const SCRIPT: Duration = Duration::from_secs(150);

/// Processes of this name in the containers of a pod. Told by their cgroup, which bears the pod's uid, so no other pod's can be meant.
pub fn processes(pod_uid: &str, name: &str) -> Result<Vec<u32>> {
    ensure!(!pod_uid.is_empty(), "the pod has no uid");
    let groups = [format!("pod{pod_uid}"), format!("pod{}", pod_uid.replace('-', "_"))];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may end at any moment.
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if read("comm").trim_end() == name && groups.iter().any(|group| read("cgroup").contains(group)) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Sends a signal, such as `KILL`. A process that is gone already is an error: nothing would have happened to it.
pub async fn signal(name: &str, processes: &[u32]) -> Result<()> {
    ensure!(!processes.is_empty(), "there is no process to send SIG{name} to");
    let status = Command::new("kill").arg(format!("-{name}")).args(processes.iter().map(u32::to_string)).status().await?;
    ensure!(status.success(), "SIG{name} to {processes:?}: {status}");
    Ok(())
}

/// Runs a script of `e2e/cluster` and returns what it says.
pub async fn script(name: &str, arguments: &[&str]) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(name);
    run(&path.to_string_lossy(), arguments, SCRIPT).await
}

/// Runs a command in a pod of the Broker.
pub async fn execute(namespace: &str, pod: &str, command: &[&str]) -> Result<String> {
    let arguments = [&["-n", namespace, "exec", pod, "--"], command].concat();
    kubectl(&arguments, Duration::from_secs(30)).await
}

/// Has RabbitMQ in a Broker's pod evaluate an Erlang expression, and returns what it says.
pub async fn evaluate(pod: &str, expression: &str) -> Result<String> {
    execute(SYSTEM, pod, &["rabbitmqctl", "--quiet", "eval", expression]).await
}

/// Runs kubectl.
pub async fn kubectl(arguments: &[&str], limit: Duration) -> Result<String> {
    run("kubectl", arguments, limit).await
}

async fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let Ok(output) = timeout(limit, Command::new(program).args(arguments).output()).await else {
        bail!("{}: not done after {limit:?}", what());
    };
    let output = output.with_context(what)?;
    ensure!(output.status.success(), "{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Number of the node in the scripts' terms: `node2` is 2.
pub fn number_of(node: &str) -> Result<&str> {
    node.strip_prefix("node").with_context(|| format!("{node} is not a node of the test cluster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_no_pod_is_not_found() {
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(processes("495e0c0a-b440-4e5a-88e4-000000000000", own.trim_end()).unwrap().is_empty());
        assert!(processes("", own.trim_end()).is_err(), "every process is in the pod of no name");
    }

    #[tokio::test]
    async fn a_signal_to_nobody_is_an_error() {
        assert!(signal("CONT", &[]).await.is_err());
    }

    #[test]
    fn nodes_have_numbers() {
        assert_eq!(number_of("node2").unwrap(), "2");
        assert!(number_of("worker").is_err());
    }
}
