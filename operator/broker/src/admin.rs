//! What Entente asks of a broker's administration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use entente_core::contract::usage::Sender;
use entente_core::orphans::Listed;
use entente_core::scaling::deletion::Connected;
use entente_core::topology::observed::{ObservedQueue, ObservedVirtualHost};
use entente_core::topology::plan::Action;

use crate::nodes::NodeAdmin;
use crate::users::UserAdmin;

/// Administration of one broker. Every call ends within a bounded time, whatever the broker does.
///
/// The real one is [`crate::rabbitmq::RabbitMq`].
#[async_trait]
pub trait BrokerAdmin: UserAdmin + NodeAdmin + Send + Sync + fmt::Debug {
    /// The broker's version and name.
    async fn overview(&self) -> Result<Overview, AdminError>;

    /// The members of the cluster.
    async fn nodes(&self) -> Result<Vec<Node>, AdminError>;

    /// Tags of the user that is logged in.
    async fn own_tags(&self) -> Result<Vec<String>, AdminError>;

    /// Gives the user that is logged in all rights in a virtual host of ours, unless it has them. Whoever makes a virtual host
    /// has them; another user that takes its place has not.
    async fn ensure_own_rights(&self, virtual_host: &str) -> Result<(), AdminError>;

    /// Every virtual host.
    async fn virtual_hosts(&self) -> Result<Vec<Listed>, AdminError>;

    /// All that Entente knows of one virtual host; `None` if there is no such virtual host.
    async fn read_virtual_host(&self, name: &str) -> Result<Option<ObservedVirtualHost>, AdminError>;

    /// The queues of one virtual host, with their counters.
    async fn read_queues(&self, virtual_host: &str) -> Result<BTreeMap<String, ObservedQueue>, AdminError>;

    /// Whether a message is ready in a queue at this moment, asked of the queue itself and not of its
    /// statistics, which lag. The message stays where it is. No such queue: none.
    async fn has_ready_message(&self, virtual_host: &str, queue: &str) -> Result<bool, AdminError>;

    /// Who may be sending in a virtual host. One request for each connection there, so for those who must know.
    async fn read_senders(&self, virtual_host: &str) -> Result<Vec<Sender>, AdminError>;

    /// The connections from these hosts to a virtual host, with what they hold. One request, and one for each of them.
    async fn read_connected(&self, virtual_host: &str, hosts: &BTreeSet<IpAddr>) -> Result<Vec<Connected>, AdminError>;

    /// Carries out one action. Idempotent: what is there already, or gone already, is success.
    async fn execute(&self, virtual_host: &str, action: &Action) -> Result<(), AdminError>;

    /// Makes a queue that takes the broker's events of these routing keys and goes by itself when
    /// nobody has read it for `idle`.
    async fn open_event_queue(&self, queue: &str, routing_keys: &[&str], idle: Duration) -> Result<(), AdminError>;
}

/// A broker as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// RabbitMQ's version.
    pub version: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Exchange types of the node that answers.
    pub exchange_types: Vec<String>,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Erlang node name, such as `rabbit@main-broker-0.main-nodes.messaging.svc.cluster.local`.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Alarms that stop publishers: `memory`, `disk`.
    pub alarms: Vec<String>,
    /// Plugins that are enabled; `None` while it does not say, as in the seconds after its start.
    pub plugins: Option<Vec<String>>,
}

/// Why a call to the administration failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No connection, or it ended before the answer.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the broker did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The credentials were not accepted.
    #[error("the broker does not accept the credentials of the Secret")]
    Unauthorized,
    /// What was asked for, or what it hangs on, does not exist.
    #[error("not found in the broker: {0}")]
    NotFound(String),
    /// The broker understood and refused.
    #[error("the broker refused ({status}): {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The broker's own words.
        reason: String,
    },
    /// The broker failed, or cannot decide at present (no quorum, starting, stopping).
    #[error("the broker failed ({status}): {reason}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// The broker's own words.
        reason: String,
    },
    /// The answer is not of the documented form.
    #[error("the broker's answer is not understood: {0}")]
    Unintelligible(String),
}

impl AdminError {
    /// Whether this says that the broker as a whole does not serve, rather than something of this one call.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => true,
            Self::Failed { status, .. } => *status == 503,
            Self::Unauthorized | Self::NotFound(_) | Self::Refused { .. } | Self::Unintelligible(_) => false,
        }
    }
}
