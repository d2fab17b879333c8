//! Failovers: how long queues had no leader after a node was lost.

use entente_crds::BrokerStatus;
use entente_crds::broker::Failover;

use super::work::Members;

/// How many are kept in the status.
const KEPT: usize = 10;

/// Whether every queue has a leader. One of which no member runs anywhere will never have one, and is not waited for.
pub fn is_over(members: &Members) -> bool {
    let lives = |queue: &&super::work::members::QueueMembers| queue.members.iter().any(|member| member.runs);
    members.queues.iter().filter(lives).all(|queue| queue.leader.is_some())
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
    use crate::cluster::work::members::{Member, QueueMembers};
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
        assert!(is_over(&members(Some("rabbit@a"), true)));
        assert!(!is_over(&members(None, true)));
        assert!(is_over(&members(None, false)), "nobody will ever lead it");
        assert!(is_over(&Members::default()));
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
