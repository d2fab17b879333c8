//! TLS in front of a server. The certificate can change at any time; connections that are open stay.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::Listener;
use entente_core::cluster::secrets::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long the first words of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may say nothing. API servers close theirs after a minute and a half; KEDA's is asked each minute whether it lives.
const IDLE: Duration = Duration::from_mins(5);
/// Connections at once. A few API servers keep a few each.
const CONNECTIONS: usize = 128;

/// The certificate that is shown at the moment.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl Shown {
    /// Shows another from now on. Fails if it cannot be used.
    pub fn set(&self, pair: &KeyPair) -> anyhow::Result<()> {
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        anyhow::ensure!(!chain.is_empty(), "there is no certificate in it");
        let key = PrivateKeyDer::from_pem_slice(pair.private_key.as_bytes())?;
        let key = ring::default_provider().key_provider.load_private_key(key)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts connections over TLS.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl TlsListener {
    /// Listens. Handshakes run aside, so that one that hangs holds up nobody.
    ///
    /// `protocol` is what is spoken over TLS, by its ALPN name; `variable` sets the address.
    pub async fn bind(listen: SocketAddr, shown: Shown, protocol: &[u8], variable: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; choose another by {variable}"))?;
        let address = listener.local_addr()?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![protocol.to_vec()];
        let (handed, ready) = mpsc::channel(CONNECTIONS);
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), handed));
        Ok(Self { address, ready })
    }
}

async fn accept(mut listener: TcpListener, acceptor: TlsAcceptor, handed: mpsc::Sender<(Connection, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // As axum does: what goes wrong with one connection, or for lack of files, is waited out.
        let (stream, from) = Listener::accept(&mut listener).await;
        let (acceptor, handed) = (acceptor.clone(), handed.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                let _ = handed.send((Connection { stream, idle: Box::pin(sleep(IDLE)), _place: place }, from)).await;
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task that accepts ends with the process alone.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that ends when nothing comes for long, and then makes room for another.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                self.idle.as_mut().reset(Instant::now() + IDLE);
                Poll::Ready(result)
            }
            Poll::Pending => self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
