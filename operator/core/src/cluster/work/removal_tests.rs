use std::collections::BTreeMap;

use entente_crds::broker::{Work, WorkKind, WorkStep};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::cluster::observation::{Seen, SeenPod};
use crate::cluster::work::members::{Bound, Change, Member, Members, QueueMembers};
use crate::cluster::work::{View, next};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(ordinal: i32) -> SeenPod {
    SeenPod {
        name: format!("main-broker-{ordinal}"),
        ready: true,
        since: Some(at(900)),
        terminating: false,
        outdated: false,
        serving: true,
        trouble: None,
    }
}

fn node(ordinal: i32) -> String {
    format!("rabbit@main-broker-{ordinal}.main-nodes.m.svc.cluster.local")
}

fn seen(ordinals: std::ops::Range<i32>) -> Seen {
    let nodes = ordinals.map(|ordinal| SeenNode { name: node(ordinal), running: true, alarms: Vec::new() });
    Seen { nodes: nodes.collect(), version: "4.3.6".into() }
}

/// One queue with these members, all in sync; the first leads.
fn members(on: &[i32]) -> Members {
    let member = |ordinal: &i32| Member { node: node(*ordinal), runs: true, votes: true, written: 1, committed: 1 };
    let queue = QueueMembers {
        virtual_host: "shop".into(),
        name: "q".into(),
        leader: Some(node(on[0])),
        members: on.iter().map(member).collect(),
    };
    Members { queues: vec![queue], connections: BTreeMap::from([(node(4), 9)]), bound: Some(BTreeMap::new()) }
}

struct Scene {
    pods: Vec<SeenPod>,
    seen: Seen,
    members: Members,
    work: Option<Work>,
    declared: i32,
    size: i32,
    may_restart: bool,
    asked: Option<&'static str>,
}

impl Scene {
    /// Five nodes, of which three are to be left.
    fn new(on: &[i32]) -> Self {
        Self {
            pods: (0..5).map(pod).collect(),
            seen: seen(0..5),
            members: members(on),
            work: None,
            declared: 3,
            size: 5,
            may_restart: true,
            asked: None,
        }
    }

    fn at_step(mut self, step: WorkStep) -> Self {
        self.work = Some(Work { kind: WorkKind::Removal, node: Some("main-broker-4".into()), step, since: Time(at(1_000)) });
        self
    }

    fn next(&self) -> Decision {
        let standing = Standing::new(&self.members, &self.members);
        let view = View {
            declared: self.declared,
            size: self.size,
            pods: &self.pods,
            word: Word::Told { seen: &self.seen, members: MembersWord::Known(&standing) },
            work: self.work.as_ref(),
            asked: self.asked,
            answered: None,
            balance_due: false,
            may_restart: self.may_restart,
        };
        next(&view, at(1_000))
    }
}

fn step(decision: &Decision) -> WorkStep {
    let work = decision.work.as_ref().unwrap();
    assert_eq!((work.kind, work.node.as_deref()), (WorkKind::Removal, Some("main-broker-4")));
    work.step
}

#[test]
fn the_last_node_is_emptied_step_by_step_and_then_goes() {
    let mut scene = Scene::new(&[4, 0, 1]);
    let decision = scene.next();
    assert_eq!((step(&decision), decision.action), (WorkStep::LeavingService, None));
    scene.pods[4].serving = false;
    let decision = scene.next();
    assert_eq!(step(&decision), WorkStep::MovingLeaders);
    assert!(matches!(decision.action, Some(Action::Move(ref moves)) if moves[0].to != node(4)), "{decision:?}");
    assert_eq!(decision.balanced, Some(false), "leaders are spread when it is over");

    scene.members = members(&[0, 1, 4]);
    let decision = scene.next();
    assert_eq!(step(&decision), WorkStep::MovingMembers);
    let Some(Action::Change(changes)) = decision.action else { panic!("{decision:?}") };
    assert_eq!((changes[0].change, changes[0].node.as_str()), (Change::Add, node(2).as_str()));

    let mut scene = Scene { members: members(&[0, 1, 2]), ..scene.at_step(WorkStep::MovingMembers) };
    let decision = scene.next();
    assert_eq!(step(&decision), WorkStep::ClosingConnections);
    assert_eq!(decision.action, Some(Action::Close { pod: "main-broker-4".into(), most: 5 }));

    scene.members.connections.clear();
    let decision = scene.next();
    assert_eq!((step(&decision), decision.action), (WorkStep::Removing, Some(Action::Remove(node(4)))));

    let mut scene = scene.at_step(WorkStep::Removing);
    scene.pods[4].ready = false;
    scene.seen.nodes[4].running = false;
    assert_eq!(scene.next().action, Some(Action::Remove(node(4))), "it has stopped, and is forgotten");
    scene.seen = seen(0..4);
    assert_eq!(scene.next().action, Some(Action::Resize(4)));
}

