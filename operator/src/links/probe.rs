//! How the Broker controller asks a broker how it is.

use std::sync::Arc;

use async_trait::async_trait;
use entente_broker::nodes::NodeAdmin;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::{Seen, SeenNode};
use entente_core::cluster::work::{MemberChange, Members, Move};
use entente_crds::Broker;
use futures::try_join;

use super::external;
use super::registry::Links;
use crate::broker::BrokerProbe;

/// Asks over the shared link.
pub struct LinkProbe(pub Arc<Links>);

#[async_trait]
impl BrokerProbe for LinkProbe {
    async fn probe(&self, broker: &Broker) -> Result<Seen, String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        // One call, with one permit: of two at once, one would be the breaker's probe, and the other's refusal would cut it off.
        let asked = link.read(|admin| async { try_join!(admin.overview(), admin.nodes()) }).await;
        let (overview, nodes) = asked.map_err(|error| error.to_string())?;
        let nodes = nodes
            .into_iter()
            .map(|entente_broker::admin::Node { name, running, alarms, plugins: _ }| SeenNode { name, running, alarms })
            .collect();
        Ok(Seen { nodes, version: overview.version })
    }

    async fn members(&self, broker: &Broker) -> Result<Option<Members>, String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        link.read(NodeAdmin::members).await.map_err(|error| error.to_string())
    }

    async fn move_leaders(&self, broker: &Broker, moves: &[Move]) -> Result<(), String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        let left = link.work(|admin| admin.move_leaders(moves)).await.map_err(|error| error.to_string())?;
        if let Some(first) = left.first() {
            tracing::info!(broker = link.key, left = left.len(), first, "leaders were not moved; they are tried again");
        }
        Ok(())
    }

    async fn change_members(&self, broker: &Broker, changes: &[MemberChange]) -> Result<(), String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        let left = link.work(|admin| admin.change_members(changes)).await.map_err(|error| error.to_string())?;
        match left.first() {
            Some(first) => Err(format!("{} of {} members could not be moved yet: {first}", left.len(), changes.len())),
            None => Ok(()),
        }
    }

    async fn remove_node(&self, broker: &Broker, node: &str) -> Result<(), String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        link.work(|admin| admin.remove_node(node)).await.map_err(|error| error.to_string())
    }

    async fn close_connections(&self, broker: &Broker, node: &str, most: u32) -> Result<(), String> {
        let link = self.0.get(broker).await.map_err(|error| error.to_string())?;
        let closed = link.work(|admin| admin.close_connections(node, most)).await.map_err(|error| error.to_string())?;
        tracing::info!(broker = link.key, node, closed, "connections closed before a restart");
        Ok(())
    }

    async fn probe_external(&self, broker: &Broker) -> Result<SeenExternal, Trouble> {
        external::probe(&self.0, broker).await
    }
}
