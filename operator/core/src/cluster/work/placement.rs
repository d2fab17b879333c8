//! Where members are: what takes them off a node that is to be removed, and what spreads them over nodes that came.
//!
//! A member moves in two steps, each of which is decided by what is seen alone: the queue gets one more, and when all are in sync it
//! loses the one that is too many. So it never has fewer members in sync than before, and an operator that dies between the two is
//! followed by one that goes on.

use std::collections::BTreeMap;

use super::members::{Change, MemberChange, Queue, Standing};
use crate::cluster::names;

/// Members that every queue is to have, as far as there are nodes: as the broker image gives them.
pub const MEMBERS: usize = 3;

impl Standing {
    /// What takes members off a node that is to be removed, at most so many changes. `staying`: the nodes that are to stay, and run.
    /// A queue gets a member elsewhere first, unless it has enough.
    pub fn leave(&self, pod: &str, staying: &[&str], most: usize) -> Vec<MemberChange> {
        let mut load = self.load(staying);
        let mut changes = Vec::new();
        for (queue, node) in self.living().filter_map(|queue| Some((queue, member_on(queue, pod)?))) {
            if changes.len() == most {
                break;
            }
            if queue.members.len() > MEMBERS.min(staying.len()) {
                changes.push(queue.change(Change::Remove, node));
            } else if let Some(to) = emptiest(&load, queue) {
                *load.entry(to).or_default() += 1;
                changes.push(queue.change(Change::Add, to));
            }
        }
        changes
    }

    /// What keeps a node from being removed though every member elsewhere is in sync: queues that it has still.
    pub fn remains(&self, pod: &str) -> Remains {
        let members = self.living().filter(|queue| member_on(queue, pod).is_some());
        let example = members.clone().next().map(Queue::label);
        let bound = self.bound.as_ref().map(|all| {
            let (_, bound) = all.iter().find(|(node, _)| names::pod_of_node(node) == pod)?;
            Some((bound.count, bound.example.clone()))
        });
        Remains { members: members.count(), example, bound }
    }

    /// What spreads members over these nodes, at most so many changes. None where it would move a member from a node that has hardly
    /// more than others: each move copies what the queue holds.
    pub fn spread(&self, nodes: &[&str], most: usize) -> Vec<MemberChange> {
        let mut load = self.load(nodes);
        let mut changes = Vec::new();
        // An image that does not tell what is bound to a node cannot move members either.
        if nodes.len() <= MEMBERS || self.bound.is_none() {
            return changes;
        }
        let tolerance = 1 + load.values().sum::<usize>() / nodes.len() / 4;
        for queue in self.living() {
            if changes.len() == most {
                break;
            }
            let followers =
                queue.members.iter().map(|(node, _)| node.as_str()).filter(|node| queue.leader.as_deref() != Some(node));
            let Some(from) = followers.max_by_key(|node| load.get(node).copied().unwrap_or(0)) else { continue };
            if queue.members.len() > MEMBERS {
                load.entry(from).and_modify(|count| *count -= 1);
                changes.push(queue.change(Change::Remove, from));
                continue;
            }
            let Some(to) = emptiest(&load, queue) else { continue };
            let count = |node| load.get(node).copied().unwrap_or(0);
            if count(from) > count(to) + tolerance {
                load.entry(from).and_modify(|count| *count -= 1);
                *load.entry(to).or_default() += 1;
                changes.push(queue.change(Change::Add, to));
            }
        }
        changes
    }

    /// Queues of which anything is left.
    fn living(&self) -> impl Iterator<Item = &Queue> + Clone {
        self.queues.iter().filter(|queue| !queue.is_dead)
    }

    /// How many members each of these nodes has.
    fn load<'a>(&self, nodes: &[&'a str]) -> BTreeMap<&'a str, usize> {
        let members = |node: &str| self.queues.iter().filter(|queue| queue.has_member_on(node)).count();
        nodes.iter().map(|node| (*node, members(node))).collect()
    }
}

/// What a node has that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Members of quorum queues.
    pub members: usize,
    /// A queue with such a member.
    pub example: Option<String>,
    /// Queues that cannot leave it, and one of them; the outer `None` if the broker's image cannot tell.
    pub bound: Option<Option<(u32, String)>>,
}

/// RabbitMQ's name of the node with a pod's name, if the queue has a member there.
fn member_on<'a>(queue: &'a Queue, pod: &str) -> Option<&'a str> {
    queue.members.iter().map(|(node, _)| node.as_str()).find(|node| names::pod_of_node(node) == pod)
}

/// The node with the fewest members among those that have none of this queue.
fn emptiest<'a>(load: &BTreeMap<&'a str, usize>, queue: &Queue) -> Option<&'a str> {
    let free = load.iter().filter(|(node, _)| !queue.has_member_on(node));
    free.min_by_key(|(_, count)| **count).map(|(node, _)| *node)
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
