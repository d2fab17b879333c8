//! How many of the nodes that hold a Queue's messages may still fail.
//!
//! A quorum queue goes on while a majority of its members runs. The Broker's `QuorumSafe` speaks of the weakest of all queues; this
//! is that of one Queue or Subscription, of all queues that it has at the broker.

use entente_crds::condition::{reasons, types};
use entente_crds::queue::QueueStatus;
use jiff::Timestamp;

use super::parts;
use super::validate::{DeadLetters, Settings};
use crate::cluster::names::pod_of_node;
use crate::conditions::{self, Status};
use crate::object::{Outcome, Place, Refusal};
use crate::topology::model::QueueKind;
use crate::topology::names::dead_letter_queue;
use crate::topology::observed::{ObservedQueue, ObservedVirtualHost};

type Named<'a> = (&'a str, &'a ObservedQueue);

/// What is said where one of these queues stands still for want of members.
pub fn lost(settings: &Settings, observed: &ObservedVirtualHost) -> Option<Refusal> {
    let (spare, (name, queue)) = weakest(main(settings, observed))?;
    (spare < 0).then(|| Refusal {
        reason: reasons::QUORUM_LOST,
        message: format!(
            "{}. Goes on by itself then. Where their data is gone for good, entente-accept-loss on a node that has data goes on without it: see \"When the data of a majority is gone\" in docs/operations.md",
            no_majority(name, queue, spare)
        ),
    })
}

/// Says how many failures are survived now. Of what is not known nothing is said.
pub fn tell(status: &mut QueueStatus, outcome: &Outcome, place: Place<'_, Settings>, now: Timestamp) {
    if let Outcome::Unseen { reason, message } = outcome {
        unseen(status, reason, message, now);
        return;
    }
    let Place { settings: Some(settings), observed: Some(observed), .. } = place else { return };
    let dead = match settings.dead_letters {
        DeadLetters::Own => find(&dead_letter_queue(&settings.name), observed),
        DeadLetters::Discard | DeadLetters::Queue(_) => None,
    };
    let Some((spare, (name, queue))) = weakest(main(settings, observed).into_iter().chain(dead)) else {
        status.failures_survived = None;
        conditions::remove(&mut status.conditions, types::QUORUM_SAFE);
        return;
    };
    status.failures_survived = Some(i32::try_from(spare.max(0)).unwrap_or(i32::MAX));
    let (all, missing) = (queue.members.len(), missing(queue));
    let running = all - missing.len();
    let (holds, reason, message) = match (spare, all) {
        (1.., _) => (Status::True, reasons::READY, format!("{running} of {all} members run: {spare} more may fail")),
        (0, 1) => {
            let message = format!("{name} has one member, on {}: it stops with that node", nodes(&queue.members).join(", "));
            (Status::False, reasons::SINGLE_MEMBER, message)
        }
        (0, _) => {
            let missing = if missing.is_empty() { String::new() } else { format!("; missing: {}", missing.join(", ")) };
            let message = format!("{running} of {all} members of {name} run: it would stop with the next failure{missing}");
            (Status::False, reasons::MEMBERS_MISSING, message)
        }
        _ => (Status::False, reasons::QUORUM_LOST, no_majority(name, queue, spare)),
    };
    conditions::set(&mut status.conditions, types::QUORUM_SAFE, holds, reason, message, status.observed_generation, now);
}

/// What was seen before the broker was silent makes nobody safe now.
fn unseen(status: &mut QueueStatus, reason: &'static str, message: &str, now: Timestamp) {
    status.failures_survived = None;
    if conditions::get(&status.conditions, types::QUORUM_SAFE).is_some() {
        let (generation, message) = (status.observed_generation, message.to_owned());
        conditions::set(&mut status.conditions, types::QUORUM_SAFE, Status::Unknown, reason, message, generation, now);
    }
}

