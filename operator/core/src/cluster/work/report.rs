//! What status and Events say of planned work.

use entente_crds::BrokerStatus;
use entente_crds::broker::{SwitchoverOutcome, Work, WorkKind, WorkStep};
use entente_crds::condition::{reasons, types};
use jiff::Timestamp;

use super::Decision;
use crate::cluster::status::Transition;
use crate::conditions::{self, Status};

/// Writes it into the status.
pub fn write(after: &mut BrokerStatus, generation: Option<i64>, decision: &Decision, now: Timestamp) {
    let Decision { work, action: _, message, balanced, switchover, weakest: _ } = decision;
    after.work.clone_from(work);
    after.switchover.clone_from(switchover);
    let conditions = &mut after.conditions;
    match message {
        Some(message) => {
            let reason = work.as_ref().map_or(reasons::WAITING, |work| match work.kind {
                WorkKind::Restart => reasons::RESTARTING,
                WorkKind::Switchover => reasons::SWITCHING_OVER,
                WorkKind::Balance => reasons::BALANCING,
                WorkKind::Removal => reasons::REMOVING,
            });
            conditions::set(conditions, types::PLANNED_WORK, Status::True, reason, message, generation, now);
        }
        None => conditions::remove(conditions, types::PLANNED_WORK),
    }
    if let Some(balanced) = *balanced {
        let (reason, message) = if balanced {
            (reasons::READY, "leaders were spread over all nodes after the last one came back")
        } else {
            (reasons::NODE_WAS_AWAY, "leaders are spread over all nodes when every node is back and its members are in sync")
        };
        conditions::set(conditions, types::LEADERS_BALANCED, balanced.into(), reason, message, generation, now);
    }
}

/// Whether leaders are to be spread, by the status.
pub fn is_balance_due(status: &BrokerStatus) -> bool {
    conditions::get(&status.conditions, types::LEADERS_BALANCED).is_some_and(|known| known.status == Status::False.as_str())
}

/// Planned work that begins, goes on to another node, or ends.
pub fn transitions(before: &BrokerStatus, after: &BrokerStatus) -> Vec<Transition> {
    let mut transitions: Vec<Transition> = begun(before.work.as_ref(), after.work.as_ref()).into_iter().collect();
    let restarts = |status: &BrokerStatus| status.work.as_ref().is_some_and(|work| work.kind == WorkKind::Restart);
    let waits = conditions::get(&after.conditions, types::PLANNED_WORK).is_some_and(|known| known.reason == reasons::WAITING);
    if restarts(before) && !restarts(after) && !waits {
        transitions.push(told(None, "NodesRestarted", "every node has taken up the change".to_owned()));
    }
    let removing = |status: &BrokerStatus| {
        let work = status.work.as_ref().filter(|work| work.kind == WorkKind::Removal && work.step == WorkStep::Removing)?;
        work.node.clone()
    };
    // It is still there where the declared number was set back.
    let is_gone = |node: &String| removing(after).as_ref() != Some(node) && !after.nodes.iter().any(|known| known.name == *node);
    if let Some(node) = removing(before).filter(|node| !waits && is_gone(node)) {
        let text = format!("{node} is a node no more; its volume is kept, and may be deleted");
        transitions.push(told(Some(node), "NodeRemoved", text));
    }
    if let Some(switchover) = after.switchover.as_ref().filter(|now| before.switchover.as_ref() != Some(*now)) {
        let warning = switchover.outcome != SwitchoverOutcome::Done;
        let reason = if warning { "SwitchoverFailed" } else { "SwitchedOver" };
        transitions.push(Transition { warning, ..told(None, reason, switchover.message.clone()) });
    }
    transitions
}

fn begun(before: Option<&Work>, after: Option<&Work>) -> Option<Transition> {
    let after = after?;
    let same = before.filter(|known| known.kind == after.kind && known.node == after.node);
    let node = after.node.clone();
    let name = node.as_deref().unwrap_or_default();
    match (after.kind, after.step) {
        (WorkKind::Restart, WorkStep::Restarting) if same.is_none_or(|known| known.step < WorkStep::Restarting) => {
            Some(told(node.clone(), "NodeRestarting", format!("{name} is restarted to take up a change")))
        }
        _ if same.is_some() => None,
        (WorkKind::Restart, WorkStep::Rejoining) | (WorkKind::Removal, WorkStep::Removing) => None,
        (WorkKind::Removal, _) => {
            let text = format!("{name} is to be removed: leaders, members and connections move to other nodes first");
            Some(told(node.clone(), "NodeLeaving", text))
        }
        (WorkKind::Restart, _) => {
            let text = format!("{name} is to be restarted: leaders and connections move to other nodes first");
            Some(told(node.clone(), "NodeLeaving", text))
        }
        (WorkKind::Switchover, _) => Some(told(node.clone(), "SwitchingOver", format!("leaders of {name} move to other nodes"))),
        (WorkKind::Balance, WorkStep::MovingMembers) => {
            Some(told(None, "SpreadingMembers", "members of queues are spread over all nodes".to_owned()))
        }
        (WorkKind::Balance, _) => Some(told(None, "BalancingLeaders", "leaders are spread over all nodes".to_owned())),
    }
}

