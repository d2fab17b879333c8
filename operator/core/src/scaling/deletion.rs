//! Which pods go when replicas are lowered: those that hold no messages.
//!
//! Kubernetes chooses the pods by itself, and does not know who works. It takes those that are not ready first, and then by the annotation
//! [`COST`], the lowest first. So the pods that are to go get the lowest cost there is, and no other pod gets any: they take the
//! annotation with them, and nothing is left to be kept up to date.

use std::cmp::Reverse;
use std::net::IpAddr;

use jiff::Timestamp;

/// The annotation.
pub const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The lowest cost. Whatever others set, this one goes first.
pub const LOWEST: &str = "-2147483648";

/// A connection to the broker, as the broker tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Where it comes from.
    pub host: IpAddr,
    /// The queues that it receives from.
    pub queues: Vec<String>,
    /// Messages that were delivered over it and are not settled. `None`: not told, which is not none (invariant I5).
    pub unsettled: Option<u64>,
}

/// A pod of the target that is not on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its UID: a pod of the same name is another one.
    pub uid: String,
    /// Its addresses.
    pub hosts: Vec<IpAddr>,
    /// Whether it is ready. Kubernetes lets the others go first.
    pub is_ready: bool,
    /// Since when it is there.
    pub created: Option<Timestamp>,
    /// What the annotation holds.
    pub cost: Option<String>,
}

impl Candidate {
    /// Whether it was to go before.
    pub fn is_marked(&self) -> bool {
        self.cost.as_deref() == Some(LOWEST)
    }
}

/// The annotation of one pod is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The pod.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is to go. Else the annotation is taken away.
    pub goes: bool,
}

/// What would be lost, in this order: least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Load {
    /// It does not even receive.
    None,
    /// It receives, and holds no message.
    Idle,
    /// It holds so many. Where that is not told, one.
    Holds(u64),
}

/// The annotations to change so that, of these pods, `stay` are left and those that hold messages are among them.
///
/// Nothing where all go, none, or where nobody is seen to hold a message: then the choice of Kubernetes, which looks at nodes and
/// age, is the better one.
pub fn changes(pods: &[Candidate], connected: &[Connected], queues: &[String], stay: usize) -> Vec<Change> {
    if stay == 0 {
        return Vec::new();
    }
    let mut ready: Vec<(Load, &Candidate)> =
        pods.iter().filter(|pod| pod.is_ready).map(|pod| (load(pod, connected, queues), pod)).collect();
    // Those that are not ready are let go first, without a mark.
    let go = ready.len().saturating_sub(stay);
    // Of two that are alike the younger goes, as Kubernetes has it.
    ready.sort_by(|(a, one), (b, two)| (a, Reverse(one.created), &one.name).cmp(&(b, Reverse(two.created), &two.name)));
    let least = ready.first().map(|(load, _)| *load);
    let differ = ready.iter().any(|(load, _)| matches!(load, Load::Holds(_)) && Some(*load) != least);
    let go = if differ { go } else { 0 };
    let goes = |pod: &Candidate| ready.iter().take(go).any(|(_, one)| one.uid == pod.uid);
    pods.iter()
        .map(|pod| (pod, goes(pod)))
        .filter(|(pod, goes)| pod.is_marked() != *goes)
        .map(|(pod, goes)| Change { pod: pod.name.clone(), uid: pod.uid.clone(), goes })
        .collect()
}

