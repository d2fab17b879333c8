use std::collections::BTreeMap;

use super::*;
use crate::cluster::observation::SeenNode;
use crate::cluster::work::members::{Member, Members, QueueMembers};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(ordinal: i32, ready: bool, outdated: bool) -> SeenPod {
    SeenPod {
        name: format!("main-broker-{ordinal}"),
        ready,
        since: Some(at(900)),
        terminating: false,
        outdated,
        serving: true,
        trouble: None,
    }
}

fn node(ordinal: usize) -> String {
    format!("rabbit@main-broker-{ordinal}.main-nodes.m.svc.cluster.local")
}

fn seen(running: [bool; 3]) -> Seen {
    let nodes = running.into_iter().enumerate();
    let nodes = nodes.map(|(ordinal, running)| SeenNode { name: node(ordinal), running, alarms: Vec::new() });
    Seen { nodes: nodes.collect(), version: "4.3.6".into() }
}

/// One queue, led by a node, with a member on each; `connections` at every node.
fn standing(leader: usize, in_sync: [bool; 3], connections: u32) -> Standing {
    let members = members(leader, in_sync, connections);
    Standing::new(&members, &members)
}

fn members(leader: usize, in_sync: [bool; 3], connections: u32) -> Members {
    let member = |(ordinal, in_sync): (usize, bool)| Member {
        node: node(ordinal),
        runs: in_sync,
        votes: in_sync,
        written: 1,
        committed: u64::from(ordinal == leader),
    };
    let queue = QueueMembers {
        virtual_host: "shop".into(),
        name: "q".into(),
        leader: Some(node(leader)),
        members: in_sync.into_iter().enumerate().map(member).collect(),
    };
    let connections: BTreeMap<String, u32> = (0..3).map(|ordinal| (node(ordinal), connections)).collect();
    Members { queues: vec![queue], connections, bound: Some(BTreeMap::new()) }
}

fn view<'a>(pods: &'a [SeenPod], seen: &'a Seen, standing: &'a Standing) -> View<'a> {
    View {
        declared: 3,
        size: 3,
        pods,
        word: Word::Told { seen, members: MembersWord::Known(standing) },
        work: None,
        asked: None,
        answered: None,
        balance_due: false,
        may_restart: true,
    }
}

fn work(node: i32, step: WorkStep, since: i64) -> Work {
    Work { kind: WorkKind::Restart, node: Some(format!("main-broker-{node}")), step, since: Time(at(since)) }
}

fn outdated() -> [SeenPod; 3] {
    [pod(0, true, true), pod(1, true, true), pod(2, true, true)]
}

fn step_of(decision: &Decision) -> (WorkStep, Option<&str>) {
    let work = decision.work.as_ref().unwrap();
    (work.step, work.node.as_deref())
}

#[test]
fn nothing_to_do_is_nothing_said() {
    let (pods, all, standing) =
        ([pod(0, true, false), pod(1, true, false), pod(2, true, false)], seen([true; 3]), standing(0, [true; 3], 1));
    assert_eq!(next(&view(&pods, &all, &standing), at(1_000)), Decision::default());
}

#[test]
fn a_node_is_left_step_by_step() {
    let (mut pods, all) = (outdated(), seen([true; 3]));
    let leads = standing(2, [true; 3], 40);
    let decision = next(&view(&pods, &all, &leads), at(1_000));
    assert_eq!(step_of(&decision), (WorkStep::LeavingService, Some("main-broker-2")));
    assert_eq!((decision.action.clone(), decision.balanced), (None, Some(false)));

    pods[2].serving = false;
    let decision = next(&View { work: decision.work.as_ref(), ..view(&pods, &all, &leads) }, at(1_000));
    assert_eq!(step_of(&decision).0, WorkStep::MovingLeaders);
    assert!(matches!(decision.action, Some(Action::Move(ref moves)) if moves.len() == 1));

    let led_elsewhere = standing(0, [true; 3], 40);
    let decision = next(&View { work: decision.work.as_ref(), ..view(&pods, &all, &led_elsewhere) }, at(1_001));
    assert_eq!(step_of(&decision).0, WorkStep::ClosingConnections);
    assert_eq!(decision.action, Some(Action::Close { pod: "main-broker-2".into(), most: 5 }));

    let alone = standing(0, [true; 3], 0);
    let decision = next(&View { work: decision.work.as_ref(), ..view(&pods, &all, &alone) }, at(1_002));
    assert_eq!(step_of(&decision).0, WorkStep::Restarting);
    assert_eq!(decision.action, Some(Action::Evict("main-broker-2".into())));
}