#[test]
fn i1_a_queue_that_was_made_meanwhile_is_moved_too() {
    let mut scene = Scene::new(&[0, 1, 4]).at_step(WorkStep::ClosingConnections);
    scene.pods[4].serving = false;
    let decision = scene.next();
    assert_eq!(step(&decision), WorkStep::MovingMembers);
    assert!(matches!(decision.action, Some(Action::Change(_))));
}

#[test]
fn i1_no_node_is_emptied_while_another_is_away_or_behind() {
    let mut scene = Scene::new(&[0, 1, 4]).at_step(WorkStep::MovingMembers);
    scene.members.queues[0].members[1].votes = false;
    let decision = scene.next();
    assert_eq!((step(&decision), decision.action.clone()), (WorkStep::MovingMembers, None));
    assert!(decision.message.unwrap().contains("not in sync on main-broker-1"));
    scene.pods[2].ready = false;
    let decision = scene.next();
    assert_eq!((decision.work, decision.action), (None, None), "it serves again meanwhile");
    assert!(decision.message.unwrap().contains("waiting for main-broker-2"));
}

/// Why people make a cluster smaller: the machine of that node is gone for good.
#[test]
fn a_node_that_is_dead_is_removed_like_one_that_lives() {
    let mut scene = Scene::new(&[0, 1, 4]);
    scene.pods.pop();
    scene.seen.nodes[4].running = false;
    scene.members.queues[0].members[2] = Member { node: node(4), runs: false, votes: false, written: 0, committed: 0 };
    let decision = scene.next();
    assert_eq!(step(&decision), WorkStep::MovingMembers);
    assert!(matches!(decision.action, Some(Action::Change(_))));
    scene.members = members(&[0, 1, 2]);
    scene.members.connections.clear();
    assert_eq!(scene.next().action, Some(Action::Remove(node(4))));
}

#[test]
fn what_cannot_move_keeps_its_node_and_stops_nothing_else() {
    let mut scene = Scene::new(&[4, 0, 1]);
    scene.members.bound = Some(BTreeMap::from([(node(4), Bound { count: 2, example: "shop/old".into() })]));
    let decision = scene.next();
    assert_eq!((decision.work, decision.action), (None, None));
    let message = decision.message.unwrap();
    assert!(message.contains("2 queues") && message.contains("shop/old") && message.contains("main-broker-4"), "{message}");
    scene.asked = Some("main-broker-4 please");
    assert!(matches!(scene.next().action, Some(Action::Move(_))), "a switchover goes on");
    scene.asked = None;
    scene.pods[0].outdated = true;
    assert_eq!(scene.next().work.unwrap().kind, WorkKind::Restart);
    scene.pods[0].outdated = false;
    scene.members.bound = None;
    assert!(scene.next().message.unwrap().contains("too old"));
    scene.may_restart = false;
    assert!(scene.next().message.unwrap().contains("maxUnavailable is 0"));
}

#[test]
fn a_node_to_be_removed_needs_no_restart_first() {
    let mut scene = Scene::new(&[0, 1, 2]);
    for pod in &mut scene.pods {
        pod.outdated = true;
    }
    assert_eq!(step(&scene.next()), WorkStep::LeavingService);
    scene.work = Some(Work {
        kind: WorkKind::Restart,
        node: Some("main-broker-1".into()),
        step: WorkStep::Rejoining,
        since: Time(at(999)),
    });
    assert_eq!(scene.next().work.unwrap().kind, WorkKind::Restart, "one that is under way is finished first");
}

#[test]
fn a_node_whose_pod_is_gone_is_forgotten() {
    let mut scene = Scene::new(&[0, 1, 2]);
    scene.pods.truncate(3);
    scene.size = 3;
    scene.seen = seen(0..5);
    scene.seen.nodes[3].running = false;
    scene.seen.nodes[4].running = false;
    scene.members.connections.clear();
    assert_eq!(scene.next().action, Some(Action::Remove(node(3))));
    scene.seen = seen(0..3);
    assert_eq!(scene.next(), Decision::default());
}
