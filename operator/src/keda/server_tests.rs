//! A real gRPC client, over TLS, against the server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use axum::http::uri::PathAndQuery;
use entente_broker::tls::client_config;
use entente_core::cluster::secrets::KeyPair;
use entente_core::scaling::Seen;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc as ClientGrpc;
use tonic::transport::{Channel, Endpoint, Uri};

use super::*;
use crate::certificates::{issue, new_authority};

const HOST: &str = "entente-operator-keda.entente-system.svc";

/// Depths that a test sets. Only the Queue `shop/orders` exists, and `shop/legacy` at an external Broker.
#[derive(Clone)]
struct Told(Arc<Mutex<Reading>>);

impl Told {
    fn set(&self, ready: u64, unacknowledged: u64) {
        self.tell(Reading::Seen(Seen { ready, unacknowledged, ..Seen::default() }));
    }

    fn tell(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

#[async_trait]
impl Depths for Told {
    async fn read(&self, question: &Question, _: Duration) -> Result<Reading, NoDepth> {
        match (question.namespace.as_str(), question.name.as_str()) {
            ("shop", "orders") => Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            ("shop", "legacy") => Err(NoDepth::External),
            _ => Err(NoDepth::Unknown),
        }
    }
}

struct Scene {
    told: Told,
    metrics: Metrics,
    authority: KeyPair,
    address: SocketAddr,
    channel: Channel,
}

async fn scene() -> Scene {
    let authority = new_authority("test", Timestamp::now()).unwrap();
    let shown = Shown::default();
    shown.set(&issue(&authority, &[HOST.to_owned()], Timestamp::now()).unwrap()).unwrap();
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), shown, b"h2", "NONE").await.unwrap();
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    let told = Told(Arc::new(Mutex::new(Reading::Failed)));
    let metrics = Metrics::default();
    tokio::spawn(answer(listener, Arc::new(told.clone()), metrics.clone()));
    let channel = connect(address, &authority.certificate, HOST).await.unwrap();
    Scene { told, metrics, authority, address, channel }
}

