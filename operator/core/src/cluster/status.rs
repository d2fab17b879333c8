//! `(status before, what is seen) → status`.

use entente_crds::broker::NodeStatus;
use entente_crds::condition::{reasons, types};
use entente_crds::{Broker, BrokerStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value};

use super::names;
use super::observation::{Seen, SeenPod};
use super::validate::Refusal;
use super::work::{Decision, report};
use crate::conditions::{self, Status};

/// Condition: whether the volumes have the declared size. Only there while they have not.
pub const VOLUMES_GROWN: &str = "VolumesGrown";
/// Reason: a single node has no follower.
pub const SINGLE_NODE: &str = "SingleNode";
/// Reason: the image holds another RabbitMQ than `spec.version` says.
pub const VERSION_MISMATCH: &str = "VersionMismatch";
/// Reason: RabbitMQ stops publishers, since memory or disk is short.
pub const RESOURCE_ALARM: &str = "ResourceAlarm";
/// Reason: the storage refuses to grow.
pub const GROWTH_REFUSED: &str = "GrowthRefused";

/// One answer that does not come is a hiccup; this many in a row are a fact.
pub const SILENCE_LIMIT: u32 = 3;

/// The broker's own word.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It answered.
    Seen(&'a Seen),
    /// It was asked, and did not answer, this many times in a row.
    Silent {
        /// Why.
        error: &'a str,
        /// How often.
        times: u32,
    },
    /// No node was ready to be asked.
    NotAsked,
}

/// What the status is made of.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// How many nodes there are to be now, see [`super::stateful_set::size`].
    pub size: i32,
    /// The pods.
    pub pods: &'a [SeenPod],
    /// The broker's own word.
    pub answer: Answer<'a>,
    /// Why the Broker is not served as declared.
    pub refusal: Option<&'a Refusal>,
    /// Planned work.
    pub work: &'a Decision,
    /// Why volumes do not grow, if so.
    pub growth_refused: Option<&'a str>,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: &'a str,
}

/// How many nodes are a majority of `declared`.
pub fn majority(declared: i32) -> i32 {
    declared / 2 + 1
}

/// Whether queues go on: by the last status, a majority of the nodes runs.
///
/// Weaker than `Ready`, which is about *every* node: with one of three lost, the broker still serves.
/// Declaring queues before the first `Ready` would give them too few members.
pub fn serves(broker: &Broker) -> bool {
    let nodes = || broker.status.iter().flat_map(|status| &status.nodes);
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    // More than declared, until those that are too many are removed.
    let size = broker.spec.replicas.max(count(nodes().count()));
    count(nodes().filter(|node| node.running).count()) >= majority(size)
}

/// The next status.
pub fn next(before: &BrokerStatus, broker: &Broker, view: &View<'_>, now: Timestamp) -> BrokerStatus {
    let mut after = before.clone();
    after.observed_generation = broker.metadata.generation;
    if view.refusal.is_none() || !view.pods.is_empty() {
        after.endpoints = Some(names::endpoints(broker, view.cluster_domain));
    }
    after.nodes = nodes(before, broker, view);
    if let Answer::Seen(seen) = view.answer {
        after.version = Some(seen.version.clone());
    }
    let facts = Facts::new(before, broker, view, &after.nodes);
    after.ready_nodes = Some(format!("{}/{}", facts.running, facts.declared));
    after.failures_survived = Some(facts.spare());
    if !facts.is_hiccup() {
        let mut set = |type_: &str, verdict: Verdict| {
            let Verdict { status, reason, message } = verdict;
            conditions::set(&mut after.conditions, type_, status, reason, message, broker.metadata.generation, now);
        };
        set(types::CLUSTER_FORMED, facts.cluster_formed());
        set(types::QUORUM_SAFE, facts.quorum_safe());
        set(types::READY, facts.ready());
    }
    if !facts.is_hiccup() || view.work.work.is_some() {
        report::write(&mut after, broker.metadata.generation, view.work, now);
    }
    match view.growth_refused {
        Some(message) => {
            let generation = broker.metadata.generation;
            conditions::set(&mut after.conditions, VOLUMES_GROWN, Status::False, GROWTH_REFUSED, message, generation, now);
        }
        None => conditions::remove(&mut after.conditions, VOLUMES_GROWN),
    }
    conditions::set_paused(&mut after.conditions, false, broker.metadata.generation, now);
    for condition in &mut after.conditions {
        condition.observed_generation = broker.metadata.generation;
    }
    if matches!(view.answer, Answer::Seen(_)) && after != *before {
        after.observed_at = Some(Time(conditions::whole_second(now)));
    }
    after
}

