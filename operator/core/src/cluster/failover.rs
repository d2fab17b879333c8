//! Failovers: how long queues had no leader after a node was lost.

use entente_crds::BrokerStatus;
use entente_crds::broker::Failover;

use super::names;
use super::work::Members;
use super::work::members::QueueMembers;

/// How many are kept in the status.
const KEPT: usize = 10;

/// How a failover stands, by an answer of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none: the node answers the others, if not us.
    None,
    /// Queues have no leader yet.
    Electing,
    /// Every queue has one. Those of which no member runs anywhere will never have one, and are not waited for.
    Over,
}

/// How the failover from a pod's node stands.
pub fn stage(members: &Members, lost: &str) -> Stage {
    // Who answered has its connections told.
    if members.connections.keys().any(|node| names::pod_of_node(node) == lost) {
        return Stage::None;
    }
    let lives = |queue: &&QueueMembers| queue.members.iter().any(|member| member.runs);
    let led = members.queues.iter().filter(lives).all(|queue| queue.leader.is_some());
    if led { Stage::Over } else { Stage::Electing }
}

/// Those of the status and one more, the newest last.
pub fn with(status: Option<&BrokerStatus>, newest: Failover) -> Vec<Failover> {
    let mut all = status.map(|status| status.failovers.clone()).unwrap_or_default();
    all.push(newest);
    all.split_off(all.len().saturating_sub(KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::work::members::Member;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn members(leader: Option<&str>, runs: bool) -> Members {
        let member = Member { node: "rabbit@a".into(), runs, votes: runs, written: 1, committed: 1 };
        let leader = leader.map(str::to_owned);
        let queue = QueueMembers { virtual_host: "shop".into(), name: "q".into(), leader, members: vec![member] };
        Members { queues: vec![queue], ..Members::default() }
    }

    #[test]
    fn it_is_over_when_all_that_lives_is_led() {
        let stage = |members: &Members| stage(members, "b");
        assert_eq!(stage(&members(Some("rabbit@a"), true)), Stage::Over);
        assert_eq!(stage(&members(None, true)), Stage::Electing);
        assert_eq!(stage(&members(None, false)), Stage::Over, "nobody will ever lead it");
        assert_eq!(stage(&Members::default()), Stage::Over);
    }

    /// Seen on a machine with too much to do: nodes that had led all the while were told to have been lost.
    #[test]
    fn i10_a_node_that_answers_the_others_was_not_lost() {
        let mut slow = members(Some("rabbit@a"), true);
        slow.connections.insert("rabbit@b.main-nodes".into(), 0);
        assert_eq!(stage(&slow, "b"), Stage::None);
        assert_eq!(stage(&slow, "c"), Stage::Over);
    }

    #[test]
    fn the_newest_ten_are_kept() {
        let of = |millis| Failover { node: "main-broker-1".into(), at: Time(Timestamp::UNIX_EPOCH), recovered_millis: millis };
        let mut status = BrokerStatus::default();
        for millis in 0..12 {
            status.failovers = with(Some(&status), of(millis));
        }
        let kept: Vec<i64> = status.failovers.iter().map(|failover| failover.recovered_millis).collect();
        assert_eq!(kept, (2..12).collect::<Vec<i64>>());
        assert_eq!(with(None, of(1)).len(), 1);
    }
}
