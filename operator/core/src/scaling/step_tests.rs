//! Each rule by itself.

use super::schedule::testing::schedule;
use super::testing::{World, at, by_age, config};
use super::{Cap, Config, HeldBack, Objective, Reading, Sample, Seen, State, step};

fn failed(world: &World, reading: Reading) -> Sample {
    Sample { reading, target: world.target.clone() }
}

#[test]
fn from_zero_it_goes_straight_to_the_target() {
    let mut world = World::new(config(), 0);
    world.second(0);
    let decision = world.second(500);
    assert_eq!((decision.desired, decision.objective), (50, Some(Objective::MessagesPerReplica)));
}

#[test]
fn a_small_excess_is_within_the_dead_band() {
    let mut world = World::new(config(), 20);
    world.service = 0;
    let decision = world.second(215);
    assert_eq!((decision.desired, decision.wanted, decision.held_back), (20, 22, Some(HeldBack::DeadBand)));
    let decision = world.second(6);
    assert_eq!((decision.desired, decision.held_back), (23, None));
}

#[test]
fn down_waits_for_the_window_and_is_limited_in_rate() {
    let mut world = World::new(Config { min: 1, ..config() }, 20);
    let mut changes = Vec::new();
    for second in 0..1200 {
        let decision = world.second(0);
        if decision.write().is_some() {
            changes.push((second, decision.desired));
        }
    }
    let (first, replicas) = changes[0];
    assert!((120..=132).contains(&first), "{changes:?}");
    assert_eq!(replicas, 15, "a quarter of 20");
    assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 60), "{changes:?}");
    assert_eq!(changes.last().unwrap().1, 1);
}

#[test]
fn an_idle_queue_goes_to_zero_at_once_but_not_early() {
    let mut world = World::new(config(), 20);
    for second in 0..=120 {
        let decision = world.second(0);
        assert_eq!(decision.desired, if second < 120 { 20 } else { 0 }, "{second}");
    }
}

#[test]
fn one_message_now_and_then_keeps_one_replica() {
    let mut world = World::new(config(), 1);
    for second in 0..1000 {
        let decision = world.second(u64::from(second % 100 == 0));
        assert_eq!(decision.desired, 1, "{second}");
    }
    assert_eq!(world.second(0).held_back, Some(HeldBack::NotIdle));
}

#[test]
fn what_is_unacknowledged_keeps_its_replica() {
    let mut world = World::new(Config { min: 1, down_percent_per_minute: 100, ..config() }, 10);
    world.service = 0;
    world.seen.unacknowledged = 6;
    for _ in 0..200 {
        let sample = world.sample();
        world.millis += 1000;
        world.decide(&sample);
    }
    assert_eq!(world.target.spec_replicas, 6);
    let sample = world.sample();
    assert_eq!(world.decide(&sample).held_back, Some(HeldBack::Unacknowledged));
    world.seen.busy_replicas = Some(2);
    let sample = world.sample();
    assert_eq!(world.decide(&sample).desired, 2, "it is known that two hold them all");
}

#[test]
fn a_lowered_maximum_is_obeyed_although_messages_are_held() {
    let mut world = World::new(config(), 20);
    world.service = 0;
    world.second(200);
    world.config.max = 5;
    let decision = world.second(0);
    assert_eq!((decision.desired, decision.held_back), (5, Some(HeldBack::Maximum)));
}

#[test]
fn a_cap_is_named() {
    for (cap, reason) in [(Cap::SingleActiveConsumer, HeldBack::SingleActiveConsumer), (Cap::Partitions(1), HeldBack::Partitions)]
    {
        let mut world = World::new(Config { max: 1, cap: Some(cap), ..config() }, 0);
        world.service = 0;
        let decision = world.second(500);
        assert_eq!((decision.desired, decision.wanted, decision.held_back), (1, 50, Some(reason)));
    }
}

#[test]
fn what_was_not_seen_lowers_nothing_however_long() {
    let mut world = World::new(config(), 7);
    world.second(0);
    for reading in [Reading::Failed, Reading::Stale] {
        for _ in 0..1000 {
            world.millis += 1000;
            let decision = world.decide(&failed(&world, reading.clone()));
            assert_eq!((decision.desired, decision.held_back), (7, Some(HeldBack::Stale)));
        }
    }
    // The window did not run while nothing was seen.
    for second in 0..100 {
        assert_eq!(world.second(0).desired, 7, "{second}");
    }
}

