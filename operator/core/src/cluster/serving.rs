//! Which nodes the client Service takes in.
//!
//! Failure it prevents: Kubernetes leaves a node that is gone in its Services for 40 s, and a process that is stopped for
//! as long as its readiness probe needs; every connection to it meanwhile fails or hangs.
//!
//! A node that does not answer loses a label of its pod, which the client Service selects. The pod template has the
//! label, and Kubernetes' own readiness counts as before: without an operator nodes come and go as in any
//! other Service (invariant I9).
//!
//! A node is taken out only while a majority answers. Where it does not, it may as well be the operator that is cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use entente_crds::BrokerStatus;
use entente_crds::broker::{WorkKind, WorkStep};
use entente_crds::meta::SERVING_LABEL;
use k8s_openapi::api::core::v1::Pod;

/// Silence after which a node is taken out. A busy node answers within milliseconds, one that pauses for a collection of
/// garbage within tenths of a second.
pub const SILENCE: Duration = Duration::from_millis(700);
/// Refused connections in a row after which it is taken out: nobody listens, so there is nothing to wait for. More than
/// one, since a listener restarts when its certificate changes.
const REFUSALS: u32 = 2;
/// Answers in a row after which it is taken in again.
const ANSWERS: u32 = 2;

/// The label's value.
pub fn label(serving: bool) -> BTreeMap<String, String> {
    BTreeMap::from([(SERVING_LABEL.to_owned(), serving.to_string())])
}

/// Whether a pod has the label with which the client Service takes it in.
pub fn is_labelled(pod: &Pod) -> bool {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(SERVING_LABEL)).is_some_and(|value| value == "true")
}

/// What one attempt to reach a node came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It answered, whatever the answer was.
    Answered,
    /// Its host did, and said that nobody listens.
    Refused,
    /// Nothing came.
    Silent,
}

/// What the attempts so far came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    answers: u32,
    refusals: u32,
    silent_for: Duration,
}

impl Default for Pulse {
    /// Of a node that was not tried yet.
    fn default() -> Self {
        Self { answers: 0, refusals: 0, silent_for: Duration::ZERO }
    }
}

impl Pulse {
    /// Takes in one more attempt; `since_answer` is the time since the last answer, or since the first attempt.
    #[must_use]
    pub fn after(self, beat: Beat, since_answer: Duration) -> Self {
        match beat {
            Beat::Answered => Self { answers: self.answers.saturating_add(1), refusals: 0, silent_for: Duration::ZERO },
            Beat::Refused => Self { answers: 0, refusals: self.refusals.saturating_add(1), silent_for: since_answer },
            Beat::Silent => Self { answers: 0, refusals: 0, silent_for: since_answer },
        }
    }

    /// Whether it is to be taken out.
    pub fn is_lost(&self) -> bool {
        self.answers == 0 && (self.refusals >= REFUSALS || self.silent_for >= SILENCE)
    }

    /// Whether it may be taken in.
    pub fn is_back(&self) -> bool {
        self.answers >= ANSWERS
    }
}

/// A node's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name.
    pub pod: &'a str,
    /// Whether Kubernetes calls it ready. One that is not is in no Service.
    pub ready: bool,
    /// Whether it has the label.
    pub labelled: bool,
    /// Its pulse.
    pub pulse: Pulse,
}

/// A label to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The pod.
    pub pod: String,
    /// Whether the client Service is to take it in.
    pub serve: bool,
}

/// The node that planned work takes out of the client Service, by the status.
pub fn leaving(status: &BrokerStatus) -> Option<&str> {
    let work = status.work.as_ref()?;
    // One that is removed does not come back.
    let leaves = work.kind == WorkKind::Removal || (work.kind == WorkKind::Restart && work.step <= WorkStep::ClosingConnections);
    work.node.as_deref().filter(|_| leaves)
}

