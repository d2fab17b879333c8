//! The operator's life: stand by, lead, stop.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use entente_core::conditions::is_true;
use entente_crds::Broker;
use entente_crds::condition::types;
use entente_crds::meta::MANAGER;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::activity::Activity;
use crate::broker::{self, BrokerContext, BrokerSettings, Namespaces};
use crate::http::{self, Readiness};
use crate::lanes::Lanes;
use crate::leader::Elector;
use crate::links::Links;
use crate::links::probe::LinkProbe;
use crate::links::registry::Observation;
use crate::metrics::Metrics;
use crate::queue::{self, QueueContext};
use crate::settings::RunSettings;

/// How long work under way may take when the process is told to stop.
const LAST_WORK: Duration = Duration::from_secs(15);

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// It no longer leads, for this reason. Whatever is under way must end at once: another replica may lead by now.
    Deposed(String),
}

/// Runs until the process is told to stop, or leadership is lost.
pub async fn run(settings: RunSettings) -> anyhow::Result<End> {
    let metrics = Metrics::default();
    let readiness = Readiness::default();
    let mut server = tokio::spawn(http::serve(settings.listen, metrics.clone(), readiness.clone()));
    let client = Client::try_default().await.context("no way to the API server: run inside a cluster, or set KUBECONFIG")?;
    let mut stop = pin!(stopped()?);
    // A connection of its own: the lease is not renewed behind whatever else is asked.
    let mut elector = Elector::new(Client::try_default().await?, &settings.namespace, &settings.pod_name);
    tracing::info!(replica = settings.pod_name, "standing by");
    let since = tokio::select! {
        since = elector.acquire(|reachable| readiness.set(reachable)) => since,
        () = &mut stop => return Ok(End::Stopped),
        result = &mut server => { result.context("the HTTP server crashed")??; anyhow::bail!("the HTTP server ended") }
    };
    lead(&settings, client, &metrics, &mut elector, since, stop, server).await
}

async fn lead(
    settings: &RunSettings,
    client: Client,
    metrics: &Metrics,
    elector: &mut Elector,
    since: Instant,
    stop: impl Future<Output = ()>,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
) -> anyhow::Result<End> {
    tracing::info!("leading");
    metrics.leader.set(1);
    let (halt, halted) = watch::channel(false);
    let mut work = tokio::spawn(work(settings.clone(), client, metrics.clone(), halted));
    tokio::select! {
        lost = elector.keep(since) => Ok(End::Deposed(lost.to_string())),
        () = stop => {
            tracing::info!("stopping");
            let _ = halt.send(true);
            // The lease is kept while the last work is done, and given up only then.
            let finish = async { tokio::time::timeout(LAST_WORK, &mut work).await.is_ok() };
            tokio::select! {
                done = finish => if !done { tracing::warn!("work under way was cut off") },
                lost = elector.keep(Instant::now()) => {
                    tracing::warn!(%lost, "no longer leading; work under way was cut off");
                    return Ok(End::Stopped);
                }
            }
            work.abort();
            metrics.leader.set(0);
            elector.release().await;
            Ok(End::Stopped)
        }
        result = &mut work => { result.context("a controller crashed")??; anyhow::bail!("the controllers ended") }
        result = server => { result.context("the HTTP server crashed")??; anyhow::bail!("the HTTP server ended") }
    }
}

fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

