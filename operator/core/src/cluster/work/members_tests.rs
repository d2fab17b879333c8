use super::*;

fn node(pod: &str) -> String {
    format!("rabbit@{pod}.main-nodes.messaging.svc.cluster.local")
}

/// Members on `a`, `b` and `c`, each with its last written entry; `None` does not run.
fn queue(name: &str, leader: &str, written: [Option<u64>; 3]) -> QueueMembers {
    let members = ["a", "b", "c"].into_iter().zip(written).map(|(pod, written)| Member {
        node: node(pod),
        runs: written.is_some(),
        votes: written.is_some(),
        written: written.unwrap_or(0),
        committed: if pod == leader { written.unwrap_or(0) } else { 0 },
    });
    QueueMembers {
        virtual_host: "shop".into(),
        name: name.into(),
        leader: (!leader.is_empty()).then(|| node(leader)),
        members: members.collect(),
    }
}

fn members(queues: Vec<QueueMembers>) -> Members {
    Members { queues, connections: BTreeMap::from([(node("a"), 7)]), bound: Some(BTreeMap::new()) }
}

fn standing(queues: Vec<QueueMembers>) -> Standing {
    let members = members(queues);
    Standing::new(&members, &members)
}

#[test]
fn in_sync_is_who_has_what_was_committed_a_look_ago() {
    let before = members(vec![queue("q", "a", [Some(100), Some(90), Some(90)])]);
    let lagging = |b| Standing::new(&members(vec![queue("q", "a", [Some(300), Some(b), Some(290)])]), &before).hindrance(None);
    assert_eq!(lagging(100), None);
    assert_eq!(lagging(99).unwrap(), "members of queue shop/q are not in sync on b");
}

#[test]
fn i1_no_node_is_taken_down_while_another_has_a_member_behind() {
    let one_is_away = standing(vec![queue("q", "a", [Some(5), Some(5), None]), queue("r", "a", [Some(5), Some(5), None])]);
    assert_eq!(one_is_away.hindrance(Some("a")).unwrap(), "members of queue shop/q and 1 more are not in sync on c");
    assert_eq!(one_is_away.hindrance(Some("c")), None, "it is down already");
    assert!(one_is_away.hindrance(None).is_some());
    let no_leader = standing(vec![queue("q", "", [Some(5), Some(5), Some(5)])]);
    assert_eq!(no_leader.hindrance(Some("a")).unwrap(), "queue shop/q has no leader");
}

/// Seen where a virtual host was deleted while a node restarted: the queue was still listed, and no member of it was left.
#[test]
fn a_queue_of_which_nothing_is_left_holds_nobody_up() {
    let dead = queue("q", "", [None, None, None]);
    assert_eq!(standing(vec![dead.clone()]).hindrance(Some("a")), None);
    assert!(!standing(vec![dead.clone()]).is_narrower_than(5));
    assert_eq!(members(vec![dead.clone()]).weakest().unwrap().spare, 0, "that is told all the same");
    let mut electing = dead;
    electing.members[1].runs = true;
    assert!(standing(vec![electing]).hindrance(Some("a")).is_some());
}

#[test]
fn i1_a_queue_with_too_few_members_keeps_its_nodes() {
    let mut narrow = queue("q", "a", [Some(5), Some(5), Some(5)]);
    narrow.members.pop();
    let narrow = standing(vec![narrow]);
    assert_eq!(narrow.hindrance(Some("a")).unwrap(), "queue shop/q has too few members on other nodes");
    assert_eq!(narrow.hindrance(None), None);
    assert!(narrow.is_narrower_than(3) && !narrow.is_narrower_than(2));
}

#[test]
fn i10_the_weakest_queue_decides_how_many_failures_are_survived() {
    let whole = || queue("q", "a", [Some(5), Some(5), Some(5)]);
    let weakest = |queues| members(queues).weakest().map(|weakest| (weakest.spare, weakest.queue));
    assert_eq!(weakest(vec![]), None);
    assert_eq!(weakest(vec![whole()]), Some((1, "shop/q".to_owned())));
    let worst = Some((0, "shop/r".to_owned()));
    assert_eq!(weakest(vec![whole(), queue("r", "a", [Some(5), None, Some(5)])]), worst);
    assert_eq!(weakest(vec![whole(), queue("r", "", [Some(5), Some(5), Some(5)])]), worst);
}

#[test]
fn leaders_go_to_members_in_sync_on_nodes_that_lead_least() {
    let all = [Some(5), Some(5), Some(5)];
    let standing = standing(vec![
        queue("q1", "a", all),
        queue("q2", "a", all),
        queue("q3", "a", [Some(5), None, Some(5)]),
        queue("q4", "a", [Some(5), None, None]),
        queue("q5", "b", all),
    ]);
    let to: Vec<(String, String)> =
        standing.away("a", 9).into_iter().map(|step| (step.queue, names::pod_of_node(&step.to).to_owned())).collect();
    let expected = [("q1", "c"), ("q2", "b"), ("q3", "c")].map(|(queue, to)| (queue.to_owned(), to.to_owned()));
    assert_eq!(to, expected, "q4 has nobody to go to");
    assert_eq!(standing.away("a", 1).len(), 1);
    assert_eq!((standing.leads("a"), standing.connections("a"), standing.connections("b")), (4, 7, 0));
}

#[test]
fn balancing_ends_and_is_even() {
    let all = [Some(5), Some(5), Some(5)];
    for count in 0..20 {
        let mut queues: Vec<QueueMembers> = (0..count).map(|number| queue(&format!("q{number}"), "a", all)).collect();
        let mut rounds = 0;
        loop {
            let moves = standing(queues.clone()).balance(2);
            if moves.is_empty() {
                break;
            }
            for step in moves {
                queues.iter_mut().find(|queue| queue.name == step.queue).unwrap().leader = Some(step.to);
            }
            rounds += 1;
            assert!(rounds <= count, "it does not end");
        }
        let standing = standing(queues);
        let leads = ["a", "b", "c"].map(|pod| standing.leads(pod));
        assert!(leads.iter().max().unwrap() - leads.iter().min().unwrap() <= 1, "{leads:?}");
    }
}
