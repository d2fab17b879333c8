//! Measures failovers, for the status and an Event.
//!
//! Expected flow: the guard finds that a node has stopped answering; from then on the others are asked, some times a second, whether every
//! queue has a leader; when it has, the time since the node's last answer is written down. That it may be a little more than what clients
//! feel, and never less, is on purpose.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_core::cluster::failover::{self, Stage};
use entente_crds::Broker;
use entente_crds::broker::Failover;
use entente_crds::meta::MANAGER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::Recorder;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::events;
use super::probe::BrokerProbe;
use crate::links::Links;
use crate::links::probe::LinkProbe;

/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(150);
/// After this time it is no failover any more but an outage, which conditions tell of.
const LIMIT: Duration = Duration::from_mins(2);
/// Another writer of the status may come first, each time.
const ATTEMPTS: u32 = 5;

/// A node that was lost.
pub struct Lost {
    /// The Broker.
    pub broker: Arc<Broker>,
    /// Its pod.
    pub pod: String,
    /// Its last answer.
    pub since: Instant,
}

/// Waits until every queue has a leader, and tells how long that took.
pub async fn measure(client: Client, links: Arc<Links>, recorder: Recorder, lost: Lost) {
    let Lost { broker, pod, since } = lost;
    let at = Timestamp::now().checked_sub(since.elapsed()).unwrap_or_else(|_| Timestamp::now());
    let probe = LinkProbe(links);
    while since.elapsed() < LIMIT {
        let asked = probe.members(&broker).await;
        let Ok(Some(members)) = asked else {
            // It went to the node that is gone. Not asked again at once: the others' circuit breaker counts too.
            tokio::time::sleep(INTERVAL * 4).await;
            continue;
        };
        match failover::stage(&members, &pod) {
            Stage::None => return,
            Stage::Electing => tokio::time::sleep(INTERVAL).await,
            Stage::Over => return tell(&client, &recorder, &broker, pod, at, since).await,
        }
    }
}

async fn tell(client: &Client, recorder: &Recorder, broker: &Broker, node: String, at: Timestamp, since: Instant) {
    let recovered_millis = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
    let failover = Failover { node, at: Time(entente_core::conditions::whole_second(at)), recovered_millis };
    tracing::info!(broker = broker.name_any(), pod = failover.node, recovered_millis, "failover");
    events::publish_failover(recorder, broker, &failover).await;
    write(client, broker, failover).await;
}

async fn write(client: &Client, broker: &Broker, failover: Failover) {
    let api: Api<Broker> = Api::namespaced(client.clone(), &broker.namespace().unwrap_or_default());
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    for _ in 0..ATTEMPTS {
        let Ok(now) = api.get(&broker.name_any()).await else { return };
        let failovers = failover::with(now.status.as_ref(), failover.clone());
        let version = now.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "status": {"failovers": failovers}});
        match api.patch_status(&broker.name_any(), &params, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => tokio::time::sleep(INTERVAL).await,
            Err(error) => return tracing::warn!(%error, "a failover is not written into the status"),
            Ok(_) => return,
        }
    }
}