/// The status of a Broker that is paused: as last seen, and that it is paused.
pub fn paused(before: &BrokerStatus, broker: &Broker, now: Timestamp) -> BrokerStatus {
    let mut after = before.clone();
    after.observed_generation = broker.metadata.generation;
    conditions::set_paused(&mut after.conditions, true, broker.metadata.generation, now);
    after
}

/// The merge patch from one status to the next, of the fields that are made here; `None` if
/// there is nothing to write (invariant I6). Others' fields, such as the orphans, stay.
pub fn patch(before: &BrokerStatus, after: &BrokerStatus) -> Option<Value> {
    const FIELDS: [&str; 10] = [
        "observedGeneration",
        "conditions",
        "version",
        "readyNodes",
        "nodes",
        "endpoints",
        "failuresSurvived",
        "work",
        "switchover",
        "observedAt",
    ];
    let (before, after) = (serde_json::to_value(before).ok()?, serde_json::to_value(after).ok()?);
    let changed: Map<String, Value> = FIELDS
        .into_iter()
        .filter(|field| before.get(field) != after.get(field))
        .map(|field| (field.to_owned(), after.get(field).cloned().unwrap_or(Value::Null)))
        .collect();
    (!changed.is_empty()).then(|| serde_json::json!({"status": changed}))
}

/// Something that people should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whether it is a warning.
    pub warning: bool,
    /// The pod it is about, if it is about one.
    pub pod: Option<String>,
    /// Reason of the Event.
    pub reason: String,
    /// Text of the Event.
    pub note: String,
}

/// What changed between two statuses, as far as an Event is due.
pub fn transitions(before: &BrokerStatus, after: &BrokerStatus) -> Vec<Transition> {
    let mut transitions = Vec::new();
    // While a cluster forms for the first time, nodes come one after another: no news.
    let formed = has_formed(before);
    for node in after.nodes.iter().filter(|_| formed) {
        let known = before.nodes.iter().find(|known| known.name == node.name);
        match known.map(|known| known.running) {
            Some(true) if !node.running => transitions.push(Transition {
                warning: true,
                pod: Some(node.name.clone()),
                reason: "NodeLost".into(),
                note: format!("{} is no running member any more", node.name),
            }),
            Some(false) if node.running => transitions.push(Transition {
                warning: false,
                pod: Some(node.name.clone()),
                reason: "NodeRunning".into(),
                note: format!("{} is a running member", node.name),
            }),
            _ => {}
        }
    }
    transitions.extend(report::transitions(before, after));
    for type_ in [types::READY, VOLUMES_GROWN] {
        let Some(now) = conditions::get(&after.conditions, type_) else { continue };
        let was = conditions::get(&before.conditions, type_);
        let changed = was.is_none_or(|was| was.status != now.status || was.reason != now.reason);
        if changed && !is_starting(now) {
            transitions.push(Transition {
                warning: now.status != Status::True.as_str(),
                pod: None,
                reason: now.reason.clone(),
                note: now.message.clone(),
            });
        }
    }
    transitions
}

/// Whether all nodes were members of one cluster once. Nodes that are absent are missing then, and
/// starting before.
fn has_formed(status: &BrokerStatus) -> bool {
    const AFTER_FORMING: [&str; 3] = [reasons::READY, reasons::NODES_MISSING, reasons::BROKER_UNREACHABLE];
    conditions::get(&status.conditions, types::CLUSTER_FORMED)
        .is_some_and(|condition| AFTER_FORMING.contains(&condition.reason.as_str()))
}

fn is_starting(condition: &Condition) -> bool {
    condition.reason == reasons::STARTING
}

