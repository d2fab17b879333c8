//! Watches the objects of one kind and whatever else they depend on, and visits them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};

use super::context::Context;
use super::home::Kind;
use super::reconcile::{Error, reconcile};
use super::vanished::{clean_up, vanished};
use crate::metrics::{Kind as KindLabel, Visit};

/// A write that the API server did not take is repeated soon: mostly somebody else wrote first.
const RETRY: Duration = Duration::from_millis(250);

/// Runs until `shutdown` ends; then visits under way are finished.
///
/// `wake` names objects about which something changed elsewhere; `wake_all` says that a Broker or
/// namespace changed, which may concern every object.
pub async fn run<K: Kind>(
    ctx: Arc<Context<K>>,
    (objects, writer): (Store<K>, Writer<K>),
    wake: impl Stream<Item = ObjectRef<K>> + Send + 'static,
    wake_all: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // Visits are not bounded here but where they write: a bound here would let one namespace's
    // thousand objects keep another's one waiting (invariant I7).
    let changes = watcher(Api::<K>::all(ctx.client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect({
            let (ctx, objects) = (Arc::clone(&ctx), objects.clone());
            move |event| {
                ctx.sightings.see(event);
                if let Some(object) = vanished(event).cloned() {
                    let (ctx, objects) = (Arc::clone(&ctx), objects.clone());
                    tokio::spawn(async move {
                        // Another one of that name has what was left.
                        if objects.get(&ObjectRef::from_obj(&object)).is_none() {
                            clean_up(&object, &ctx).await;
                        }
                    });
                }
            }
        })
        .applied_objects();
    Controller::for_stream(changes, objects)
        .with_config(Config::default().concurrency(0))
        .reconcile_on(wake)
        .reconcile_all_on(wake_all)
        .graceful_shutdown_on(shutdown)
        .run(visit, retry, ctx)
        .for_each(|result| async move {
            // An object that is gone by the time it is visited is no news.
            if let Err(error) = result {
                tracing::debug!(%error, kind = K::KIND, "controller");
            }
        })
        .await;
}

#[tracing::instrument(name = "visit", skip_all, fields(kind = K::KIND, namespace = object.meta().namespace, name = object.meta().name))]
async fn visit<K: Kind>(object: Arc<K>, ctx: Arc<Context<K>>) -> Result<Action, Error> {
    let begin = Instant::now();
    let result = Box::pin(reconcile(object.as_ref(), &ctx)).await;
    ctx.metrics.visit_seconds.get_or_create(&KindLabel { kind: K::KIND }).observe(begin.elapsed().as_secs_f64());
    let outcome = if result.is_ok() { "ok" } else { "error" };
    ctx.metrics.visits.get_or_create(&Visit { kind: K::KIND, outcome }).inc();
    result
}

fn retry<K: Kind>(_: Arc<K>, error: &Error, _: Arc<Context<K>>) -> Action {
    let conflict = matches!(&error.0, kube::Error::Api(status) if status.code == 409);
    if !conflict {
        tracing::warn!(%error, "a visit failed; it is repeated");
    }
    Action::requeue(if conflict { RETRY } else { 8 * RETRY })
}
