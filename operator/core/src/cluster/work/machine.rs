//! The next step.

use entente_crds::broker::{Switchover, SwitchoverOutcome, Work, WorkKind, WorkStep};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::members::{MemberChange, Move, Standing, Weakest};
use super::placement::MEMBERS;
use super::removal::CHANGES;
use crate::cluster::names;
use crate::cluster::observation::{Seen, SeenPod};
use crate::conditions::whole_second;

/// Seconds for the client Service to leave a node out. Its guard needs a fraction of one; it may be the guard that is down.
pub(super) const LEAVING_LIMIT: i64 = 3;
/// Seconds for leaders to be moved; what is left is handed over when the node stops.
pub(super) const MOVING_LIMIT: i64 = 30;
/// Seconds for connections to be closed.
pub(super) const CLOSING_LIMIT: i64 = 10;
/// Seconds for leaders to be spread evenly. It is a matter of speed, not of safety.
const BALANCING_LIMIT: i64 = 120;
/// Seconds after which a pod that is not ready counts as one that never will be. A node needs 5 to 20 to start.
const STUCK: i64 = 120;
/// Seconds for which every pod must have been ready where only Kubernetes can be asked: so long a member may need to catch up.
const SETTLED: i64 = 60;
/// Seconds for members to be spread evenly. Each move copies what a queue holds, with no hurry.
const SPREADING_LIMIT: i64 = 1_800;
/// Leaders moved at a time.
pub(super) const MOVES: usize = 100;
/// Leaders moved at a time where there is no hurry.
const BALANCING_MOVES: usize = 10;

/// The broker's own word.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// It answered.
    Told {
        /// Its nodes.
        seen: &'a Seen,
        /// Its queues' members.
        members: MembersWord<'a>,
    },
    /// It missed an answer, or cannot be asked yet.
    Missed,
    /// It has not answered several times in a row.
    Silent,
}

/// The broker's word about its queues' members.
#[derive(Clone, Copy, Debug)]
pub enum MembersWord<'a> {
    /// It told.
    Known(&'a Standing),
    /// It was asked once only, or failed to answer.
    Unknown,
    /// Its image cannot tell.
    NotServed,
}

/// What the decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// How many nodes there should be.
    pub declared: i32,
    /// How many nodes there are to be now: more than declared until those that are too many were removed.
    pub size: i32,
    /// The pods that are there, by name.
    pub pods: &'a [SeenPod],
    /// The broker's own word.
    pub word: Word<'a>,
    /// `status.work`.
    pub work: Option<&'a Work>,
    /// Value of the annotation that asks for a switchover.
    pub asked: Option<&'a str>,
    /// `status.switchover`.
    pub answered: Option<&'a Switchover>,
    /// Whether leaders are to be spread evenly.
    pub balance_due: bool,
    /// Whether a node that is well may be restarted at all.
    pub may_restart: bool,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Evict a pod. The disruption budget is asked.
    Evict(String),
    /// Move leaders.
    Move(Vec<Move>),
    /// Close at most so many connections of clients of a pod's node.
    Close {
        /// The pod.
        pod: String,
        /// How many.
        most: u32,
    },
    /// Add and remove members of queues.
    Change(Vec<MemberChange>),
    /// Let the `StatefulSet` have so many nodes, one fewer than it has.
    Resize(i32),
    /// Stop RabbitMQ on a node, by its name there, and have the cluster forget it. To be repeated until it is gone.
    Remove(String),
}

/// The next step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// `status.work`.
    pub work: Option<Work>,
    /// What is to be done now.
    pub action: Option<Action>,
    /// What is done or waited for, for people; `None` where there is no work.
    pub message: Option<String>,
    /// Whether leaders are spread evenly, where that changed.
    pub balanced: Option<bool>,
    /// `status.switchover`.
    pub switchover: Option<Switchover>,
    /// The queue that survives the fewest failures, where the broker told. Nothing is decided by it.
    pub weakest: Option<Weakest>,
}

pub(super) const ASKING: &str = "the broker is asked for its queues' members";
const SPREADING: &str = "members of queues are spread over all nodes";

/// Decides.
pub fn next(view: &View<'_>, now: Timestamp) -> Decision {
    let look = Look { view, now };
    let answered = view.answered.filter(|answered| Some(answered.asked.as_str()) == view.asked);
    let unanswered = view.asked.filter(|_| answered.is_none());
    let mut decision =
        look.maintain().or_else(|| unanswered.map(|asked| look.switchover(asked))).or_else(|| look.balance()).unwrap_or_default();
    decision.switchover = decision.switchover.or_else(|| answered.cloned());
    decision.message = decision.message.or_else(|| look.held());
    let told = |members| matches!(members, MembersWord::Known(_) | MembersWord::Unknown);
    let can_balance = view.size > 1 && matches!(view.word, Word::Told { members, .. } if told(members));
    let unsettles = decision.work.as_ref().is_some_and(|work| matches!(work.kind, WorkKind::Restart | WorkKind::Removal));
    if can_balance && (unsettles || view.pods.iter().any(|pod| !pod.ready)) {
        decision.balanced = Some(false);
    }
    decision
}

