use super::*;
use crate::cluster::observation::SeenNode;
use crate::cluster::testing::broker;
use crate::cluster::work::Weakest;
use entente_crds::BrokerSpec;
use entente_crds::broker::Orphan;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pods(ready: &[bool]) -> Vec<SeenPod> {
    let pod = |(ordinal, ready): (usize, &bool)| SeenPod {
        name: format!("main-broker-{ordinal}"),
        ready: *ready,
        since: None,
        terminating: false,
        outdated: false,
        serving: true,
        trouble: None,
    };
    ready.iter().enumerate().map(pod).collect()
}

fn seen(running: &[bool]) -> Seen {
    let node = |(ordinal, running): (usize, &bool)| SeenNode {
        name: format!("rabbit@main-broker-{ordinal}.main-nodes.messaging.svc.cluster.local"),
        running: *running,
        alarms: Vec::new(),
    };
    Seen { nodes: running.iter().enumerate().map(node).collect(), version: "4.3.6".into() }
}

fn view<'a>(pods: &'a [SeenPod], answer: Answer<'a>) -> View<'a> {
    const IDLE: &Decision =
        &Decision { work: None, action: None, message: None, balanced: None, switchover: None, weakest: None };
    View { size: 3, pods, answer, refusal: None, work: IDLE, growth_refused: None, cluster_domain: "cluster.local" }
}

fn spec(change: impl FnOnce(&mut BrokerSpec)) -> Broker {
    broker("main", "messaging", change)
}

fn said<'a>(status: &'a BrokerStatus, type_: &str) -> (&'a str, &'a str) {
    let condition = conditions::get(&status.conditions, type_).unwrap();
    (&condition.status, &condition.reason)
}

fn formed() -> BrokerStatus {
    next(&BrokerStatus::default(), &spec(|_| {}), &view(&pods(&[true; 3]), Answer::Seen(&seen(&[true; 3]))), at(10))
}

#[test]
fn nothing_there_yet_is_starting() {
    let status = next(&BrokerStatus::default(), &spec(|_| {}), &view(&[], Answer::NotAsked), at(1));
    assert_eq!(said(&status, "Ready"), ("False", "Starting"));
    assert_eq!(said(&status, "ClusterFormed"), ("False", "Starting"));
    assert_eq!(said(&status, "QuorumSafe"), ("False", "Starting"));
    assert_eq!((status.ready_nodes.as_deref(), status.failures_survived), (Some("0/3"), Some(0)));
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.observed_at, None, "the broker said nothing");
    assert!(transitions(&BrokerStatus::default(), &status).is_empty());
}

#[test]
fn all_nodes_make_it_ready() {
    let status = formed();
    for type_ in ["Ready", "ClusterFormed", "QuorumSafe"] {
        assert_eq!(said(&status, type_), ("True", "Ready"), "{type_}");
    }
    assert_eq!((status.ready_nodes.as_deref(), status.failures_survived), (Some("3/3"), Some(1)));
    assert_eq!(status.version.as_deref(), Some("4.3.6"));
    assert_eq!(status.observed_at, Some(Time(at(10))));
    let events = transitions(&BrokerStatus::default(), &status);
    assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["Ready"]);
}

#[test]
fn a_partly_formed_cluster_is_not_ready_although_a_majority_runs() {
    let pods = pods(&[true, true, false]);
    let seen = seen(&[true, true]);
    let status = next(&BrokerStatus::default(), &spec(|_| {}), &view(&pods, Answer::Seen(&seen)), at(1));
    assert_eq!(said(&status, "Ready"), ("False", "Starting"));
    assert_eq!(said(&status, "QuorumSafe"), ("False", "Starting"));
}

#[test]
fn a_second_look_writes_nothing() {
    let before = formed();
    let after = next(&before, &spec(|_| {}), &view(&pods(&[true; 3]), Answer::Seen(&seen(&[true; 3]))), at(99));
    assert_eq!(patch(&before, &after), None);
    assert!(transitions(&before, &after).is_empty());
}

#[test]
fn the_loss_of_a_node_is_said_and_its_return() {
    let before = formed();
    let lost =
        next(&before, &spec(|_| {}), &view(&pods(&[true, false, true]), Answer::Seen(&seen(&[true, false, true]))), at(20));
    assert_eq!(said(&lost, "Ready"), ("False", "NodesMissing"));
    assert_eq!(said(&lost, "ClusterFormed"), ("False", "NodesMissing"));
    assert_eq!(said(&lost, "QuorumSafe"), ("False", "NodesMissing"));
    assert_eq!((lost.ready_nodes.as_deref(), lost.failures_survived), (Some("2/3"), Some(0)));
    let message = &conditions::get(&lost.conditions, "Ready").unwrap().message;
    assert!(message.contains("main-broker-1") && message.contains("queues go on"), "{message}");
    let reasons = |events: Vec<Transition>| events.into_iter().map(|event| event.reason).collect::<Vec<_>>();
    assert_eq!(reasons(transitions(&before, &lost)), ["NodeLost", "NodesMissing"]);
    let back = next(&lost, &spec(|_| {}), &view(&pods(&[true; 3]), Answer::Seen(&seen(&[true; 3]))), at(30));
    assert_eq!(reasons(transitions(&lost, &back)), ["NodeRunning", "Ready"]);
    assert_eq!(conditions::get(&back.conditions, "Ready").unwrap().last_transition_time.0, at(30));
}

