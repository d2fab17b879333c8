//! Watches the objects of one kind and visits them: what the controllers of every kind do alike.

pub mod vanished;

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_core::object::Reported;
use futures::{Stream, StreamExt};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt};
use kube::{Api, Resource};

use crate::metrics::{Kind, Visit};
use crate::objects::Shared;

use vanished::{clean_up, vanished};

/// A write that the API server did not take is repeated soon: mostly somebody else wrote first.
const RETRY: Duration = Duration::from_millis(250);

/// Why a visit is repeated.
pub trait Repeated: std::error::Error + Send + Sync + 'static {
    /// What the API server answered, if that is why.
    fn of_api_server(&self) -> Option<&kube::Error>;

    /// Whether somebody else wrote first.
    fn is_conflict(&self) -> bool {
        has_code(self.of_api_server(), 409)
    }

    /// Whether there is no such object any more.
    fn is_gone(&self) -> bool {
        has_code(self.of_api_server(), 404)
    }
}

fn has_code(error: Option<&kube::Error>, code: u16) -> bool {
    matches!(error, Some(kube::Error::Api(status)) if status.code == code)
}

/// What visits the objects of one kind.
pub trait Visitor: Send + Sync + 'static {
    /// The kind.
    type Object: Reported;
    /// Why a visit is repeated.
    type Error: Repeated;

    /// What all controllers share.
    fn shared(&self) -> &Shared;

    /// An event of the watch, before it leads to a visit.
    fn see(&self, _event: &Result<Event<Self::Object>, watcher::Error>) {}

    /// What must be known before the first visit.
    fn prepare(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// One visit.
    fn visit(&self, object: &Self::Object) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// A visit to an object that is being deleted.
    fn delete(&self, object: &Self::Object) -> impl Future<Output = Result<Action, Self::Error>> + Send;
}

/// Runs until `shutdown` ends; then visits under way are finished.
///
/// `wake` names objects about which something changed elsewhere; `wake_all` says that a Broker or namespace changed,
/// which may concern every object.
pub async fn run<V: Visitor>(
    visitor: Arc<V>,
    (objects, writer): (Store<V::Object>, Writer<V::Object>),
    wake: impl Stream<Item = ObjectRef<V::Object>> + Send + 'static,
    wake_all: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // Visits are not bounded here but where they write: a bound here would let one namespace's
    // thousand objects keep another's one waiting (invariant I7).
    let changes = kube::runtime::watcher(Api::<V::Object>::all(visitor.shared().client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect({
            let (visitor, objects) = (Arc::clone(&visitor), objects.clone());
            move |event| {
                visitor.see(event);
                if let Some(object) = vanished(event).cloned() {
                    let (visitor, objects) = (Arc::clone(&visitor), objects.clone());
                    tokio::spawn(async move {
                        // Another one of that name has what was left.
                        if objects.get(&ObjectRef::from_obj(&object)).is_none() {
                            clean_up(visitor.as_ref(), &object).await;
                        }
                    });
                }
            }
        })
        .applied_objects();
    visitor.prepare().await;
    Controller::for_stream(changes, objects)
        .with_config(Config::default().concurrency(0))
        .reconcile_on(wake)
        .reconcile_all_on(wake_all)
        .graceful_shutdown_on(shutdown)
        .run(visit, retry, visitor)
        .for_each(|result| async move {
            // An object that is gone by the time it is visited is no news.
            if let Err(error) = result {
                tracing::debug!(%error, kind = V::Object::KIND, "controller");
            }
        })
        .await;
}

#[tracing::instrument(name = "visit", skip_all, fields(kind = V::Object::KIND, namespace = object.meta().namespace, name = object.meta().name))]
async fn visit<V: Visitor>(object: Arc<V::Object>, visitor: Arc<V>) -> Result<Action, V::Error> {
    let begin = Instant::now();
    let result = Box::pin(visitor.visit(&object)).await;
    let (metrics, kind) = (&visitor.shared().metrics, V::Object::KIND);
    metrics.visit_seconds.get_or_create(&Kind { kind }).observe(begin.elapsed().as_secs_f64());
    let outcome = if result.is_ok() { "ok" } else { "error" };
    metrics.visits.get_or_create(&Visit { kind, outcome }).inc();
    result
}

fn retry<V: Visitor>(_: Arc<V::Object>, error: &V::Error, _: Arc<V>) -> Action {
    if !error.is_conflict() {
        tracing::warn!(%error, "a visit failed; it is repeated");
    }
    Action::requeue(if error.is_conflict() { RETRY } else { 8 * RETRY })
}
