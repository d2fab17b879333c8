//! RabbitMQ's HTTP API (management plugin, RabbitMQ 4.3).
//!
//! Source: the API reference that the plugin serves at `/api/index.html`, and answers seen from 4.3.

mod actions;
mod answers;
mod connected;
mod gauges;
mod guard;
mod http;
mod nodes;
mod pulse;
mod senders;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use entente_core::contract::usage::Sender;
use entente_core::orphans::Listed;
use entente_core::scaling::deletion::Connected;
use entente_core::topology::observed::{ObservedQueue, ObservedVirtualHost};
use entente_core::topology::plan::Action;
use futures::try_join;
use jiff::Timestamp;
use serde_json::json;

use crate::admin::{AdminError, BrokerAdmin, Node, Overview};
pub use gauges::{Gauge, NodeGauges, QueueName};
pub use http::{ConnectError, Endpoint};
use http::{Http, path};
pub use pulse::NodePulse;

/// Virtual host and exchange where RabbitMQ publishes its own events.
const EVENT_VIRTUAL_HOST: &str = "/";
const EVENT_EXCHANGE: &str = "amq.rabbitmq.event";

/// Administration of a RabbitMQ.
#[derive(Debug)]
pub struct RabbitMq {
    http: Http,
}

impl RabbitMq {
    /// Prepares a client; nothing is sent yet. Fails if the URI or a certificate cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self, ConnectError> {
        Ok(Self { http: Http::new(endpoint, false)? })
    }

    /// The same for an address that somebody else chose: it never leads to the own machine.
    pub fn elsewhere(endpoint: Endpoint) -> Result<Self, ConnectError> {
        Ok(Self { http: Http::new(endpoint, true)? })
    }
}

#[async_trait]
impl BrokerAdmin for RabbitMq {
    async fn overview(&self) -> Result<Overview, AdminError> {
        let answer: answers::Overview = self.http.get(&path(&["overview"])?).await?;
        let answers::Overview { rabbitmq_version: version, cluster_name, exchange_types } = answer;
        let exchange_types = exchange_types.into_iter().map(|type_| type_.name).collect();
        Ok(Overview { version, cluster_name, exchange_types })
    }

    async fn nodes(&self) -> Result<Vec<Node>, AdminError> {
        let answer: Vec<answers::Node> = self.http.get(&path(&["nodes"])?).await?;
        Ok(answer.into_iter().map(Into::into).collect())
    }

    async fn own_tags(&self) -> Result<Vec<String>, AdminError> {
        self.read_own_tags().await
    }

    async fn ensure_own_rights(&self, virtual_host: &str) -> Result<(), AdminError> {
        self.grant_self(virtual_host).await
    }

    async fn virtual_hosts(&self) -> Result<Vec<Listed>, AdminError> {
        let answer: Vec<answers::ListedVirtualHost> = self.http.get(&path(&["vhosts"])?.with_query("columns=name,tags")).await?;
        Ok(answer.into_iter().map(Into::into).collect())
    }

