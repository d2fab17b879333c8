//! Every order in which the removal of nodes, crashes of the operator, one failure of a node and a change of mind can come.
//!
//! As in `model_tests`, the machine is the real one. The model: some nodes, one queue with members on three of them, a smaller number of nodes
//! that is declared, and perhaps set back at any moment.

use std::collections::{BTreeMap, HashSet};

use entente_crds::broker::{Work, WorkKind, WorkStep};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::members::{Change, Member, Members, QueueMembers};
use super::{Action, Decision, MembersWord, Standing, View, Word, explorer, next};
use crate::cluster::observation::{Seen, SeenNode, SeenPod};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Ready,
    /// RabbitMQ was stopped by our hand; the pod is there.
    Stopped,
    Starting,
    /// There is no pod.
    Gone,
}

/// A member of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// It has everything.
    Whole,
    /// It has a vote, and lacks something: its node was away.
    Behind,
    /// It has just come, and has no vote.
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node {
    life: Life,
    /// Whether the cluster knows it.
    known: bool,
    /// Its member of the queue, if it has one.
    member: Option<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Status {
    work: Option<(WorkKind, Option<String>, WorkStep)>,
    balance_due: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Act {
    Nothing,
    Lead(usize),
    Change(usize, bool),
    Remove(usize),
    Resize(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    nodes: Vec<Node>,
    leader: Option<usize>,
    size: usize,
    declared: usize,
    status: Status,
    has_asked: bool,
    pending: Option<(Act, bool, Status)>,
    failures_left: u8,
    changes_of_mind_left: u8,
}

type Machine = fn(&View<'_>, Timestamp) -> Decision;

fn begin(size: usize, declared: usize, members: &[usize]) -> World {
    let node = |number: usize| Node { life: Life::Ready, known: true, member: members.contains(&number).then_some(Part::Whole) };
    World {
        nodes: (0..size).map(node).collect(),
        leader: members.last().copied(),
        size,
        declared,
        status: Status { work: None, balance_due: false },
        has_asked: false,
        pending: None,
        failures_left: 1,
        changes_of_mind_left: 1,
    }
}

/// What becomes of a member whose node goes away.
fn lags(part: Part) -> Part {
    if part == Part::New { Part::New } else { Part::Behind }
}

fn pod(node: usize) -> String {
    format!("main-broker-{node}")
}

fn name(node: usize) -> String {
    format!("rabbit@{}", pod(node))
}

fn number(name: &str) -> usize {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

impl World {
    fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].member.is_some())
    }

    /// Members that run and have everything.
    fn whole(&self) -> usize {
        self.members().filter(|node| self.is_whole(*node)).count()
    }

    fn is_whole(&self, node: usize) -> bool {
        self.nodes[node].life == Life::Ready && self.nodes[node].member == Some(Part::Whole)
    }

    fn elect(&mut self) {
        if self.leader.is_none_or(|leader| self.nodes[leader].life != Life::Ready || self.nodes[leader].member.is_none()) {
            let voters = || self.members().filter(|node| self.nodes[*node].member != Some(Part::New));
            let up = || voters().filter(|node| self.nodes[*node].life == Life::Ready);
            let majority = up().count() > voters().count() / 2;
            // Of all voters together, one has everything.
            let any = up().next().filter(|_| up().count() == voters().count());
            let next = up().find(|node| majority && self.is_whole(*node)).or(any);
            self.leader = next;
            if let Some(leader) = next {
                self.nodes[leader].member = Some(Part::Whole);
            }
        }
    }

    fn look(&self, machine: Machine, late: bool) -> World {
        let since = Timestamp::from_second(1_000).unwrap();
        let now = Timestamp::from_second(if late { 5_000 } else { 1_000 }).unwrap();
        let seen_pod = |number: usize| SeenPod {
            name: pod(number),
            ready: self.nodes[number].life == Life::Ready,
            since: Some(now),
            terminating: false,
            outdated: false,
            serving: false,
            trouble: None,
        };
        let pods: Vec<SeenPod> = (0..self.size).filter(|node| self.nodes[*node].life != Life::Gone).map(seen_pod).collect();
        let runs = |number: usize| self.nodes[number].life == Life::Ready;
        let seen_node = |number: usize| SeenNode { name: name(number), running: runs(number), alarms: vec![] };
        let known = (0..self.nodes.len()).filter(|node| self.nodes[*node].known);
        let seen = Seen { nodes: known.map(seen_node).collect(), version: "4.3.6".into() };
        let member = |number: usize| Member {
            node: name(number),
            runs: runs(number),
            votes: self.is_whole(number),
            written: u64::from(self.nodes[number].member == Some(Part::Whole)),
            committed: u64::from(self.leader == Some(number)),
        };
        let queue = QueueMembers {
            virtual_host: "shop".into(),
            name: "q".into(),
            leader: self.leader.map(name),
            members: self.members().map(member).collect(),
        };
        let members = Members { queues: vec![queue], bound: Some(BTreeMap::new()), ..Members::default() };
        let standing = Standing::new(&members, &members);
        let told = if self.has_asked { MembersWord::Known(&standing) } else { MembersWord::Unknown };
        let work = self.status.work.clone().map(|(kind, node, step)| Work { kind, node, step, since: Time(since) });
        let view = View {
            declared: i32::try_from(self.declared).unwrap(),
            size: i32::try_from(self.size).unwrap(),
            pods: &pods,
            word: if seen.nodes.iter().any(|node| node.running) {
                Word::Told { seen: &seen, members: told }
            } else {
                Word::Missed
            },
            work: work.as_ref(),
            asked: None,
            answered: None,
            balance_due: self.status.balance_due,
            may_restart: true,
        };
        let decision = machine(&view, now);
        let act = match decision.action {
            None => Act::Nothing,
            Some(Action::Move(moves)) => moves.first().map_or(Act::Nothing, |step| Act::Lead(number(&step.to))),
            Some(Action::Change(changes)) => {
                changes.first().map_or(Act::Nothing, |change| Act::Change(number(&change.node), change.change == Change::Add))
            }
            Some(Action::Remove(node)) => Act::Remove(number(&node)),
            Some(Action::Resize(size)) => Act::Resize(usize::try_from(size).unwrap()),
            Some(other @ (Action::Evict(_) | Action::Close { .. })) => panic!("{other:?} of {self:?}"),
        };
        let status = Status {
            work: decision.work.map(|work| (work.kind, work.node, work.step)),
            balance_due: decision.balanced.map_or(self.status.balance_due, |balanced| !balanced),
        };
        World { pending: Some((act, false, status)), has_asked: true, ..self.clone() }
    }

    /// The operator does what it decided. What must not be is told.
    fn act(&self, act: &Act, status: &Status) -> Result<World, String> {
        let mut after = World { pending: Some((Act::Nothing, true, status.clone())), ..self.clone() };
        match *act {
            Act::Lead(to) if self.is_whole(to) => after.leader = Some(to),
            Act::Change(node, true) => {
                // RabbitMQ needs a majority for it, and the node.
                if self.leader.is_some() && self.nodes[node].life == Life::Ready && self.nodes[node].member.is_none() {
                    after.nodes[node].member = Some(Part::New);
                }
            }
            Act::Change(node, false) => {
                if self.leader.is_some() && self.nodes[node].member.is_some() {
                    after.nodes[node].member = None;
                    if self.leader == Some(node) {
                        after.leader = None;
                    }
                    after.elect();
                }
            }
            Act::Remove(node) => {
                // The broker has the last word: never one with a member.
                if self.nodes[node].member.is_some() {
                    return Err(format!("{node} is removed with its member: {self:?}"));
                }
                if self.nodes[node].life == Life::Ready {
                    after.nodes[node].life = Life::Stopped;
                } else {
                    after.nodes[node].known = false;
                }
            }
            // With the version that was looked at.
            Act::Resize(size) if size + 1 == self.size && self.declared < self.size => {
                if self.nodes[size].known && self.failures_left == 1 {
                    return Err(format!("{size} goes, and the cluster knows it: {self:?}"));
                }
                after.size = size;
            }
            Act::Nothing | Act::Lead(_) | Act::Resize(_) => {}
        }
        Ok(after)
    }

    /// A node takes longer to start than an operator to do what it has just decided.
    fn is_acting(&self) -> bool {
        self.pending.as_ref().is_some_and(|(act, acted, _)| *act != Act::Nothing && !acted)
    }

    /// What nodes and Kubernetes may do next, without any fault.
    fn goes_on(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        for number in 0..self.nodes.len() {
            let node = self.nodes[number];
            let mut change = |node: Node| {
                let mut world = self.clone();
                world.nodes[number] = node;
                world.elect();
                worlds.push(world);
            };
            match node.life {
                Life::Gone if number < self.size => change(Node { life: Life::Starting, ..node }),
                Life::Ready | Life::Stopped | Life::Starting if number >= self.size => {
                    change(Node { life: Life::Gone, member: node.member.map(lags), ..node });
                }
                Life::Starting if !self.is_acting() => change(Node { life: Life::Ready, known: true, ..node }),
                Life::Ready if node.member.is_some_and(|part| part != Part::Whole) && self.leader.is_some() => {
                    change(Node { member: Some(Part::Whole), ..node });
                }
                _ => {}
            }
        }
        if self.size < self.declared {
            worlds.push(World { size: self.declared, ..self.clone() });
        }
        worlds
    }

    /// Nodes that were stopped come back by themselves after a while, as the members that they are or as new ones; not those whose pod is on
    /// its way out.
    fn comes_back(&self) -> Option<World> {
        let mut world = Some(self.clone()).filter(|world| !world.is_acting())?;
        let size = world.size;
        let node = world.nodes.iter_mut().take(size).find(|node| node.life == Life::Stopped)?;
        *node = Node { life: Life::Ready, known: true, ..*node };
        Some(world)
    }

    /// Now and then RabbitMQ gives a queue a member that has fewer than three, on any node; it knows nothing of what is declared.
    fn grows(&self) -> Option<World> {
        let mut world =
            Some(self.clone()).filter(|world| !world.is_acting() && world.leader.is_some() && world.members().count() < 3)?;
        let free = |node: &&mut Node| node.life == Life::Ready && node.known && node.member.is_none();
        world.nodes.iter_mut().find(free)?.member = Some(Part::New);
        Some(world)
    }

    fn successors(&self, machine: Machine) -> Result<Vec<World>, String> {
        let mut worlds = self.goes_on();
        worlds.extend(self.comes_back());
        worlds.extend(self.grows());
        match &self.pending {
            None => {
                worlds.push(self.look(machine, false));
                worlds.push(self.look(machine, true));
            }
            Some((act, false, status)) => worlds.push(self.act(act, status)?),
            Some((_, true, status)) => worlds.push(World { status: status.clone(), pending: None, ..self.clone() }),
        }
        worlds.push(World { pending: None, has_asked: false, ..self.clone() });
        for number in (0..self.nodes.len()).filter(|_| self.failures_left > 0) {
            if matches!(self.nodes[number].life, Life::Ready | Life::Stopped) {
                let mut world = World { failures_left: 0, ..self.clone() };
                let node = self.nodes[number];
                world.nodes[number] = Node { life: Life::Starting, member: node.member.map(lags), ..node };
                world.elect();
                worlds.push(world);
            }
        }
        if self.changes_of_mind_left > 0 {
            worlds.push(World { declared: self.nodes.len(), changes_of_mind_left: 0, ..self.clone() });
        }
        Ok(worlds)
    }

    fn check(&self, wanted: usize) -> Result<(), String> {
        if self.nodes.iter().filter(|node| node.life == Life::Stopped && node.known).count() > 1 {
            return Err(format!("two nodes are stopped by our hand: {self:?}"));
        }
        if self.failures_left == 0 {
            return Ok(());
        }
        if self.whole() < wanted {
            return Err(format!("only {} members are in sync, and nothing has failed: {self:?}", self.whole()));
        }
        if self.leader.is_none() {
            return Err(format!("nobody leads, and nothing has failed: {self:?}"));
        }
        let known = || self.nodes.iter().filter(|node| node.known);
        // The cluster's own data: one that is stopped for good is forgotten while it can still be asked.
        if known().filter(|node| node.life != Life::Gone && node.life != Life::Starting).count() <= known().count() / 2 {
            return Err(format!("no majority of nodes, and nothing has failed: {self:?}"));
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        let (stay, go) = self.nodes.split_at(self.declared);
        self.size == self.declared
            && self.status == Status { work: None, balance_due: false }
            && stay
                .iter()
                .all(|node| node.life == Life::Ready && node.known && node.member.is_none_or(|part| part == Part::Whole))
            && go.iter().all(|node| node.life == Life::Gone && !node.known && node.member.is_none())
            && self.members().count() >= self.declared.min(3)
    }

    fn finishes(&self, machine: Machine) -> bool {
        let mut world = self.clone();
        for round in 0..600 {
            if world.is_finished() {
                return true;
            }
            // Both take longer than all that is waited for here.
            match round % 120 {
                59 => world = world.comes_back().unwrap_or(world),
                119 => world = world.grows().unwrap_or(world),
                _ => {}
            }
            if let Some(after) = world.goes_on().into_iter().next() {
                world = after;
                if round % 4 != 0 {
                    continue;
                }
            }
            world = match world.pending.clone() {
                None => world.look(machine, false),
                Some((act, false, status)) => world.act(&act, &status).unwrap(),
                Some((_, true, status)) => World { status, pending: None, ..world },
            };
        }
        false
    }
}

fn explore(machine: Machine, from: World) -> Result<HashSet<World>, String> {
    let wanted = from.declared.min(3);
    explorer::explore(from, |world| {
        world.check(wanted)?;
        world.successors(machine)
    })
}

fn every_order(from: World) {
    let declared = from.declared;
    let worlds = explore(next, from).unwrap();
    println!("{} worlds", worlds.len());
    assert!(
        worlds.iter().any(|world| world.is_finished() && world.declared == declared),
        "of {} worlds none is finished",
        worlds.len()
    );
    assert!(worlds.iter().any(|world| world.is_finished() && world.failures_left == 0));
    let stuck: Vec<&World> = worlds.iter().filter(|world| !world.finishes(next)).take(2).collect();
    assert!(stuck.is_empty(), "{stuck:#?}");
}

#[test]
fn i1_from_five_nodes_to_three_no_queue_has_fewer_members_in_sync_whatever_fails_when() {
    every_order(begin(5, 3, &[0, 3, 4]));
}

#[test]
fn i1_from_three_nodes_to_one_neither_queue_nor_metadata_lose_their_majority() {
    every_order(begin(3, 1, &[0, 1, 2]));
}

#[test]
fn i1_the_model_sees_removals_that_are_wrong() {
    /// Stops the last node before its member has moved.
    fn hasty(view: &View<'_>, now: Timestamp) -> Decision {
        let mut decision = next(view, now);
        if let Some(Action::Change(changes)) = &decision.action {
            decision.action = changes.first().map(|_| Action::Remove(name(4)));
        }
        decision
    }
    /// Lets the pod go before the cluster has forgotten the node.
    fn early(view: &View<'_>, now: Timestamp) -> Decision {
        let mut decision = next(view, now);
        if let Some(Action::Remove(_)) = &decision.action {
            decision.action = Some(Action::Resize(view.size - 1));
        }
        decision
    }
    let fault = explore(hasty, begin(5, 3, &[0, 3, 4])).unwrap_err();
    assert!(fault.contains("removed with its member"), "{fault}");
    let fault = explore(early, begin(3, 1, &[0, 1, 2])).unwrap_err();
    assert!(fault.contains("the cluster knows it"), "{fault}");
}