#[test]
fn a_missing_node_can_only_raise() {
    let mut world = World::new(config(), 7);
    world.seconds(10, 0);
    world.seen.is_lower_bound = true;
    world.seen.published_total = Some(0);
    for _ in 0..1000 {
        let decision = world.second(0);
        assert_eq!((decision.desired, decision.held_back), (7, Some(HeldBack::NodesMissing)));
    }
    world.service = 0;
    assert_eq!(world.second(200).desired, 20);
}

#[test]
fn a_node_that_comes_back_is_no_burst() {
    let mut world = World::new(by_age(30), 2);
    world.seen.published_total = Some(1_000_000);
    world.seconds(60, 10);
    let whole = world.seen.clone();
    world.seen.is_lower_bound = true;
    world.seen.published_total = Some(300_000);
    world.seen.acknowledged_total = Some(0);
    world.seconds(10, 10);
    // What came and was served meanwhile is in the counters of the node that was away.
    let meanwhile = |total: Option<u64>| total.map(|total| total + 100);
    let (published_total, acknowledged_total) = (meanwhile(whole.published_total), meanwhile(whole.acknowledged_total));
    world.seen = Seen { published_total, acknowledged_total, ..whole };
    let decision = world.seconds(5, 10);
    assert_eq!(decision.desired, 2, "{}", decision.sentence);
}

#[test]
fn a_reset_counter_discards_the_interval() {
    let mut world = World::new(by_age(30), 2);
    world.seen.published_total = Some(1_000_000);
    world.seconds(300, 15);
    let before = world.seconds(1, 15).inputs.arrival_rate;
    world.seen.published_total = Some(0);
    world.seen.acknowledged_total = Some(0);
    let decision = world.second(15);
    assert!((decision.inputs.arrival_rate - before).abs() < 0.01, "{}", decision.sentence);
    assert_eq!(decision.desired, 2, "{}", decision.sentence);
}

#[test]
fn without_counters_the_depth_is_enough_to_raise() {
    let mut world = World::new(by_age(30), 1);
    (world.seen.published_total, world.seen.acknowledged_total) = (None, None);
    world.service = 0;
    let decision = world.seconds(30, 100);
    assert!(decision.desired >= 10, "{}", decision.sentence);
}

#[test]
fn a_hand_set_zero_pauses_until_another_number_is_set() {
    let mut world = World::new(config(), 5);
    world.service = 1;
    world.seconds(10, 50);
    world.target.spec_replicas = 0;
    world.target.ready_replicas = 0;
    for _ in 0..300 {
        let decision = world.second(50);
        assert_eq!((decision.write(), decision.held_back), (None, Some(HeldBack::Paused)));
    }
    let text = world.state.encode();
    world.state = State::resume(Some(&text));
    assert_eq!(world.second(50).held_back, Some(HeldBack::Paused), "a restart does not end it");
    world.target.spec_replicas = 1;
    assert!(world.second(50).write().is_some());
}

#[test]
fn its_own_zero_is_no_pause() {
    let mut world = World::new(config(), 5);
    world.seconds(125, 0);
    assert_eq!(world.target.spec_replicas, 0);
    world.service = 0;
    assert_eq!(world.second(100).desired, 10);
}

#[test]
fn its_own_zero_that_is_seen_late_is_no_pause() {
    let mut world = World::new(config(), 5);
    world.seconds(120, 0);
    world.flow(0);
    let sample = world.sample();
    let late = world.target.clone();
    assert_eq!(world.decide(&sample).desired, 0);
    // A message comes, and the target still looks as it was.
    world.target = late;
    world.service = 0;
    world.second(100);
    world.target.spec_replicas = 0;
    world.target.ready_replicas = 0;
    assert_eq!(world.second(0).desired, 10);
}

#[test]
fn another_scaler_means_hands_off() {
    let mut world = World::new(config(), 5);
    world.target.other_scaler = true;
    let decision = world.second(5000);
    assert_eq!((decision.write(), decision.held_back), (None, Some(HeldBack::ConflictingScaler)));
}

#[test]
fn no_room_means_no_more() {
    for quota in [true, false] {
        let mut world = World::new(config(), 5);
        world.service = 0;
        world.target.quota_exceeded = quota;
        world.target.unschedulable = u32::from(!quota);
        let decision = world.second(500);
        assert_eq!((decision.desired, decision.held_back), (5, Some(HeldBack::CapacityLimited)));
    }
}

#[test]
fn up_is_limited_in_rate_where_it_is_asked_for() {
    let mut world = World::new(Config { up_per_minute: Some(4), ..config() }, 2);
    // Slow, but more serve more: nothing behind them is the limit.
    world.service = 1;
    world.seconds(70, 0);
    let decision = world.second(5000);
    assert_eq!((decision.desired, decision.held_back), (6, Some(HeldBack::RateLimited)));
    assert_eq!(world.seconds(59, 0).desired, 6);
    assert_eq!(world.seconds(10, 0).desired, 10);
}