fn told(pod: Option<String>, reason: &str, note: String) -> Transition {
    Transition { warning: false, pod, reason: reason.to_owned(), note }
}

#[cfg(test)]
mod tests {
    use entente_crds::broker::NodeStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(kind: WorkKind, node: i32, step: WorkStep) -> BrokerStatus {
        let work = Work { kind, node: Some(format!("main-broker-{node}")), step, since: Time(Timestamp::UNIX_EPOCH) };
        BrokerStatus { work: Some(work), ..BrokerStatus::default() }
    }

    fn reasons_of(before: &BrokerStatus, after: &BrokerStatus) -> Vec<String> {
        transitions(before, after).into_iter().map(|transition| transition.reason).collect()
    }

    #[test]
    fn each_node_is_told_when_it_leaves_and_when_it_restarts_and_the_end_once() {
        let restart = |node, step| status(WorkKind::Restart, node, step);
        let idle = BrokerStatus::default();
        assert_eq!(reasons_of(&idle, &restart(2, WorkStep::LeavingService)), ["NodeLeaving"]);
        let leaving = restart(2, WorkStep::MovingLeaders);
        assert!(reasons_of(&restart(2, WorkStep::LeavingService), &leaving).is_empty());
        assert_eq!(reasons_of(&leaving, &restart(2, WorkStep::Restarting)), ["NodeRestarting"]);
        assert!(reasons_of(&restart(2, WorkStep::Restarting), &restart(2, WorkStep::Rejoining)).is_empty());
        assert_eq!(reasons_of(&restart(2, WorkStep::Rejoining), &restart(1, WorkStep::LeavingService)), ["NodeLeaving"]);
        assert_eq!(reasons_of(&restart(0, WorkStep::Rejoining), &idle), ["NodesRestarted"]);
        let mut held = BrokerStatus::default();
        let decision = Decision { message: Some("waiting".into()), ..Decision::default() };
        write(&mut held, None, &decision, Timestamp::UNIX_EPOCH);
        assert!(reasons_of(&restart(2, WorkStep::MovingLeaders), &held).is_empty());
    }

    #[test]
    fn i10_a_node_is_told_to_be_removed_only_when_it_is_gone() {
        let removal = |node, step| status(WorkKind::Removal, node, step);
        let idle = BrokerStatus::default();
        assert_eq!(reasons_of(&idle, &removal(4, WorkStep::LeavingService)), ["NodeLeaving"]);
        assert!(reasons_of(&removal(4, WorkStep::ClosingConnections), &removal(4, WorkStep::Removing)).is_empty());
        assert_eq!(
            reasons_of(&removal(4, WorkStep::Removing), &removal(3, WorkStep::LeavingService)),
            ["NodeLeaving", "NodeRemoved"]
        );
        assert_eq!(reasons_of(&removal(3, WorkStep::Removing), &idle), ["NodeRemoved"]);
        let node = NodeStatus { name: "main-broker-3".into(), running: false, alarms: Vec::new() };
        let set_back = BrokerStatus { nodes: vec![node], ..BrokerStatus::default() };
        assert!(reasons_of(&removal(3, WorkStep::Removing), &set_back).is_empty());
    }

    #[test]
    fn i10_the_condition_is_there_while_there_is_work() {
        let mut after = BrokerStatus::default();
        let work = status(WorkKind::Switchover, 1, WorkStep::MovingLeaders).work;
        let decision = Decision { work, message: Some("x".into()), balanced: Some(false), ..Decision::default() };
        write(&mut after, Some(3), &decision, Timestamp::UNIX_EPOCH);
        assert_eq!(conditions::get(&after.conditions, types::PLANNED_WORK).unwrap().reason, "SwitchingOver");
        assert!(is_balance_due(&after));
        write(&mut after, Some(3), &Decision { balanced: Some(true), ..Decision::default() }, Timestamp::UNIX_EPOCH);
        assert!(conditions::get(&after.conditions, types::PLANNED_WORK).is_none());
        assert!(after.work.is_none() && !is_balance_due(&after));
    }
}
