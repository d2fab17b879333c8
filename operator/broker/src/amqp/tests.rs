//! Peers that misbehave: everything must return, with the right error.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

const CA: &str = include_str!("testdata/ca.crt");

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A peer that does the same to every connection. Connections live as long as their future.
async fn peer<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn hang(stream: TcpStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

fn options(port: u16) -> ConnectOptions {
    let mut options = ConnectOptions::new("127.0.0.1", port, "user", "secret");
    options.timeouts = Timeouts {
        connect: Duration::from_millis(300),
        attach: Duration::from_millis(300),
        send: Duration::from_millis(300),
        settle: Duration::from_millis(300),
        close: Duration::from_millis(300),
    };
    options
}

/// Frames as RabbitMQ sends them up to an open connection; see `open_to`.
fn frame(kind: u8, channel: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &[2, kind, 0, channel], body].concat()
}

/// Plays the broker until the connection is open; afterwards `stream` is silent.
async fn open_to(stream: &mut TcpStream, sasl_code: u8) -> std::io::Result<()> {
    let mut buf = [0; 4096];
    stream.read_exact(&mut buf[..8]).await?;
    stream.write_all(b"AMQP\x03\x01\x00\x00").await?;
    stream.write_all(&frame(1, 0, b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN")).await?;
    let _ = stream.read(&mut buf).await?;
    stream.write_all(&frame(1, 0, &[0x00, 0x53, 0x44, 0xc0, 0x03, 0x01, 0x50, sasl_code])).await?;
    stream.read_exact(&mut buf[..8]).await?;
    stream.write_all(b"AMQP\x00\x01\x00\x00").await?;
    let _ = stream.read(&mut buf).await?;
    stream.write_all(&frame(0, 0, b"\x00\x53\x10\xc0\x04\x01\xa1\x01b")).await
}

async fn open_then_hang(mut stream: TcpStream) {
    open_to(&mut stream, 0).await.unwrap();
    hang(stream).await;
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("must have returned by itself")
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, port) = listen().await;
    drop(listener);
    let error = Connection::connect(&options(port)).await.unwrap_err();
    assert!(matches!(error, Error::Io { kind: std::io::ErrorKind::ConnectionRefused, .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_peer_that_accepts_and_hangs_times_out_the_opening() {
    let port = peer(hang).await;
    let start = Instant::now();
    let error = within(Duration::from_secs(2), Connection::connect(&options(port))).await.unwrap_err();
    let expected = Error::Timeout { what: "opening the AMQP connection", after: Duration::from_millis(300) };
    assert_eq!(error, expected);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_peer_that_accepts_and_hangs_times_out_the_tls_handshake() {
    let port = peer(hang).await;
    let mut options = options(port);
    options.tls = Some(Tls::from_ca_pem(CA.as_bytes(), "broker.test").unwrap());
    let error = within(Duration::from_secs(2), Connection::connect(&options)).await.unwrap_err();
    assert_eq!(error, Error::Timeout { what: "TLS handshake", after: Duration::from_millis(300) });
}

#[tokio::test]
async fn a_peer_that_closes_at_once_is_reported_at_once() {
    let port = peer(|stream| async move { drop(stream) }).await;
    let mut options = options(port);
    options.timeouts.connect = Duration::from_secs(30);
    let error = within(Duration::from_secs(2), Connection::connect(&options)).await.unwrap_err();
    assert!(matches!(error, Error::Io { .. } | Error::Closed { .. }), "{error:?}");
    assert!(error.is_transient());

    options.tls = Some(Tls::from_ca_pem(CA.as_bytes(), "broker.test").unwrap());
    let error = within(Duration::from_secs(2), Connection::connect(&options)).await.unwrap_err();
    assert!(matches!(error, Error::Io { .. } | Error::Closed { .. }), "{error:?}");
    assert!(error.is_transient(), "a broker that restarts during the handshake is not a wrong certificate");
}

#[tokio::test]
async fn a_peer_that_speaks_something_else() {
    let port = peer(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        hang(stream).await;
    })
    .await;
    let error = within(Duration::from_secs(2), Connection::connect(&options(port))).await.unwrap_err();
    assert!(matches!(&error, Error::Protocol(text) if text.contains("AMQP 1.0")), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_transient() {
    let port = peer(|mut stream| async move {
        let _ = open_to(&mut stream, 1).await;
    })
    .await;
    let error = within(Duration::from_secs(2), Connection::connect(&options(port))).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"));
}

#[tokio::test]
async fn a_peer_that_hangs_when_open_times_out_each_operation() {
    let port = peer(open_then_hang).await;
    let connection = Connection::connect(&options(port)).await.unwrap();
    assert!(connection.is_open());
    let limit = Duration::from_secs(2);
    let error = within(limit, connection.sender("/queues/q")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { what: "beginning a session", .. }), "{error:?}");
    let error = within(limit, connection.close()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { what: "closing the connection", .. }), "{error:?}");
    within(limit, connection.ended()).await;
    assert!(!connection.is_open());
}

#[tokio::test]
async fn an_operation_ends_with_its_connection_long_before_its_own_limit() {
    let port = peer(|mut stream| async move {
        open_to(&mut stream, 0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    let mut options = options(port);
    options.timeouts.attach = Duration::from_mins(10);
    let connection = Connection::connect(&options).await.unwrap();
    let error = within(Duration::from_secs(2), connection.receiver("/queues/q", 10)).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_abort_ends_what_is_under_way() {
    let port = peer(open_then_hang).await;
    let mut options = options(port);
    options.timeouts.attach = Duration::from_mins(10);
    let connection = Connection::connect(&options).await.unwrap();
    let attaching = tokio::spawn({
        let connection = connection.clone();
        async move { connection.sender("/queues/q").await.map(|_| ()) }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    connection.abort();
    let error = within(Duration::from_secs(2), attaching).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_by_the_idle_timeout() {
    let port = peer(open_then_hang).await;
    let mut options = options(port);
    options.idle_timeout = Duration::from_millis(400);
    let connection = Connection::connect(&options).await.unwrap();
    within(Duration::from_secs(3), connection.ended()).await;
}

#[tokio::test]
async fn a_dropped_connection_leaves_no_socket_behind() {
    let (closed_tx, mut closed_rx) = tokio::sync::mpsc::channel(1);
    let port = peer(move |mut stream| {
        let closed = closed_tx.clone();
        async move {
            open_to(&mut stream, 0).await.unwrap();
            // Reads all, answers nothing: the close frame of the client is not answered either.
            let mut buf = [0; 1024];
            while stream.read(&mut buf).await.is_ok_and(|n| n > 0) {}
            let _ = closed.send(()).await;
        }
    })
    .await;
    drop(Connection::connect(&options(port)).await.unwrap());
    within(Duration::from_secs(5), closed_rx.recv()).await.unwrap();
}

#[tokio::test]
async fn a_reconnecting_sender_gives_up_as_told_and_accounts_for_its_messages() {
    let port = peer(|stream| async move { drop(stream) }).await;
    let policy = ReconnectPolicy {
        base: Duration::from_millis(5),
        max: Duration::from_millis(20),
        give_up_after: Some(Duration::from_millis(200)),
        give_up_refused_after: None,
    };
    let source: OptionsSource = Arc::new(move || Ok(options(port)));
    let mut sender = ReconnectingSender::new(source, "/queues/q", 10, WhenUnknown::Resend, policy);
    let error = within(Duration::from_secs(3), Box::pin(sender.post(Outgoing::new("id-1", "x")))).await.unwrap_err();
    assert!(matches!(error, Error::Io { .. } | Error::Closed { .. }), "{error:?}");
    assert_eq!(sender.into_unsettled(), ["id-1"]);
}

#[tokio::test]
async fn a_reconnecting_receiver_gives_up_when_refused_for_too_long() {
    let port = peer(|mut stream| async move {
        let _ = open_to(&mut stream, 1).await;
    })
    .await;
    let policy = ReconnectPolicy {
        base: Duration::from_millis(5),
        max: Duration::from_millis(20),
        give_up_after: None,
        give_up_refused_after: Some(Duration::from_millis(200)),
    };
    let source: OptionsSource = Arc::new(move || Ok(options(port)));
    let mut receiver = ReconnectingReceiver::new(source, "/queues/q", 10, policy);
    let error = within(Duration::from_secs(3), receiver.recv()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}
