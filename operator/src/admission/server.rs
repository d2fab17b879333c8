//! The HTTP side, and the bounds on what is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Request as HttpRequest, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use entente_core::admission::{self, Judgement};
use entente_core::contract::review;
use entente_core::contract::review::comparer::GoOn;
use entente_crds::ServiceContract;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer;
use super::gather::{Around, Lookup, gather};
use super::listener::{Shown, TlsListener};
use super::names::Names;
use super::question::{Operation, Request, Review};
use super::secret;
use crate::metrics::{Admission, Metrics};

/// Most bytes of a question. The API server takes requests of 3 MiB, and sends the object as it was and as it would be.
const LARGEST: usize = 8 * 1024 * 1024;
/// What is read and judged at once, in MiB of questions: JSON in memory is several times as large.
const ROOM: u32 = 8;
const MIB: u64 = 1024 * 1024;
/// How long a question waits for room, and how long it may take to arrive.
const WAIT: Duration = Duration::from_secs(1);
/// How long schemas are compared. What is left is the controller's.
const COMPARE: Duration = Duration::from_millis(1500);
/// After this the answer is that there is none. Less than `timeoutSeconds` of the webhook, so that the warning arrives.
const ANSWER: Duration = Duration::from_millis(2500);
/// How often the certificate is looked at: the leader may have renewed it.
const LOOK: Duration = Duration::from_secs(5);
const LATE: &str = "Entente had no time to check this before it was stored; the object's status will say whether it is fine";

#[derive(Clone)]
struct Desk {
    lookup: Arc<dyn Lookup>,
    room: Arc<Semaphore>,
    /// Contracts are judged one at a time: their schemas take memory of their own.
    contracts: Arc<Semaphore>,
    metrics: Metrics,
}

/// Serves until the process ends. Fails if the address cannot be had.
pub async fn serve(listen: SocketAddr, names: Names, client: Client, metrics: Metrics) -> anyhow::Result<()> {
    let shown = Shown::default();
    let listener = TlsListener::bind(listen, shown.clone(), b"http/1.1", "ENTENTE_ADMISSION_LISTEN").await?;
    tokio::spawn(show(client.clone(), names, shown));
    axum::serve(listener, routes(Arc::new(client), metrics)).await.context("the admission server ended")
}

/// Shows what the Secret holds, as it changes. What cannot be read or used leaves the last certificate in place.
async fn show(client: Client, names: Names, shown: Shown) {
    let api: Api<Secret> = Api::namespaced(client, &names.namespace);
    let mut last = None;
    loop {
        let read = tokio::time::timeout(LOOK, api.get_opt(&names.name)).await;
        if let Ok(Ok(Some(secret))) = read {
            let pair = secret::serving(&secret);
            if let Some(fresh) = pair.as_ref().filter(|_| pair != last) {
                match shown.set(fresh) {
                    Ok(()) => tracing::info!(name = names.name, "certificate of the admission webhook taken up"),
                    Err(error) => tracing::warn!(name = names.name, %error, "the certificate in the Secret cannot be used"),
                }
                last = pair;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn routes(lookup: Arc<dyn Lookup>, metrics: Metrics) -> Router {
    let room = Arc::new(Semaphore::new(ROOM as usize));
    Router::new().route("/admit", post(admit)).with_state(Desk { lookup, room, contracts: Arc::new(Semaphore::new(1)), metrics })
}

async fn admit(State(desk): State<Desk>, request: HttpRequest<Body>) -> Response {
    let begin = Instant::now();
    let Some(length) = length(&request) else { return StatusCode::LENGTH_REQUIRED.into_response() };
    if length > LARGEST as u64 {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let units = u32::try_from(length.div_ceil(MIB)).unwrap_or(ROOM).clamp(1, ROOM);
    let Ok(Ok(room)) = tokio::time::timeout(WAIT, Arc::clone(&desk.room).acquire_many_owned(units)).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Ok(Ok(body)) = tokio::time::timeout(WAIT, axum::body::to_bytes(request.into_body(), LARGEST)).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let parsed = tokio::task::spawn_blocking(move || (serde_json::from_slice::<Review>(&body), room)).await;
    let Ok((Ok(Review { request }), room)) = parsed else { return StatusCode::BAD_REQUEST.into_response() };
    let (uid, operation, resource) = (request.uid.clone(), request.operation, label(&request.resource.resource));
    let left = ANSWER.saturating_sub(begin.elapsed());
    let (judgement, outcome) = if let Ok(Some(judgement)) = tokio::time::timeout(left, judged(&desk, request, room)).await {
        let outcome = if judgement.is_admitted() { "admitted" } else { "refused" };
        (judgement, outcome)
    } else {
        // Too late, or it crashed: neither is the fault of whoever applies an object.
        let mut judgement = Judgement::default();
        judgement.warn(LATE);
        (judgement, "unchecked")
    };
    desk.metrics.admissions.get_or_create(&Admission { resource, outcome }).inc();
    desk.metrics.admission_seconds.observe(begin.elapsed().as_secs_f64());
    ([(CONTENT_TYPE, "application/json")], answer::review(&uid, operation, &judgement).to_string()).into_response()
}

fn length(request: &HttpRequest<Body>) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A label of a figure comes from a closed set.
fn label(resource: &str) -> &'static str {
    admission::plurals().into_iter().chain(["servicecontracts"]).find(|known| *known == resource).unwrap_or("other")
}

async fn judged(desk: &Desk, request: Request, room: OwnedSemaphorePermit) -> Option<Judgement> {
    if request.is_settled() {
        return Some(Judgement::default());
    }
    let turn = match request.resource.resource.as_str() {
        "servicecontracts" => Some(Arc::clone(&desk.contracts).acquire_owned().await.ok()?),
        _ => None,
    };
    let around = gather(desk.lookup.as_ref(), &request).await;
    let until = Instant::now() + COMPARE;
    // Off the threads that serve. One that outlives its answer keeps its room until it ends, so that they do not pile up.
    let work = move || {
        let _held = (room, turn);
        judge(&request, around, Timestamp::now(), &|| Instant::now() < until)
    };
    tokio::task::spawn_blocking(work).await.ok()
}

fn judge(request: &Request, around: Around, now: Timestamp, go_on: &GoOn<'_>) -> Judgement {
    let Around { kept, ending, bound } = around;
    let contract = |value| ServiceContract::deserialize(value).ok();
    match (request.resource.resource.as_str(), request.operation) {
        ("servicecontracts", Operation::Delete) => {
            contract(&request.old_object).map(|contract| review::review_deletion(&contract, ending)).unwrap_or_default()
        }
        ("servicecontracts", _) => {
            let old = contract(&request.old_object);
            contract(&request.object).map(|new| review::review(old.as_ref(), &new, &kept, now, go_on)).unwrap_or_default()
        }
        (_, Operation::Delete) => Judgement::default(),
        (resource, _) => {
            let mut judgement = admission::judge(resource, &request.object);
            for (contract, version) in bound {
                judgement.add(review::binding::judge(&contract, &version));
            }
            judgement
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
