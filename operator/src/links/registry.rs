//! The links by Broker: made when first asked for, dropped with their Broker or their credentials.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entente_broker::amqp::{ConnectOptions, Error, Tls};
use entente_broker::rabbitmq::{Endpoint, RabbitMq};
use entente_core::client::secret::Endpoint as ClientEndpoint;
use entente_core::cluster::names;
use entente_core::topology::affected::present;
use entente_crds::Broker;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::external;
use super::link::Link;
use super::observer::Observer;
use super::wakers::{Wakers, Woken};
use crate::activity::Activity;
use crate::metrics::Metrics;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum NoLink {
    /// The Secret with the credentials does not exist (yet, or any more).
    #[error("the Secret {0} with the Broker's credentials does not exist")]
    NoCredentials(String),
    /// The Secret is not of the form that we write.
    #[error("the Secret {0} does not hold what it should: {1}")]
    BadCredentials(String, String),
    /// The API server did not give it.
    #[error("the Broker's credentials cannot be read: {0}")]
    Api(#[source] kube::Error),
}

/// How links observe their brokers.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Time between two whole reads.
    pub resync: Duration,
    /// Whether the broker's events are listened to.
    pub events: bool,
}

/// How a broker is reached over AMQP and HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The HTTP API.
    pub endpoint: Endpoint,
    /// Host for AMQP.
    pub host: String,
    /// Port for AMQP.
    pub amqp_port: u16,
    /// Whether AMQP is spoken over TLS.
    pub amqp_tls: bool,
    /// Whether somebody else runs the broker.
    pub external: bool,
}

impl Access {
    /// What is needed to send and receive messages in a virtual host.
    pub fn options(&self, virtual_host: &str) -> Result<ConnectOptions, Error> {
        let Self { endpoint, host, amqp_port, amqp_tls, external: _ } = self;
        let mut options = ConnectOptions::new(host.clone(), *amqp_port, endpoint.username.clone(), endpoint.password.clone());
        virtual_host.clone_into(&mut options.virtual_host);
        let authority = endpoint.ca_pem.as_deref().filter(|_| *amqp_tls);
        options.tls = authority.map(|pem| Tls::from_ca_pem(pem, host)).transpose()?;
        Ok(options)
    }

    /// What a workload needs to connect, without credentials.
    fn client_endpoint(&self) -> ClientEndpoint {
        let ca = self.endpoint.ca_pem.as_ref().map(|pem| String::from_utf8_lossy(pem).into_owned());
        ClientEndpoint { host: self.host.clone(), port: self.amqp_port, tls: self.amqp_tls, ca: ca.filter(|_| self.amqp_tls) }
    }
}

/// All links.
pub struct Links {
    client: Client,
    cluster_domain: String,
    replica: String,
    observation: Observation,
    activity: Activity,
    metrics: Metrics,
    /// Whom to wake when something changed at a broker.
    wakers: Wakers,
    by_uid: Mutex<HashMap<String, Slot>>,
}

#[derive(Debug)]
struct Slot {
    link: Arc<Link>,
    access: Access,
    observer: JoinHandle<()>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.observer.abort();
    }
}

impl Links {
    /// No links yet. `replica` names this process in what it makes at a broker for itself alone.
    pub fn new(
        client: Client,
        cluster_domain: String,
        replica: String,
        observation: Observation,
        activity: Activity,
        metrics: Metrics,
    ) -> (Arc<Self>, Woken) {
        let (wakers, woken) = Wakers::new();
        let by_uid = Mutex::default();
        (Arc::new(Self { client, cluster_domain, replica, observation, activity, metrics, wakers, by_uid }), woken)
    }

    /// The link to a Broker.
    pub async fn get(&self, broker: &Broker) -> Result<Arc<Link>, NoLink> {
        let uid = broker.uid().unwrap_or_default();
        if let Some(slot) = self.by_uid.lock().await.get(&uid) {
            return Ok(Arc::clone(&slot.link));
        }
        // The lock is not held while the API server is asked: one slow answer must not stop all Brokers.
        let access = self.access(broker).await?;
        let external = broker.spec.external.as_ref();
        let secret =
            external.map_or_else(|| names::admin_secret(&broker.name_any()), |external| external.secret_ref.name.clone());
        let make = if access.external { RabbitMq::elsewhere } else { RabbitMq::new };
        let admin = make(access.endpoint.clone()).map_err(|error| NoLink::BadCredentials(secret, error.to_string()))?;
        let mut links = self.by_uid.lock().await;
        let slot = links.entry(uid.clone()).or_insert_with(|| {
            let key = entente_core::object::broker_key(broker);
            let mut link = Link::new(key, uid, Arc::new(admin), self.wakers.clone(), self.metrics.clone());
            link.external = access.external;
            let link = Arc::new(link);
            let observer = Observer {
                link: Arc::clone(&link),
                access: access.clone(),
                replica: self.replica.clone(),
                // To hear an external broker's events, something would have to be made in a virtual host that is not ours (I2).
                observation: Observation { events: self.observation.events && !access.external, ..self.observation },
                activity: self.activity.clone(),
                metrics: self.metrics.clone(),
                wakers: self.wakers.clone(),
            };
            Slot { link, access, observer: tokio::spawn(observer.run()) }
        });
        Ok(Arc::clone(&slot.link))
    }