#[test]
fn two_steps_without_gain_end_raising() {
    let mut world = World::new(by_age(30), 4);
    world.seconds(120, 30);
    // Whatever is added, 40 a second come out.
    let mut last = None;
    for _ in 0..600 {
        world.service = 40 / u64::from(world.target.ready_replicas).max(1);
        last = Some(world.second(120));
    }
    let last = last.unwrap();
    assert_eq!(last.held_back, Some(HeldBack::DownstreamSaturated), "{}", last.sentence);
    assert!(last.desired < 100, "{}", last.sentence);
}

#[test]
fn the_arrival_rate_is_answered_before_a_backlog_asks() {
    let mut world = World::new(by_age(60), 2);
    world.seconds(300, 10);
    let decision = world.seconds(30, 100);
    assert!(decision.desired >= 9, "{}", decision.sentence);
    assert!(decision.inputs.oldest_age < 30_000);
}

#[test]
fn a_backlog_is_drained_within_the_time_and_not_later_and_later() {
    let mut world = World::new(Config { drain_within: Some(60_000), ..by_age(3600) }, 1);
    world.seconds(10, 0);
    world.second(3000);
    for _ in 0..60 {
        world.second(0);
    }
    assert_eq!(world.seen.ready + world.seen.unacknowledged, 0);
}

#[test]
fn a_rate_that_nobody_gave_is_learned() {
    let mut world = World::new(Config { service_rate: None, ..by_age(30) }, 1);
    world.seconds(10, 40);
    let decision = world.seconds(10, 40);
    assert!((decision.inputs.service_rate.unwrap() - 10.0).abs() < 0.5, "{}", decision.sentence);
    assert!(decision.desired >= 5, "{}", decision.sentence);
}

#[test]
fn as_long_as_no_rate_is_known_late_messages_double_the_replicas() {
    let mut world = World::new(Config { service_rate: None, ..by_age(10) }, 1);
    world.service = 0;
    world.second(10);
    let decisions: Vec<_> = (0..14).map(|_| world.second(0)).collect();
    let raise = decisions.iter().find(|decision| decision.write().is_some()).unwrap();
    assert_eq!((raise.desired, raise.objective), (2, Some(Objective::MaxAge)), "{}", raise.sentence);
    assert_eq!(world.target.spec_replicas, 4, "and again after a while");
}

#[test]
fn what_somebody_set_by_hand_stands_for_a_window() {
    let mut world = World::new(Config { min: 1, ..config() }, 2);
    world.seconds(300, 0);
    world.target.spec_replicas = 8;
    world.target.ready_replicas = 8;
    for second in 0..120 {
        assert_eq!(world.second(0).desired, 8, "{second}");
    }
}

#[test]
fn a_text_that_is_not_understood_counts_as_none() {
    for text in [None, Some(""), Some("{"), Some("[]"), Some("{\"time\": -5}"), Some("{\"ledger\": [[9, 1], [3, 1]]}")] {
        let fresh = State { resumed: true, ..State::default() };
        assert_eq!(State::resume(text), fresh, "{text:?}");
    }
}

#[test]
fn the_text_is_small_and_complete() {
    let mut world = World::new(Config { up_per_minute: Some(3), ..by_age(30) }, 3);
    for second in 0..2000_u64 {
        world.second((second * second) % 97);
        let text = world.state.encode();
        assert!(text.len() < 3000, "{} bytes: {text}", text.len());
        let once: State = serde_json::from_str(&text).unwrap();
        let twice: State = serde_json::from_str(&once.encode()).unwrap();
        assert_eq!(once, twice);
    }
}

#[test]
fn a_state_is_worth_saving_when_replicas_change_and_not_at_each_tick() {
    let mut world = World::new(by_age(30), 2);
    world.seconds(200, 15);
    let saved = world.state.clone();
    world.seconds(200, 15);
    assert!(!world.state.worth_saving(&saved));
    world.seconds(30, 100);
    assert!(world.state.worth_saving(&saved));
}

#[test]
fn a_sentence_says_what_and_why() {
    let mut world = World::new(config(), 0);
    world.second(0);
    let decision = world.second(500);
    assert!(
        decision.sentence.starts_with("0 to 50 replicas: MessagesPerReplica asks for 50; 500 messages ready"),
        "{}",
        decision.sentence
    );
    let (_, decision) = step(&world.config, world.state.clone(), &failed(&world, Reading::Failed), at(world.millis));
    assert!(decision.sentence.starts_with("50 replicas stay: the broker was not seen"), "{}", decision.sentence);
}