/// The queues that messages are sent to and received from.
fn main<'a>(settings: &'a Settings, observed: &'a ObservedVirtualHost) -> Vec<Named<'a>> {
    match settings.parts {
        Some(_) => parts::seen(&settings.name, observed).into_iter().map(|(name, queue)| (name.as_str(), queue)).collect(),
        None => find(&settings.name, observed).into_iter().collect(),
    }
}

fn find<'a>(name: &str, observed: &'a ObservedVirtualHost) -> Option<Named<'a>> {
    observed.queues.get_key_value(name).map(|(name, queue)| (name.as_str(), queue))
}

fn weakest<'a>(queues: impl IntoIterator<Item = Named<'a>>) -> Option<(i64, Named<'a>)> {
    let known = queues.into_iter().filter_map(|(name, queue)| Some((queue.spare()?, (name, queue))));
    known.min_by_key(|(spare, _)| *spare)
}

fn no_majority(name: &str, queue: &ObservedQueue, spare: i64) -> String {
    let (all, missing) = (queue.members.len(), missing(queue));
    // What is in a stream can be read from each copy.
    let stands_still = if queue.kind == QueueKind::Stream { "accepts nothing" } else { "accepts and delivers nothing" };
    format!(
        "{} of {all} members of {name} run, which is no majority: it {stands_still} until {} of {} {} back",
        all - missing.len(),
        -spare,
        missing.join(", "),
        if spare == -1 { "is" } else { "are" }
    )
}

fn missing(queue: &ObservedQueue) -> Vec<&str> {
    nodes(queue.members.iter().filter(|member| !queue.online.contains(member)))
}

fn nodes<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().map(|name| pod_of_node(name)).collect()
}

#[cfg(test)]
mod tests {
    use entente_crds::{Broker, Queue};
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;

    const ALL: [&str; 3] = ["a", "b", "c"];

    fn queue(members: &[&str], online: &[&str]) -> ObservedQueue {
        let nodes = |names: &[&str]| names.iter().map(|name| format!("rabbit@{name}.nodes.ns.svc")).collect();
        ObservedQueue { members: nodes(members), online: nodes(online), ..ObservedQueue::declared(QueueKind::Quorum) }
    }

    struct Said {
        holds: String,
        reason: String,
        message: String,
        survived: i32,
        ready: Option<Refusal>,
    }