    /// Where clients of a Broker connect, by the link's own knowledge; `None` where there is no link.
    pub async fn endpoint(&self, uid: &str) -> Option<ClientEndpoint> {
        self.by_uid.lock().await.get(uid).map(|slot| slot.access.client_endpoint())
    }

    /// How a Broker is reached, where there is a link.
    pub async fn access_to(&self, uid: &str) -> Option<Access> {
        self.by_uid.lock().await.get(uid).map(|slot| slot.access.clone())
    }

    /// Drops a link whose credentials are no longer accepted: the next one reads the Secret again.
    pub async fn forget(&self, uid: &str) {
        self.by_uid.lock().await.remove(uid);
    }

    /// Drops the links to Brokers that are not among these.
    pub async fn retain(&self, uids: &HashSet<String>) {
        self.by_uid.lock().await.retain(|uid, _| uids.contains(uid));
    }

    /// Reads what leads to an external broker again, and drops a link that was made by something else. One whose Secret is
    /// gone has no link: what it stands for must not hold up deletions (invariant I4).
    pub async fn renew(&self, broker: &Broker) -> Result<(), NoLink> {
        let uid = broker.uid().unwrap_or_default();
        let access = match self.access(broker).await {
            Ok(access) => access,
            Err(NoLink::Api(error)) => return Err(NoLink::Api(error)),
            Err(gone) => {
                self.forget(&uid).await;
                return Err(gone);
            }
        };
        let mut links = self.by_uid.lock().await;
        let outdated = links.get(&uid).is_some_and(|slot| slot.access != access);
        if let Some(slot) = outdated.then(|| links.remove(&uid)).flatten() {
            tracing::info!(broker = slot.link.key, "credentials or address changed");
            // The new link knows no virtual host until it is asked for one: nothing in them would be kept.
            for host in slot.link.hosts() {
                let all = host.look(|seen| seen.map(present)).unwrap_or_default();
                for owner in &all {
                    self.wakers.wake(&host.name, owner);
                }
            }
        }
        Ok(())
    }

    async fn access(&self, broker: &Broker) -> Result<Access, NoLink> {
        if let Some(declared) = &broker.spec.external {
            return external::access(&self.client, broker, declared).await;
        }
        let (name, namespace) = (broker.name_any(), broker.namespace().unwrap_or_default());
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let secret = names::admin_secret(&name);
        let data = read(&secrets, &secret).await?;
        let ca_pem = match names::serving_secret(broker) {
            None => None,
            Some(serving) => {
                let authority = read(&secrets, &serving).await?.remove(names::AUTHORITY_KEY);
                Some(authority.ok_or_else(|| NoLink::BadCredentials(serving, "ca.crt is missing".to_owned()))?.0)
            }
        };
        let text = |key: &str| {
            let value = data.get(key).and_then(|value| String::from_utf8(value.0.clone()).ok());
            value.ok_or_else(|| NoLink::BadCredentials(secret.clone(), format!("{key} is missing or not text")))
        };
        let endpoint = Endpoint {
            uri: names::management_url(broker, &self.cluster_domain),
            username: text(names::USERNAME_KEY)?,
            password: text(names::PASSWORD_KEY)?,
            ca_pem,
            address: None,
        };
        let amqp_port = u16::try_from(names::amqp_port(broker)).unwrap_or_default();
        let (host, amqp_tls) = (names::client_host(broker, &self.cluster_domain), names::uses_tls(broker));
        Ok(Access { endpoint, host, amqp_port, amqp_tls, external: false })
    }
}

async fn read(secrets: &Api<Secret>, name: &str) -> Result<std::collections::BTreeMap<String, ByteString>, NoLink> {
    match secrets.get_opt(name).await {
        Ok(Some(secret)) => Ok(secret.data.unwrap_or_default()),
        Ok(None) => Err(NoLink::NoCredentials(name.to_owned())),
        Err(error) => Err(NoLink::Api(error)),
    }
}