/// The worlds of these tests begin at 15:06:40 UTC.
fn scheduled(schedules: &[(&str, &str, u32)]) -> Config {
    Config { schedules: schedules.iter().map(|(cron, time, floor)| schedule(cron, time, *floor)).collect(), ..config() }
}

#[test]
fn a_schedule_that_is_on_raises_at_once_and_is_named() {
    let mut world = World::new(scheduled(&[("0 15 * * *", "1h", 5)]), 0);
    let decision = world.second(0);
    assert_eq!((decision.desired, decision.wanted, decision.held_back), (5, 5, None));
    assert_eq!((decision.objective, decision.schedule.as_deref()), (Some(Objective::Schedule), Some("0 15 * * *")));
    assert!(
        decision.sentence.starts_with("0 to 5 replicas: schedule 0 15 * * * asks for 5; 0 messages ready"),
        "{}",
        decision.sentence
    );
    let decision = world.seconds(600, 0);
    assert_eq!((decision.desired, decision.held_back), (5, None));
    // What is needed beyond it rules.
    let decision = world.second(800);
    assert_eq!((decision.objective, decision.desired > 5), (Some(Objective::MessagesPerReplica), true));
    assert_eq!(decision.schedule.as_deref(), Some("0 15 * * *"));
}

#[test]
fn of_several_schedules_the_highest_counts_and_the_maximum_bounds_it() {
    let several = [("0 15 * * *", "1h", 3), ("5 15 * * *", "1h", 7), ("0 14 * * *", "1h", 9)];
    assert_eq!(World::new(scheduled(&several), 0).second(0).desired, 7);
    let decision = World::new(Config { max: 4, ..scheduled(&several) }, 0).second(0);
    assert_eq!((decision.desired, decision.wanted, decision.held_back), (4, 7, Some(HeldBack::Maximum)));
    let decision = World::new(Config { min: 8, ..scheduled(&several) }, 0).second(0);
    assert_eq!((decision.desired, decision.objective), (8, None));
}

#[test]
fn a_schedule_that_is_off_asks_for_nothing() {
    let mut world = World::new(scheduled(&[("0 14 * * *", "1h", 5), ("10 15 * * *", "1h", 5)]), 0);
    let decision = world.seconds(199, 0);
    assert_eq!((decision.desired, decision.schedule), (0, None));
    assert_eq!(world.second(0).desired, 5, "at 15:10:00");
}

#[test]
fn what_a_schedule_raised_goes_as_everything_else_goes() {
    let mut world = World::new(scheduled(&[("0 15 * * *", "10m", 8)]), 0);
    for second in 1..320 {
        assert_eq!(world.second(0).desired, 8, "{second}: the window runs from 15:10:00 on");
    }
    // Idle from the end of the schedule on, and not since there was nothing to do.
    assert_eq!(world.seconds(20, 0).desired, 0);

    let mut world = World::new(Config { min: 1, ..scheduled(&[("0 15 * * *", "10m", 8)]) }, 1);
    world.seconds(319, 0);
    let decision = world.seconds(15, 0);
    assert_eq!((decision.desired, decision.held_back), (6, Some(HeldBack::RateLimited)), "a quarter of 8");
}

#[test]
fn a_schedule_comes_no_faster_than_replicas_may() {
    let mut world = World::new(Config { up_per_minute: Some(2), ..scheduled(&[("0 15 * * *", "1h", 6)]) }, 1);
    let decision = world.second(0);
    assert_eq!((decision.desired, decision.wanted, decision.held_back), (3, 6, Some(HeldBack::RateLimited)));
    assert_eq!(world.seconds(180, 0).desired, 6);
}

#[test]
fn a_schedule_needs_no_broker_and_no_hand_is_overruled() {
    let mut world = World::new(scheduled(&[("10 15 * * *", "1h", 5)]), 2);
    world.seconds(190, 0);
    // Long enough for a zero to be somebody else's.
    for _ in 0..80 {
        world.millis += 1000;
        let sample = failed(&world, Reading::Failed);
        world.decide(&sample);
    }
    assert_eq!(world.target.spec_replicas, 5);
    (world.target.spec_replicas, world.target.ready_replicas) = (0, 0);
    let decision = world.second(0);
    assert_eq!((decision.write(), decision.held_back), (None, Some(HeldBack::Paused)));
}
