//! A RabbitMQ that Entente does not run: where it is, what it lacks, and what that stops.

mod endpoint;
pub mod status;

use entente_crds::broker::{BrokerSpec, Channels, Disruption, External, Placement, Storage, Tls};
use entente_crds::condition::{reasons, types};
use entente_crds::{Broker, broker};

use super::observation::SeenNode;
use crate::client::access::Granted;
use crate::conditions;
use crate::object::Refusal;
use crate::topology::diff::Desired;
use crate::topology::model::SQL_EXCHANGE;
use crate::topology::names::is_topic_exchange;
pub use endpoint::{Endpoint, Target, may_connect};

/// The plugin with the exchange type that filters.
pub const FILTER_PLUGIN: &str = "rabbitmq_sql_exchange";
/// The tag that the operator's user needs: it makes virtual hosts, and users for Clients.
pub const ADMINISTRATOR: &str = "administrator";
/// The oldest RabbitMQ that has what Queues are made of.
pub const OLDEST: (u32, u32) = (4, 3);

/// What a RabbitMQ says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenExternal {
    /// Its version.
    pub version: String,
    /// Exchange types of the node that answers. It knows them at once, and its plugins seconds after its start.
    pub exchange_types: Vec<String>,
    /// Its nodes, each with the plugins that are enabled, where it says so.
    pub nodes: Vec<(SeenNode, Option<Vec<String>>)>,
    /// Tags of the user that the operator logs in as.
    pub tags: Vec<String>,
}

impl SeenExternal {
    /// Whether it filters, on every node that runs: then nobody is named. `None` while that is not known.
    pub fn without_filters(&self) -> Option<Vec<&str>> {
        if self.exchange_types.iter().any(|known| known == SQL_EXCHANGE) {
            return self.without(FILTER_PLUGIN);
        }
        Some(self.without(FILTER_PLUGIN).filter(|lacking| !lacking.is_empty()).unwrap_or_else(|| vec!["the node that answers"]))
    }

    /// Nodes that run without a plugin. One that does not run says nothing of its own. `None` while one that runs does not
    /// say: that is not the same as having none (invariant I5).
    fn without(&self, plugin: &str) -> Option<Vec<&str>> {
        let mut lacking = Vec::new();
        for (node, plugins) in self.nodes.iter().filter(|(node, _)| node.running) {
            if !plugins.as_ref()?.iter().any(|known| known == plugin) {
                lacking.push(node.name.as_str());
            }
        }
        Some(lacking)
    }

    /// Whether it is too old, where its version can be read.
    fn is_too_old(&self) -> bool {
        let mut numbers = self.version.split('.').map(str::parse::<u32>);
        matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST)
    }
}

/// Why a RabbitMQ could not be asked, or did not answer as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The Secret is missing, or does not hold what it should.
    Secret(String),
    /// It does not accept the credentials, or gives them too few rights to be asked.
    Credentials,
    /// What answers there is no HTTP API of RabbitMQ. Nothing of its words is repeated: the address is the Broker owner's
    /// choice, and the status must not read to them what the operator alone can reach.
    NotRabbitMq,
    /// It does not answer. The text is of the operator's own making.
    Silent(String),
}