async fn work(settings: RunSettings, client: Client, metrics: Metrics, halted: watch::Receiver<bool>) -> anyhow::Result<()> {
    let observation = Observation { resync: settings.resync, events: settings.broker_events };
    let activity = Activity::default();
    let (links, woken) = Links::new(
        client.clone(),
        settings.cluster_domain.clone(),
        settings.pod_name.clone(),
        observation,
        activity.clone(),
        metrics.clone(),
    );
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(settings.pod_name.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (wake_all, all_woken) = mpsc::channel(1);
    let brokers = follow::<Broker>(&client, wake_all.clone(), broker_essence);
    let namespaces = follow::<Namespace>(&client, wake_all, namespace_essence);
    brokers.wait_until_ready().await.context("Brokers cannot be watched")?;
    namespaces.wait_until_ready().await.context("namespaces cannot be watched")?;

    let broker_context = Arc::new(BrokerContext::new(
        client.clone(),
        BrokerSettings {
            image: settings.broker_image.clone(),
            cluster_domain: settings.cluster_domain.clone(),
            operator_namespace: settings.namespace.clone(),
            namespaces: Namespaces::parse(settings.broker_namespaces.iter().map(String::as_str), &settings.namespace),
        },
        Arc::new(LinkProbe(Arc::clone(&links))),
        recorder.clone(),
    ));
    let queue_context = Arc::new(QueueContext {
        client,
        brokers: brokers.clone(),
        namespaces,
        links: Arc::clone(&links),
        recorder,
        telling: Arc::new(Semaphore::new(queue::writes::EVENTS_AT_ONCE)),
        lanes: Lanes::default(),
        activity,
        metrics,
        written: queue::writes::Written::default(),
    });
    let all_woken = drop_dead_links(receiver(all_woken), links, brokers);
    let mut queues = tokio::spawn(queue::run(queue_context, unbounded(woken), all_woken, halt(halted.clone())));
    let mut brokers = tokio::spawn(broker::run(broker_context, halt(halted)));
    // Either ends only when told to, and then the other one does too; an end otherwise ends the process.
    tokio::select! {
        result = &mut queues => { result?; brokers.await?; }
        result = &mut brokers => { result?; queues.await?; }
    }
    Ok(())
}

async fn halt(mut halted: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = halted.wait_for(|halted| *halted).await;
}

fn unbounded<T: Send + 'static>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}

fn receiver<T: Send + 'static>(mut receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}

fn drop_dead_links(
    woken: impl Stream<Item = ()> + Send + 'static,
    links: Arc<Links>,
    brokers: Store<Broker>,
) -> impl Stream<Item = ()> + Send + 'static {
    woken.then(move |()| {
        let (links, brokers) = (Arc::clone(&links), brokers.clone());
        async move {
            let uids: HashSet<String> = brokers.state().iter().filter_map(|broker| broker.uid()).collect();
            links.retain(&uids).await;
        }
    })
}

/// Keeps every object of a kind at hand, and says so when one changes in what others depend on.
fn follow<K>(client: &Client, changed: mpsc::Sender<()>, essence: fn(&K) -> String) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let stream = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().reflect(writer);
    tokio::spawn(async move {
        let mut stream = pin!(stream);
        let mut known: HashMap<String, String> = HashMap::new();
        while let Some(event) = stream.next().await {
            let news = match event {
                Ok(Event::Apply(object)) => {
                    let essence = essence(&object);
                    known.insert(object.uid().unwrap_or_default(), essence.clone()) != Some(essence)
                }
                Ok(Event::Delete(object)) => known.remove(&object.uid().unwrap_or_default()).is_some(),
                Ok(Event::Init | Event::InitApply(_)) => false,
                // A watch that began anew may have missed anything.
                Ok(Event::InitDone) => true,
                Err(error) => {
                    tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted; it goes on by itself");
                    false
                }
            };
            if news {
                // One signal waits at most: it concerns all, so two say no more than one.
                let _ = changed.try_send(());
            }
        }
    });
    reader
}

/// What Queues depend on: the spec, whether it serves, whether it is being deleted.
fn broker_essence(broker: &Broker) -> String {
    let ready = broker.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY));
    format!("{:?} {ready} {:?}", broker.metadata.generation, broker.metadata.deletion_timestamp)
}

/// What Queues depend on: the labels, whether it is being deleted.
fn namespace_essence(namespace: &Namespace) -> String {
    format!("{:?} {:?}", namespace.metadata.labels, namespace.metadata.deletion_timestamp)
}
