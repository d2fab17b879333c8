//! How the Broker controller asks a broker how it is.

use std::sync::Arc;

use async_trait::async_trait;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::{Seen, SeenNode};
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

    async fn probe_external(&self, broker: &Broker) -> Result<SeenExternal, Trouble> {
        external::probe(&self.0, broker).await
    }
}