/// What a Broker may say beside `external`: settings of nodes would be ignored, and saying so beats ignoring them.
pub fn problems(spec: &BrokerSpec) -> Vec<String> {
    let BrokerSpec {
        replicas,
        image,
        version: _,
        storage,
        resources,
        tls,
        channels,
        default: _,
        allowed_namespaces: _,
        placement,
        disruption,
        limits: _,
        orphan_retention: _,
        external,
        quorum_tick_interval,
        additional_config,
    } = spec;
    let Some(external) = external else { return Vec::new() };
    let mut problems = Vec::new();
    if let Err(problem) = Target::of(external) {
        problems.push(problem);
    }
    let External { uri: _, secret_ref, amqp_uri: _ } = external;
    if secret_ref.name.is_empty() {
        problems.push("external.secretRef names no Secret".to_owned());
    }
    let of_nodes = [
        // The API server fills in the default.
        ("replicas", *replicas != 3),
        ("image", image.is_some()),
        ("storage", *storage != Storage::default()),
        ("resources", resources.is_some()),
        ("tls", *tls != Tls::default()),
        ("channels", *channels != Channels::default()),
        ("placement", *placement != Placement::default()),
        ("disruption", *disruption != Disruption::default()),
        ("quorumTickInterval", quorum_tick_interval.is_some()),
        ("additionalConfig", additional_config.is_some()),
    ];
    let set: Vec<&str> = of_nodes.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    if !set.is_empty() {
        problems.push(format!(
            "{} say how nodes are run, and with external no node is Entente's; leave them out, and set up the RabbitMQ itself",
            set.join(", ")
        ));
    }
    problems
}

/// Why no object of an external Broker can be served now; `None` also for Brokers that Entente runs.
///
/// Until it was seen to be a RabbitMQ that takes our credentials, nothing but the Broker's own probe asks it.
pub fn barrier(broker: &Broker) -> Option<Refusal> {
    const BARRIERS: [&str; 5] = [
        reasons::INVALID,
        reasons::CREDENTIALS_REFUSED,
        reasons::FORBIDDEN,
        reasons::NOT_RABBITMQ,
        super::status::VERSION_MISMATCH,
    ];
    broker.spec.external.as_ref()?;
    let status = broker.status.as_ref();
    let current = status.is_some_and(|status| status.observed_generation == broker.metadata.generation);
    let ready = status.and_then(|status| conditions::get(&status.conditions, types::READY));
    let message = match ready {
        Some(ready) if current && BARRIERS.contains(&ready.reason.as_str()) => {
            format!("the Broker cannot be used: {}", ready.message)
        }
        Some(_) if current => return None,
        _ => "the Broker was not seen yet; this goes on by itself once it was".to_owned(),
    };
    Some(Refusal { reason: reasons::BROKER_NOT_READY, message })
}

/// Why something that needs the exchange type that filters cannot be served.
///
/// Without this the broker would be asked again and again, and refuse each time in words of its own.
fn without_filters(broker: &Broker, what: &str, otherwise: &str) -> Option<Refusal> {
    let status = broker.status.as_ref()?;
    let supported = conditions::get(&status.conditions, types::FILTERS_SUPPORTED)?;
    (supported.status == conditions::Status::False.as_str()).then(|| Refusal {
        reason: reasons::FILTERS_NOT_SUPPORTED,
        message: format!(
            "{what} needs the plugin {FILTER_PLUGIN}, which the RabbitMQ of this Broker does not have: install and enable it on every node there, use a Broker that Entente runs{otherwise}"
        ),
    })
}

/// The same for what an object of this kind stands for.
pub fn lacks_filters(broker: &Broker, desired: &Desired, kind: &str) -> Option<Refusal> {
    let declares = desired.exchanges.iter().any(|exchange| exchange.kind == SQL_EXCHANGE);
    let is_bound = || desired.claims.iter().flat_map(|claim| &claim.bindings).any(|binding| is_topic_exchange(&binding.source));
    let otherwise = if kind == "Queue" { ", or remove spec.taps" } else { "" };
    (declares || is_bound()).then(|| without_filters(broker, &format!("this {kind}"), otherwise)).flatten()
}

/// The same for what a Client asks for: what it sends passes an exchange of that type.
pub fn lacks_filters_to_send(broker: &Broker, granted: &Granted) -> Option<Refusal> {
    let sends = granted.front.is_some() || !granted.exchanges.is_empty();
    sends.then(|| without_filters(broker, "a Client with the verb Send", ", or let it receive only")).flatten()
}

/// The Secret with the credentials.
pub fn secret(external: &broker::External) -> &str {
    &external.secret_ref.name
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
