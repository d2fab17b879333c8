//! Requests to the HTTP API: paths, time-outs, credentials, and what an answer's status means.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::guard::Guarded;
use crate::admin::AdminError;
use crate::tls::{TlsError, client_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A declaration waits for a Raft majority; longer than this, the broker has none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// RabbitMQ takes 15 s to delete a quorum queue of which a member does not answer (seen). Cut off before, the deletion begins
/// anew each time and never ends.
const DELETE_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than the broker's own idle time-out (60 s), so that it never closes a connection just as we use it.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// An answer of this length is no answer of RabbitMQ's: the list of 10,000 queues has a third of it. Whoever names the
/// address of a broker must not fill the operator's memory.
const ANSWER_LIMIT: usize = 64 << 20;
/// In the answer of a node that has not heard yet that a virtual host is gone.
pub const NO_SUCH_HOST: &str = "no_such_vhost";
/// An error's text ends up in a condition; this much of it helps.
const REASON_LIMIT: usize = 500;

/// How to reach an HTTP API. `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Such as `https://main.messaging.svc:15671`.
    pub uri: String,
    /// User with the tag `administrator`.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Authority of the server's certificate in PEM; the public ones do not count then.
    pub ca_pem: Option<Vec<u8>>,
    /// Address to connect to in place of what the name resolves to.
    pub address: Option<SocketAddr>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("uri", &self.uri).field("username", &self.username).finish_non_exhaustive()
    }
}

/// An endpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URI does not parse.
    #[error("{0:?} is not the URI of an HTTP API")]
    Uri(String),
    /// The authority's certificate does not parse.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The client could not be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
}

/// A path under `/api/`, percent-encoded, perhaps with a query.
#[derive(Debug)]
pub struct Path(String);

impl Path {
    pub fn with_query(self, query: &str) -> Self {
        Self(format!("{}?{query}", self.0))
    }
}

/// Encodes each segment, `/` and `%` included: a name can never reach outside its place.
pub fn path(segments: &[&str]) -> Result<Path, AdminError> {
    let mut url = Url::parse("http://localhost/").map_err(|error| AdminError::Unintelligible(error.to_string()))?;
    for segment in segments {
        // The URL rules would take these for directories, however encoded.
        if matches!(*segment, "." | ".." | "") {
            return Err(AdminError::NotFound(format!("no object can have the name {segment:?}")));
        }
        url.path_segments_mut()
            .map_err(|()| AdminError::Unintelligible("no path".to_owned()))?
            .pop_if_empty()
            .push(&segment.replace('%', "%25"));
    }
    // `push` leaves a "%" of ours alone in "%25", and encodes everything else that needs it.
    Ok(Path(url.path().trim_start_matches('/').replace("%2525", "%25")))
}

/// What every client of a broker's HTTP servers has: it trusts that authority alone, and goes nowhere but where it is sent.
pub fn client(ca_pem: Option<&[u8]>) -> Result<ClientBuilder, TlsError> {
    Ok(Client::builder()
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(client_config(ca_pem)?))
}

/// The client. One for each broker: connections are kept and shared.
#[derive(Debug)]
pub struct Http {
    client: Client,
    base: Url,
    endpoint: Endpoint,
}

impl Http {
    pub fn new(endpoint: Endpoint, guarded: bool) -> Result<Self, ConnectError> {
        let base =
            Url::parse(&endpoint.uri).and_then(|url| url.join("/api/")).map_err(|_| ConnectError::Uri(endpoint.uri.clone()))?;
        let mut builder = client(endpoint.ca_pem.as_deref())?.connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(POOL_IDLE);
        if guarded {
            builder = builder.dns_resolver(Guarded);
        }
        if let (Some(address), Some(host)) = (endpoint.address, base.host_str()) {
            builder = builder.resolve(host, address);
        }
        Ok(Self { client: builder.build().map_err(ConnectError::Client)?, base, endpoint })
    }

    /// The name that is logged in by.
    pub fn username(&self) -> &str {
        &self.endpoint.username
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &Path) -> Result<T, AdminError> {
        let body = self.request(Method::GET, path, None).await?;
        understand(&body, path)
    }

    pub async fn put(&self, path: &Path, body: &impl Serialize) -> Result<(), AdminError> {
        self.request(Method::PUT, path, Some(to_value(body)?)).await.map(drop)
    }

    pub async fn post(&self, path: &Path, body: &impl Serialize) -> Result<(), AdminError> {
        self.request(Method::POST, path, Some(to_value(body)?)).await.map(drop)
    }

    pub async fn post_for<T: DeserializeOwned>(&self, path: &Path, body: &impl Serialize) -> Result<T, AdminError> {
        let body = self.request(Method::POST, path, Some(to_value(body)?)).await?;
        understand(&body, path)
    }

