//! Taking up a change of the pod template, one node at a time.
//!
//! Kubernetes' own rolling update goes by ordinals and pod readiness. Here the broker's own answer
//! counts too: a node is restarted only while every other one is a running member, and one that is
//! broken already goes first, since that costs nothing and may heal it.

use super::names;
use super::observation::{Seen, SeenPod};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every pod is as declared.
    Done,
    /// This pod may be replaced now. The disruption budget is asked again when it is evicted.
    Replace(String),
    /// Not now.
    Wait {
        /// Why, for people.
        message: String,
    },
}

/// The next step. `seen` is the broker's answer, if there was one; `declared` the number of nodes.
pub fn next(declared: i32, pods: &[SeenPod], seen: Option<&Seen>) -> Step {
    let outdated = pods.iter().filter(|pod| pod.outdated && !pod.terminating);
    // The highest first: the first node is the one that others look for when a cluster forms.
    let Some(candidate) = outdated.clone().max_by(|a, b| (!a.ready).cmp(&!b.ready).then(a.name.cmp(&b.name))) else {
        let done = pods.iter().all(|pod| !pod.outdated);
        return if done { Step::Done } else { Step::Wait { message: progress(pods, declared) } };
    };
    if !candidate.ready {
        return Step::Replace(candidate.name.clone());
    }
    let missing: Vec<String> = absent(declared, pods, seen);
    if missing.is_empty() {
        return Step::Replace(candidate.name.clone());
    }
    Step::Wait { message: format!("{}; waiting for {}", progress(pods, declared), missing.join(", ")) }
}

/// Pods that are not there, not ready, or not running members by the broker's own word.
fn absent(declared: i32, pods: &[SeenPod], seen: Option<&Seen>) -> Vec<String> {
    let mut absent: Vec<String> = pods
        .iter()
        .filter(|pod| {
            let member =
                seen.is_none_or(|seen| seen.nodes.iter().any(|node| node.running && names::pod_of_node(&node.name) == pod.name));
            pod.terminating || !pod.ready || !member
        })
        .map(|pod| pod.name.clone())
        .collect();
    let there = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    if there < declared {
        absent.push(format!("{} pods that are not there yet", declared - there));
    }
    absent
}

fn progress(pods: &[SeenPod], declared: i32) -> String {
    let done = pods.iter().filter(|pod| !pod.outdated && pod.ready).count();
    format!("restarting nodes one by one to take up a change: {done} of {declared} done")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::observation::SeenNode;

    fn pod(ordinal: i32, ready: bool, outdated: bool) -> SeenPod {
        SeenPod { name: format!("main-broker-{ordinal}"), ready, terminating: false, outdated, trouble: None }
    }

    fn seen(running: [bool; 3]) -> Seen {
        let nodes = running.into_iter().enumerate().map(|(ordinal, running)| SeenNode {
            name: format!("rabbit@main-broker-{ordinal}.main-nodes.m.svc.cluster.local"),
            running,
            alarms: Vec::new(),
        });
        Seen { nodes: nodes.collect(), version: "4.3.6".into() }
    }

    fn replace(ordinal: i32) -> Step {
        Step::Replace(format!("main-broker-{ordinal}"))
    }

    #[test]
    fn nothing_outdated_is_done() {
        let pods = [pod(0, true, false), pod(1, false, false), pod(2, true, false)];
        assert_eq!(next(3, &pods, None), Step::Done);
    }

    #[test]
    fn the_highest_goes_first_and_the_others_wait_for_it() {
        let all = seen([true; 3]);
        assert_eq!(next(3, &[pod(0, true, true), pod(1, true, true), pod(2, true, true)], Some(&all)), replace(2));
        let restarting = [pod(0, true, true), pod(1, true, true), pod(2, false, false)];
        let Step::Wait { message } = next(3, &restarting, Some(&all)) else { panic!() };
        assert!(message.contains("0 of 3 done") && message.contains("main-broker-2"), "{message}");
        assert_eq!(next(3, &[pod(0, true, true), pod(1, true, true), pod(2, true, false)], Some(&all)), replace(1));
    }

    #[test]
    fn ready_is_not_enough_if_the_broker_says_otherwise() {
        let pods = [pod(0, true, true), pod(1, true, true), pod(2, true, false)];
        assert!(matches!(next(3, &pods, Some(&seen([true, true, false]))), Step::Wait { .. }));
        assert_eq!(next(3, &pods, None), replace(1), "no answer: Kubernetes' word and the budget");
    }

    #[test]
    fn a_broken_pod_goes_first_whatever_the_others_do() {
        let pods = [pod(0, false, true), pod(1, true, true), pod(2, true, true)];
        assert_eq!(next(3, &pods, Some(&seen([false, true, true]))), replace(0));
    }

    #[test]
    fn a_pod_that_is_missing_or_going_holds_the_rest() {
        assert!(matches!(next(3, &[pod(0, true, true), pod(1, true, true)], None), Step::Wait { .. }));
        let mut going = pod(2, true, true);
        going.terminating = true;
        assert!(matches!(next(3, &[pod(0, true, true), pod(1, true, true), going.clone()], None), Step::Wait { .. }));
        assert!(matches!(next(3, &[pod(0, true, false), pod(1, true, false), going], None), Step::Wait { .. }));
    }
}
