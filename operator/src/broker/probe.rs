//! How the controller asks a broker how it is.

use async_trait::async_trait;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::Seen;
use entente_crds::Broker;

/// Asks the broker itself. Implemented over its HTTP API, and by fakes in tests.
#[async_trait]
pub trait BrokerProbe: Send + Sync {
    /// The members of the cluster and the version. One read, no write. The error is for people and
    /// must hold no credential: it gets into the status.
    async fn probe(&self, broker: &Broker) -> Result<Seen, String>;

    /// The same of a RabbitMQ that somebody else runs, by the Secret as it is now. Of one that is left alone for a moment,
    /// since it has not answered lately, the silence has no reason.
    async fn probe_external(&self, broker: &Broker) -> Result<SeenExternal, Trouble>;
}
