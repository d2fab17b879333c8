//! A Broker behind the operator's back: as its administrator, by way of its Service's address.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_broker::amqp::{ConnectOptions, Connection, Tls};
use entente_broker::rabbitmq::{Endpoint, RabbitMq};
use entente_broker::tls::client_config;
use k8s_openapi::api::core::v1::Secret;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::typed::{Peer, TypedSender};

/// Access to one Broker.
pub struct BrokerAccess {
    /// Administration as the operator does it.
    pub admin: RabbitMq,
    /// User name of the administrator.
    pub username: String,
    /// Password of the administrator.
    pub password: String,
    http: Client,
    host: String,
    address: String,
    base: String,
    amqp_port: u16,
    ca: Option<Vec<u8>>,
}

impl BrokerAccess {
    /// Access to the Broker of this name.
    pub async fn of(cluster: &Cluster, namespace: &str, name: &str) -> Result<Self> {
        let secrets = cluster.secrets(namespace);
        let admin = secrets.get(&format!("{name}-admin")).await?;
        let (username, password) = (text(&admin, "username")?, text(&admin, "password")?);
        let ca = text(&secrets.get(&format!("{name}-tls")).await?, "ca.crt")?.into_bytes();
        let service = cluster.services(namespace).get(name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Broker's Service has no address")?;
        let host = format!("{name}.{namespace}.svc");
        let management = SocketAddr::new(address.parse()?, 15671);
        let http = Client::builder()
            .timeout(Duration::from_secs(15))
            .no_proxy()
            .tls_backend_preconfigured(client_config(Some(&ca))?)
            .resolve(&host, management)
            .build()?;
        let admin = RabbitMq::new(Endpoint {
            uri: format!("https://{host}:15671"),
            username: username.clone(),
            password: password.clone(),
            ca_pem: Some(ca.clone()),
            address: Some(management),
        })?;
        let base = format!("https://{host}:15671");
        Ok(Self { admin, username, password, http, host, address, base, amqp_port: 5671, ca: Some(ca) })
    }

    /// Access to a RabbitMQ without TLS that is nobody's Broker.
    pub fn plain(address: &str, username: &str, password: &str) -> Result<Self> {
        let base = format!("http://{address}:15672");
        let (username, password) = (username.to_owned(), password.to_owned());
        let http = Client::builder()
            .timeout(Duration::from_secs(15))
            .no_proxy()
            .tls_backend_preconfigured(client_config(None)?)
            .build()?;
        let admin = RabbitMq::new(Endpoint {
            uri: base.clone(),
            username: username.clone(),
            password: password.clone(),
            ca_pem: None,
            address: None,
        })?;
        let address = address.to_owned();
        Ok(Self { admin, username, password, http, host: address.clone(), address, base, amqp_port: 5672, ca: None })
    }

    /// An AMQP 1.0 connection to a virtual host.
    pub async fn connect(&self, virtual_host: &str) -> Result<Connection> {
        Ok(Connection::connect(&self.options(virtual_host)?).await?)
    }

    /// What is needed to connect to a virtual host.
    pub fn options(&self, virtual_host: &str) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::new(&self.address, self.amqp_port, &self.username, &self.password);
        virtual_host.clone_into(&mut options.virtual_host);
        options.tls = self.ca.as_ref().map(|ca| Tls::from_ca_pem(ca, &self.host)).transpose()?;
        Ok(options)
    }

    /// Reads below `/api/`; `None` where there is nothing.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = self.call(Method::GET, path, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ if status.is_success() => Ok(Some(serde_json::from_str(&body)?)),
            _ => bail!("GET {path}: {status} {body}"),
        }
    }

    /// Writes below `/api/`.
    pub async fn put(&self, path: &str, body: Value) -> Result<()> {
        let (status, body) = self.call(Method::PUT, path, Some(body)).await?;
        if !status.is_success() {
            bail!("PUT {path}: {status} {body}");
        }
        Ok(())
    }

    /// Posts below `/api/`; a refusal is an answer too.
    pub async fn post(&self, path: &str, body: Value) -> Result<(StatusCode, String)> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A connection of another user, to send messages whose properties have any type.
    pub async fn typed_sender(&self, virtual_host: &str, user: (&str, &str), address: &str) -> Result<TypedSender> {
        let peer = Peer { address: self.address.clone(), host: self.host.clone(), tls: client_config(self.ca.as_deref())? };
        TypedSender::connect(peer, virtual_host, user, address).await
    }

    /// Deletes below `/api/`; what is not there is fine.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let (status, body) = self.call(Method::DELETE, path, None).await?;
        // A node that has not heard yet that a virtual host is gone fails instead of saying so.
        if !status.is_success() && status != StatusCode::NOT_FOUND && !body.contains("no_such_vhost") {
            bail!("DELETE {path}: {status} {body}");
        }
        Ok(())
    }

    /// A queue as it is declared now. Without statistics: with them, the answer is up to 5 s old.
    pub async fn queue(&self, virtual_host: &str, name: &str) -> Result<Option<Value>> {
        self.get(&format!("queues/{virtual_host}/{name}?disable_stats=true")).await
    }

    /// Names of all queues of a virtual host.
    pub async fn queue_names(&self, virtual_host: &str) -> Result<Vec<String>> {
        let all = self.get(&format!("queues/{virtual_host}?disable_stats=true")).await?.unwrap_or(json!([]));
        let all = all.as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = all.iter().filter_map(|queue| Some(queue["name"].as_str()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    /// All that is declared in a virtual host.
    pub async fn definitions(&self, virtual_host: &str) -> Result<Value> {
        self.get(&format!("definitions/{virtual_host}")).await?.context("there is no such virtual host")
    }

    /// The settings of a queue that a policy makes.
    pub async fn effective(&self, virtual_host: &str, name: &str, key: &str) -> Result<Option<Value>> {
        let queue = self.queue(virtual_host, name).await?;
        Ok(queue.and_then(|queue| queue.get("effective_policy_definition")?.get(key).cloned()))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, String)> {
        let url = format!("{}/api/{path}", self.base);
        let mut request = self.http.request(method, url).basic_auth(&self.username, Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

fn text(secret: &Secret, key: &str) -> Result<String> {
    let data = secret.data.as_ref().and_then(|data| data.get(key)).with_context(|| format!("the Secret has no {key}"))?;
    Ok(String::from_utf8(data.0.clone())?)
}
