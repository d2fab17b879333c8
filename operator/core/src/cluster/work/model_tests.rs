//! Every order in which planned work, crashes of the operator and one failure of a node can come, looked at one by one.
//!
//! The machine under test is the real one; nodes, Kubernetes and clients are a small model: three nodes, one queue with a member on each, a
//! change that restarts all, and a switchover that is asked for. The operator can die between any two of its steps: after it has
//! looked, after it has acted, before it has written its status. Assumed is that a node takes longer to start than an operator to do what it
//! has just decided.

use std::collections::{BTreeMap, HashSet};

use entente_crds::broker::{Switchover, SwitchoverOutcome, Work, WorkKind, WorkStep};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::members::{Member, Members, QueueMembers};
use super::{Action, Decision, MembersWord, Standing, View, Word, explorer, next};
use crate::cluster::observation::{Seen, SeenNode, SeenPod};

const NODES: usize = 3;
const ASKED: &str = "main-broker-1 please";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Ready,
    Terminating,
    Starting,
}

#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node {
    life: Life,
    by_our_hand: bool,
    behind: bool,
    outdated: bool,
    serving: bool,
    connected: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Status {
    work: Option<(WorkKind, Option<String>, WorkStep)>,
    balance_due: bool,
    answered: bool,
}

/// What the operator has decided and not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    evict: Option<usize>,
    lead: Option<usize>,
    close: Option<usize>,
    acted: bool,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    nodes: [Node; NODES],
    leader: Option<usize>,
    status: Status,
    /// Whether the operator has asked for members before; it does not know how they stand otherwise.
    has_asked: bool,
    pending: Option<Pending>,
    failures_left: u8,
}

