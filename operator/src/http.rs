//! `/healthz`, `/readyz` and `/metrics`. Nothing secret is told here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::metrics::Metrics;

/// Whether this replica can do its work: lead, or take over.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn status(&self) -> (StatusCode, &'static str) {
        if self.0.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet\n")
        }
    }
}

/// Serves until the process ends. Fails if the address cannot be had.
/// `further` is served beside.
pub async fn serve(listen: SocketAddr, metrics: Metrics, readiness: Readiness, further: Router) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another by ENTENTE_LISTEN"))?;
    axum::serve(listener, routes(metrics, readiness).merge(further)).await.context("the HTTP server ended")
}

fn routes(metrics: Metrics, readiness: Readiness) -> Router {
    let exposition = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness.status() }))
        .route("/metrics", get(move || async move { (exposition, metrics.text()) }))
}
