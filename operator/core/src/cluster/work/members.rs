//! What the broker tells of its quorum queues' members.
//!
//! A member is in sync if it has on its disk what was committed when the broker was asked the time before. Under load a
//! follower is always a few entries behind; one that keeps up is never a whole look behind.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::names;

/// The broker's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Every quorum queue of every virtual host.
    pub queues: Vec<QueueMembers>,
    /// Connections of clients, by RabbitMQ's node name.
    pub connections: BTreeMap<String, u32>,
    /// Queues that cannot leave their node, by RabbitMQ's node name: of type `Classic`, and streams. `None` where an older image does
    /// not tell.
    pub bound: Option<BTreeMap<String, Bound>>,
}

/// Queues that cannot leave their node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How many.
    pub count: u32,
    /// One of them, for people: virtual host and name.
    pub example: String,
}

/// The members of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMembers {
    /// Its virtual host.
    pub virtual_host: String,
    /// Its name.
    pub name: String,
    /// Node of the member that leads, if one does.
    pub leader: Option<String>,
    /// All of them, those that do not run too.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// RabbitMQ's node name.
    pub node: String,
    /// Whether there is a process of it.
    pub runs: bool,
    /// Whether it runs, leads or follows, and has a vote.
    pub votes: bool,
    /// Last entry that is on its disk.
    pub written: u64,
    /// Last entry that it knows to be on the disks of a majority.
    pub committed: u64,
}

/// The queue that survives the fewest failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakest {
    /// How many members it may lose and still have a majority.
    pub spare: i32,
    /// Virtual host and name, for people.
    pub queue: String,
}

impl Members {
    /// The queue that survives the fewest failures; `None` without queues. Members without a vote do not count, and one that lags
    /// behind for a moment does: it is told from one that keeps up only where planned work needs to know.
    pub fn weakest(&self) -> Option<Weakest> {
        let spare = |queue: &QueueMembers| {
            let voting = queue.members.iter().filter(|member| member.votes && queue.leader.is_some()).count();
            voting.saturating_sub(queue.members.len() / 2 + 1)
        };
        let weakest = self.queues.iter().min_by_key(|queue| spare(queue))?;
        let queue = format!("{}/{}", weakest.virtual_host, weakest.name);
        Some(Weakest { spare: i32::try_from(spare(weakest)).unwrap_or(i32::MAX), queue })
    }
}

/// A leader to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The queue's virtual host.
    pub virtual_host: String,
    /// The queue.
    pub queue: String,
    /// RabbitMQ's name of the node that is to lead.
    pub to: String,
}

/// Whether a queue gets a member or loses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It gets one, which has no vote until it has caught up.
    Add,
    /// It loses one, and what that has on its disk.
    Remove,
}

/// A change of one queue's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// The queue's virtual host.
    pub virtual_host: String,
    /// The queue.
    pub queue: String,
    /// RabbitMQ's name of the member's node.
    pub node: String,
    /// What happens to it.
    pub change: Change,
}

/// How every queue stands, told by two answers of the broker, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub(super) queues: Vec<Queue>,
    connections: BTreeMap<String, u32>,
    pub(super) bound: Option<BTreeMap<String, Bound>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    virtual_host: String,
    name: String,
    pub(super) leader: Option<String>,
    /// Node, and whether it is in sync.
    pub(super) members: Vec<(String, bool)>,
    /// No member runs anywhere: what a virtual host that was deleted halfway leaves behind.
    pub(super) is_dead: bool,
}

impl Queue {
    pub(super) fn has_member_on(&self, node: &str) -> bool {
        self.members.iter().any(|(member, _)| member == node)
    }

    pub(super) fn change(&self, change: Change, node: &str) -> MemberChange {
        MemberChange { virtual_host: self.virtual_host.clone(), queue: self.name.clone(), node: node.to_owned(), change }
    }

    fn in_sync(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|(_, in_sync)| *in_sync).map(|(node, _)| node.as_str())
    }

    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.virtual_host, self.name)
    }
}

impl Standing {
    /// From the newest answer and the one before.
    pub fn new(now: &Members, before: &Members) -> Self {
        let mut goals: HashMap<(&str, &str), u64> = HashMap::with_capacity(before.queues.len());
        for queue in &before.queues {
            let committed = queue.members.iter().map(|member| member.committed).max().unwrap_or(0);
            goals.insert((&queue.virtual_host, &queue.name), committed);
        }
        let queues = now.queues.iter().map(|queue| {
            // A queue that is new has nothing that a member could lack.
            let goal = goals.get(&(queue.virtual_host.as_str(), queue.name.as_str())).copied().unwrap_or(0);
            let in_sync = |member: &Member| queue.leader.is_some() && member.votes && member.written >= goal;
            Queue {
                virtual_host: queue.virtual_host.clone(),
                name: queue.name.clone(),
                leader: queue.leader.clone(),
                members: queue.members.iter().map(|member| (member.node.clone(), in_sync(member))).collect(),
                is_dead: !queue.members.iter().any(|member| member.runs),
            }
        });
        Self { queues: queues.collect(), connections: now.connections.clone(), bound: now.bound.clone() }
    }