/// Whether a majority answers. Where it does not, it may as well be the operator that is cut off.
pub fn is_sure(declared: i32, nodes: &[Node<'_>]) -> bool {
    let answering = nodes.iter().filter(|node| node.pulse.answers > 0).count();
    let size = usize::try_from(declared).unwrap_or(0).max(nodes.len());
    size > 1 && answering > size / 2
}

/// What is to be changed. `declared` is the number of nodes that the Broker should have, and may be fewer than there are; `leaving` the
/// one that is to be restarted or removed.
pub fn changes(declared: i32, nodes: &[Node<'_>], leaving: Option<&str>) -> Vec<Change> {
    let may_take_out = is_sure(declared, nodes);
    let change = |node: &Node<'_>| {
        let serve = match node.labelled {
            true if may_take_out && node.ready && (node.pulse.is_lost() || leaving == Some(node.pod)) => false,
            false if node.pulse.is_back() && leaving != Some(node.pod) => true,
            _ => return None,
        };
        Some(Change { pod: node.pod.to_owned(), serve })
    };
    nodes.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Pulse = Pulse { answers: 9, refusals: 0, silent_for: Duration::ZERO };

    fn silent(millis: u64) -> Pulse {
        WELL.after(Beat::Silent, Duration::from_millis(millis))
    }

    fn node(pod: &str, labelled: bool, pulse: Pulse) -> Node<'_> {
        Node { pod, ready: true, labelled, pulse }
    }

    fn told(nodes: &[Node<'_>]) -> Vec<(String, bool)> {
        changes(3, nodes, None).into_iter().map(|change| (change.pod, change.serve)).collect()
    }

    #[test]
    fn a_silent_node_is_taken_out_in_time_and_not_before() {
        let with = |pulse| told(&[node("a", true, WELL), node("b", true, pulse), node("c", true, WELL)]);
        assert!(with(silent(699)).is_empty());
        assert_eq!(with(silent(700)), [("b".to_owned(), false)]);
    }

    #[test]
    fn a_refusal_counts_at_once_and_one_alone_does_not() {
        let once = WELL.after(Beat::Refused, Duration::from_millis(1));
        let twice = once.after(Beat::Refused, Duration::from_millis(200));
        let with = |pulse| told(&[node("a", true, WELL), node("b", true, pulse), node("c", true, WELL)]);
        assert!(with(once).is_empty());
        assert_eq!(with(twice), [("b".to_owned(), false)]);
        assert!(with(once.after(Beat::Answered, Duration::ZERO).after(Beat::Refused, Duration::ZERO)).is_empty());
    }

    #[test]
    fn it_comes_back_after_two_answers() {
        let once = silent(5_000).after(Beat::Answered, Duration::ZERO);
        let with = |pulse| told(&[node("a", true, WELL), node("b", false, pulse), node("c", true, WELL)]);
        assert!(with(once).is_empty());
        assert_eq!(with(once.after(Beat::Answered, Duration::ZERO)), [("b".to_owned(), true)]);
    }

    #[test]
    fn whoever_hears_no_majority_takes_nobody_out() {
        let lost = silent(9_000);
        assert!(told(&[node("a", true, WELL), node("b", true, lost), node("c", true, lost)]).is_empty());
        assert!(told(&[node("a", true, lost), node("b", true, lost), node("c", true, lost)]).is_empty());
        // A pod that is not there counts as one that does not answer.
        assert!(told(&[node("a", true, WELL), node("b", true, lost)]).is_empty());
        assert_eq!(told(&[node("a", false, WELL), node("b", true, lost)]), [("a".to_owned(), true)], "taking in always may");
    }

    #[test]
    fn one_that_is_to_be_restarted_is_taken_out_and_stays_out() {
        let with = |labelled| changes(3, &[node("a", true, WELL), node("b", labelled, WELL), node("c", true, WELL)], Some("b"));
        assert_eq!(with(true), [Change { pod: "b".into(), serve: false }]);
        assert!(with(false).is_empty());
        let lost = silent(9_000);
        assert!(changes(3, &[node("a", true, lost), node("b", true, WELL), node("c", true, lost)], Some("b")).is_empty());
        let status = |kind, step| {
            let work = serde_json::json!({"kind": kind, "node": "b", "step": step, "since": "2026-01-01T00:00:00Z"});
            serde_json::from_value::<BrokerStatus>(serde_json::json!({"work": work})).unwrap()
        };
        assert_eq!(leaving(&status("Restart", "ClosingConnections")), Some("b"));
        assert_eq!(leaving(&status("Restart", "Rejoining")), None);
        assert_eq!(leaving(&status("Switchover", "MovingLeaders")), None, "its clients stay where they are");
    }

    #[test]
    fn a_single_node_stays() {
        assert!(changes(1, &[node("a", true, silent(9_000))], None).is_empty());
    }

    #[test]
    fn what_kubernetes_took_out_needs_no_write() {
        let mut lost = node("b", true, silent(9_000));
        lost.ready = false;
        assert!(told(&[node("a", true, WELL), lost, node("c", true, WELL)]).is_empty());
    }

    #[test]
    fn one_that_was_not_tried_yet_is_left_alone() {
        assert!(told(&[node("a", true, WELL), node("b", true, Pulse::default()), node("c", true, WELL)]).is_empty());
        assert!(told(&[node("a", true, WELL), node("b", false, Pulse::default()), node("c", true, WELL)]).is_empty());
    }

    #[test]
    fn i6_nothing_changes_while_all_answer() {
        assert!(told(&[node("a", true, WELL), node("b", true, WELL), node("c", true, WELL)]).is_empty());
    }
}
