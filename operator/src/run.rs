//! The operator's life: stand by, lead, stop.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::http::{self, Readiness};
use crate::leader::Elector;
use crate::metrics::Metrics;
use crate::settings::RunSettings;
use crate::work::work;
use crate::{admission, documents};

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
    let client = Client::try_default().await.context("no way to the API server: run inside a cluster, or set KUBECONFIG")?;
    // A connection of its own here, too: an answer of the webhook does not wait behind controllers.
    let mut server = tokio::spawn(serve(settings.clone(), Client::try_default().await?, metrics.clone(), readiness.clone()));
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

/// What every replica serves, the leader and the others.
async fn serve(settings: RunSettings, client: Client, metrics: Metrics, readiness: Readiness) -> anyhow::Result<()> {
    let further = if settings.documents { documents::routes(Arc::new(client.clone())) } else { Router::new() };
    let http = http::serve(settings.listen, metrics.clone(), readiness, further);
    let Some(listen) = settings.admission_listen else { return http.await };
    let admission = admission::serve(listen, settings.admission_names(), client, metrics);
    tokio::try_join!(http, admission).map(drop)
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