type Machine = fn(&View<'_>, Timestamp) -> Decision;

fn begin(failures: u8) -> World {
    let node = Node { life: Life::Ready, by_our_hand: false, behind: false, outdated: true, serving: true, connected: true };
    World {
        nodes: [node; NODES],
        leader: Some(2),
        status: Status { work: None, balance_due: false, answered: false },
        has_asked: false,
        pending: None,
        failures_left: failures,
    }
}

fn name(node: usize) -> String {
    format!("main-broker-{node}")
}

fn number(pod: &str) -> usize {
    (0..NODES).find(|node| pod.starts_with(&name(*node)) || pod.starts_with(&format!("rabbit@{}", name(*node)))).unwrap()
}

impl World {
    fn up(&self) -> impl Iterator<Item = usize> + '_ {
        (0..NODES).filter(|node| self.nodes[*node].life == Life::Ready)
    }

    fn elect(&mut self) {
        if self.leader.is_none_or(|leader| self.nodes[leader].life != Life::Ready) {
            let majority = self.up().count() > NODES / 2;
            let next = self.up().find(|node| majority && !self.nodes[*node].behind);
            self.leader = next;
        }
    }

    fn stop(&mut self, node: usize, by_our_hand: bool) {
        let life = if by_our_hand { Life::Terminating } else { Life::Starting };
        self.nodes[node] = Node { life, by_our_hand, behind: true, connected: false, ..self.nodes[node] };
        self.elect();
    }

    /// The operator looks. `late`: what it waited for takes longer than it is ready to wait.
    fn look(&self, machine: Machine, late: bool) -> World {
        let since = Timestamp::from_second(1_000).unwrap();
        let now = Timestamp::from_second(if late { 1_500 } else { 1_000 }).unwrap();
        let pods: Vec<SeenPod> = self.nodes.iter().enumerate().map(|(number, node)| Self::pod(number, *node, now)).collect();
        let running = |number: usize| self.nodes[number].life == Life::Ready;
        let seen = Seen {
            nodes: (0..NODES)
                .map(|number| SeenNode { name: format!("rabbit@{}", name(number)), running: running(number), alarms: vec![] })
                .collect(),
            version: "4.3.6".into(),
        };
        let members = self.members();
        let standing = Standing::new(&members, &members);
        let work = self.status.work.clone().map(|(kind, node, step)| Work { kind, node, step, since: Time(since) });
        let answered = self.status.answered.then(|| Switchover {
            asked: ASKED.into(),
            outcome: SwitchoverOutcome::Done,
            message: String::new(),
            at: Time(since),
        });
        let told = if self.has_asked { MembersWord::Known(&standing) } else { MembersWord::Unknown };
        let view = View {
            declared: 3,
            size: 3,
            pods: &pods,
            word: if self.up().next().is_some() { Word::Told { seen: &seen, members: told } } else { Word::Missed },
            work: work.as_ref(),
            asked: Some(ASKED),
            answered: answered.as_ref(),
            balance_due: self.status.balance_due,
            may_restart: true,
        };
        let decision = machine(&view, now);
        let mut pending = Pending {
            evict: None,
            lead: None,
            close: None,
            acted: false,
            status: Status {
                work: decision.work.map(|work| (work.kind, work.node, work.step)),
                balance_due: decision.balanced.map_or(self.status.balance_due, |balanced| !balanced),
                answered: decision.switchover.is_some(),
            },
        };
        match decision.action {
            Some(Action::Evict(pod)) => pending.evict = Some(number(&pod)),
            Some(Action::Move(moves)) => pending.lead = moves.first().map(|step| number(&step.to)),
            Some(Action::Close { pod, .. }) => pending.close = Some(number(&pod)),
            Some(other @ (Action::Change(_) | Action::Remove(_) | Action::Resize(_))) => panic!("{other:?} of {self:?}"),
            None => {}
        }
        World { pending: Some(pending), has_asked: true, ..self.clone() }
    }

    fn pod(number: usize, node: Node, now: Timestamp) -> SeenPod {
        SeenPod {
            name: name(number),
            ready: node.life == Life::Ready,
            since: Some(now),
            terminating: node.life == Life::Terminating,
            outdated: node.outdated,
            serving: node.serving,
            trouble: None,
        }
    }

    fn members(&self) -> Members {
        let member = |number: usize| Member {
            node: format!("rabbit@{}", name(number)),
            runs: self.nodes[number].life == Life::Ready,
            votes: self.nodes[number].life == Life::Ready,
            written: u64::from(!self.nodes[number].behind),
            committed: u64::from(self.leader == Some(number)),
        };
        let queue = QueueMembers {
            virtual_host: "shop".into(),
            name: "q".into(),
            leader: self.leader.map(|leader| format!("rabbit@{}", name(leader))),
            members: (0..NODES).map(member).collect(),
        };
        let connected = |number: usize| (format!("rabbit@{}", name(number)), u32::from(self.nodes[number].connected));
        Members { queues: vec![queue], connections: (0..NODES).map(connected).collect::<BTreeMap<_, _>>(), bound: None }
    }

    /// The operator does what it decided. An eviction that must not be is told.
    fn act(&self, pending: &Pending) -> Result<World, String> {
        let mut after = World { pending: Some(Pending { acted: true, ..pending.clone() }), ..self.clone() };
        if let Some(victim) = pending.evict {
            let others = || (0..NODES).filter(|node| *node != victim);
            // The disruption budget.
            if self.nodes[victim].life != Life::Ready || others().all(|node| self.nodes[node].life == Life::Ready) {
                if others().any(|node| self.nodes[node].behind || self.nodes[node].life != Life::Ready) {
                    return Err(format!("{victim} is evicted while another is down or behind: {self:?}"));
                }
                if !self.nodes[victim].outdated {
                    return Err(format!("{victim} is evicted without need: {self:?}"));
                }
                after.stop(victim, true);
            }
        }
        if let Some(to) = pending.lead.filter(|to| self.nodes[*to].life == Life::Ready && !self.nodes[*to].behind) {
            after.leader = Some(to);
        }
        if let Some(node) = pending.close {
            after.nodes[node].connected = false;
        }
        Ok(after)
    }

    /// What nodes, Kubernetes, the guard of the client Service and clients may do next, without any fault.
    fn goes_on(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        let evicting = self.pending.as_ref().is_some_and(|pending| pending.evict.is_some() && !pending.acted);
        for number in 0..NODES {
            let node = self.nodes[number];
            let mut change = |node: Node| {
                let mut world = self.clone();
                world.nodes[number] = node;
                world.elect();
                worlds.push(world);
            };
            match node.life {
                Life::Terminating => change(Node { life: Life::Starting, outdated: false, serving: true, ..node }),
                Life::Starting if !evicting => change(Node { life: Life::Ready, by_our_hand: false, ..node }),
                Life::Ready if node.behind && self.leader.is_some() => change(Node { behind: false, ..node }),
                _ => {}
            }
            let leaving = self.status.work.as_ref().is_some_and(|(kind, pod, step)| {
                *kind == WorkKind::Restart && pod.as_deref() == Some(&name(number)) && *step <= WorkStep::ClosingConnections
            });
            if node.serving == leaving {
                change(Node { serving: !leaving, ..node });
            }
            if node.life == Life::Ready && node.serving && !node.connected {
                change(Node { connected: true, ..node });
            }
        }
        worlds
    }

    /// Everything that may come next, faults too.
    fn successors(&self, machine: Machine) -> Result<Vec<World>, String> {
        let mut worlds = self.goes_on();
        match &self.pending {
            None => {
                worlds.push(self.look(machine, false));
                worlds.push(self.look(machine, true));
            }
            Some(pending) if !pending.acted => worlds.push(self.act(pending)?),
            Some(pending) => worlds.push(World { status: pending.status.clone(), pending: None, ..self.clone() }),
        }
        // The operator dies: what it had not done is forgotten.
        worlds.push(World { pending: None, has_asked: false, ..self.clone() });
        if self.failures_left > 0 {
            for node in self.up() {
                let mut world = World { failures_left: self.failures_left - 1, ..self.clone() };
                world.stop(node, false);
                worlds.push(world);
            }
        }
        Ok(worlds)
    }

    fn check(&self, failures: u8) -> Result<(), String> {
        if self.nodes.iter().filter(|node| node.by_our_hand).count() > 1 {
            return Err(format!("two nodes are down by our hand: {self:?}"));
        }
        let whole = self.up().filter(|node| !self.nodes[*node].behind).count();
        if self.failures_left == failures && whole <= NODES / 2 {
            return Err(format!("no majority, and nothing has failed: {self:?}"));
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.status == Status { work: None, balance_due: false, answered: true }
            && self.nodes.iter().all(|node| node.life == Life::Ready && !node.behind && !node.outdated && node.serving)
    }

    /// What comes of it when nothing fails any more.
    fn finishes(&self, machine: Machine) -> bool {
        let mut world = self.clone();
        for round in 0..400 {
            if world.is_finished() {
                return true;
            }
            if let Some(after) = world.goes_on().into_iter().next() {
                world = after;
                // The operator goes on too, whatever else does.
                if round % 4 != 0 {
                    continue;
                }
            }
            world = match world.pending.clone() {
                None => world.look(machine, false),
                Some(pending) if !pending.acted => world.act(&pending).unwrap(),
                Some(pending) => World { status: pending.status, pending: None, ..world },
            };
        }
        false
    }
}

/// Every world that can be reached. Fails with the first in which a rule is broken.
fn explore(machine: Machine, failures: u8) -> Result<HashSet<World>, String> {
    explorer::explore(begin(failures), |world| {
        world.check(failures)?;
        world.successors(machine)
    })
}

#[test]
fn i1_never_two_nodes_down_by_our_hand_and_never_below_quorum_whatever_fails_when() {
    let worlds = explore(next, 1).unwrap();
    println!("{} worlds", worlds.len());
    assert!(worlds.len() > 1_000, "only {} worlds: the model does not move", worlds.len());
    assert!(worlds.iter().any(World::is_finished));
    assert!(worlds.iter().any(|world| world.failures_left == 0 && world.nodes.iter().any(|node| node.by_our_hand)));
}

#[test]
fn i1_planned_work_always_finishes_once_nothing_fails() {
    let worlds = explore(next, 1).unwrap();
    let stuck: Vec<&World> = worlds.iter().filter(|world| !world.finishes(next)).take(3).collect();
    assert!(stuck.is_empty(), "{stuck:#?}");
}

/// What proves nothing by itself: that the model finds no fault. Of machines that are wrong it must find some.
#[test]
fn i1_the_model_sees_machines_that_are_wrong() {
    fn hasty(view: &View<'_>, now: Timestamp) -> Decision {
        let mut decision = next(view, now);
        if let Some(pod) = view.pods.iter().find(|pod| pod.outdated && pod.ready) {
            decision.action = Some(Action::Evict(pod.name.clone()));
        }
        decision
    }
    fn idle(_: &View<'_>, _: Timestamp) -> Decision {
        Decision::default()
    }
    let fault = explore(hasty, 0).unwrap_err();
    assert!(fault.contains("down or behind"), "{fault}");
    assert!(!begin(0).finishes(idle));
}
