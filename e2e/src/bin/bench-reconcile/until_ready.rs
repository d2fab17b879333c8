//! The moments at which Queues become Ready, by one watch.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use entente_crds::Queue;
use entente_e2e::queue::is_ready;
use entente_e2e::scene::Scene;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};

/// A watch over the Queues of a namespace. Plain, without a cache: nothing lies between the API server's event and the clock.
pub struct ReadyWatch {
    queues: Api<Queue>,
    version: String,
    events: BoxStream<'static, kube::Result<WatchEvent<Queue>>>,
    seen: HashMap<String, Instant>,
}

impl ReadyWatch {
    /// Begins to watch from now.
    pub async fn begin(scene: &Scene) -> Result<Self> {
        let queues = scene.queues();
        let version = queues.list(&ListParams::default()).await?.metadata.resource_version.context("the list has no version")?;
        let events = queues.watch(&WatchParams::default(), &version).await?.boxed();
        Ok(Self { queues, version, events, seen: HashMap::new() })
    }

    /// When this Queue was first seen to be Ready.
    pub async fn ready(&mut self, name: &str, limit: Duration) -> Result<Instant> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            if let Some(at) = self.seen.get(name) {
                return Ok(*at);
            }
            let next = tokio::time::timeout_at(end, self.events.try_next()).await;
            match next.with_context(|| format!("Queue {name} is not Ready after {limit:?}"))?? {
                Some(WatchEvent::Added(queue) | WatchEvent::Modified(queue)) => {
                    let at = Instant::now();
                    self.version = queue.metadata.resource_version.clone().unwrap_or_default();
                    if is_ready(&queue) {
                        self.seen.entry(queue.metadata.name.unwrap_or_default()).or_insert(at);
                    }
                }
                Some(WatchEvent::Error(error)) => bail!("the watch failed: {error:?}"),
                Some(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_)) => {}
                // The API server ends a watch when it likes to; the next one goes on where this one ended.
                None => self.events = self.queues.watch(&WatchParams::default(), &self.version).await?.boxed(),
            }
        }
    }
}
