//! Namespaces that tests are done with.
//!
//! Kubernetes takes about ten seconds to remove a namespace, whatever is in it. The next test does not wait for that; that every
//! namespace goes is still part of the test that used it or of one soon after, and `e2e/run.sh` looks for the last ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::broker::BrokerAccess;
use crate::cluster::Cluster;
use crate::wait::{holds, seconds};

/// So many may be on their way out while tests go on.
const MOST: usize = 4;
/// How all of them are named.
pub const PREFIX: &str = "e2e-";

/// In the order in which they were let go.
static LEAVING: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn with<T>(change: impl FnOnce(&mut Vec<String>) -> T) -> T {
    change(&mut LEAVING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes note of a namespace that was deleted, and waits until few are left.
pub async fn let_go(cluster: &Cluster, broker: &BrokerAccess, namespace: String) -> Result<()> {
    with(|leaving| leaving.push(namespace));
    until_left(cluster, broker, MOST).await
}

/// Waits until all are gone: for who counts what the operator writes, or breaks what removes them.
pub async fn all_gone(cluster: &Cluster, broker: &BrokerAccess) -> Result<()> {
    until_left(cluster, broker, 0).await
}

async fn until_left(cluster: &Cluster, broker: &BrokerAccess, most: usize) -> Result<()> {
    while let Some(oldest) = with(|leaving| (leaving.len() > most).then(|| leaving.remove(0))) {
        let outcome = gone(cluster, &oldest, seconds(60)).await;
        remove_host(broker, &oldest).await?;
        outcome?;
    }
    Ok(())
}

/// Waits until a namespace is gone.
pub async fn gone(cluster: &Cluster, name: &str, limit: Duration) -> Result<Duration> {
    let namespaces = cluster.namespaces();
    holds(&format!("the namespace {name} is gone"), limit, async || Ok(namespaces.get_opt(name).await?.is_none())).await
}

/// Removes virtual hosts of an earlier run whose namespaces are gone: nobody waited for the last ones. Once in a run.
pub async fn sweep(cluster: &Cluster, broker: &BrokerAccess) -> Result<()> {
    static SWEPT: AtomicBool = AtomicBool::new(false);
    if SWEPT.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let hosts = broker.get("vhosts?columns=name").await?.unwrap_or_default();
    for host in hosts.as_array().into_iter().flatten().filter_map(|host| host["name"].as_str()) {
        let is_ours = host.starts_with(PREFIX) && !with(|leaving| leaving.iter().any(|name| name == host));
        if is_ours && cluster.namespaces().get_opt(host).await?.is_none() {
            remove_host(broker, host).await?;
        }
    }
    Ok(())
}

/// A test may just have restarted a node.
async fn remove_host(broker: &BrokerAccess, name: &str) -> Result<()> {
    let removed = async || broker.delete(&format!("vhosts/{name}")).await.map(|()| true);
    holds(&format!("the virtual host {name} is removed"), seconds(20), removed).await.map(drop)
}