fn nodes(before: &BrokerStatus, broker: &Broker, view: &View<'_>) -> Vec<NodeStatus> {
    if view.refusal.is_some() && view.pods.is_empty() {
        return Vec::new();
    }
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    let declared = (0..view.size).map(|ordinal| names::pod(name, ordinal));
    match view.answer {
        Answer::Seen(seen) => {
            let mut nodes: Vec<NodeStatus> = declared
                .map(|name| {
                    let node = seen.nodes.iter().find(|node| names::pod_of_node(&node.name) == name);
                    let alarms = node.map(|node| node.alarms.clone()).unwrap_or_default();
                    NodeStatus { name, running: node.is_some_and(|node| node.running), alarms }
                })
                .collect();
            for node in &seen.nodes {
                let pod = names::pod_of_node(&node.name);
                if !nodes.iter().any(|known| known.name == pod) {
                    nodes.push(NodeStatus { name: pod.to_owned(), running: node.running, alarms: node.alarms.clone() });
                }
            }
            nodes
        }
        // What was seen stays (invariant I5), except where Kubernetes contradicts it.
        Answer::Silent { .. } | Answer::NotAsked => declared
            .map(|name| {
                let known = before.nodes.iter().find(|known| known.name == name);
                let ready = view.pods.iter().any(|pod| pod.name == name && pod.ready);
                NodeStatus {
                    running: known.is_some_and(|known| known.running) && ready,
                    alarms: known.map(|known| known.alarms.clone()).unwrap_or_default(),
                    name,
                }
            })
            .collect(),
    }
}

struct Verdict {
    status: Status,
    reason: &'static str,
    message: String,
}

