//! One connection to the broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fe2o3_amqp::{
    connection::{ConnectionHandle, OpenError},
    sasl_profile::SaslProfile,
    session::SessionHandle,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    error::{Error, NOT_OPENED, OVER},
    options::{ConnectOptions, Timeouts},
    receiver::Receiver,
    sender::Sender,
    wire::{self, Lifeline},
};

/// How long an operation may still say something better than "the stream ended".
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long a dropped connection may still say good-bye.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// An open connection. Clones are the same connection; it closes when the last one
/// and all its links are dropped, or by [`Connection::close`].
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held only while a session begins and while the connection closes.
    handle: tokio::sync::Mutex<ConnectionHandle<()>>,
    lifeline: Lifeline,
    timeouts: Timeouts,
    links: AtomicU64,
    container_id: String,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The engine sends a close frame when its handle is dropped, then waits for
        // the peer's without a limit of its own.
        self.lifeline.cut_after(GOOD_BYE);
    }
}

impl Connection {
    /// Connects, authenticates and opens the virtual host.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, Error> {
        let limit = options.timeouts.connect;
        let deadline = Instant::now() + limit;
        let within = |what| Error::Timeout { what, after: limit };

        let tcp = timeout_at(deadline, TcpStream::connect((options.host.as_str(), options.port)))
            .await
            .map_err(|_| within("connecting over TCP"))??;
        tune(&tcp, options.idle_timeout)?;

        let Some(tls) = &options.tls else {
            return timeout_at(deadline, Self::open(tcp, options)).await.map_err(|_| within("opening the AMQP connection"))?;
        };
        let handshake = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.server_name.clone(), tcp);
        let stream = timeout_at(deadline, handshake).await.map_err(|_| within("TLS handshake"))?.map_err(handshake_error)?;
        timeout_at(deadline, Self::open(stream, options)).await.map_err(|_| within("opening the AMQP connection"))?
    }

    async fn open<Io>(io: Io, options: &ConnectOptions) -> Result<Self, Error>
    where
        Io: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin + 'static,
    {
        let (wire, lifeline) = wire::watched(io);
        let virtual_host = format!("vhost:{}", options.virtual_host);
        let idle = u32::try_from(options.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        let opening = fe2o3_amqp::Connection::builder()
            .container_id(options.container_id.clone())
            .hostname(virtual_host.as_str())
            // TLS is already done; the builder must not do it again.
            .scheme("amqp")
            .sasl_profile(SaslProfile::Plain { username: options.username.clone(), password: options.password.clone() })
            .idle_time_out(idle)
            .open_with_stream(wire);
        // Boxed: it is large, and everything that connects would carry it.
        let opened = Box::pin(opening).await;
        let handle = opened.map_err(|error| match error {
            // What RabbitMQ 4.3 does to an unknown or forbidden virtual host: it logs the reason,
            // waits three seconds, and hangs up without a word.
            OpenError::TransportError(_) => Error::Refused {
                condition: NOT_OPENED.to_owned(),
                description: format!(
                    "user name and password were accepted, then the broker hung up while opening virtual host {:?}; \
                     does it exist, and may this user use it?",
                    options.virtual_host
                ),
            },
            other => other.into(),
        })?;
        let shared = Shared {
            handle: tokio::sync::Mutex::new(handle),
            lifeline,
            timeouts: options.timeouts.clone(),
            links: AtomicU64::new(0),
            container_id: options.container_id.clone(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens a link to send to `address` (see [`super::address`]).
    pub async fn sender(&self, address: &str) -> Result<Sender, Error> {
        // Boxed: attaching is rare and its state large.
        Box::pin(Sender::attach(self.clone(), address)).await
    }

    /// Opens a link to receive from `address`, with at most about `credit` messages in flight.
    pub async fn receiver(&self, address: &str, credit: u32) -> Result<Receiver, Error> {
        Box::pin(Receiver::attach(self.clone(), address, credit)).await
    }

    /// Whether the stream is still there.
    pub fn is_open(&self) -> bool {
        self.shared.lifeline.end_reason().is_none()
    }

    /// Waits for the end of the connection and says why it ended.
    pub async fn ended(&self) -> String {
        self.shared.lifeline.ended().await
    }

    /// Closes in order. The connection is over afterwards even if this fails.
    pub async fn close(&self) -> Result<(), Error> {
        let limit = self.timeouts().close;
        let closed = self
            .race("closing the connection", Some(limit), async {
                let mut handle = self.shared.handle.lock().await;
                handle.close().await.map_err(|e| Error::Closed { reason: e.to_string() })
            })
            .await;
        self.shared.lifeline.cut();
        closed
    }

    /// Ends the connection at once, without a word to the peer.
    pub fn abort(&self) {
        self.shared.lifeline.cut();
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.shared.timeouts
    }

    /// A name no other link of this container has.
    pub(super) fn link_name(&self, role: &str) -> String {
        let number = self.shared.links.fetch_add(1, Ordering::Relaxed);
        format!("{}-{role}-{number}-{:08x}", self.shared.container_id, rand::random::<u32>())
    }

    /// Each link has a session of its own: RabbitMQ ends the whole session when one
    /// of its links is refused.
    pub(super) async fn session(&self) -> Result<SessionHandle<()>, Error> {
        self.begin(fe2o3_amqp::Session::builder()).await
    }

    /// The same, in which at most so many frames wait to be read.
    pub(super) async fn session_with_room(&self, frames: usize) -> Result<SessionHandle<()>, Error> {
        self.begin(fe2o3_amqp::Session::builder().buffer_size(frames)).await
    }

    async fn begin(&self, session: fe2o3_amqp::session::Builder) -> Result<SessionHandle<()>, Error> {
        let limit = self.timeouts().attach;
        self.race("beginning a session", Some(limit), async {
            let mut handle = self.shared.handle.lock().await;
            Ok(session.begin(&mut handle).await?)
        })
        .await
    }

    /// Runs `operation` until it is done, the connection ends, or the time is up.
    pub(super) async fn race<T>(
        &self,
        what: &'static str,
        limit: Option<Duration>,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::pin!(operation);
        let result = tokio::select! {
            biased;
            result = &mut operation => result,
            reason = self.shared.lifeline.ended() => match tokio::time::timeout(LAST_WORDS, operation).await {
                Ok(result) => result,
                Err(_) => Err(Error::Closed { reason }),
            },
            after = elapsed(limit) => Err(Error::Timeout { what, after }),
        };
        self.explain(result)
    }

    /// The engine's words for a stream that ended are vague; the stream's own are not.
    pub(super) fn explain<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match (result, self.shared.lifeline.end_reason()) {
            (Err(Error::Protocol(_)), Some(reason)) => Err(Error::Closed { reason }),
            (Err(Error::Closed { reason: vague }), Some(reason)) if vague == OVER => Err(Error::Closed { reason }),
            (result, _) => result,
        }
    }
}

/// A certificate that is not trusted needs somebody; a broker that restarts needs time.
fn handshake_error(error: std::io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Error::Tls(tls.to_string()),
        None => error.into(),
    }
}

async fn elapsed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Small messages go out at once, and a peer that no longer acknowledges is noticed
/// although the kernel would go on for a quarter of an hour.
fn tune(tcp: &TcpStream, idle_timeout: Duration) -> Result<(), Error> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    // The kernel counts in whole seconds and refuses zero.
    let seconds = |part: u32| (idle_timeout / part).max(Duration::from_secs(1));
    let keepalive = socket2::TcpKeepalive::new().with_time(seconds(2)).with_interval(seconds(4));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(idle_timeout))?;
    Ok(())
}