fn load(pod: &Candidate, connected: &[Connected], queues: &[String]) -> Load {
    let of_it = connected.iter().filter(|one| pod.hosts.contains(&one.host));
    of_it.fold(Load::None, |load, Connected { host: _, queues: from, unsettled }| {
        // A message of another queue that it holds is delivered again just the same.
        match (load, unsettled.unwrap_or(1)) {
            (Load::Holds(known), more) => Load::Holds(known.saturating_add(more)),
            (load, 0) if from.iter().any(|queue| queues.contains(queue)) => load.max(Load::Idle),
            (load, 0) => load,
            (_, held) => Load::Holds(held),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "q";

    fn pod(number: u8) -> Candidate {
        Candidate {
            name: format!("pod-{number}"),
            uid: format!("uid-{number}"),
            hosts: vec![IpAddr::from([10, 0, 0, number])],
            is_ready: true,
            created: Timestamp::from_second(i64::from(number)).ok(),
            cost: None,
        }
    }

    fn holds(number: u8, unsettled: Option<u64>) -> Connected {
        Connected { host: IpAddr::from([10, 0, 0, number]), queues: vec![QUEUE.to_owned()], unsettled }
    }

    fn going(pods: &[Candidate], connected: &[Connected], stay: usize) -> Vec<String> {
        let all = changes(pods, connected, &[QUEUE.to_owned()], stay);
        all.into_iter().map(|change| format!("{}{}", if change.goes { "+" } else { "-" }, change.pod)).collect()
    }

    #[test]
    fn who_holds_a_message_stays() {
        let pods = [pod(1), pod(2), pod(3)];
        let connected = [holds(1, Some(0)), holds(2, Some(3)), holds(3, Some(0))];
        // Of the two that are idle the younger goes first.
        assert_eq!(going(&pods, &connected, 2), ["+pod-3"]);
        assert_eq!(going(&pods, &connected, 1), ["+pod-1", "+pod-3"]);
        assert!(going(&pods, &connected, 3).is_empty());
    }

    #[test]
    fn who_does_not_receive_goes_before_who_waits() {
        let pods = [pod(1), pod(2), pod(3)];
        let elsewhere = Connected { queues: vec!["other".to_owned()], ..holds(1, Some(0)) };
        assert_eq!(going(&pods, &[elsewhere, holds(2, Some(1)), holds(3, Some(0))], 2), ["+pod-1"]);
    }

    #[test]
    fn a_message_of_another_queue_is_a_message_too_and_connections_add_up() {
        let pods = [pod(1), pod(2)];
        let other = Connected { queues: vec!["other".to_owned()], ..holds(2, Some(2)) };
        assert_eq!(going(&pods, &[holds(1, Some(1)), holds(2, Some(0)), other], 1), ["+pod-1"]);
    }

    #[test]
    fn where_the_maximum_was_lowered_those_with_the_fewest_go() {
        let pods = [pod(1), pod(2), pod(3)];
        assert_eq!(going(&pods, &[holds(1, Some(9)), holds(2, Some(1)), holds(3, Some(5))], 1), ["+pod-2", "+pod-3"]);
    }

    #[test]
    fn i5_what_is_not_told_is_taken_for_a_message() {
        let pods = [pod(1), pod(2)];
        assert_eq!(going(&pods, &[holds(1, Some(0)), holds(2, None)], 1), ["+pod-1"]);
    }

    #[test]
    fn nothing_is_marked_where_nobody_is_known_to_work_or_all_work_alike_or_all_go() {
        let pods = [pod(1), pod(2)];
        assert!(going(&pods, &[], 1).is_empty(), "addresses that are not those of pods");
        assert!(going(&pods, &[holds(1, Some(0))], 1).is_empty());
        assert!(going(&pods, &[holds(1, Some(2)), holds(2, Some(2))], 1).is_empty());
        assert!(going(&pods, &[holds(1, Some(2))], 0).is_empty());
    }

    #[test]
    fn i6_a_mark_is_made_once_and_taken_back_where_it_is_no_longer_right() {
        let mut pods = [pod(1), pod(2)];
        pods[0].cost = Some(LOWEST.to_owned());
        assert!(going(&pods, &[holds(2, Some(1))], 1).is_empty());
        assert_eq!(going(&pods, &[holds(1, Some(1))], 1), ["-pod-1", "+pod-2"]);
        assert_eq!(going(&pods, &[], 1), ["-pod-1"]);
        // What somebody else wrote stays.
        pods[0].cost = Some("7".to_owned());
        assert!(going(&pods, &[holds(2, Some(1))], 2).is_empty());
    }

    #[test]
    fn those_that_are_not_ready_go_without_a_mark() {
        let mut pods = [pod(1), pod(2), pod(3)];
        pods[0].is_ready = false;
        assert!(going(&pods, &[holds(2, Some(1))], 2).is_empty());
        assert_eq!(going(&pods, &[holds(2, Some(1))], 1), ["+pod-3"]);
    }
}
