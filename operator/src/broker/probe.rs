//! How the controller asks a broker how it is.

use async_trait::async_trait;
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::observation::Seen;
use entente_core::cluster::work::{MemberChange, Members, Move};
use entente_crds::Broker;

/// Asks the broker itself. Implemented over its HTTP API, and by fakes in tests.
#[async_trait]
pub trait BrokerProbe: Send + Sync {
    /// The members of the cluster and the version. One read, no write. The error is for people and
    /// must hold no credential: it gets into the status.
    async fn probe(&self, broker: &Broker) -> Result<Seen, String>;

    /// How the members of its queues stand; `None` where an older image cannot tell.
    async fn members(&self, broker: &Broker) -> Result<Option<Members>, String>;

    /// Moves leaders of queues. What was not moved is tried again with the next look.
    async fn move_leaders(&self, broker: &Broker, moves: &[Move]) -> Result<(), String>;

    /// Adds and removes members of queues. What did not succeed is tried again with the next look.
    async fn change_members(&self, broker: &Broker, changes: &[MemberChange]) -> Result<(), String>;

    /// Has a node that holds nothing leave the cluster for good, by RabbitMQ's name. To be repeated until the cluster knows it no more.
    async fn remove_node(&self, broker: &Broker, node: &str) -> Result<(), String>;

    /// Closes at most so many connections of clients of a node, by RabbitMQ's name.
    async fn close_connections(&self, broker: &Broker, node: &str, most: u32) -> Result<(), String>;

    /// The same of a RabbitMQ that somebody else runs, by the Secret as it is now. Of one that is left alone for a moment,
    /// since it has not answered lately, the silence has no reason.
    async fn probe_external(&self, broker: &Broker) -> Result<SeenExternal, Trouble>;
}
