use proptest::prelude::*;

use super::super::members::{Bound, Member, Members, QueueMembers};
use super::*;

fn node(number: usize) -> String {
    format!("rabbit@main-broker-{number}.main-nodes.m.svc.cluster.local")
}

/// A queue whose members are all in sync; the first one leads.
fn queue(name: &str, members: &[usize]) -> QueueMembers {
    let member = |number: &usize| Member { node: node(*number), runs: true, votes: true, written: 5, committed: 5 };
    QueueMembers {
        virtual_host: "shop".into(),
        name: name.into(),
        leader: members.first().map(|number| node(*number)),
        members: members.iter().map(member).collect(),
    }
}

fn standing(queues: &[&[usize]]) -> Standing {
    let queues = queues.iter().enumerate().map(|(number, members)| queue(&format!("q{number}"), members)).collect();
    let members = Members { queues, bound: Some(BTreeMap::new()), ..Members::default() };
    Standing::new(&members, &members)
}

fn told(changes: &[MemberChange]) -> Vec<(String, Change, usize)> {
    let number = |name: &str| (0..9).find(|number| node(*number) == name).unwrap();
    changes.iter().map(|change| (change.queue.clone(), change.change, number(&change.node))).collect()
}

fn leave(queues: &[&[usize]], leaving: usize, staying: usize) -> Vec<(String, Change, usize)> {
    let nodes: Vec<String> = (0..staying).map(node).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    told(&standing(queues).leave(&format!("main-broker-{leaving}"), &nodes, 10))
}

#[test]
fn i1_a_queue_gets_a_member_elsewhere_before_it_loses_one() {
    assert_eq!(leave(&[&[0, 3, 4]], 4, 3), [("q0".to_owned(), Change::Add, 1)]);
    assert_eq!(leave(&[&[0, 1, 3, 4]], 4, 3), [("q0".to_owned(), Change::Remove, 4)]);
    assert_eq!(leave(&[&[0, 1, 3]], 4, 3), [], "it has none there");
    assert_eq!(leave(&[&[0, 1, 2]], 2, 1), [("q0".to_owned(), Change::Remove, 2)], "there will not be three nodes");
    assert_eq!(leave(&[&[1]], 1, 1), [("q0".to_owned(), Change::Add, 0)]);
}

#[test]
fn new_members_go_where_the_fewest_are() {
    let changes = leave(&[&[0, 1, 4], &[0, 1, 4], &[0, 3, 4]], 4, 3);
    assert_eq!(changes.iter().map(|(_, _, node)| *node).collect::<Vec<_>>(), [2, 2, 1]);
    let most = standing(&[&[0, 1, 4], &[0, 1, 4]]).leave("main-broker-4", &[&node(2)], 1);
    assert_eq!(most.len(), 1);
}

#[test]
fn what_a_node_has_is_told_and_what_is_dead_does_not_count() {
    let mut dead = queue("dead", &[2]);
    dead.members[0].runs = false;
    dead.leader = None;
    let bound = BTreeMap::from([(node(2), Bound { count: 3, example: "shop/old".into() })]);
    let members = Members { queues: vec![queue("q", &[0, 1, 2]), dead], bound: Some(bound), ..Members::default() };
    let standing = Standing::new(&members, &members);
    let remains = standing.remains("main-broker-2");
    assert_eq!((remains.members, remains.example.as_deref()), (1, Some("shop/q")));
    assert_eq!(remains.bound, Some(Some((3, "shop/old".to_owned()))));
    assert_eq!(standing.remains("main-broker-1").bound, Some(None));
    let old = Standing::new(&Members { bound: None, ..members.clone() }, &members);
    assert_eq!(old.remains("main-broker-2").bound, None, "an older image does not tell");
}

#[test]
fn members_are_spread_over_nodes_that_came_and_then_left_alone() {
    let nodes: Vec<String> = (0..5).map(node).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let four: [&[usize]; 4] = [&[0, 1, 2]; 4];
    let changes = told(&standing(&four).spread(&nodes, 10));
    assert!(changes.iter().all(|(_, change, to)| *change == Change::Add && *to > 2), "{changes:?}");
    assert_eq!(changes.len(), 4, "one of each queue at a time: {changes:?}");
    assert_eq!(
        told(&standing(&[&[0, 1, 2, 3]]).spread(&nodes, 10)).first().map(|(_, change, node)| (*change, *node != 0)),
        Some((Change::Remove, true))
    );
    assert_eq!(standing(&[&[0, 1, 2]]).spread(&nodes, 10), []);
    assert_eq!(standing(&four).spread(&nodes[..3], 10), [], "three nodes have one of each anyhow");
    let mut old = standing(&four);
    old.bound = None;
    assert_eq!(old.spread(&nodes, 10), [], "an older image cannot");
}

/// Changes as the broker makes them: what is added is in sync by the next look.
fn apply(queues: &mut [Vec<usize>], changes: &[(String, Change, usize)]) {
    for (name, change, node) in changes {
        let members = &mut queues[name[1..].parse::<usize>().unwrap()];
        match change {
            Change::Add => members.push(*node),
            Change::Remove => members.retain(|member| member != node),
        }
    }
}

fn looks(queues: &[Vec<usize>]) -> Standing {
    standing(&queues.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn i1_a_node_gets_empty_and_no_queue_loses_a_member_without_another(
        queues in proptest::collection::vec(proptest::sample::subsequence(vec![0_usize, 1, 2, 3, 4], 3), 1..40),
        (size, declared) in prop_oneof![Just((5_usize, 3_usize)), Just((5, 1)), Just((3, 1))],
    ) {
        let mut queues: Vec<Vec<usize>> = queues;
        if size == 3 {
            for queue in &mut queues {
                *queue = vec![0, 1, 2];
            }
        }
        let staying: Vec<String> = (0..declared).map(node).collect();
        let staying: Vec<&str> = staying.iter().map(String::as_str).collect();
        for leaving in (declared..size).rev() {
            let pod = format!("main-broker-{leaving}");
            let mut rounds = 0;
            while looks(&queues).remains(&pod).members > 0 {
                let changes = told(&looks(&queues).leave(&pod, &staying, 7));
                prop_assert!(!changes.is_empty(), "{queues:?}");
                apply(&mut queues, &changes);
                prop_assert!(queues.iter().all(|members| members.len() >= declared.min(3)), "{queues:?}");
                rounds += 1;
                prop_assert!(rounds < 100, "{queues:?}");
            }
        }
        prop_assert!(queues.iter().flatten().all(|member| *member < declared));
    }

    #[test]
    fn spreading_ends_with_three_members_of_each_queue_and_even_nodes(
        queues in proptest::collection::vec(proptest::sample::subsequence(vec![0_usize, 1, 2, 3, 4], 3), 1..40),
    ) {
        let mut queues: Vec<Vec<usize>> = queues;
        let nodes: Vec<String> = (0..5).map(node).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let mut rounds = 0;
        loop {
            let changes = told(&looks(&queues).spread(&nodes, 5));
            if changes.is_empty() {
                break;
            }
            apply(&mut queues, &changes);
            prop_assert!(queues.iter().all(|members| (3..=4).contains(&members.len())), "{queues:?}");
            rounds += 1;
            prop_assert!(rounds < 500, "{queues:?}");
        }
        prop_assert!(queues.iter().all(|members| members.len() == 3));
    }
}
