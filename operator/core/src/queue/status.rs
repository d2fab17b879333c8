//! What the status of a Queue says, from what was seen and what came of it.

use entente_crds::Queue;
use entente_crds::condition::{reasons, types};
use entente_crds::queue::{Backlog, QueueStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::parts_status::{locate_parts, ready_message};
use super::quorum;
use super::validate::{DeadLetters, Settings};
use crate::conditions::{self, Status, whole_second};
use crate::object::{Outcome, Place, broker_key, set_outcome};
use crate::taps;
use crate::topology::foundation::DEAD_LETTER_EXCHANGE;
use crate::topology::model::Binding;
use crate::topology::names::{dead_letter_queue, exchange_address, front, queue_address};
use crate::topology::observed::{Counts, ObservedVirtualHost};

/// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
pub fn status(queue: &Queue, outcome: &Outcome, place: Option<Place<'_, Settings>>, now: Timestamp) -> QueueStatus {
    let mut status = queue.status.clone().unwrap_or_default();
    let generation = queue.metadata.generation;
    status.observed_generation = generation;
    if !set_outcome(&mut status.conditions, outcome, ready_message(place), generation, now) {
        return status;
    }
    if let Some(place) = place {
        locate(&mut status, &queue.metadata.name.clone().unwrap_or_default(), place, now);
        quorum::tell(&mut status, outcome, place, now);
    }
    status
}

/// Says where a queue is and what is in it. `name` is that of the queue at the broker, which need not be a Queue's.
pub fn locate(status: &mut QueueStatus, name: &str, place: Place<'_, Settings>, now: Timestamp) {
    let Place { broker, virtual_host, settings, observed } = place;
    let dead = dead_letter_queue(name);
    status.broker = Some(broker_key(broker));
    status.virtual_host = Some(virtual_host.to_owned());
    let Some(observed) = observed else { return };
    if let Some(settings @ Settings { parts: Some(parts), .. }) = settings {
        locate_parts(status, settings, parts, observed, now);
        return;
    }
    conditions::remove(&mut status.conditions, types::PARTITIONS_READY);
    status.partitions.clear();
    let Some(seen) = observed.queues.get(name) else {
        nowhere(status);
        return;
    };
    status.address = Some(queue_address(name));
    if !seen.members.is_empty() {
        status.leader.clone_from(&seen.leader);
        status.members.clone_from(&seen.members);
        status.online.clone_from(&seen.online);
    }
    status.dead_letter_address = observed.queues.contains_key(&dead).then(|| queue_address(&dead));
    if let Some(settings) = settings {
        status.send_address = (!settings.taps.is_empty()).then(|| exchange_address(&front(name)));
        dead_letter_condition(status, settings, observed, now);
        taps_condition(status, settings, observed, now);
    }
    if let Some(counts) = seen.counts {
        add_up(status, &dead, counts, observed, now);
    }
}

/// Nothing may point at what is not there.
pub(super) fn nowhere(status: &mut QueueStatus) {
    status.address = None;
    status.send_address = None;
    status.leader = None;
    status.members.clear();
    status.online.clear();
    status.backlog = None;
}

/// Sets the figures, if those of the dead letters are known too.
pub(super) fn add_up(status: &mut QueueStatus, dead: &str, counts: Counts, observed: &ObservedVirtualHost, now: Timestamp) {
    let dead_lettered = match observed.queues.get(dead) {
        None => Some(0),
        Some(dead) => dead.counts.map(Counts::messages),
    };
    if let Some(dead_lettered) = dead_lettered {
        set_backlog(status, counts, dead_lettered, observed.seen_at.unwrap_or(now));
    }
}

pub(super) fn taps_condition(status: &mut QueueStatus, settings: &Settings, observed: &ObservedVirtualHost, now: Timestamp) {
    let generation = status.observed_generation;
    taps::set_condition(&mut status.conditions, &front(&settings.name), &settings.taps, observed, generation, now);
}

/// `observedAt` moves only when a figure does: a time alone is not worth a write.
fn set_backlog(status: &mut QueueStatus, counts: Counts, dead_lettered: i64, seen_at: Timestamp) {
    let Counts { ready, unacknowledged, consumers } = counts;
    let backlog = Backlog { ready, unacknowledged, dead_lettered, consumers, observed_at: Time(whole_second(seen_at)) };
    let unchanged = status
        .backlog
        .as_ref()
        .is_some_and(|known| Backlog { observed_at: backlog.observed_at.clone(), ..known.clone() } == backlog);
    if !unchanged {
        status.backlog = Some(backlog);
    }
}

pub(super) fn dead_letter_condition(
    status: &mut QueueStatus,
    settings: &Settings,
    observed: &ObservedVirtualHost,
    now: Timestamp,
) {
    let target = match &settings.dead_letters {
        DeadLetters::Discard => {
            conditions::remove(&mut status.conditions, types::DEAD_LETTER_READY);
            return;
        }
        DeadLetters::Own => dead_letter_queue(&settings.name),
        DeadLetters::Queue(name) => name.clone(),
    };
    let binding = Binding::new(DEAD_LETTER_EXCHANGE, &target, &settings.name);
    let missing = matches!(settings.dead_letters, DeadLetters::Queue(_)) && !observed.queues.contains_key(&target);
    let (holds, reason, message) = if observed.bindings.contains(&binding) {
        (Status::True, reasons::READY, format!("dead letters go to {target}"))
    } else if missing {
        (
            Status::False,
            reasons::DEAD_LETTER_QUEUE_MISSING,
            format!("deadLetter.queueRef names {target}, which is not in the broker; create that Queue in this namespace"),
        )
    } else {
        (Status::False, reasons::PROGRESSING, format!("{target} is being set up; dead letters wait until then"))
    };
    let generation = status.observed_generation;
    conditions::set(&mut status.conditions, types::DEAD_LETTER_READY, holds, reason, message, generation, now);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::desired::desired;
    use super::super::validate::validate;
    use super::*;
    use entente_crds::Broker;

    use crate::topology::diff::diff;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    struct World {
        queue: Queue,
        broker: Broker,
        settings: Settings,
        seen: ObservedVirtualHost,
    }

    fn world(spec: serde_json::Value) -> World {
        let mut queue = Queue::new("q", serde_json::from_value(spec).unwrap());
        queue.metadata.namespace = Some("shop".into());
        queue.metadata.generation = Some(3);
        let mut broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
        broker.metadata.namespace = Some("messaging".into());
        let settings = validate(&queue).unwrap();
        let mut seen = ObservedVirtualHost { seen_at: Some(at(0)), ..ObservedVirtualHost::default() };
        diff(&desired(&settings).usable, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        World { queue, broker, settings, seen }
    }

    impl World {
        fn visit(&mut self, outcome: &Outcome, second: i64) -> QueueStatus {
            let place =
                Place { broker: &self.broker, virtual_host: "shop", settings: Some(&self.settings), observed: Some(&self.seen) };
            let status = status(&self.queue, outcome, Some(place), at(second));
            self.queue.status = Some(status.clone());
            status
        }
        fn complete(&mut self) {
            let plan = diff(&desired(&self.settings).complete, &self.seen).unwrap();
            plan.actions().for_each(|action| self.seen.note(action));
        }
    }

    fn reason(status: &QueueStatus, type_: &str) -> Option<String> {
        conditions::get(&status.conditions, type_).map(|condition| condition.reason.clone())
    }

    #[test]
    fn a_usable_queue_says_where_it_is() {
        let status = world(json!({})).visit(&Outcome::Ready, 0);
        assert!(conditions::is_true(&status.conditions, types::READY));
        assert_eq!(status.broker.as_deref(), Some("messaging/main"));
        assert_eq!(status.virtual_host.as_deref(), Some("shop"));
        assert_eq!(status.address.as_deref(), Some("/queues/q"));
        assert_eq!(status.dead_letter_address, None);
        assert_eq!(reason(&status, types::DEAD_LETTER_READY).as_deref(), Some(reasons::PROGRESSING));
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.backlog, None, "counts that nobody reported are not zero");
    }

    #[test]
    fn i6_a_second_visit_changes_nothing() {
        let mut world = world(json!({}));
        world.complete();
        world.seen.queues.values_mut().for_each(|queue| queue.counts = Some(Counts::default()));
        let first = world.visit(&Outcome::Ready, 0);
        world.seen.seen_at = Some(at(60));
        assert_eq!(world.visit(&Outcome::Ready, 60), first);
    }

    #[test]
    fn i10_figures_that_changed_say_when_they_were_seen() {
        let mut world = world(json!({"deadLetter": {"discard": true}}));
        world.visit(&Outcome::Ready, 0);
        world.seen.seen_at = Some(at(7));
        world.seen.queues.get_mut("q").unwrap().counts = Some(Counts { ready: 5, unacknowledged: 2, consumers: 1 });
        let backlog = world.visit(&Outcome::Ready, 9).backlog.unwrap();
        assert_eq!((backlog.ready, backlog.unacknowledged, backlog.consumers), (5, 2, 1));
        assert_eq!(backlog.observed_at, Time(at(7)));
    }

    #[test]
    fn i5_a_dead_letter_count_that_is_unknown_keeps_the_last_figures() {
        let mut world = world(json!({}));
        world.complete();
        world.seen.queues.get_mut("q").unwrap().counts = Some(Counts::default());
        assert_eq!(world.visit(&Outcome::Ready, 0).backlog, None);
    }

    #[test]
    fn i10_an_unreachable_broker_is_unknown_and_not_ready() {
        let mut world = world(json!({}));
        world.visit(&Outcome::Ready, 0);
        let status = world.visit(&Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message: "timed out".into() }, 1);
        let ready = conditions::get(&status.conditions, types::READY).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("Unknown", reasons::BROKER_UNREACHABLE));
    }

    #[test]
    fn a_queue_that_is_not_there_has_no_address() {
        let mut world = world(json!({}));
        world.visit(&Outcome::Ready, 0);
        world.seen.queues.clear();
        let status = world.visit(&Outcome::NotReady { reason: reasons::BROKER_REFUSED, message: "no".into() }, 1);
        assert_eq!((status.address, status.leader, status.backlog), (None, None, None));
    }

    #[test]
    fn a_missing_dead_letter_queue_is_told_apart_from_one_to_come() {
        let mut world = world(json!({"deadLetter": {"queueRef": {"name": "p"}}}));
        let status = world.visit(&Outcome::Ready, 0);
        assert_eq!(reason(&status, types::DEAD_LETTER_READY).as_deref(), Some(reasons::DEAD_LETTER_QUEUE_MISSING));
    }

    #[test]
    fn a_pause_is_told_and_ends() {
        let mut world = world(json!({}));
        world.visit(&Outcome::Ready, 0);
        let paused = world.visit(&Outcome::Paused, 1);
        assert_eq!(reason(&paused, types::RECONCILING).as_deref(), Some(reasons::PAUSED));
        assert!(conditions::is_true(&paused.conditions, types::READY));
        assert_eq!(reason(&world.visit(&Outcome::Ready, 2), types::RECONCILING), None);
    }
}
