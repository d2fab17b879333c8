//! What is seen of the nodes: from the broker itself and from Kubernetes.

use entente_crds::Broker;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerState, Pod, PodCondition};

use super::{names, serving, stateful_set};

/// The broker's own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Every node that the answering node knows as a member.
    pub nodes: Vec<SeenNode>,
    /// RabbitMQ's version.
    pub version: String,
}

/// One member, as RabbitMQ tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNode {
    /// RabbitMQ's node name, such as `rabbit@main-broker-0.main-nodes…`.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Alarms that stop publishers: `memory`, `disk`.
    pub alarms: Vec<String>,
}

/// A pod of the `StatefulSet`, as far as it matters here.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own; any of them goes with any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// Whether Kubernetes calls it ready.
    pub ready: bool,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it was made from another template than the present one.
    pub outdated: bool,
    /// Whether the client Service may take it in.
    pub serving: bool,
    /// Why it does not run, where Kubernetes says so.
    pub trouble: Option<String>,
}

/// The pods that belong to the `StatefulSet`, by name.
pub fn pods(broker: &Broker, set: &StatefulSet, pods: &[Pod]) -> Vec<SeenPod> {
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    let set_uid = set.metadata.uid.as_deref();
    let status = set.status.as_ref();
    // Until its controller has seen the newest spec, it does not say what is outdated.
    let current = status
        .filter(|status| status.observed_generation.is_some() && status.observed_generation == set.metadata.generation)
        .and_then(|status| status.update_revision.as_deref());
    let ours = |pod: &Pod| pod.metadata.owner_references.iter().flatten().any(|owner| Some(owner.uid.as_str()) == set_uid);
    let expected: Vec<String> = (0..stateful_set::size(broker, Some(set))).map(|ordinal| names::pod(name, ordinal)).collect();
    let mut seen: Vec<SeenPod> = pods
        .iter()
        .filter(|pod| ours(pod) && pod.metadata.name.as_ref().is_some_and(|name| expected.contains(name)))
        .map(|pod| SeenPod {
            name: pod.metadata.name.clone().unwrap_or_default(),
            ready: is_ready(pod),
            since: ready_condition(pod)
                .and_then(|condition| condition.last_transition_time.as_ref())
                .or(pod.metadata.creation_timestamp.as_ref())
                .map(|time| time.0),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            outdated: current.is_some_and(|current| {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get("controller-revision-hash")).is_none_or(|is| is != current)
            }),
            serving: serving::is_labelled(pod),
            // What ends since it was told to is in no trouble.
            trouble: trouble(pod).filter(|_| pod.metadata.deletion_timestamp.is_none()),
        })
        .collect();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    seen
}

/// Whether Kubernetes calls a pod ready.
pub fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "Ready")
}

/// Messages of the scheduler can be long; the beginning tells enough.
const TROUBLE_LIMIT: usize = 200;

/// Why a pod does not run, in words that stay the same while it tries again and again: each change
/// would be a write of the status.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled =
        status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        let message: String = condition.message.as_deref().unwrap_or_default().chars().take(TROUBLE_LIMIT).collect();
        return Some(format!("not scheduled: {message}"));
    }
    let container = status.container_statuses.iter().flatten().find(|container| container.name == names::CONTAINER)?;
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if reason.contains("Image") {
        return Some(format!("the image {} cannot be pulled", container.image));
    }
    let ended = |state: Option<&ContainerState>| state.and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code);
    if let Some(code) =
        ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref()).filter(|_| !container.ready))
    {
        return Some(format!("its container ended with exit code {code}; see the pod's log"));
    }
    match reason {
        // Every pod passes through these.
        "" | "ContainerCreating" | "PodInitializing" => None,
        reason => Some(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    fn set(observed: i64) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"uid": "set", "generation": 2},
            "spec": {"selector": {}, "serviceName": "", "template": {}},
            "status": {"replicas": 3, "observedGeneration": observed, "updateRevision": "new"}
        }))
        .unwrap()
    }

    fn pod(name: &str, revision: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": {"controller-revision-hash": revision},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "main-broker", "uid": "set"}]
            },
            "status": status
        }))
        .unwrap()
    }

    fn ready() -> Value {
        json!({"conditions": [{"type": "Ready", "status": "True"}]})
    }

    #[test]
    fn pods_of_others_do_not_count() {
        let main = broker("main", "messaging", |_| {});
        let mut foreign = pod("main-broker-1", "new", &ready());
        foreign.metadata.owner_references = None;
        let seen = pods(&main, &set(2), &[pod("main-broker-0", "new", &ready()), foreign, pod("main-broker-3", "new", &ready())]);
        assert_eq!(seen.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["main-broker-0"]);
        assert!(seen[0].ready && !seen[0].outdated);
    }

    #[test]
    fn outdated_is_said_only_of_the_newest_spec() {
        let main = broker("main", "messaging", |_| {});
        let all = [pod("main-broker-0", "old", &ready())];
        assert!(pods(&main, &set(2), &all)[0].outdated);
        assert!(!pods(&main, &set(1), &all)[0].outdated);
    }

    #[test]
    fn trouble_is_told_in_words_that_stay() {
        let main = broker("main", "messaging", |_| {});
        let see = |container: Value| {
            let mut status = json!({"containerStatuses": [{
                "name": "rabbitmq", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0}]});
            for (key, value) in container.as_object().unwrap() {
                status["containerStatuses"][0][key] = value.clone();
            }
            pods(&main, &set(2), &[pod("main-broker-0", "new", &status)])[0].trouble.clone()
        };
        let waiting = |reason: &str| see(json!({"state": {"waiting": {"reason": reason, "message": "back-off 10s"}}}));
        assert_eq!(waiting("ErrImagePull").as_deref(), Some("the image x:1 cannot be pulled"));
        assert_eq!(waiting("ImagePullBackOff"), waiting("ErrImagePull"));
        assert_eq!(waiting("ContainerCreating"), None);
        assert_eq!(waiting("CreateContainerConfigError").as_deref(), Some("CreateContainerConfigError"));
        let last = json!({"terminated": {"exitCode": 137}});
        let crashed = see(json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last}));
        assert!(crashed.as_ref().unwrap().contains("exit code 137"), "{crashed:?}");
        assert_eq!(see(json!({"state": {"running": {}}, "lastState": last})), crashed, "while it tries again");
        assert_eq!(see(json!({"state": {"running": {}}, "lastState": last, "ready": true})), None);
    }

    #[test]
    fn a_pod_without_a_place_says_so() {
        let main = broker("main", "messaging", |_| {});
        let status = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]});
        let seen = pods(&main, &set(2), &[pod("main-broker-0", "new", &status), pod("main-broker-1", "new", &ready())]);
        assert_eq!(seen[0].trouble.as_deref(), Some("not scheduled: 0/3 nodes"));
        assert_eq!(seen[1].trouble, None);
        let mut going = pod("main-broker-0", "new", &status);
        going.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(pods(&main, &set(2), &[going])[0].trouble, None);
    }
}