#[test]
fn five_nodes_survive_two() {
    let five = spec(|spec| spec.replicas = 5);
    for (running, spare) in [(5, 2), (4, 1), (3, 0), (2, 0)] {
        let mut ready = vec![true; running];
        ready.resize(5, false);
        let (pods, seen) = (pods(&ready), seen(&ready));
        let status = next(&formed(), &five, &View { size: 5, ..view(&pods, Answer::Seen(&seen)) }, at(20));
        assert_eq!(status.failures_survived, Some(spare), "{running}");
        assert_eq!(said(&status, "QuorumSafe").0, if spare > 0 { "True" } else { "False" });
    }
}

#[test]
fn i10_nodes_that_are_too_many_count_until_they_are_gone() {
    let all = [true; 5];
    let (pods, seen) = (pods(&all), seen(&all));
    let status = next(&formed(), &spec(|_| {}), &View { size: 5, ..view(&pods, Answer::Seen(&seen)) }, at(20));
    assert_eq!((status.ready_nodes.as_deref(), status.failures_survived), (Some("5/5"), Some(2)));
    let mut three = spec(|_| {});
    three.status = Some(status);
    assert!(serves(&three));
    for node in three.status.iter_mut().flat_map(|status| &mut status.nodes).take(3) {
        node.running = false;
    }
    assert!(!serves(&three), "two of five are no majority");
}

#[test]
fn a_single_node_is_ready_and_never_safe() {
    let single = spec(|spec| spec.replicas = 1);
    let (pods, seen) = (pods(&[true]), seen(&[true]));
    let status = next(&BrokerStatus::default(), &single, &View { size: 1, ..view(&pods, Answer::Seen(&seen)) }, at(1));
    assert_eq!(said(&status, "Ready"), ("True", "Ready"));
    assert_eq!(said(&status, "QuorumSafe"), ("False", "SingleNode"));
}

#[test]
fn one_missed_answer_changes_nothing_and_three_do() {
    let before = formed();
    let silent = |times| Answer::Silent { error: "timed out", times };
    let pods = pods(&[true; 3]);
    assert_eq!(patch(&before, &next(&before, &spec(|_| {}), &view(&pods, silent(1)), at(20))), None);
    let after = next(&before, &spec(|_| {}), &view(&pods, silent(3)), at(20));
    assert_eq!(said(&after, "Ready"), ("Unknown", "BrokerUnreachable"));
    assert_eq!(after.ready_nodes.as_deref(), Some("3/3"), "a failed read is not zero (I5)");
    assert_eq!(after.observed_at, before.observed_at);
}

#[test]
fn pods_that_are_down_need_no_answer() {
    let before = formed();
    let silent = Answer::Silent { error: "timed out", times: 1 };
    let after = next(&before, &spec(|_| {}), &view(&pods(&[true, false, false]), silent), at(20));
    assert_eq!(said(&after, "Ready"), ("False", "NodesMissing"));
    assert_eq!(after.ready_nodes.as_deref(), Some("1/3"));
    let message = &conditions::get(&after.conditions, "Ready").unwrap().message;
    assert!(message.contains("stand still until 2 nodes run"), "{message}");
}

#[test]
fn trouble_of_a_pod_is_in_the_message() {
    let mut pods = pods(&[false; 3]);
    for pod in &mut pods[..2] {
        pod.trouble = Some("the image x cannot be pulled".into());
    }
    let status = next(&BrokerStatus::default(), &spec(|_| {}), &view(&pods, Answer::NotAsked), at(1));
    let message = &conditions::get(&status.conditions, "Ready").unwrap().message;
    assert!(message.contains("missing: main-broker-0, main-broker-1 (the image x cannot be pulled), main-broker-2"), "{message}");
}

#[test]
fn a_refusal_speaks_in_ready_and_what_runs_stays_seen() {
    let refusal = Refusal { reason: reasons::CONFLICT, message: "a Secret is in the way".into() };
    let (pods, seen) = (pods(&[true; 3]), seen(&[true; 3]));
    let refused = View { refusal: Some(&refusal), ..view(&pods, Answer::Seen(&seen)) };
    let status = next(&formed(), &spec(|_| {}), &refused, at(20));
    assert_eq!(said(&status, "Ready"), ("False", "Conflict"));
    assert_eq!(said(&status, "ClusterFormed"), ("True", "Ready"));
    let nothing = View { refusal: Some(&refusal), ..view(&[], Answer::NotAsked) };
    let status = next(&BrokerStatus::default(), &spec(|_| {}), &nothing, at(1));
    assert_eq!(said(&status, "ClusterFormed"), ("False", "Conflict"));
    assert_eq!(status.endpoints, None);
    let healed = next(&status, &spec(|_| {}), &view(&[], Answer::NotAsked), at(2));
    assert_eq!(said(&healed, "Ready"), ("False", "Starting"), "it never ran");
    assert!(transitions(&BrokerStatus::default(), &status)[0].warning);
}

