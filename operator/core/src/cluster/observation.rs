//! What is seen of the nodes: from the broker itself and from Kubernetes.

use entente_crds::Broker;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::names;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// Whether Kubernetes calls it ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it was made from another template than the present one.
    pub outdated: bool,
    /// Why its container does not run, where Kubernetes says so, such as `ImagePullBackOff: …`.
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
    let expected: Vec<String> = (0..broker.spec.replicas).map(|ordinal| names::pod(name, ordinal)).collect();
    let mut seen: Vec<SeenPod> = pods
        .iter()
        .filter(|pod| ours(pod) && pod.metadata.name.as_ref().is_some_and(|name| expected.contains(name)))
        .map(|pod| SeenPod {
            name: pod.metadata.name.clone().unwrap_or_default(),
            ready: is_ready(pod),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            outdated: current.is_some_and(|current| {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get("controller-revision-hash")).is_none_or(|is| is != current)
            }),
            trouble: trouble(pod),
        })
        .collect();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    seen
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Messages of the kubelet can hold a whole command line; the beginning tells enough.
const TROUBLE_LIMIT: usize = 200;

fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find_map(|condition| {
        let said = condition.type_ == "PodScheduled" && condition.status == "False";
        said.then(|| (condition.reason.clone(), condition.message.clone()))
    });
    let waiting = || {
        let containers = status.container_statuses.iter().flatten().filter_map(|container| container.state.as_ref());
        containers.into_iter().find_map(|state| state.waiting.as_ref().map(|waiting| (waiting.reason.clone(), waiting.message.clone())))
    };
    let (reason, message) = unscheduled.or_else(waiting)?;
    let reason = reason.unwrap_or_default();
    // Every pod passes through these.
    if reason.is_empty() || reason == "ContainerCreating" || reason == "PodInitializing" {
        return None;
    }
    let message: String = message.unwrap_or_default().chars().take(TROUBLE_LIMIT).collect();
    Some(if message.is_empty() { reason } else { format!("{reason}: {message}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;
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
    fn trouble_is_passed_on() {
        let main = broker("main", "messaging", |_| {});
        let waiting = |reason: &str| {
            json!({"containerStatuses": [{
            "name": "rabbitmq", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "no such image"}}}]})
        };
        let see = |status: &Value| pods(&main, &set(2), &[pod("main-broker-0", "new", status)])[0].trouble.clone();
        assert_eq!(see(&waiting("ErrImagePull")).as_deref(), Some("ErrImagePull: no such image"));
        assert_eq!(see(&waiting("ContainerCreating")), None);
        let unscheduled =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]});
        assert_eq!(see(&unscheduled).as_deref(), Some("Unschedulable: 0/3 nodes"));
        assert_eq!(see(&ready()), None);
    }
}