async fn connect(address: SocketAddr, authority: &str, host: &'static str) -> Result<Channel, tonic::transport::Error> {
    let mut config = client_config(Some(authority.as_bytes())).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    let connector = service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            tls.connect(host.try_into().map_err(io::Error::other)?, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://entente-operator-keda.entente-system.svc:9443").connect_with_connector(connector).await
}

fn object(namespace: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let scaler_metadata: HashMap<_, _> = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ScaledObjectRef { name: "workers".into(), namespace: namespace.into(), scaler_metadata }
}

fn orders() -> ScaledObjectRef {
    object("shop", &[("kind", "Queue"), ("name", "orders"), ("messagesPerReplica", "20"), ("scalerAddress", "x")])
}

impl Scene {
    async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut client = ClientGrpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let codec = ProstCodec::<Q, A>::default();
        Ok(client.unary(tonic::Request::new(question), PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    async fn is_active(&self, object: ScaledObjectRef) -> Result<bool, Status> {
        Ok(self.ask::<_, IsActiveResponse>(IS_ACTIVE, object).await?.result)
    }

    async fn depth(&self) -> Result<Vec<MetricValue>, Status> {
        let asked = GetMetricsRequest { scaled_object_ref: Some(orders()), metric_name: METRIC.into() };
        Ok(self.ask::<_, GetMetricsResponse>(GET_METRICS, asked).await?.metric_values)
    }
}

#[tokio::test]
async fn keda_is_told_whether_how_much_and_how_much_for_each() {
    let scene = scene().await;
    let spec: GetMetricSpecResponse = scene.ask(GET_METRIC_SPEC, orders()).await.unwrap();
    assert_eq!(spec.metric_specs, [MetricSpec { metric_name: METRIC.into(), target_size: 20, target_size_float: 20.0 }]);
    scene.told.set(0, 0);
    assert!(!scene.is_active(orders()).await.unwrap());
    scene.told.set(40, 2);
    assert!(scene.is_active(orders()).await.unwrap());
    let values = scene.depth().await.unwrap();
    assert_eq!(values, [MetricValue { metric_name: METRIC.into(), metric_value: 42, metric_value_float: 42.0 }]);
    let text = scene.metrics.text();
    assert!(text.contains(r#"entente_keda_calls_total{call="IsActive",outcome="answered"} 2"#), "{text}");
}

#[tokio::test]
async fn i5_what_was_not_seen_is_an_error_and_never_zero() {
    let scene = scene().await;
    for reading in [Reading::Failed, Reading::Stale, Reading::Seen(Seen { is_lower_bound: true, ..Seen::default() })] {
        scene.told.tell(reading);
        assert_eq!(scene.is_active(orders()).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(scene.depth().await.unwrap_err().code(), Code::Unavailable);
    }
    // An HPA is made all the same, and keeps its replicas.
    assert!(scene.ask::<_, GetMetricSpecResponse>(GET_METRIC_SPEC, orders()).await.is_ok());
}

#[tokio::test]
async fn i3_another_namespace_is_not_reached_and_what_is_not_there_is_told() {
    let scene = scene().await;
    let elsewhere = object("bank", &[("namespace", "shop"), ("name", "orders"), ("messagesPerReplica", "20")]);
    assert_eq!(scene.is_active(elsewhere).await.unwrap_err().code(), Code::InvalidArgument);
    let missing = object("bank", &[("name", "orders"), ("messagesPerReplica", "20")]);
    assert_eq!(scene.is_active(missing).await.unwrap_err().code(), Code::NotFound);
    let external = object("shop", &[("name", "legacy"), ("messagesPerReplica", "20")]);
    assert_eq!(scene.is_active(external).await.unwrap_err().code(), Code::FailedPrecondition);
    let other: Result<IsActiveResponse, Status> = scene.ask("/externalscaler.ExternalScaler/Novelty", orders()).await;
    assert_eq!(other.unwrap_err().code(), Code::Unimplemented);
    let long = "x".repeat(LARGEST);
    let large = object("shop", &[("name", "orders"), ("messagesPerReplica", "20"), ("more", &long)]);
    assert!(scene.is_active(large).await.is_err());
}

#[tokio::test]
async fn a_stream_tells_each_change_and_nothing_while_it_is_not_known() {
    let scene = scene().await;
    let mut client = ClientGrpc::new(scene.channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<ScaledObjectRef, IsActiveResponse>::default();
    let path = PathAndQuery::from_static(STREAM_IS_ACTIVE);
    let mut stream = client.server_streaming(tonic::Request::new(orders()), path, codec).await.unwrap().into_inner();
    assert!(tokio::time::timeout(LOOK * 3, stream.message()).await.is_err(), "nothing is known yet");
    scene.told.set(0, 0);
    assert!(!stream.message().await.unwrap().unwrap().result);
    scene.told.set(0, 1);
    assert!(stream.message().await.unwrap().unwrap().result);
    scene.told.tell(Reading::Stale);
    assert!(tokio::time::timeout(LOOK * 3, stream.message()).await.is_err(), "what is not seen is no change");
    scene.told.set(7, 0);
    assert!(tokio::time::timeout(LOOK * 3, stream.message()).await.is_err(), "nor is more of the same");
    scene.told.set(0, 0);
    assert!(!stream.message().await.unwrap().unwrap().result);
}

#[tokio::test]
async fn whoever_trusts_another_authority_or_asks_for_another_name_does_not_connect() {
    let scene = scene().await;
    let other = new_authority("other", Timestamp::now()).unwrap();
    assert!(connect(scene.address, &other.certificate, HOST).await.is_err());
    assert!(connect(scene.address, &scene.authority.certificate, "somebody.else.svc").await.is_err());
}
