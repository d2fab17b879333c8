//! Answers of the HTTP API, reduced to what is used. A field that is absent stays unknown.

use std::collections::BTreeMap;

use entente_core::orphans::Listed;
use entente_core::topology::model::{
    Arguments, Binding as BindingModel, DestinationKind, ExchangeDeclaration, Policy as PolicyModel, QueueKind,
};
use entente_core::topology::observed::{Counts, ObservedQueue, is_predeclared};
use serde::Deserialize;
use serde_json::Value;

use crate::admin::{AdminError, Node as NodeModel};

#[derive(Debug, Deserialize)]
pub struct Overview {
    pub rabbitmq_version: String,
    pub cluster_name: String,
    #[serde(default)]
    pub exchange_types: Vec<ExchangeType>,
}

#[derive(Debug, Deserialize)]
pub struct ExchangeType {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Node {
    name: String,
    running: bool,
    #[serde(default)]
    mem_alarm: bool,
    #[serde(default)]
    disk_free_alarm: bool,
    enabled_plugins: Option<Vec<String>>,
}

impl From<Node> for NodeModel {
    fn from(node: Node) -> Self {
        let Node { name, running, mem_alarm, disk_free_alarm, enabled_plugins } = node;
        let alarms = [(mem_alarm, "memory"), (disk_free_alarm, "disk")];
        let alarms = alarms.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()).collect();
        Self { name, running, alarms, plugins: enabled_plugins }
    }
}