    /// Deletes; what is gone already is success.
    pub async fn delete(&self, path: &Path) -> Result<(), AdminError> {
        match self.request(Method::DELETE, path, None).await {
            Ok(_) | Err(AdminError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn request(&self, method: Method, path: &Path, body: Option<Value>) -> Result<Vec<u8>, AdminError> {
        let url = self.base.join(&path.0).map_err(|error| AdminError::Unintelligible(error.to_string()))?;
        let timeout = if method == Method::DELETE { DELETE_TIMEOUT } else { REQUEST_TIMEOUT };
        let mut request =
            self.client.request(method, url).timeout(timeout).basic_auth(&self.endpoint.username, Some(&self.endpoint.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| transport(&error, timeout))?;
        let status = response.status();
        let body = read(response, timeout).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &path.0, &body)) }
    }
}

async fn read(mut response: Response, timeout: Duration) -> Result<Vec<u8>, AdminError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error, timeout))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(AdminError::Unintelligible(format!("it is longer than {} MiB", ANSWER_LIMIT >> 20)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Says where an answer is not as documented, and not what is there: that may be somebody else's secret, see [`reason`].
fn understand<T: DeserializeOwned>(body: &[u8], path: &Path) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        AdminError::Unintelligible(format!("{}, at line {line}, column {column}", path.0))
    })
}

fn to_value(body: &impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(body).map_err(|error| AdminError::Unintelligible(error.to_string()))
}

fn transport(error: &reqwest::Error, timeout: Duration) -> AdminError {
    if error.is_timeout() && !error.is_connect() {
        return AdminError::TimedOut(timeout);
    }
    // The outer text is only "error sending request"; the cause is the last in the chain.
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    AdminError::Unreachable(cause.to_string())
}

fn refusal(status: StatusCode, path: &str, body: &[u8]) -> AdminError {
    let reason = reason(body);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AdminError::Unauthorized,
        StatusCode::NOT_FOUND => AdminError::NotFound(path.to_owned()),
        _ if status.is_client_error() => AdminError::Refused { status: status.as_u16(), reason },
        _ => AdminError::Failed { status: status.as_u16(), reason },
    }
}

/// The broker's words, where they have the form of RabbitMQ's errors. Anything else is not repeated: the address of an
/// external broker is somebody's choice, and what only the operator can reach there must not get into a status.
fn reason(body: &[u8]) -> String {
    let told = serde_json::from_slice::<Value>(body).ok().filter(|value| value.get("error").is_some());
    let told = told.and_then(|value| match value.get("reason") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    });
    let otherwise = || {
        // What a node says in whatever form when a virtual host is gone, and it has not heard yet.
        let gone = String::from_utf8_lossy(body).contains(NO_SUCH_HOST);
        if gone { NO_SUCH_HOST.to_owned() } else { "without a reason of RabbitMQ's form".to_owned() }
    };
    told.unwrap_or_else(otherwise).chars().take(REASON_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn i3_a_name_cannot_leave_its_place() {
        for (segments, expected) in [
            (vec!["queues", "shop", "orders"], "queues/shop/orders"),
            (vec!["queues", "/", "q"], "queues/%2F/q"),
            (vec!["queues", "a/../b", "q#?"], "queues/a%2F..%2Fb/q%23%3F"),
            (vec!["queues", "%2F", "ü"], "queues/%252F/%C3%BC"),
        ] {
            assert_eq!(path(&segments).unwrap().0, expected);
        }
        for name in ["..", ".", ""] {
            assert!(path(&["queues", name]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_brokers_words_are_kept_and_bounded() {
        assert_eq!(reason(br#"{"error":"bad_request","reason":"inequivalent arg"}"#), "inequivalent arg");
        assert_eq!(reason(br#"{"error":"e","reason":{"a":1}}"#), r#"{"a":1}"#);
        let long = json!({"error": "e", "reason": "x".repeat(9_999)}).to_string();
        assert_eq!(reason(long.as_bytes()).len(), REASON_LIMIT);
    }

    #[test]
    fn what_is_no_answer_of_rabbitmq_is_not_repeated() {
        for body in ["<html>sesame", "sesame", r#"{"reason":"sesame"}"#, r#"{"error":"sesame"}"#, r#""sesame""#] {
            assert!(!reason(body.as_bytes()).contains("sesame"), "{body}");
        }
        let path = path(&["overview"]).unwrap();
        let error = understand::<Vec<u8>>(br#""sesame""#, &path).unwrap_err().to_string();
        assert!(error.contains("overview") && !error.contains("sesame"), "{error}");
    }

    #[test]
    fn i8_the_password_is_not_in_debug_output() {
        let endpoint = Endpoint {
            uri: "http://b:15672".into(),
            username: "entente".into(),
            password: "sesame".into(),
            ca_pem: None,
            address: None,
        };
        assert!(!format!("{endpoint:?}").contains("sesame"));
        assert!(!format!("{:?}", Http::new(endpoint, false).unwrap()).contains("sesame"));
    }

    #[test]
    fn statuses_are_told_apart() {
        let told = |status: u16| refusal(StatusCode::from_u16(status).unwrap(), "queues/a/b", br#"{"error":"e","reason":"r"}"#);
        assert_eq!(told(401), AdminError::Unauthorized);
        assert_eq!(told(404), AdminError::NotFound("queues/a/b".into()));
        assert_eq!(told(400), AdminError::Refused { status: 400, reason: "r".into() });
        assert_eq!(told(500), AdminError::Failed { status: 500, reason: "r".into() });
        assert!(told(503).is_outage() && !told(500).is_outage());
    }
}
