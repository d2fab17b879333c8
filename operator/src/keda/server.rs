//! The gRPC side, and the bounds on what is asked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::{Request, Response as HttpResponse};
use entente_core::scaling::Reading;
use entente_core::scaling::keda::{METRIC, Question, depth, is_active};
use futures::stream::{BoxStream, unfold};
use kube::Client;
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Code, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::certificate;
use super::desk::{Depths, NoDepth};
use super::protocol::{
    GET_METRIC_SPEC, GET_METRICS, GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IS_ACTIVE, IsActiveResponse,
    MetricSpec, MetricValue, STREAM_IS_ACTIVE, ScaledObjectRef,
};
use crate::admission::Names;
use crate::admission::listener::{Connection, Shown, TlsListener};
use crate::metrics::{KedaCall, Metrics};

/// Most bytes of a question: the metadata of one trigger.
const LARGEST: usize = 64 * 1024;
/// What one connection may ask at once. KEDA keeps one, with a stream for each trigger of `external-push`.
const STREAMS: u32 = 4096;
/// A connection whose other end is gone is noticed: a stream of a calm queue says nothing for days.
const ALIVE_EVERY: Duration = Duration::from_mins(1);
/// A queue that nobody asked for before is known after a reading or two.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a stream looks. Depths are read twice a second.
const LOOK: Duration = Duration::from_millis(250);
/// Before the address is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Serves for as long as it is polled. An address that cannot be had is told, and tried again: it is no reason to stop the operator.
pub async fn serve(listen: SocketAddr, names: Names, client: Client, depths: Arc<dyn Depths>, metrics: Metrics) {
    let shown = Shown::default();
    let certificate = certificate::keep(client, names, shown.clone());
    let listening = async {
        loop {
            let ended = match TlsListener::bind(listen, shown.clone(), b"h2", "ENTENTE_KEDA_LISTEN").await {
                Ok(listener) => answer(listener, Arc::clone(&depths), metrics.clone()).await,
                Err(error) => Err(error),
            };
            let error = ended.err().map(|error| format!("{error:#}"));
            tracing::warn!(error, "KEDA is not answered; trying again");
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::join!(certificate, listening);
}

async fn answer(listener: TlsListener, depths: Arc<dyn Depths>, metrics: Metrics) -> anyhow::Result<()> {
    let incoming = unfold(listener, async |mut listener| {
        let (connection, _) = axum::serve::Listener::accept(&mut listener).await;
        Some((Ok::<Connection, io::Error>(connection), listener))
    });
    let service = service_fn(move |request| {
        let desk = Desk { depths: Arc::clone(&depths), metrics: metrics.clone() };
        async move { Ok::<_, std::convert::Infallible>(desk.route(request).await) }
    });
    let server = Server::builder().max_concurrent_streams(STREAMS).http2_keepalive_interval(Some(ALIVE_EVERY));
    server.serve_with_incoming(service, incoming).await.context("the gRPC server ended")
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

#[derive(Clone)]
struct Desk {
    depths: Arc<dyn Depths>,
    metrics: Metrics,
}

impl Desk {
    async fn route(self, request: Request<Body>) -> HttpResponse<Body> {
        match request.uri().path() {
            IS_ACTIVE => unary(request, async |object: ScaledObjectRef| self.is_active(&object).await).await,
            GET_METRIC_SPEC => unary(request, async |object: ScaledObjectRef| self.metric_spec(&object)).await,
            GET_METRICS => unary(request, async |asked: GetMetricsRequest| self.metrics(asked).await).await,
            STREAM_IS_ACTIVE => {
                let service = service_fn(move |request: tonic::Request<ScaledObjectRef>| {
                    let opened = self.clone().stream(&request.into_inner());
                    async move { opened.map(Response::new) }
                });
                grpc::<IsActiveResponse, ScaledObjectRef>().server_streaming(service, request).await
            }
            _ => Status::unimplemented("KEDA's external scaler is served here, and nothing else").into_http(),
        }
    }

    async fn is_active(&self, object: &ScaledObjectRef) -> Result<IsActiveResponse, Status> {
        let answer = match question(object) {
            Ok(question) => self.known(&question, is_active).await.map(|result| IsActiveResponse { result }),
            Err(status) => Err(status),
        };
        self.count("IsActive", answer)
    }

    /// Answered without a look: an HPA cannot be made without it.
    fn metric_spec(&self, object: &ScaledObjectRef) -> Result<GetMetricSpecResponse, Status> {
        let answer = question(object).map(|question| {
            let (target_size, target_size_float) = (question.messages_per_replica.into(), question.messages_per_replica.into());
            GetMetricSpecResponse {
                metric_specs: vec![MetricSpec { metric_name: METRIC.to_owned(), target_size, target_size_float }],
            }
        });
        self.count("GetMetricSpec", answer)
    }

    async fn metrics(&self, asked: GetMetricsRequest) -> Result<GetMetricsResponse, Status> {
        // There is one metric. It has the name by which it was asked for.
        let GetMetricsRequest { scaled_object_ref, metric_name } = asked;
        let answer = match question(&scaled_object_ref.unwrap_or_default()) {
            Ok(question) => self.known(&question, depth).await.map(|(metric_value, metric_value_float)| GetMetricsResponse {
                metric_values: vec![MetricValue { metric_name, metric_value, metric_value_float }],
            }),
            Err(status) => Err(status),
        };
        self.count("GetMetrics", answer)
    }

    /// Tells at once whether anything waits, as soon as that is known, and then each change. While it is not known nothing is said.
    fn stream(self, object: &ScaledObjectRef) -> Result<BoxStream<'static, Result<IsActiveResponse, Status>>, Status> {
        let question = self.count("StreamIsActive", question(object))?;
        let begin = (self, question, None, false);
        Ok(Box::pin(unfold(begin, async |(desk, question, mut last, over)| {
            if over {
                return None;
            }
            loop {
                match desk.depths.read(&question, Duration::ZERO).await {
                    Ok(reading) => match is_active(&reading) {
                        Some(result) if last != Some(result) => {
                            last = Some(result);
                            return Some((Ok(IsActiveResponse { result }), (desk, question, last, false)));
                        }
                        _ => tokio::time::sleep(LOOK).await,
                    },
                    Err(error) => return Some((Err(no_depth(error)), (desk, question, last, true))),
                }
            }
        })))
    }

    async fn known<T>(&self, question: &Question, of: impl Fn(&Reading) -> Option<T>) -> Result<T, Status> {
        let reading = self.depths.read(question, PATIENCE).await.map_err(no_depth)?;
        of(&reading)
            .ok_or_else(|| Status::unavailable("the broker, or a part of it, was not seen; replicas should stay as they are"))
    }

    fn count<T>(&self, call: &'static str, answer: Result<T, Status>) -> Result<T, Status> {
        let outcome = match answer.as_ref().err().map(Status::code) {
            None => "answered",
            Some(Code::Unavailable) => "not seen",
            Some(_) => "refused",
        };
        self.metrics.keda_calls.get_or_create(&KedaCall { call, outcome }).inc();
        answer
    }
}

fn question(object: &ScaledObjectRef) -> Result<Question, Status> {
    let ScaledObjectRef { name: _, namespace, scaler_metadata } = object;
    Question::parse(namespace, scaler_metadata).map_err(Status::invalid_argument)
}

fn no_depth(error: NoDepth) -> Status {
    match error {
        NoDepth::Unknown => Status::not_found(error.to_string()),
        NoDepth::External => Status::failed_precondition(error.to_string()),
    }
}

fn grpc<A: Message + Default + Send + 'static, Q: Message + Default + Send + 'static>() -> Grpc<ProstCodec<A, Q>> {
    Grpc::new(ProstCodec::default()).max_decoding_message_size(LARGEST)
}

async fn unary<Q, A, F>(request: Request<Body>, ask: impl Fn(Q) -> F) -> HttpResponse<Body>
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
    F: Future<Output = Result<A, Status>>,
{
    let service = service_fn(|request: tonic::Request<Q>| {
        let answer = ask(request.into_inner());
        async move { answer.await.map(Response::new) }
    });
    grpc::<A, Q>().unary(service, request).await
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