#[derive(Debug, Deserialize)]
pub struct VirtualHost {
    #[serde(default)]
    pub tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct ListedVirtualHost {
    name: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl From<ListedVirtualHost> for Listed {
    fn from(host: ListedVirtualHost) -> Self {
        let ListedVirtualHost { name, tags } = host;
        Self { name, tags: tags.into_iter().collect() }
    }
}

#[derive(Debug, Deserialize)]
pub struct Queue {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    #[serde(default)]
    arguments: Arguments,
    leader: Option<String>,
    node: Option<String>,
    // Absent for a queue that is not replicated.
    members: Option<Vec<String>>,
    online: Option<Vec<String>>,
    state: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Totals {
    name: String,
    messages_ready: Option<i64>,
    messages_unacknowledged: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct Consumers {
    name: String,
    consumers: Option<i64>,
}

/// Figures by queue, as far as they are known.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, Counts>);

impl Figures {
    /// A queue whose statistics were not collected yet has no figures; that is not zero.
    pub fn new(totals: Vec<Totals>, consumers: Vec<Consumers>) -> Self {
        let consumers: BTreeMap<String, i64> =
            consumers.into_iter().filter_map(|seen| Some((seen.name, seen.consumers?))).collect();
        let counts = |seen: Totals| {
            let (ready, unacknowledged) = seen.messages_ready.zip(seen.messages_unacknowledged)?;
            let consumers = *consumers.get(&seen.name)?;
            Some((seen.name, Counts { ready, unacknowledged, consumers }))
        };
        Self(totals.into_iter().filter_map(counts).collect())
    }
}

impl Queue {
    /// What was seen of it.
    pub fn observed(self, figures: &Figures) -> Result<(String, ObservedQueue), AdminError> {
        let Self { name, kind, durable, mut arguments, leader, node, members, online, state } = self;
        let kind = match kind.as_str() {
            "quorum" => QueueKind::Quorum,
            "classic" => QueueKind::Classic,
            "stream" => QueueKind::Stream,
            other => return Err(AdminError::Unintelligible(format!("queue {name} is of the unknown type {other:?}"))),
        };
        arguments.remove("x-queue-type");
        let counts = figures.0.get(&name).copied();
        let leader = leader.or(node).filter(|name| !name.is_empty());
        // One that is not replicated is where it is led. Of one that is, half an answer is none.
        let (members, online) = match (kind, members.zip(online)) {
            (QueueKind::Quorum, known) => known.unwrap_or_default(),
            (_, Some((members, online))) if !members.is_empty() => (members, online),
            _ => {
                let only: Vec<String> = leader.iter().cloned().collect();
                let online = if state.as_deref() == Some("down") { Vec::new() } else { only.clone() };
                (only, online)
            }
        };
        let (members, online) = (sorted(members), sorted(online));
        let seen = ObservedQueue { kind, arguments, durable, leader, members, online, counts };
        // Without a majority none leads. RabbitMQ then names the node that led or the one that is asked, and counts what that
        // happens to know: in the place of what is in the queue, that would be a lie (invariant I5).
        let stands_still = seen.spare().is_some_and(|spare| spare < 0);
        Ok((name, if stands_still { ObservedQueue { leader: None, counts: None, ..seen } } else { seen }))
    }
}

/// The broker names members in no order; sorted, an unchanged set is an unchanged status.
fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[derive(Debug, Deserialize)]
pub struct Exchange {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    arguments: Arguments,
}

impl Exchange {
    /// Without those that every virtual host has.
    pub fn ours(self) -> Option<(String, ExchangeDeclaration)> {
        let Self { name, kind, arguments } = self;
        (!is_predeclared(&name)).then(|| (name.clone(), ExchangeDeclaration { name, kind, arguments }))
    }
}

#[derive(Debug, Deserialize)]
pub struct Policy {
    name: String,
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: String,
    priority: i64,
    definition: Arguments,
}

impl From<Policy> for (String, PolicyModel) {
    fn from(policy: Policy) -> Self {
        let Policy { name, pattern, apply_to, priority, definition } = policy;
        (name.clone(), PolicyModel { name, pattern, apply_to, priority, definition })
    }
}

#[derive(Debug, Deserialize)]
pub struct Binding {
    source: String,
    destination: String,
    destination_type: String,
    routing_key: String,
    #[serde(default)]
    arguments: Arguments,
    #[serde(default)]
    properties_key: String,
}

impl Binding {
    /// Without those of the default exchange, which every queue has, and those to what is neither queue nor exchange.
    pub fn ours(self) -> Option<BindingModel> {
        let Self { source, destination, destination_type, routing_key, arguments, properties_key: _ } = self;
        let destination_kind = match destination_type.as_str() {
            "queue" => DestinationKind::Queue,
            "exchange" => DestinationKind::Exchange,
            _ => return None,
        };
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        };
        let arguments = arguments.into_iter().map(text).collect();
        (!source.is_empty()).then_some(BindingModel { source, destination, destination_kind, routing_key, arguments })
    }

    /// The binding, with the name that the HTTP API has for it.
    pub fn with_key(self) -> Option<(BindingModel, String)> {
        let key = self.properties_key.clone();
        Some((self.ours()?, key))
    }
}

#[derive(Debug, Deserialize)]
pub struct Limits {
    #[serde(default, deserialize_with = "numbers")]
    pub value: BTreeMap<String, i64>,
}

/// RabbitMQ writes an empty list where it means an empty map.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let map = value.as_object().cloned().unwrap_or_default();
    Ok(map.into_iter().filter_map(|(name, value)| Some((name, value.as_i64()?))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One that is the same in all three lists.
    fn queue(value: Value) -> Result<(String, ObservedQueue), AdminError> {
        let figures = Figures::new(vec![read(value.clone())], vec![read(value.clone())]);
        read::<Queue>(value).observed(&figures)
    }

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn i5_counters_that_are_absent_are_unknown() {
        let (_, seen) = queue(json!({"name": "q", "type": "quorum", "durable": true})).unwrap();
        assert_eq!(seen.counts, None);
        let partly = json!({"name": "q", "type": "quorum", "durable": true, "messages_ready": 0, "messages_unacknowledged": 3});
        assert_eq!(queue(partly.clone()).unwrap().1.counts, None, "consumers are unknown too");
        let mut whole = partly;
        whole["consumers"] = json!(1);
        let (_, seen) = queue(whole).unwrap();
        assert_eq!(seen.counts.unwrap().messages(), 3);
    }

    /// With totals RabbitMQ lists no queue whose leader's node is down.
    #[test]
    fn i5_a_queue_that_is_in_one_list_alone_is_there() {
        let quorum =
            json!({"name": "q", "type": "quorum", "durable": true, "leader": "a", "members": ["a", "b"], "online": ["b"]});
        let (_, seen) = read::<Queue>(quorum).observed(&Figures::default()).unwrap();
        assert_eq!((seen.counts, seen.spare()), (None, Some(-1)));
        let classic =
            |state| read::<Queue>(json!({"name": "q", "type": "classic", "durable": true, "node": "a", "state": state}));
        let spare = |state| classic(state).observed(&Figures::default()).unwrap().1.spare();
        assert_eq!((spare("running"), spare("down")), (Some(0), Some(-1)));
    }

    #[test]
    fn the_type_is_not_among_the_arguments() {
        let (name, seen) = queue(json!({
            "name": "q", "type": "quorum", "durable": true, "leader": "b", "members": ["c", "b"], "online": ["c", "b"],
            "arguments": {"x-queue-type": "quorum", "x-single-active-consumer": true},
        }))
        .unwrap();
        assert_eq!(name, "q");
        assert_eq!(seen.arguments.keys().collect::<Vec<_>>(), ["x-single-active-consumer"]);
        assert_eq!(seen.members, ["b", "c"]);
        assert!(queue(json!({"name": "q", "type": "novel", "durable": true})).is_err());
    }

    /// What RabbitMQ 4.3 answered with two nodes of three gone and five messages in the queue.
    #[test]
    fn i5_without_a_majority_none_leads_and_nothing_is_counted() {
        let answer = |online: Value| {
            let mut answer = json!({
                "name": "q", "type": "quorum", "durable": true, "leader": "a", "node": "a", "members": ["b", "a", "c"],
                "messages_ready": 0, "messages_unacknowledged": 0, "consumers": 0,
            });
            answer["online"] = online;
            queue(answer).unwrap().1
        };
        let lost = answer(json!(["a"]));
        assert_eq!((lost.spare(), lost.leader, lost.counts), (Some(-1), None, None));
        let bare = answer(json!(["a", "b"]));
        assert_eq!((bare.spare(), bare.leader.as_deref()), (Some(0), Some("a")));
        assert!(bare.counts.is_some());
        let unknown = answer(Value::Null);
        assert_eq!(
            (unknown.spare(), unknown.members.len()),
            (None, 0),
            "that nobody answered for the members is no loss of them"
        );
    }

    #[test]
    fn null_stands_for_nothing() {
        let (_, seen) =
            queue(json!({"name": "q", "type": "classic", "durable": true, "node": "a", "members": null, "online": null}))
                .unwrap();
        assert_eq!((seen.members, seen.online), (vec!["a".to_owned()], vec!["a".to_owned()]));
    }

    #[test]
    fn what_every_virtual_host_has_is_left_out() {
        let binding = |source: &str, kind: &str| {
            serde_json::from_value::<Binding>(
                json!({"source": source, "destination": "q", "destination_type": kind, "routing_key": "k"}),
            )
            .unwrap()
            .ours()
        };
        assert_eq!(binding("", "queue"), None);
        assert_eq!(binding("x", "novelty"), None);
        assert_eq!(binding("x", "exchange"), Some(BindingModel::to_exchange("x", "q", "k")));
        assert_eq!(binding("x", "queue"), Some(BindingModel::new("x", "q", "k")));
        let filtered = json!({"source": "x", "destination": "q", "destination_type": "queue", "routing_key": "k",
            "arguments": {"x-sql-filter": "a = 1", "n": 5}, "properties_key": "k~hash"});
        let (filtered, key) = serde_json::from_value::<Binding>(filtered).unwrap().with_key().unwrap();
        assert_eq!((filtered.arguments["x-sql-filter"].as_str(), filtered.arguments["n"].as_str()), ("a = 1", "5"));
        assert_eq!(key, "k~hash");
        let exchange = |name: &str| serde_json::from_value::<Exchange>(json!({"name": name, "type": "direct"})).unwrap().ours();
        assert_eq!(exchange(""), None);
        assert_eq!(exchange("amq.topic"), None);
        assert!(exchange("entente.dead-letters").is_some());
    }

    #[test]
    fn limits_may_be_an_empty_list() {
        let limits = |value| serde_json::from_value::<Limits>(json!({"vhost": "v", "value": value})).unwrap().value;
        assert!(limits(json!([])).is_empty());
        assert_eq!(limits(json!({"max-queues": 5}))["max-queues"], 5);
    }
}