pub(super) struct Look<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// Work that takes nodes down. A restart that is under way is finished first; a node that is to be removed needs none.
    fn maintain(&self) -> Option<Decision> {
        let restarts = self.view.work.is_some_and(|work| work.kind == WorkKind::Restart);
        if restarts || self.view.pods.iter().any(|pod| pod.outdated && self.is_stuck_for_good(pod)) {
            return self.restart().or_else(|| self.removal());
        }
        self.removal().or_else(|| self.restart())
    }

    fn restart(&self) -> Option<Decision> {
        let current = self.view.work.filter(|work| work.kind == WorkKind::Restart);
        if !self.view.pods.iter().any(|pod| pod.outdated) {
            // The last one that was restarted may still be on its way, and then it is not over.
            let why = self.hindrance(None).filter(|_| current.is_some())?;
            return Some(self.rejoining(current, &why));
        }
        let waiting = || self.view.pods.iter().filter(|pod| pod.outdated && !pod.terminating);
        // One that will never run is replaced whatever the others do: it costs nothing, and may be what heals it.
        if let Some(stuck) = waiting().find(|pod| self.is_stuck_for_good(pod)) {
            return Some(self.evict(stuck, current));
        }
        let well = || waiting().filter(|pod| pod.ready);
        let begun = current.and_then(|work| well().find(|pod| work.node.as_ref() == Some(&pod.name)));
        // The highest first: the first node is the one that others look for when a cluster forms.
        let Some(candidate) = begun.or_else(|| well().max_by(|a, b| a.name.cmp(&b.name))) else {
            let why = self.hindrance(None).unwrap_or_else(|| "the pods are being replaced".to_owned());
            return Some(self.rejoining(current, &why));
        };
        if !self.view.may_restart {
            let message = "a change waits: spec.disruption.maxUnavailable is 0, so no node may be restarted";
            return Some(Decision { message: Some(message.to_owned()), ..Decision::default() });
        }
        let Some(why) = self.hindrance(Some(&candidate.name)) else { return Some(self.leave(candidate, current)) };
        let own = current.filter(|work| work.node.as_ref() == Some(&candidate.name));
        match own {
            // It serves again while something else is wrong, unless that is only that members are behind for a moment.
            Some(_) if !self.absent(None).is_empty() => {
                Some(Decision { message: Some(format!("{}; {why}", self.progress())), ..Decision::default() })
            }
            Some(work) => Some(Decision {
                work: Some(work.clone()),
                message: Some(format!("{}; {why}", self.progress())),
                ..Decision::default()
            }),
            None => Some(self.rejoining(current, &why)),
        }
    }

    /// Waits for the node that was restarted last, or for whatever is wrong before the first one.
    fn rejoining(&self, current: Option<&Work>, why: &str) -> Decision {
        let work = current.and_then(|work| {
            let node = work.node.as_deref()?;
            let pod = self.view.pods.iter().find(|pod| pod.name == node);
            let going = pod.is_none_or(|pod| pod.terminating || pod.outdated);
            Some(self.step(
                current,
                WorkKind::Restart,
                Some(node),
                if going { WorkStep::Restarting } else { WorkStep::Rejoining },
            ))
        });
        Decision { work, message: Some(format!("{}; {why}", self.progress())), ..Decision::default() }
    }

    /// Takes a node down: what is done before its pod is evicted.
    fn leave(&self, pod: &SeenPod, current: Option<&Work>) -> Decision {
        let name = &pod.name;
        let (Some(standing), true) = (self.standing(), self.view.size > 1) else { return self.evict(pod, current) };
        let own = current.filter(|work| work.node.as_ref() == Some(name) && work.step <= WorkStep::ClosingConnections);
        let mut work = own.cloned().unwrap_or_else(|| self.step(None, WorkKind::Restart, Some(name), WorkStep::LeavingService));
        let doing = |work: Work, action| Decision {
            work: Some(work),
            action,
            message: Some(format!("{}; {name} is taken out", self.progress())),
            ..Decision::default()
        };
        if work.step == WorkStep::LeavingService {
            if pod.serving && self.elapsed(&work) < LEAVING_LIMIT {
                return doing(work, None);
            }
            work = self.step(Some(&work), WorkKind::Restart, Some(name), WorkStep::MovingLeaders);
        }
        if work.step == WorkStep::MovingLeaders {
            if standing.leads(name) > 0 && self.elapsed(&work) < MOVING_LIMIT {
                return doing(work, Some(Action::Move(standing.away(name, MOVES))));
            }
            work = self.step(Some(&work), WorkKind::Restart, Some(name), WorkStep::ClosingConnections);
        }
        let left = standing.connections(name);
        if left > 0 && self.elapsed(&work) < CLOSING_LIMIT {
            return doing(work, Some(wave(name, left)));
        }
        self.evict(pod, Some(&work))
    }

    fn evict(&self, pod: &SeenPod, current: Option<&Work>) -> Decision {
        Decision {
            work: Some(self.step(current, WorkKind::Restart, Some(&pod.name), WorkStep::Restarting)),
            action: Some(Action::Evict(pod.name.clone())),
            message: Some(format!("{}; {} restarts", self.progress(), pod.name)),
            ..Decision::default()
        }
    }

    fn switchover(&self, asked: &str) -> Decision {
        let ended = |outcome, message: String| Decision {
            switchover: Some(Switchover { asked: asked.to_owned(), outcome, message, at: Time(whole_second(self.now)) }),
            ..Decision::default()
        };
        let node = asked.split_whitespace().next().unwrap_or_default();
        if self.view.size == 1 {
            return ended(SwitchoverOutcome::Refused, "a single node has no other that could lead".to_owned());
        }
        if !self.view.pods.iter().any(|pod| pod.name == node) {
            let there: Vec<&str> = self.view.pods.iter().map(|pod| pod.name.as_str()).collect();
            let message = format!("there is no node {node:?}; there are {}", there.join(", "));
            return ended(SwitchoverOutcome::Refused, message);
        }
        let work = self.step(self.view.work, WorkKind::Switchover, Some(node), WorkStep::MovingLeaders);
        let message = |text: String| Some(format!("switchover: {text}"));
        let Some(standing) = self.standing() else {
            if matches!(self.view.word, Word::Told { members: MembersWord::NotServed, .. }) {
                return ended(SwitchoverOutcome::Refused, "the broker's image is too old to move leaders".to_owned());
            }
            let message = message(ASKING.to_owned());
            return Decision { work: Some(work), message, ..Decision::default() };
        };
        let left = standing.leads(node);
        if left == 0 {
            return ended(SwitchoverOutcome::Done, format!("{node} leads no queue"));
        }
        if self.elapsed(&work) >= MOVING_LIMIT {
            let example = standing.led_by(node).unwrap_or_default();
            let message = format!("{node} still leads {left} queues, such as {example}: no other member is in sync");
            return ended(SwitchoverOutcome::Incomplete, message);
        }
        let action = Some(Action::Move(standing.away(node, MOVES)));
        Decision { work: Some(work), action, message: message(format!("leaders of {node} are moved")), ..Decision::default() }
    }

    fn balance(&self) -> Option<Decision> {
        if !self.view.balance_due {
            return None;
        }
        if self.view.size == 1 {
            return Some(Decision { balanced: Some(true), ..Decision::default() });
        }
        let current = self.view.work.filter(|work| work.kind == WorkKind::Balance && work.step == WorkStep::MovingMembers);
        if let Some(why) = self.hindrance(None) {
            // A member that has just come has to catch up; nothing else is waited for in the name of balance.
            let work = current.filter(|work| self.absent(None).is_empty() && self.elapsed(work) < SPREADING_LIMIT)?;
            return Some(Decision {
                work: Some(work.clone()),
                message: Some(format!("{SPREADING}; {why}")),
                ..Decision::default()
            });
        }
        // Before new nodes have members, there is nobody on them to lead.
        let wanted = usize::try_from(self.view.size).unwrap_or(0).min(MEMBERS);
        let standing = self.standing().filter(|standing| !standing.is_narrower_than(wanted))?;
        let work = self.step(current, WorkKind::Balance, None, WorkStep::MovingMembers);
        let changes = standing.spread(&self.running(self.view.declared), CHANGES);
        if !changes.is_empty() && self.elapsed(&work) < SPREADING_LIMIT {
            let message = Some(SPREADING.to_owned());
            return Some(Decision { work: Some(work), action: Some(Action::Change(changes)), message, ..Decision::default() });
        }
        let work = self.step(self.view.work, WorkKind::Balance, None, WorkStep::Balancing);
        let moves = standing.balance(BALANCING_MOVES);
        if moves.is_empty() || self.elapsed(&work) >= BALANCING_LIMIT {
            return Some(Decision { balanced: Some(true), ..Decision::default() });
        }
        let message = Some("leaders are spread over all nodes".to_owned());
        Some(Decision { work: Some(work), action: Some(Action::Move(moves)), message, ..Decision::default() })
    }

    /// Why no node may be taken down, or none but this one.
    fn hindrance(&self, pod: Option<&str>) -> Option<String> {
        let absent = self.absent(None);
        if !absent.is_empty() {
            return Some(format!("waiting for {}", absent.join(", ")));
        }
        let ask = || Some(ASKING.to_owned());
        match self.view.word {
            // Nothing to hand over to, and nothing to wait for.
            _ if self.view.size == 1 => None,
            Word::Told { members: MembersWord::Known(standing), .. } => standing.hindrance(pod),
            Word::Told { members: MembersWord::Unknown, .. } | Word::Missed => ask(),
            Word::Told { members: MembersWord::NotServed, .. } => None,
            // It may be silent since it has other credentials than we do, which only a restart can change.
            Word::Silent => {
                let settled = self.view.pods.iter().all(|pod| self.since(pod) >= SETTLED);
                (!settled).then(|| format!("the broker does not answer; waiting until all pods are ready for {SETTLED} s"))
            }
        }
    }

    /// Pods that are not there, not ready, or not running members by the broker's own word; one does not count.
    pub(super) fn absent(&self, except: Option<&str>) -> Vec<String> {
        let is_member = |pod: &SeenPod| match self.view.word {
            Word::Told { seen, .. } => seen.nodes.iter().any(|node| node.running && names::pod_of_node(&node.name) == pod.name),
            Word::Missed | Word::Silent => true,
        };
        let counted = || self.view.pods.iter().filter(|pod| Some(pod.name.as_str()) != except);
        let gone = counted().filter(|pod| pod.terminating || !pod.ready || !is_member(pod));
        let mut absent: Vec<String> = gone.map(|pod| pod.name.clone()).collect();
        let there = i32::try_from(counted().count()).unwrap_or(i32::MAX);
        // One that does not count may be of those that are to be, or one too many already.
        let is_of_these = except.is_some_and(|pod| names::ordinal(pod).is_some_and(|ordinal| ordinal < self.view.size));
        let expected = self.view.size - i32::from(is_of_these);
        if there < expected {
            absent.push(format!("{} pods that are not there yet", expected - there));
        }
        absent
    }

    /// RabbitMQ's names of members that run, of the first so many nodes.
    pub(super) fn running(&self, first: i32) -> Vec<&str> {
        let Word::Told { seen, .. } = self.view.word else { return Vec::new() };
        let is_first = |name: &str| names::ordinal(names::pod_of_node(name)).is_some_and(|ordinal| ordinal < first);
        seen.nodes.iter().filter(|node| node.running && is_first(&node.name)).map(|node| node.name.as_str()).collect()
    }

    pub(super) fn standing(&self) -> Option<&Standing> {
        match self.view.word {
            Word::Told { members: MembersWord::Known(standing), .. } => Some(standing),
            Word::Told { .. } | Word::Missed | Word::Silent => None,
        }
    }

    /// One that will never run as it is.
    fn is_stuck_for_good(&self, pod: &SeenPod) -> bool {
        !pod.ready && !pod.terminating && (pod.trouble.is_some() || self.since(pod) >= STUCK)
    }

    fn since(&self, pod: &SeenPod) -> i64 {
        pod.since.map_or(0, |since| self.now.as_second() - since.as_second())
    }

    pub(super) fn elapsed(&self, work: &Work) -> i64 {
        self.now.as_second() - work.since.0.as_second()
    }

    /// A step; that which is under way keeps its beginning.
    pub(super) fn step(&self, current: Option<&Work>, kind: WorkKind, node: Option<&str>, step: WorkStep) -> Work {
        let same = current.filter(|work| work.kind == kind && work.node.as_deref() == node && work.step == step);
        same.cloned().unwrap_or_else(|| Work {
            kind,
            node: node.map(ToOwned::to_owned),
            step,
            since: Time(whole_second(self.now)),
        })
    }

    fn progress(&self) -> String {
        let done = self.view.pods.iter().filter(|pod| !pod.outdated && pod.ready).count();
        format!("restarting nodes one by one to take up a change: {done} of {} done", self.view.size)
    }
}

/// Closes some of a node's connections. In waves, each smaller than the one before: all clients at once would overwhelm the others.
pub(super) fn wave(pod: &str, connections: u32) -> Action {
    Action::Close { pod: pod.to_owned(), most: (connections / 8).max(5) }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