#[test]
fn every_step_before_the_eviction_is_bounded() {
    let (pods, all, busy) = (outdated(), seen([true; 3]), standing(2, [true; 3], 40));
    let mut last = None;
    let mut now = 1_000;
    while last.as_ref().is_none_or(|decision: &Decision| !matches!(decision.action, Some(Action::Evict(_)))) {
        let work = last.as_ref().and_then(|decision| decision.work.clone());
        last = Some(next(&View { work: work.as_ref(), ..view(&pods, &all, &busy) }, at(now)));
        now += 1;
        assert!(now < 1_060, "{last:?}");
    }
    assert!(now > 1_030, "leaders and clients get their time: {now}");
}

#[test]
fn i1_the_next_node_waits_until_members_are_in_sync() {
    let (pods, all) = ([pod(0, true, true), pod(1, true, true), pod(2, true, false)], seen([true; 3]));
    let restarted = work(2, WorkStep::Restarting, 990);
    let behind = standing(0, [true, true, false], 1);
    let decision = next(&View { work: Some(&restarted), ..view(&pods, &all, &behind) }, at(1_000));
    assert_eq!(step_of(&decision), (WorkStep::Rejoining, Some("main-broker-2")));
    assert_eq!(decision.action, None);
    assert!(decision.message.unwrap().contains("not in sync on main-broker-2"));
    let whole = standing(0, [true; 3], 1);
    let decision = next(&View { work: Some(&restarted), ..view(&pods, &all, &whole) }, at(1_001));
    assert_eq!(step_of(&decision), (WorkStep::LeavingService, Some("main-broker-1")));
}

#[test]
fn i1_ready_is_not_enough_if_the_broker_says_otherwise() {
    let (pods, some, whole) = (outdated(), seen([true, true, false]), standing(0, [true; 3], 1));
    let decision = next(&view(&pods, &some, &whole), at(1_000));
    assert_eq!((decision.action, decision.work), (None, None));
    assert!(decision.message.unwrap().contains("waiting for main-broker-2"));
}

#[test]
fn i1_a_node_that_starts_after_a_failure_is_let_alone_and_one_that_never_will_is_replaced() {
    let (all, whole) = (seen([true; 3]), standing(0, [true; 3], 1));
    let mut pods = [pod(0, false, true), pod(1, true, true), pod(2, true, true)];
    pods[0].since = Some(at(990));
    assert_eq!(next(&view(&pods, &all, &whole), at(1_000)).action, None);
    assert_eq!(next(&view(&pods, &all, &whole), at(1_110)).action, Some(Action::Evict("main-broker-0".into())));
    pods[0].trouble = Some("its container ended".into());
    assert_eq!(next(&view(&pods, &all, &whole), at(1_000)).action, Some(Action::Evict("main-broker-0".into())));
}

#[test]
fn a_node_on_its_way_out_serves_again_when_another_fails() {
    let all = seen([true; 3]);
    let mut pods = outdated();
    pods[2].serving = false;
    let leaving = work(2, WorkStep::ClosingConnections, 999);
    let behind = standing(0, [false, true, true], 9);
    let decision = next(&View { work: Some(&leaving), ..view(&pods, &all, &behind) }, at(1_000));
    assert_eq!((decision.work, decision.action), (Some(leaving.clone()), None), "a member that lags is soon back");
    pods[1].ready = false;
    let decision = next(&View { work: Some(&leaving), ..view(&pods, &all, &behind) }, at(1_000));
    assert_eq!((decision.work, decision.action), (None, None));
}

#[test]
fn without_a_word_of_the_broker_only_what_is_settled_restarts() {
    let pods = outdated();
    let (all, whole) = (seen([true; 3]), standing(0, [true; 3], 1));
    let with = |word, now| next(&View { word, ..view(&pods, &all, &whole) }, at(now)).action;
    assert_eq!(with(Word::Missed, 2_000), None);
    assert_eq!(with(Word::Silent, 959), None);
    assert_eq!(with(Word::Silent, 960), Some(Action::Evict("main-broker-2".into())));
    let asked_once = Word::Told { seen: &all, members: MembersWord::Unknown };
    assert_eq!(with(asked_once, 1_000), None);
    let old_image = Word::Told { seen: &all, members: MembersWord::NotServed };
    assert_eq!(with(old_image, 1_000), Some(Action::Evict("main-broker-2".into())));
}

