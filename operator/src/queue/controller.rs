//! Watches Queues and whatever else they depend on, and visits them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_crds::Queue;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, WatchStreamExt, watcher};

use super::context::QueueContext;
use super::reconcile::{Error, reconcile};
use super::vanished::{clean_up, vanished};
use crate::metrics::{Kind, Visit};

const KIND: &str = "Queue";

/// A write that the API server did not take is repeated soon: mostly somebody else wrote first.
const RETRY: Duration = Duration::from_millis(250);

/// Runs until `shutdown` ends; then visits under way are finished.
///
/// `wake` names Queues about which something changed at a broker; `wake_all` says that a Broker or
/// namespace changed, which may concern every Queue.
pub async fn run(
    ctx: Arc<QueueContext>,
    wake: impl Stream<Item = ObjectRef<Queue>> + Send + 'static,
    wake_all: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // Visits are not bounded here but where they write: a bound here would let one namespace's
    // thousand Queues keep another's one waiting (invariant I7).
    let (queues, writer) = reflector::store();
    let changes = watcher(Api::<Queue>::all(ctx.client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect({
            let (ctx, queues) = (Arc::clone(&ctx), queues.clone());
            move |event| {
                if let Some(queue) = vanished(event).cloned() {
                    let (ctx, queues) = (Arc::clone(&ctx), queues.clone());
                    tokio::spawn(async move {
                        // Another one of that name has what was left.
                        if queues.get(&ObjectRef::from_obj(&queue)).is_none() {
                            clean_up(&queue, &ctx).await;
                        }
                    });
                }
            }
        })
        .applied_objects();
    Controller::for_stream(changes, queues)
        .with_config(Config::default().concurrency(0))
        .reconcile_on(wake)
        .reconcile_all_on(wake_all)
        .graceful_shutdown_on(shutdown)
        .run(visit, retry, ctx)
        .for_each(|result| async move {
            // An object that is gone by the time it is visited is no news.
            if let Err(error) = result {
                tracing::debug!(%error, "queue controller");
            }
        })
        .await;
}

#[tracing::instrument(name = "Queue", skip_all, fields(namespace = queue.metadata.namespace, name = queue.metadata.name))]
async fn visit(queue: Arc<Queue>, ctx: Arc<QueueContext>) -> Result<Action, Error> {
    let begin = Instant::now();
    let result = Box::pin(reconcile(&queue, &ctx)).await;
    ctx.metrics.visit_seconds.get_or_create(&Kind { kind: KIND }).observe(begin.elapsed().as_secs_f64());
    let outcome = if result.is_ok() { "ok" } else { "error" };
    ctx.metrics.visits.get_or_create(&Visit { kind: KIND, outcome }).inc();
    result
}

fn retry(_: Arc<Queue>, error: &Error, _: Arc<QueueContext>) -> Action {
    let conflict = matches!(&error.0, kube::Error::Api(status) if status.code == 409);
    if !conflict {
        tracing::warn!(%error, "a visit failed; it is repeated");
    }
    Action::requeue(if conflict { RETRY } else { 8 * RETRY })
}
