//! Watches Clients and whatever else they depend on, and visits them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_crds::Client;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};

use super::context::ClientContext;
use super::deletion::clean_up;
use super::reconcile::{Error, reconcile};
use crate::metrics::{Kind, Visit};
use crate::objects::vanished::vanished;

const KIND: &str = "Client";
/// A write that the API server did not take is repeated soon: mostly somebody else wrote first.
const RETRY: Duration = Duration::from_millis(250);

/// Runs until `shutdown` ends; then visits under way are finished.
///
/// `wake` names Clients about which something changed elsewhere; `wake_all` says that a Broker or namespace changed,
/// which may concern every Client.
pub async fn run(
    ctx: Arc<ClientContext>,
    (clients, writer): (Store<Client>, Writer<Client>),
    wake: impl Stream<Item = ObjectRef<Client>> + Send + 'static,
    wake_all: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let changes = watcher(Api::<Client>::all(ctx.client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect({
            let (ctx, clients) = (Arc::clone(&ctx), clients.clone());
            move |event| {
                if let Some(client) = vanished(event).cloned() {
                    let (ctx, clients) = (Arc::clone(&ctx), clients.clone());
                    tokio::spawn(async move {
                        // Another one of that name has what was left.
                        if clients.get(&ObjectRef::from_obj(&client)).is_none() {
                            clean_up(&client, &ctx).await;
                        }
                    });
                }
            }
        })
        .applied_objects();
    // What is not known yet would look absent, and rights would be taken away at each start (invariant I5).
    let known = async {
        ctx.queues.wait_until_ready().await?;
        ctx.topics.wait_until_ready().await?;
        ctx.subscriptions.wait_until_ready().await
    };
    if known.await.is_err() {
        return;
    }
    Controller::for_stream(changes, clients)
        .with_config(Config::default().concurrency(0))
        .reconcile_on(wake)
        .reconcile_all_on(wake_all)
        .graceful_shutdown_on(shutdown)
        .run(visit, retry, ctx)
        .for_each(|result| async move {
            // An object that is gone by the time it is visited is no news.
            if let Err(error) = result {
                tracing::debug!(%error, kind = KIND, "controller");
            }
        })
        .await;
}

#[tracing::instrument(name = "visit", skip_all, fields(kind = KIND, namespace = client.metadata.namespace, name = client.metadata.name))]
async fn visit(client: Arc<Client>, ctx: Arc<ClientContext>) -> Result<Action, Error> {
    let begin = Instant::now();
    let result = Box::pin(reconcile(&client, &ctx)).await;
    ctx.metrics.visit_seconds.get_or_create(&Kind { kind: KIND }).observe(begin.elapsed().as_secs_f64());
    let outcome = if result.is_ok() { "ok" } else { "error" };
    ctx.metrics.visits.get_or_create(&Visit { kind: KIND, outcome }).inc();
    result
}

fn retry(_: Arc<Client>, error: &Error, _: Arc<ClientContext>) -> Action {
    if !error.is_conflict() {
        tracing::warn!(%error, "a visit failed; it is repeated");
    }
    Action::requeue(if error.is_conflict() { RETRY } else { 8 * RETRY })
}