#[test]
fn no_restart_where_none_is_allowed() {
    let (pods, all, whole) = (outdated(), seen([true; 3]), standing(0, [true; 3], 1));
    let decision = next(&View { may_restart: false, ..view(&pods, &all, &whole) }, at(1_000));
    assert!(decision.action.is_none() && decision.message.unwrap().contains("maxUnavailable is 0"));
}

#[test]
fn a_single_node_is_restarted_at_once() {
    let (pods, one, alone) = ([pod(0, true, true)], seen([true, false, false]), Standing::default());
    let decision = next(&View { declared: 1, size: 1, ..view(&pods, &one, &alone) }, at(1_000));
    assert_eq!(decision.action, Some(Action::Evict("main-broker-0".into())));
}

#[test]
fn a_switchover_is_done_once_for_each_value() {
    let (pods, all) = ([pod(0, true, false), pod(1, true, false), pod(2, true, false)], seen([true; 3]));
    let leads = standing(1, [true; 3], 1);
    let asked = |standing, work, answered| {
        next(&View { asked: Some("main-broker-1 now"), work, answered, ..view(&pods, &all, standing) }, at(1_000))
    };
    let decision = asked(&leads, None, None);
    assert!(matches!(decision.action, Some(Action::Move(ref moves)) if moves.len() == 1));
    let began = decision.work.unwrap();
    assert_eq!((began.kind, began.step), (WorkKind::Switchover, WorkStep::MovingLeaders));
    let led_elsewhere = standing(0, [true; 3], 1);
    let done = asked(&led_elsewhere, Some(&began), None);
    let answered = done.switchover.clone().unwrap();
    assert_eq!((answered.outcome, done.work), (SwitchoverOutcome::Done, None));
    // It leads again later: that is nobody's business.
    assert_eq!(asked(&leads, None, Some(&answered)), Decision { switchover: Some(answered.clone()), ..Decision::default() });
    let again = View { asked: Some("main-broker-1 again"), answered: Some(&answered), ..view(&pods, &all, &leads) };
    assert!(next(&again, at(1_000)).action.is_some());
    let forgotten = View { answered: Some(&answered), ..view(&pods, &all, &leads) };
    assert_eq!(next(&forgotten, at(1_000)).switchover, None);
}

#[test]
fn a_switchover_that_cannot_be_ends_and_says_why() {
    let (pods, all) = ([pod(0, true, false), pod(1, true, false), pod(2, true, false)], seen([true; 3]));
    let alone = standing(1, [false, true, false], 1);
    let ask = |asked, work, now| next(&View { asked: Some(asked), work, ..view(&pods, &all, &alone) }, at(now)).switchover;
    let refused = ask("main-broker-7", None, 1_000).unwrap();
    assert_eq!(refused.outcome, SwitchoverOutcome::Refused);
    assert!(refused.message.contains("main-broker-2"), "{}", refused.message);
    let began = Work { kind: WorkKind::Switchover, ..work(1, WorkStep::MovingLeaders, 1_000) };
    assert_eq!(ask("main-broker-1", Some(&began), 1_001), None);
    let given_up = ask("main-broker-1", Some(&began), 1_030).unwrap();
    assert_eq!(given_up.outcome, SwitchoverOutcome::Incomplete);
    assert!(given_up.message.contains("shop/q"), "{}", given_up.message);
}

#[test]
fn leaders_are_spread_once_after_a_node_was_away() {
    let (mut pods, all) = ([pod(0, true, false), pod(1, true, false), pod(2, true, false)], seen([true; 3]));
    let even = standing(1, [true; 3], 1);
    assert_eq!(next(&View { balance_due: true, ..view(&pods, &all, &even) }, at(1_000)).balanced, Some(true));
    let mut narrow = members(1, [true; 3], 1);
    narrow.queues[0].members.pop();
    let narrow = Standing::new(&narrow, &narrow);
    assert_eq!(next(&View { balance_due: true, ..view(&pods, &all, &narrow) }, at(1_000)), Decision::default());
    pods[0].ready = false;
    let decision = next(&view(&pods, &all, &even), at(1_000));
    assert_eq!((decision.balanced, decision.work, decision.message), (Some(false), None, None));
}