    /// How many queues a node leads.
    pub fn leads(&self, pod: &str) -> usize {
        self.queues.iter().filter(|queue| is_led_by(queue, pod)).count()
    }

    /// How many connections of clients a node has.
    pub fn connections(&self, pod: &str) -> u32 {
        self.connections.iter().filter(|(node, _)| names::pod_of_node(node) == pod).map(|(_, count)| count).sum()
    }

    /// Why a node must not be taken down: queues with a member elsewhere that is not in sync, or that would lose their majority.
    /// Without a node: whether every member of every queue is in sync. A queue of which no member runs anywhere has nothing to lose, and
    /// would hold every node up for ever; it is asked about only while all nodes run.
    pub fn hindrance(&self, pod: Option<&str>) -> Option<String> {
        self.hindering(pod, |queue| {
            let majority = queue.members.len() / 2 + 1;
            queue.in_sync().filter(|node| pod != Some(names::pod_of_node(node))).count() < majority
        })
    }

    /// Why members must not be taken off a node: queues with a member elsewhere that is not in sync. That the others are a majority is not
    /// asked: to lose a member takes the word of those that were one before.
    pub fn hindrance_of_leaving(&self, pod: &str) -> Option<String> {
        self.hindering(Some(pod), |_| false)
    }

    fn hindering(&self, pod: Option<&str>, lacks: impl Fn(&Queue) -> bool) -> Option<String> {
        let elsewhere = |node: &str| pod != Some(names::pod_of_node(node));
        let hinders = |queue: &&Queue| {
            queue.leader.is_none() || queue.members.iter().any(|(node, in_sync)| elsewhere(node) && !in_sync) || lacks(queue)
        };
        let mut hindering = self.queues.iter().filter(|queue| !queue.is_dead).filter(hinders);
        let first = hindering.next()?;
        let others = match hindering.count() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let behind: Vec<&str> = first
            .members
            .iter()
            .filter(|(node, in_sync)| elsewhere(node) && !in_sync)
            .map(|(node, _)| names::pod_of_node(node))
            .collect();
        let queue = first.label();
        Some(match (first.leader.is_some(), behind.is_empty()) {
            (false, _) => format!("queue {queue}{others} has no leader"),
            (true, false) => format!("members of queue {queue}{others} are not in sync on {}", behind.join(", ")),
            (true, true) => format!("queue {queue}{others} has too few members on other nodes"),
        })
    }

    /// A queue that a node leads, for people.
    pub fn led_by(&self, pod: &str) -> Option<String> {
        self.queues.iter().find(|queue| is_led_by(queue, pod)).map(Queue::label)
    }

    /// Whether a queue has fewer members than this: RabbitMQ adds some when nodes come.
    pub fn is_narrower_than(&self, members: usize) -> bool {
        self.queues.iter().any(|queue| !queue.is_dead && queue.members.len() < members)
    }

    /// Moves that take leaders away from a node, at most so many: each to the member in sync on the node that leads the fewest.
    pub fn away(&self, pod: &str, most: usize) -> Vec<Move> {
        let mut leads = self.leads_by_node();
        let mut moves = Vec::new();
        for queue in self.queues.iter().filter(|queue| is_led_by(queue, pod)) {
            if moves.len() == most {
                break;
            }
            let others = queue.in_sync().filter(|node| names::pod_of_node(node) != pod);
            let Some(to) = others.min_by_key(|node| leads.get(*node).copied().unwrap_or(0)) else { continue };
            *leads.entry(to).or_default() += 1;
            moves.push(moved(queue, to));
        }
        moves
    }

    /// Moves that spread leaders evenly, at most so many. None where no move would make it more even.
    pub fn balance(&self, most: usize) -> Vec<Move> {
        let mut leads = self.leads_by_node();
        let mut moves = Vec::new();
        for queue in &self.queues {
            if moves.len() == most {
                break;
            }
            let Some(leader) = queue.leader.as_deref() else { continue };
            let count = |node: &str| leads.get(node).copied().unwrap_or(0);
            let to = queue.in_sync().min_by_key(|node| count(node)).filter(|to| count(to) + 1 < count(leader));
            let Some(to) = to else { continue };
            *leads.entry(leader).or_default() -= 1;
            *leads.entry(to).or_default() += 1;
            moves.push(moved(queue, to));
        }
        moves
    }

    fn leads_by_node(&self) -> HashMap<&str, usize> {
        let mut leads = HashMap::new();
        for queue in &self.queues {
            if let Some(leader) = queue.leader.as_deref() {
                *leads.entry(leader).or_default() += 1;
            }
        }
        leads
    }
}

fn is_led_by(queue: &Queue, pod: &str) -> bool {
    queue.leader.as_deref().is_some_and(|leader| names::pod_of_node(leader) == pod)
}

fn moved(queue: &Queue, to: &str) -> Move {
    Move { virtual_host: queue.virtual_host.clone(), queue: queue.name.clone(), to: to.to_owned() }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