    async fn read_virtual_host(&self, name: &str) -> Result<Option<ObservedVirtualHost>, AdminError> {
        let seen_at = Timestamp::now();
        let host: answers::VirtualHost = match self.http.get(&path(&["vhosts", name])?).await {
            Ok(host) => host,
            Err(AdminError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (exchanges, policies, bindings, limits) =
            (path(&["exchanges", name])?, path(&["policies", name])?, path(&["bindings", name])?, path(&["vhost-limits", name])?);
        let (queues, exchanges, policies, bindings, limits): (
            _,
            Vec<answers::Exchange>,
            Vec<answers::Policy>,
            Vec<answers::Binding>,
            Vec<answers::Limits>,
        ) = try_join!(
            self.read_queues(name),
            self.http.get(&exchanges),
            self.http.get(&policies),
            self.http.get(&bindings),
            self.http.get(&limits),
        )?;
        let seen = ObservedVirtualHost {
            tags: host.tags.into_iter().collect(),
            queues,
            exchanges: exchanges.into_iter().filter_map(answers::Exchange::ours).collect(),
            policies: policies.into_iter().map(Into::into).collect(),
            bindings: bindings.into_iter().filter_map(answers::Binding::ours).collect(),
            limits: limits.into_iter().flat_map(|limits| limits.value).collect(),
            seen_at: Some(seen_at),
        };
        Ok(Some(seen.without_loose_ends()))
    }

    async fn read_queues(&self, virtual_host: &str) -> Result<BTreeMap<String, ObservedQueue>, AdminError> {
        // What exists comes from the list without any figures. Of the others, that with totals lacks a queue whose leader's node is
        // down, which would then be taken for deleted. And that with statistics, which alone has consumers, is answered from a
        // cache, and lacks one that was declared a moment ago.
        let list = |query| path(&["queues", virtual_host]).map(|path| path.with_query(query));
        let structure = list("disable_stats=true")?;
        let totals = list("disable_stats=true&enable_queue_totals=true&columns=name,messages_ready,messages_unacknowledged")?;
        let statistics = list("columns=name,consumers")?;
        let (queues, totals, consumers): (Vec<answers::Queue>, Vec<answers::Totals>, Vec<answers::Consumers>) =
            try_join!(self.http.get(&structure), self.http.get(&totals), self.http.get(&statistics))?;
        let figures = answers::Figures::new(totals, consumers);
        queues.into_iter().map(|queue| queue.observed(&figures)).collect()
    }

    async fn has_ready_message(&self, virtual_host: &str, queue: &str) -> Result<bool, AdminError> {
        let path = path(&["queues", virtual_host, queue, "get"])?;
        let body = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 0});
        let got: Result<Vec<serde_json::Value>, _> = self.http.post_for(&path, &body).await;
        match got {
            Ok(messages) => Ok(!messages.is_empty()),
            Err(AdminError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn read_senders(&self, virtual_host: &str) -> Result<Vec<Sender>, AdminError> {
        senders::read(&self.http, virtual_host).await
    }

    async fn read_connected(&self, virtual_host: &str, hosts: &BTreeSet<IpAddr>) -> Result<Vec<Connected>, AdminError> {
        connected::read(&self.http, virtual_host, hosts).await
    }

    async fn execute(&self, virtual_host: &str, action: &Action) -> Result<(), AdminError> {
        actions::execute(&self.http, virtual_host, action).await
    }

    async fn open_event_queue(&self, queue: &str, routing_keys: &[&str], idle: Duration) -> Result<(), AdminError> {
        let idle = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
        let body = json!({"durable": true, "arguments": {
            "x-queue-type": "classic", "x-expires": idle, "x-max-length": 10_000, "x-overflow": "drop-head",
        }});
        let place = path(&["queues", EVENT_VIRTUAL_HOST, queue])?;
        // The list of bindings does not say whether the queue is there: a queue that is not has its default binding too.
        match self.http.get::<serde::de::IgnoredAny>(&place).await {
            Ok(_) => {}
            Err(AdminError::NotFound(_)) => self.http.put(&place, &body).await?,
            Err(error) => return Err(error),
        }
        let found: Vec<answers::Binding> = self.http.get(&path(&["queues", EVENT_VIRTUAL_HOST, queue, "bindings"])?).await?;
        let bound: Vec<String> =
            found.into_iter().filter_map(answers::Binding::ours).map(|binding| binding.routing_key).collect();
        // An operator that is restarted finds its queue as it left it, and writes nothing (invariant I6).
        for key in routing_keys.iter().filter(|key| !bound.iter().any(|known| known == *key)) {
            let path = path(&["bindings", EVENT_VIRTUAL_HOST, "e", EVENT_EXCHANGE, "q", queue])?;
            self.http.post(&path, &json!({"routing_key": key})).await?;
        }
        Ok(())
    }
}