    fn said(spec: Value, queues: &[(&str, ObservedQueue)]) -> Option<Said> {
        let settings = Queue::new("q", serde_json::from_value(spec).unwrap()).validate().unwrap();
        let queues = queues.iter().map(|(name, queue)| ((*name).to_owned(), queue.clone())).collect();
        let observed = ObservedVirtualHost { queues, ..ObservedVirtualHost::default() };
        let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
        let place = Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(&observed) };
        let mut status = QueueStatus::default();
        tell(&mut status, &Outcome::Ready, place, Timestamp::UNIX_EPOCH);
        let found = conditions::get(&status.conditions, types::QUORUM_SAFE)?;
        let (holds, reason, message) = (found.status.clone(), found.reason.clone(), found.message.clone());
        let said = Said { holds, reason, message, survived: status.failures_survived?, ready: lost(&settings, &observed) };
        let silent = Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message: "no answer".into() };
        tell(&mut status, &silent, place, Timestamp::UNIX_EPOCH);
        let found = conditions::get(&status.conditions, types::QUORUM_SAFE)?;
        assert_eq!(
            (found.status.as_str(), status.failures_survived),
            ("Unknown", None),
            "nobody is safe by what was seen before"
        );
        Some(said)
    }

    fn of_one(members: &[&str], online: &[&str]) -> Said {
        said(json!({}), &[("q", queue(members, online))]).unwrap()
    }

    #[test]
    fn i10_it_is_told_how_many_more_may_fail() {
        let whole = of_one(&ALL, &ALL);
        assert_eq!(
            (whole.holds.as_str(), whole.survived, whole.message.as_str()),
            ("True", 1, "3 of 3 members run: 1 more may fail")
        );
        let five = ["a", "b", "c", "d", "e"];
        assert_eq!((of_one(&five, &five).survived, of_one(&five, &five[1..]).survived), (2, 1));
        assert_eq!(whole.ready, None);
    }

    #[test]
    fn i10_a_bare_majority_serves_and_is_not_safe() {
        let bare = of_one(&ALL, &["a", "b"]);
        assert_eq!((bare.holds.as_str(), bare.survived, bare.reason.as_str()), ("False", 0, reasons::MEMBERS_MISSING));
        assert!(bare.message.ends_with("next failure; missing: c"), "{}", bare.message);
        assert_eq!(bare.ready, None);
        let even = of_one(&["a", "b"], &["a", "b"]);
        assert_eq!(even.message, "2 of 2 members of q run: it would stop with the next failure");
        let single = of_one(&["a"], &["a"]);
        assert_eq!((single.holds.as_str(), single.reason.as_str(), single.ready), ("False", reasons::SINGLE_MEMBER, None));
    }

    #[test]
    fn i10_less_than_a_majority_serves_nobody() {
        let lost = of_one(&ALL, &["a"]);
        assert_eq!((lost.holds.as_str(), lost.survived, lost.reason.as_str()), ("False", 0, reasons::QUORUM_LOST));
        assert!(lost.message.starts_with("1 of 3") && lost.message.ends_with("until 1 of b, c is back"), "{}", lost.message);
        let ready = lost.ready.unwrap();
        assert!(ready.reason == reasons::QUORUM_LOST && ready.message.starts_with(&lost.message), "{ready}");
        assert!(of_one(&ALL, &[]).message.ends_with("until 2 of a, b, c are back"));
        assert_eq!(of_one(&["a"], &[]).reason, reasons::QUORUM_LOST);
    }

    #[test]
    fn i10_the_worst_part_counts() {
        let spec = json!({"partitions": {"count": 2, "by": "k"}});
        let parts = [("part.q.0", queue(&ALL, &ALL)), ("part.q.1", queue(&ALL, &["c"]))];
        let said = said(spec, &parts).unwrap();
        assert!(said.message.contains("part.q.1") && said.ready.is_some(), "{}", said.message);
    }

    #[test]
    fn i6_a_second_visit_changes_nothing() {
        for (spec, name) in [(json!({}), "q"), (json!({"partitions": {"count": 2, "by": "k"}}), "part.q.0")] {
            let mut object = Queue::new("q", serde_json::from_value(spec).unwrap());
            let settings = object.validate().unwrap();
            let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
            let queues = [(name.to_owned(), queue(&ALL, &ALL))].into();
            let observed = ObservedVirtualHost { queues, ..ObservedVirtualHost::default() };
            let place = Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(&observed) };
            let mut visit = |second| {
                let status = object.next_status(&Outcome::Ready, Some(place), Timestamp::from_second(second).unwrap());
                object.status = Some(status.clone());
                status
            };
            let first = visit(0);
            assert!(conditions::is_true(&first.conditions, types::QUORUM_SAFE));
            assert_eq!(visit(60), first, "{name}");
        }
    }

    /// The queue itself goes on without them.
    #[test]
    fn dead_letters_count_for_safety_alone() {
        let dead = || [("q", queue(&ALL, &ALL)), ("q.dead", queue(&ALL, &["c"]))];
        let own = said(json!({}), &dead()).unwrap();
        assert_eq!((own.reason.as_str(), own.ready), (reasons::QUORUM_LOST, None));
        assert!(own.message.contains("q.dead"), "{}", own.message);
        assert_eq!(said(json!({"deadLetter": {"discard": true}}), &dead()).unwrap().holds, "True");
    }

    #[test]
    fn i5_of_what_is_not_known_nothing_is_said() {
        assert!(said(json!({}), &[]).is_none());
        assert!(said(json!({}), &[("q", queue(&[], &[]))]).is_none());
    }
}