#[test]
fn another_version_is_not_ready() {
    let (pods, seen) = (pods(&[true; 3]), seen(&[true; 3]));
    let with = |version: &str| {
        let broker = spec(|spec| spec.version = Some(version.into()));
        let status = next(&BrokerStatus::default(), &broker, &view(&pods, Answer::Seen(&seen)), at(1));
        said(&status, "Ready").1.to_owned()
    };
    for version in ["4", "4.3", "4.3.6"] {
        assert_eq!(with(version), "Ready", "{version}");
    }
    for version in ["3", "4.30", "4.2", "4.3.60"] {
        assert_eq!(with(version), "VersionMismatch", "{version}");
    }
}

#[test]
fn an_alarm_is_not_ready() {
    let mut seen = seen(&[true; 3]);
    seen.nodes[1].alarms = vec!["disk".into()];
    let status = next(&formed(), &spec(|_| {}), &view(&pods(&[true; 3]), Answer::Seen(&seen)), at(20));
    assert_eq!(said(&status, "Ready"), ("False", "ResourceAlarm"));
    assert_eq!(status.nodes[1].alarms, ["disk"]);
}

#[test]
fn volumes_that_do_not_grow_are_said() {
    let (pods, seen) = (pods(&[true; 3]), seen(&[true; 3]));
    let refused = View { growth_refused: Some("the class does not expand"), ..view(&pods, Answer::Seen(&seen)) };
    let status = next(&formed(), &spec(|_| {}), &refused, at(20));
    assert_eq!(said(&status, "VolumesGrown"), ("False", "GrowthRefused"));
    assert_eq!(said(&status, "Ready"), ("True", "Ready"));
    let healed = next(&status, &spec(|_| {}), &view(&pods, Answer::Seen(&seen)), at(30));
    assert!(conditions::get(&healed.conditions, "VolumesGrown").is_none());
}

#[test]
fn a_restart_that_goes_on_is_said() {
    let (pods, seen) = (pods(&[true; 3]), seen(&[true; 3]));
    let work = Decision { message: Some("1 of 3 done".into()), ..Decision::default() };
    let status = next(&formed(), &spec(|_| {}), &View { work: &work, ..view(&pods, Answer::Seen(&seen)) }, at(20));
    assert!(conditions::get(&status.conditions, "Ready").unwrap().message.contains("1 of 3 done"));
}

#[test]
fn a_pause_keeps_what_was_seen() {
    let before = formed();
    let after = paused(&before, &spec(|_| {}), at(20));
    assert_eq!(said(&after, "Reconciling"), ("False", "Paused"));
    assert_eq!(said(&after, "Ready"), ("True", "Ready"));
    let on = next(&after, &spec(|_| {}), &view(&pods(&[true; 3]), Answer::Seen(&seen(&[true; 3]))), at(30));
    assert!(conditions::get(&on.conditions, "Reconciling").is_none());
}

#[test]
fn the_patch_leaves_the_fields_of_others_alone() {
    let mut before = formed();
    before.orphans.push(Orphan { virtual_host: "gone".into(), queues: 1, messages: Some(2), since: Time(at(1)) });
    let mut after =
        next(&before, &spec(|_| {}), &view(&pods(&[true, true, false]), Answer::Seen(&seen(&[true, true, false]))), at(20));
    after.orphans.clear();
    let patch = patch(&before, &after).unwrap();
    assert!(patch["status"].get("orphans").is_none() && patch["status"].get("nodes").is_some(), "{patch}");
}

#[test]
fn a_majority_serves() {
    let mut main = spec(|_| {});
    assert!(!serves(&main));
    main.status = Some(formed());
    assert!(serves(&main));
    for node in &mut main.status.as_mut().unwrap().nodes[..2] {
        node.running = false;
    }
    assert!(!serves(&main));
}

#[test]
fn i10_a_broker_is_as_safe_as_its_weakest_queue() {
    let (pods, seen) = (pods(&[true; 3]), seen(&[true; 3]));
    let with = |weakest| {
        let work = Decision { weakest, ..Decision::default() };
        let status = next(&formed(), &spec(|_| {}), &View { work: &work, ..view(&pods, Answer::Seen(&seen)) }, at(20));
        let safe = said(&status, types::QUORUM_SAFE);
        (safe.0.to_owned(), safe.1.to_owned(), status.failures_survived)
    };
    let safe = ("True".to_owned(), "Ready".to_owned(), Some(1));
    assert_eq!(with(None), safe);
    assert_eq!(with(Some(Weakest { spare: 1, queue: "shop/q".into() })), safe);
    let weak = ("False".to_owned(), "MembersMissing".to_owned(), Some(0));
    assert_eq!(with(Some(Weakest { spare: 0, queue: "shop/q".into() })), weak);
}
