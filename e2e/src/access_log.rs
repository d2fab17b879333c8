//! The broker's own access log of its HTTP API, on each of its nodes.
//!
//! It is there because `e2e/values.yaml` asks for it by `management.http_log_dir`.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::cluster::{Cluster, SYSTEM};

/// Lines seen of each node.
#[derive(Clone, Debug)]
pub struct Mark(Vec<(String, usize)>);

/// How many lines there are now. Fails where the broker writes no such log: zero would then mean nothing.
pub async fn mark(cluster: &Cluster) -> Result<Mark> {
    let nodes = read(cluster).await?;
    ensure!(
        nodes.iter().any(|(_, lines)| !lines.is_empty()),
        "the broker writes no access log; install the chart with e2e/values.yaml (make install)"
    );
    Ok(Mark(nodes.into_iter().map(|(node, lines)| (node, lines.len())).collect()))
}

/// Requests that may change something: all that are neither GET nor HEAD.
#[derive(Debug, Default)]
pub struct Writes {
    /// To what is declared, or may be.
    pub declared: Vec<String>,
    /// To the temporary queue by which a leader listens to the broker's events, in the virtual host `/`. A leader makes it where the one
    /// before left none of that name: `entente.events`, or with a dot and more after a failure.
    pub listening: Vec<String>,
}

/// Writes since then.
pub async fn writes_since(cluster: &Cluster, mark: &Mark) -> Result<Writes> {
    let mut found = Writes::default();
    for (node, lines) in read(cluster).await? {
        let before = mark.0.iter().find(|(name, _)| *name == node).map_or(0, |(_, count)| *count);
        ensure!(lines.len() >= before, "{node} was restarted meanwhile, and its access log begins anew");
        for line in lines.into_iter().skip(before).filter(|line| is_write(line)) {
            if is_listening(&line) { &mut found.listening } else { &mut found.declared }.push(line);
        }
    }
    Ok(found)
}

async fn read(cluster: &Cluster) -> Result<Vec<(String, Vec<String>)>> {
    let pods = cluster.broker_pods().await?;
    let mut nodes = Vec::new();
    for pod in pods {
        let name = pod.metadata.name.unwrap_or_default();
        // One file an hour, named so that they sort by time.
        let arguments = ["-n", SYSTEM, "exec", &name, "--", "sh", "-c", "cat /tmp/http/* 2>/dev/null || true"];
        let output = Command::new("kubectl").args(arguments).output().await.context("kubectl: . /var/lib/entente-e2e/env")?;
        ensure!(output.status.success(), "the access log of {name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        nodes.push((name, text.lines().map(ToOwned::to_owned).collect()));
    }
    Ok(nodes)
}

/// Only in the virtual host `/`: a tenant's queue cannot pass for it.
fn is_listening(line: &str) -> bool {
    let path = line.split('"').nth(1).and_then(|request| request.split(' ').nth(1)).unwrap_or_default();
    let queue =
        ["/api/queues/%2F/", "/api/bindings/%2F/e/amq.rabbitmq.event/q/"].iter().find_map(|prefix| path.strip_prefix(prefix));
    queue.is_some_and(|queue| queue == "entente.events" || queue.starts_with("entente.events."))
}

fn is_write(line: &str) -> bool {
    let request = line.split('"').nth(1).unwrap_or_default();
    !request.starts_with("GET ") && !request.starts_with("HEAD ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_is_told_apart() {
        let line =
            |path: &str| format!("198.18.0.7 - entente [25/Nov/2026:09:00:00 +0000] \"PUT {path} HTTP/1.1\" 201 0 \"\" \"\"");
        assert!(is_listening(&line("/api/queues/%2F/entente.events.entente-operator-a.1")));
        assert!(is_listening(&line("/api/queues/%2F/entente.events")));
        assert!(is_listening(&line("/api/bindings/%2F/e/amq.rabbitmq.event/q/entente.events")));
        assert!(!is_listening(&line("/api/queues/%2F/entente.eventsother")));
        assert!(!is_listening(&line("/api/queues/shop/entente.events.a")) && !is_listening(&line("/api/queues/%2F/orders")));
    }

    #[test]
    fn reading_is_no_write() {
        let line = |method: &str| {
            format!("198.18.0.7 - entente [25/Nov/2026:09:00:00 +0000] \"{method} /api/queues/a/q HTTP/1.1\" 201 0 \"\" \"\"")
        };
        assert!(!is_write(&line("GET")) && !is_write(&line("HEAD")));
        assert!(is_write(&line("PUT")) && is_write(&line("DELETE")) && is_write(&line("POST")));
        assert!(is_write("unreadable"), "what is not understood must not pass for nothing");
    }
}