struct Facts<'a> {
    before: &'a BrokerStatus,
    broker: &'a Broker,
    view: &'a View<'a>,
    nodes: &'a [NodeStatus],
    declared: i32,
    running: i32,
    ready_pods: i32,
    missing: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    fn new(before: &'a BrokerStatus, broker: &'a Broker, view: &'a View<'a>, nodes: &'a [NodeStatus]) -> Self {
        let declared = view.size;
        let own = nodes.iter().take(usize::try_from(declared).unwrap_or(0));
        let missing: Vec<&str> = own.clone().filter(|node| !node.running).map(|node| node.name.as_str()).collect();
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let running = count(own.filter(|node| node.running).count());
        let ready_pods = count(view.pods.iter().filter(|pod| pod.ready).count());
        Self { before, broker, view, nodes, declared, running, ready_pods, missing }
    }

    /// How many more nodes may fail.
    fn spare(&self) -> i32 {
        let nodes = (self.running - majority(self.declared)).max(0);
        self.view.work.weakest.as_ref().map_or(nodes, |weakest| nodes.min(weakest.spare))
    }

    /// One missed answer of a broker whose pods are all ready says nothing.
    fn is_hiccup(&self) -> bool {
        matches!(self.view.answer, Answer::Silent { times, .. } if times < SILENCE_LIMIT)
            && self.view.refusal.is_none()
            && self.ready_pods == self.declared
            && conditions::get(&self.before.conditions, types::READY).is_some()
    }

    fn absence_reason(&self) -> &'static str {
        if has_formed(self.before) { reasons::NODES_MISSING } else { reasons::STARTING }
    }

    fn unreachable(&self, error: &str) -> Verdict {
        let last = self.before.observed_at.as_ref();
        let last =
            last.map_or_else(|| "it has never answered".to_owned(), |at| format!("status last changed by its word at {}", at.0));
        Verdict {
            status: Status::Unknown,
            reason: reasons::BROKER_UNREACHABLE,
            message: format!(
                "the broker does not answer ({error}); {} of {} pods are ready; {last}",
                self.ready_pods, self.declared
            ),
        }
    }

    fn absence(&self) -> Verdict {
        let Self { running, declared, .. } = self;
        let missing = self.missing_with_trouble();
        let reason = self.absence_reason();
        let effect = if reason == reasons::STARTING {
            String::new()
        } else if *running >= majority(*declared) {
            "; queues go on, since a majority runs".to_owned()
        } else {
            format!("; queues stand still until {} nodes run", majority(*declared))
        };
        Verdict {
            status: Status::False,
            reason,
            message: format!("{running} of {declared} nodes run; missing: {missing}{effect}"),
        }
    }

    /// The missing nodes, those with the same trouble together.
    fn missing_with_trouble(&self) -> String {
        let mut groups: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for name in &self.missing {
            let trouble = self.view.pods.iter().find(|pod| pod.name == *name).and_then(|pod| pod.trouble.as_deref());
            match groups.iter_mut().find(|(known, _)| *known == trouble) {
                Some((_, names)) => names.push(name),
                None => groups.push((trouble, vec![name])),
            }
        }
        let texts: Vec<String> = groups
            .into_iter()
            .map(|(trouble, names)| {
                let names = names.join(", ");
                trouble.map_or_else(|| names.clone(), |trouble| format!("{names} ({trouble})"))
            })
            .collect();
        texts.join(", ")
    }

    /// Without an answer: unknown, or missing where Kubernetes' word is enough.
    fn without_answer(&self) -> Option<Verdict> {
        match self.view.answer {
            Answer::Seen(_) => None,
            Answer::Silent { error, .. } if self.ready_pods >= majority(self.declared) => Some(self.unreachable(error)),
            Answer::Silent { .. } | Answer::NotAsked => Some(self.absence()),
        }
    }

    fn cluster_formed(&self) -> Verdict {
        self.not_running().or_else(|| self.without_answer()).unwrap_or_else(|| {
            if self.missing.is_empty() {
                let message = match self.declared {
                    1 => "the only node runs".to_owned(),
                    declared => format!("all {declared} nodes are running members"),
                };
                return Verdict { status: Status::True, reason: reasons::READY, message };
            }
            self.absence()
        })
    }

    fn quorum_safe(&self) -> Verdict {
        if let Some(verdict) = self.not_running().or_else(|| self.without_answer()) {
            return verdict;
        }
        let spare = self.spare();
        if spare > 0 {
            let message = format!("{} of {} nodes run: {spare} more may fail", self.running, self.declared);
            return Verdict { status: Status::True, reason: reasons::READY, message };
        }
        if self.declared == 1 {
            let message = "a single node has no follower; declare 3 replicas to survive the loss of one".to_owned();
            return Verdict { status: Status::False, reason: SINGLE_NODE, message };
        }
        match self.view.work.weakest.as_ref().filter(|_| self.missing.is_empty()) {
            Some(weakest) => Verdict {
                status: Status::False,
                reason: reasons::MEMBERS_MISSING,
                message: format!(
                    "all nodes run, but the queue {} would stop with the next failure: members of it are missing, have no vote yet, or none leads",
                    weakest.queue
                ),
            },
            None => self.absence(),
        }
    }

    /// Nothing runs, and the reason is the Broker's own.
    fn not_running(&self) -> Option<Verdict> {
        let refusal = self.view.refusal.filter(|_| self.nodes.is_empty())?;
        Some(Verdict { status: Status::False, reason: refusal.reason, message: "no node was started: see Ready".to_owned() })
    }

    fn ready(&self) -> Verdict {
        if let Some(refusal) = self.view.refusal {
            return Verdict { status: Status::False, reason: refusal.reason, message: refusal.message.clone() };
        }
        if let Some(verdict) = self.without_answer() {
            return verdict;
        }
        if !self.missing.is_empty() {
            let mut verdict = self.absence();
            if let Some(message) = &self.view.work.message {
                verdict.message = format!("{}; {message}", verdict.message);
            }
            return verdict;
        }
        if let Some(verdict) = self.other_version().or_else(|| self.alarm()) {
            return verdict;
        }
        let mut message = match self.declared {
            1 => "the only node runs".to_owned(),
            declared => format!("all {declared} nodes run"),
        };
        if let Some(why) = &self.view.work.message {
            message = format!("{message}; {why}");
        }
        Verdict { status: Status::True, reason: reasons::READY, message }
    }

    fn other_version(&self) -> Option<Verdict> {
        let wanted = self.broker.spec.version.as_deref()?;
        let Answer::Seen(seen) = self.view.answer else { return None };
        let (is, wants) = (seen.version.split('.'), wanted.split('.'));
        if wants.clone().count() <= is.clone().count() && wants.zip(is).all(|(wanted, is)| wanted == is) {
            return None;
        }
        Some(Verdict {
            status: Status::False,
            reason: VERSION_MISMATCH,
            message: format!(
                "spec.version is {wanted}, and RabbitMQ {} runs; name an image with {wanted} in spec.image, or change spec.version",
                seen.version
            ),
        })
    }

    fn alarm(&self) -> Option<Verdict> {
        let alarms: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| !node.alarms.is_empty())
            .map(|node| format!("{}: {}", node.name, node.alarms.join(", ")))
            .collect();
        (!alarms.is_empty()).then(|| Verdict {
            status: Status::False,
            reason: RESOURCE_ALARM,
            message: format!(
                "RabbitMQ stops all publishers, since resources are short ({}); let consumers catch up, raise storage.size for disk or resources.limits for memory",
                alarms.join("; ")
            ),
        })
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
