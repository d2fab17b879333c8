//! Whether one node answers at all.
//!
//! A request without credentials over a connection that is kept open, to the HTTP API's root: a process that is stopped, a host that is cut off
//! and one where nobody listens are told apart within a fraction of a second. What the node answers does not matter; an answer that TLS
//! refuses is one too.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use entente_core::cluster::serving::Beat;
use reqwest::{Client, Url};

use super::http::{self, ConnectError};

/// One node's HTTP API.
#[derive(Debug)]
pub struct NodePulse {
    client: Client,
    url: Url,
}

impl NodePulse {
    /// `uri` is that of the whole broker, which its certificate names; `address` is the node's. Nothing is sent yet.
    pub fn new(uri: &str, address: SocketAddr, ca_pem: Option<&[u8]>) -> Result<Self, ConnectError> {
        let url = Url::parse(uri).map_err(|_| ConnectError::Uri(uri.to_owned()))?;
        let mut builder = http::client(ca_pem)?.pool_max_idle_per_host(1);
        if let Some(host) = url.host_str() {
            builder = builder.resolve(host, address);
        }
        Ok(Self { client: builder.build().map_err(ConnectError::Client)?, url })
    }

    /// One attempt, of `timeout` at most.
    pub async fn beat(&self, timeout: Duration) -> Beat {
        match self.client.head(self.url.clone()).timeout(timeout).send().await {
            Ok(_) => Beat::Answered,
            Err(error) => meaning(&error),
        }
    }
}

/// What a failure tells: the innermost cause decides.
fn meaning(error: &(dyn Error + 'static)) -> Beat {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // What is wrapped in an I/O error is not among its sources.
        let mut within = Some(error);
        while let Some(error) = within {
            if error.is::<rustls::Error>() {
                return Beat::Answered;
            }
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| {
                matches!(io.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
            }) {
                return Beat::Refused;
            }
            within = io.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn Error + 'static));
        }
        cause = error.source();
    }
    Beat::Silent
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_millis(300);

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn beat(scheme: &str, address: SocketAddr) -> Beat {
        let uri = format!("{scheme}://main.messaging.svc:{}", address.port());
        NodePulse::new(&uri, address, None).unwrap().beat(TIMEOUT).await
    }

    /// Answers each connection with this text.
    async fn answering(text: &'static [u8]) -> SocketAddr {
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(text).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn any_answer_is_one() {
        for text in ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"] {
            assert_eq!(beat("http", answering(text.as_bytes()).await).await, Beat::Answered);
        }
        // A TLS alert: the process speaks, though it does not like what it hears.
        assert_eq!(beat("https", answering(&[21, 3, 3, 0, 2, 2, 40]).await).await, Beat::Answered);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses() {
        let (listener, address) = listener().await;
        drop(listener);
        assert_eq!(beat("http", address).await, Beat::Refused);
    }

    /// The kernel takes connections of a process that is stopped.
    #[tokio::test]
    async fn a_stopped_process_is_silent() {
        let (_listener, address) = listener().await;
        for scheme in ["http", "https"] {
            assert_eq!(beat(scheme, address).await, Beat::Silent, "{scheme}");
        }
    }
}
