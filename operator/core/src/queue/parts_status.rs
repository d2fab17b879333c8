//! What the status of a Queue with partitions says of its parts.

use entente_crds::condition::{reasons, types};
use entente_crds::queue::{Part, QueueStatus};
use jiff::Timestamp;

use super::parts;
use super::status::{add_up, dead_letter_condition, nowhere, taps_condition};
use super::validate::{Parts, Settings};
use crate::conditions::{self, Status};
use crate::object::Place;
use crate::topology::names::{dead_letter_queue, exchange_address, front, queue_address};
use crate::topology::observed::{ObservedQueue, ObservedVirtualHost};
use crate::topology::ring::{Joining, Ring};

/// What is said where it can be used (invariant I10).
pub(super) fn ready_message(place: Option<Place<'_, Settings>>) -> &'static str {
    let joining = |place: Place<'_, Settings>| joining(place.settings?, place.observed?);
    match place.and_then(joining) {
        None => "the queue is as declared",
        Some(_) => "the queue can be used; PartitionsReady says what its further parts wait for",
    }
}

/// Parts that wait.
fn joining(settings: &Settings, observed: &ObservedVirtualHost) -> Option<Joining> {
    parts::ring(&settings.name, settings.parts.as_ref()?).joining(observed)
}

/// Says where the parts are and what is in them. There is no queue of the Queue's own name.
pub(super) fn locate_parts(
    status: &mut QueueStatus,
    settings: &Settings,
    parts: &Parts,
    observed: &ObservedVirtualHost,
    now: Timestamp,
) {
    let name = &settings.name;
    let (dead, ring) = (dead_letter_queue(name), parts::ring(name, parts));
    let known = status.backlog.take();
    nowhere(status);
    let seen = parts::seen(name, observed);
    status.partitions = seen.iter().map(|(part, seen)| one_part(part, seen, ring.has(part, observed))).collect();
    status.send_address = observed.exchanges.contains_key(&front(name)).then(|| exchange_address(&front(name)));
    status.dead_letter_address = observed.queues.contains_key(&dead).then(|| queue_address(&dead));
    partitions_condition(status, &ring, observed, now);
    dead_letter_condition(status, settings, observed, now);
    taps_condition(status, settings, observed, now);
    if seen.is_empty() {
        return;
    }
    status.backlog = known;
    let counts = seen.iter().map(|(_, seen)| seen.counts);
    // Where one is not known, neither is the sum.
    let sum = counts.reduce(|sum, counts| sum.zip(counts).map(|(sum, counts)| sum.plus(counts))).flatten();
    if let Some(sum) = sum {
        add_up(status, &dead, sum, observed, now);
    }
}

fn one_part(name: &str, seen: &ObservedQueue, joined: bool) -> Part {
    Part {
        address: queue_address(name),
        joined,
        leader: seen.leader.clone(),
        ready: seen.counts.map(|counts| counts.ready),
        unacknowledged: seen.counts.map(|counts| counts.unacknowledged),
        consumers: seen.counts.map(|counts| counts.consumers),
    }
}

fn partitions_condition(status: &mut QueueStatus, ring: &Ring, observed: &ObservedVirtualHost, now: Timestamp) {
    let (count, there) = (ring.queues.len(), ring.queues.iter().filter(|queue| ring.has(queue, observed)).count());
    let (holds, reason, message) = match ring.joining(observed) {
        None if there == count => (Status::True, reasons::READY, format!("messages go to {count} parts")),
        None => (Status::False, reasons::PROGRESSING, format!("messages go to {there} of {count} parts; this goes on by itself")),
        Some(Joining { joined, queues, left, .. }) => {
            let left = match left {
                None => "it is not known yet how many messages are left".to_owned(),
                Some(0) => "none is left, and they join next".to_owned(),
                Some(left) => format!("{left} messages are left"),
            };
            (
                Status::False,
                reasons::PARTS_NOT_EMPTY,
                format!(
                    "messages go to {joined} of {count} parts; {queues} join once all parts are empty, so that order is kept: {left}. Let them be consumed while nobody sends, or set spec.partitions.grow to AtOnce (values that move are then out of order for a while)"
                ),
            )
        }
    };
    let generation = status.observed_generation;
    conditions::set(&mut status.conditions, types::PARTITIONS_READY, holds, reason, message, generation, now);
}

#[cfg(test)]
mod tests {
    use entente_crds::{Broker, Queue};
    use serde_json::json;

    use super::*;
    use crate::object::{Object, Outcome};
    use crate::topology::diff::diff;
    use crate::topology::observed::Counts;
    use crate::topology::plan::Action;

    struct World {
        queue: Queue,
        seen: ObservedVirtualHost,
    }

    impl World {
        fn new(count: usize) -> Self {
            let mut world =
                Self { queue: Queue::new("q", serde_json::from_value(json!({})).unwrap()), seen: ObservedVirtualHost::default() };
            world.declare(count);
            world
        }

        fn declare(&mut self, count: usize) {
            self.queue.spec = serde_json::from_value(json!({"partitions": {"count": count, "by": "k"}})).unwrap();
            let stages = Queue::desired(&self.queue.validate().unwrap());
            for stage in [stages.usable, stages.complete] {
                diff(&stage, &self.seen.clone()).unwrap().actions().for_each(|action| self.seen.note(action));
            }
        }

        fn counts(&mut self, queue: &str, ready: i64) {
            let counts = Counts { ready, unacknowledged: 1, consumers: 2 };
            self.seen.queues.get_mut(queue).unwrap().counts = Some(counts);
        }

        fn visit(&mut self) -> QueueStatus {
            let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
            let settings = self.queue.validate().unwrap();
            let place = Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(&self.seen) };
            let status = self.queue.next_status(&Outcome::Ready, Some(place), Timestamp::from_second(1_800_000_000).unwrap());
            self.queue.status = Some(status.clone());
            status
        }
    }

    fn told(status: &QueueStatus, type_: &str) -> (String, String, String) {
        let condition = conditions::get(&status.conditions, type_).unwrap();
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    }

    #[test]
    fn one_sends_to_the_front_and_receives_from_each_part() {
        let status = World::new(3).visit();
        assert_eq!((status.address, status.send_address.as_deref()), (None, Some("/exchanges/queue.q")));
        let parts: Vec<(&str, bool)> = status.partitions.iter().map(|part| (part.address.as_str(), part.joined)).collect();
        assert_eq!(parts, [("/queues/part.q.0", true), ("/queues/part.q.1", true), ("/queues/part.q.2", true)]);
        assert_eq!(status.dead_letter_address.as_deref(), Some("/queues/q.dead"));
        assert_eq!(status.partitions[0].ready, None, "counts that nobody reported are not zero");
    }

    #[test]
    fn figures_are_those_of_all_parts() {
        let mut world = World::new(2);
        world.counts("q.dead", 6);
        world.counts("part.q.0", 3);
        assert_eq!(world.visit().backlog, None, "one of them is not known");
        world.counts("part.q.1", 4);
        let backlog = world.visit().backlog.unwrap();
        assert_eq!((backlog.ready, backlog.unacknowledged, backlog.consumers, backlog.dead_lettered), (7, 2, 4, 7));
        // I5: figures that are no longer known stay as they were last seen.
        world.seen.queues.get_mut("part.q.1").unwrap().counts = None;
        assert_eq!(world.visit().backlog, Some(backlog));
    }

    #[test]
    fn i10_parts_that_wait_are_told_with_what_they_wait_for() {
        let mut world = World::new(2);
        assert_eq!(
            told(&world.visit(), types::PARTITIONS_READY),
            ("True".into(), "Ready".into(), "messages go to 2 parts".into())
        );
        world.declare(4);
        for part in ["part.q.0", "part.q.1", "part.q.2", "part.q.3"] {
            world.counts(part, 3);
        }
        let status = world.visit();
        let (holds, reason, message) = told(&status, types::PARTITIONS_READY);
        assert_eq!((holds.as_str(), reason.as_str()), ("False", reasons::PARTS_NOT_EMPTY));
        assert!(message.contains("2 of 4 parts") && message.contains("16 messages are left"), "{message}");
        let (ready, _, message) = told(&status, types::READY);
        assert!(ready == "True" && message.contains("PartitionsReady"), "{message}");
        assert_eq!(status.partitions.iter().filter(|part| part.joined).count(), 2);
    }

    #[test]
    fn i6_a_second_visit_changes_nothing() {
        let mut world = World::new(3);
        for queue in ["q.dead", "part.q.0", "part.q.1", "part.q.2"] {
            world.counts(queue, 1);
        }
        let first = world.visit();
        assert_eq!(world.visit(), first);
    }

    #[test]
    fn what_is_gone_is_not_pointed_at() {
        let mut world = World::new(2);
        world.visit();
        for number in 0..2 {
            world.seen.note(&Action::DeleteQueue { name: format!("part.q.{number}") });
        }
        world.seen.note(&Action::DeleteExchange { name: "queue.q".into() });
        let status = world.visit();
        assert_eq!((status.send_address.clone(), status.partitions.len(), status.backlog.clone()), (None, 0, None));
        assert_eq!(told(&status, types::PARTITIONS_READY).1, reasons::PROGRESSING);
    }
}
