//! A node whose clock of day differs from the others'.
//!
//! The kernel has one clock of day for all containers. So the nodes run an image with a library that lies to RabbitMQ about it, as a file in the
//! container says.

use anyhow::Result;

use super::machine::{execute, script};
use super::redundancy;
use crate::cluster::{Cluster, SYSTEM};
use crate::planned;

/// Made by `e2e/cluster/skewed-image.sh` of the broker's own image.
const IMAGE: &str = "localhost/entente-broker:skewed";
/// By how many seconds a clock may be wrong: ten minutes, an hour and a day, both ways.
pub const OFFSETS: [&str; 6] = ["+600", "-600", "+3600", "-3600", "+86400", "-86400"];

/// Gives every node the image with which its clock can be wrong.
pub async fn prepare(cluster: &Cluster) -> Result<()> {
    script("skewed-image.sh", &[]).await?;
    planned::run_image(cluster, Some(IMAGE), |image| image == IMAGE).await
}

/// From now on the node's clock is wrong.
pub async fn skew(pod: &str, offset: &str) -> Result<()> {
    execute(SYSTEM, pod, &["sh", "-c", &format!("echo {offset} > /tmp/faketimerc")]).await.map(drop)
}

/// And now it is right again.
pub async fn correct(pod: &str) -> Result<()> {
    execute(SYSTEM, pod, &["rm", "-f", "/tmp/faketimerc"]).await.map(drop)
}

/// Every clock is right, and every node has its own image again.
pub async fn heal(cluster: &Cluster) -> Result<()> {
    if planned::broker(cluster).await?.spec.image.as_deref() != Some(IMAGE) {
        return Ok(());
    }
    for node in redundancy::nodes(cluster).await? {
        correct(&node.pod).await?;
    }
    planned::run_image(cluster, None, |image| image != IMAGE).await
}
