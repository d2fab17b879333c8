//! A node that is to be removed, since the Broker is to have fewer.
//!
//! The last one goes first, and the next only when it is gone. It leaves the client Service, hands over leaders, then members (`placement`);
//! its connections are closed; RabbitMQ stops on it, the cluster forgets it, and the `StatefulSet` gets one node fewer. Forgotten before its pod
//! goes: the metadata of two nodes has no majority when one of them is away. Until then the declared number can be set back at any moment, and
//! afterwards too: the node then comes back as a new one. Its volume stays.
//!
//! Never removed is a node that has what cannot move, and none while another is absent or behind.

use entente_crds::broker::{Work, WorkKind, WorkStep};

use super::machine::{
    ASKING, Action, CLOSING_LIMIT, Decision, LEAVING_LIMIT, Look, MOVES, MOVING_LIMIT, MembersWord, Word, wave,
};
use super::members::Standing;
use crate::cluster::names;
use crate::cluster::observation::SeenNode;

/// Members that come or go at a time: what they hold is copied meanwhile, beside what clients send.
pub(super) const CHANGES: usize = 10;

impl Look<'_> {
    pub(super) fn removal(&self) -> Option<Decision> {
        let current = self.view.work.filter(|work| work.kind == WorkKind::Removal);
        let Some(leaving) = self.leaving() else {
            // Whether the last one is forgotten, only the broker can tell.
            let untold = current.filter(|_| !matches!(self.view.word, Word::Told { .. }))?;
            return Some(waiting(Some(untold), untold.node.as_deref().unwrap_or_default(), ASKING));
        };
        let name = leaving.pod.as_str();
        if self.why_held(&leaving).is_some() {
            return None;
        }
        let own = current.filter(|work| work.node.as_deref() == Some(name));
        let stopped = own.filter(|work| work.step == WorkStep::Removing);
        let absent = self.absent(Some(name));
        if !absent.is_empty() {
            // It serves again while something else is wrong.
            return Some(waiting(stopped, name, &format!("waiting for {}", absent.join(", "))));
        }
        let Some(standing) = self.standing() else { return Some(waiting(own, name, ASKING)) };
        if let Some(why) = standing.hindrance_of_leaving(name) {
            return Some(waiting(own, name, &why));
        }
        if let Some(node) = leaving.node {
            return Some(self.empty(node, standing, own));
        }
        let work = self.step(own, WorkKind::Removal, Some(name), WorkStep::Removing);
        Some(doing(name, work, Some(Action::Resize(self.view.size - 1)), "its pod goes"))
    }

    /// Why a node that is too many stays, for people, where only they can change that.
    pub(super) fn held(&self) -> Option<String> {
        let leaving = self.leaving()?;
        Some(format!("{} is to be removed, and stays: {}", leaving.pod, self.why_held(&leaving)?))
    }

    fn why_held(&self, leaving: &Leaving<'_>) -> Option<String> {
        const OLD: &str = "the broker's image is too old to remove nodes; update it first";
        if !self.view.may_restart && !leaving.is_left {
            return Some("spec.disruption.maxUnavailable is 0".to_owned());
        }
        let standing = match self.view.word {
            Word::Told { members: MembersWord::Known(standing), .. } => standing,
            Word::Told { members: MembersWord::NotServed, .. } => return Some(OLD.to_owned()),
            Word::Told { .. } | Word::Missed | Word::Silent => return None,
        };
        match standing.remains(&leaving.pod).bound {
            None => Some(OLD.to_owned()),
            Some(Some((count, example))) => Some(format!(
                "{count} queues of type Classic or Stream are on it and cannot move, such as {example}; delete them when they are empty, or set replicas back"
            )),
            Some(None) => None,
        }
    }

    /// The node that is too many: one that the `StatefulSet` has no more and the cluster still knows, else the last one.
    fn leaving(&self) -> Option<Leaving<'_>> {
        let (prefix, _) = self.view.pods.first()?.name.rsplit_once('-')?;
        let nodes = match self.view.word {
            Word::Told { seen, .. } => seen.nodes.as_slice(),
            Word::Missed | Word::Silent => &[],
        };
        let is_left = |node: &&SeenNode| {
            let pod = names::pod_of_node(&node.name);
            pod.rsplit_once('-').is_some_and(|(name, _)| name == prefix)
                && names::ordinal(pod).is_some_and(|ordinal| ordinal >= self.view.size)
        };
        if let Some(left) = nodes.iter().find(is_left) {
            return Some(Leaving { pod: names::pod_of_node(&left.name).to_owned(), node: Some(left), is_left: true });
        }
        let pod = format!("{prefix}-{}", self.view.size - 1);
        let node = nodes.iter().find(|node| names::pod_of_node(&node.name) == pod);
        (self.view.declared < self.view.size).then_some(Leaving { pod, node, is_left: false })
    }

    /// Takes everything off a node, stops it and has the cluster forget it.
    fn empty(&self, node: &SeenNode, standing: &Standing, own: Option<&Work>) -> Decision {
        let name = names::pod_of_node(&node.name);
        let begin = |step, current: Option<&Work>| self.step(current, WorkKind::Removal, Some(name), step);
        let mut work = own.cloned().unwrap_or_else(|| begin(WorkStep::LeavingService, None));
        if work.step == WorkStep::LeavingService {
            let serves = self.view.pods.iter().any(|pod| pod.name == name && pod.serving && pod.ready);
            if serves && self.elapsed(&work) < LEAVING_LIMIT {
                return doing(name, work, None, "the client Service leaves it out");
            }
            work = begin(WorkStep::MovingLeaders, Some(&work));
        }
        if work.step == WorkStep::MovingLeaders {
            if standing.leads(name) > 0 && self.elapsed(&work) < MOVING_LIMIT {
                return doing(name, work, Some(Action::Move(standing.away(name, MOVES))), "leaders are moved");
            }
            work = begin(WorkStep::MovingMembers, Some(&work));
        }
        let remains = standing.remains(name);
        if remains.members > 0 {
            // Also those of queues that were made since it was empty.
            let changes = standing.leave(name, &self.running(self.view.declared), CHANGES);
            let what =
                format!("members of {} queues are moved, such as {}", remains.members, remains.example.unwrap_or_default());
            return doing(name, begin(WorkStep::MovingMembers, Some(&work)), Some(Action::Change(changes)), &what);
        }
        if work.step == WorkStep::MovingMembers {
            work = begin(WorkStep::ClosingConnections, Some(&work));
        }
        let left = standing.connections(name);
        if work.step == WorkStep::ClosingConnections && left > 0 && self.elapsed(&work) < CLOSING_LIMIT {
            return doing(name, work, Some(wave(name, left)), "its connections are closed");
        }
        let what = if node.running { "it stops" } else { "the cluster forgets it" };
        doing(name, begin(WorkStep::Removing, Some(&work)), Some(Action::Remove(node.name.clone())), what)
    }
}

struct Leaving<'a> {
    pod: String,
    /// As the cluster knows it, if it does.
    node: Option<&'a SeenNode>,
    /// The `StatefulSet` has it no more.
    is_left: bool,
}

fn doing(name: &str, work: Work, action: Option<Action>, what: &str) -> Decision {
    Decision { work: Some(work), action, message: Some(format!("{name} is removed; {what}")), ..Decision::default() }
}

fn waiting(work: Option<&Work>, name: &str, why: &str) -> Decision {
    Decision { work: work.cloned(), message: Some(format!("{name} is to be removed; {why}")), ..Decision::default() }
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
