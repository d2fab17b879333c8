//! The ten properties of the autoscaler, each by its number.

use proptest::prelude::*;

use std::sync::Arc;

use super::schedule::testing::schedule;
use super::testing::{World, at, by_age, config};
use super::{Config, HeldBack, Reading, Sample, Schedule, Seen, State, Target, step};

/// Schedules that start and end while a test runs.
fn schedules() -> impl Strategy<Value = Arc<[Schedule]>> {
    let cron = prop_oneof![Just("*/5 * * * *"), Just("*/2 * * * *"), Just("10 * * * *"), Just("* 15 * JUN SUN")];
    let one = (cron, 1..10_u32, 1..80_u32).prop_map(|(cron, minutes, replicas)| schedule(cron, &format!("{minutes}m"), replicas));
    proptest::collection::vec(one, 0..3).prop_map(Into::into)
}

fn configs() -> impl Strategy<Value = Config> {
    (
        (0..4_u32, 4..60_u32),
        (proptest::option::of(1..200_i64), proptest::option::of(1..300_i64), proptest::option::of(1..300_i64)),
        (0..300_i64, 0..300_i64, 1..=100_u32, proptest::option::of(1..10_u32)),
        proptest::option::of(1..50_u32),
        schedules(),
    )
        .prop_map(|((min, max), (messages, drain, age), (idle, window, percent, up), rate, schedules)| Config {
            min,
            max,
            schedules,
            cap: None,
            messages_per_replica: messages.map(|count| f64::from(i32::try_from(count).unwrap())),
            drain_within: drain.map(|seconds| seconds * 1000),
            max_age: age.map(|seconds| seconds * 1000),
            idle_after: idle * 1000,
            service_rate: rate.map(f64::from),
            down_window: window * 1000,
            down_percent_per_minute: percent,
            up_per_minute: up,
        })
}

/// Counts of messages that come each second, with lulls and bursts.
fn flows(seconds: usize) -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec((prop_oneof![3 => 0..5_u64, 3 => 0..100_u64, 1 => 0..3000_u64], 1..20_usize), 1..12).prop_map(
        move |parts| {
            let flow = parts.into_iter().flat_map(|(count, times)| std::iter::repeat_n(count, times));
            flow.take(seconds).collect()
        },
    )
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let count = || prop_oneof![Just(0_u64), 0..1000_u64, any::<u64>(), Just(u64::MAX)];
    let seen = (count(), count(), proptest::option::of(count()), proptest::option::of(count()), any::<u32>(), any::<bool>());
    prop_oneof![
        1 => Just(Reading::Failed),
        1 => Just(Reading::Stale),
        8 => seen.prop_map(|(ready, unacknowledged, published_total, acknowledged_total, consumers, is_lower_bound)| {
            let busy_replicas = is_lower_bound.then_some(consumers);
            Reading::Seen(Seen { ready, unacknowledged, published_total, acknowledged_total, consumers, is_lower_bound, busy_replicas })
        }),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    let replicas = || prop_oneof![0..60_u32, any::<u32>()];
    (replicas(), replicas(), 0..3_u32, any::<bool>(), proptest::bool::weighted(0.1)).prop_map(
        |(spec_replicas, ready_replicas, unschedulable, quota_exceeded, other_scaler)| Target {
            spec_replicas,
            ready_replicas,
            unschedulable,
            quota_exceeded,
            other_scaler,
        },
    )
}

/// A configuration whose numbers may be anything a calculation can yield.
fn wild(mut config: Config, value: f64) -> Config {
    config.messages_per_replica = config.messages_per_replica.map(|_| value);
    config.service_rate = config.service_rate.map(|_| value);
    config
}

fn odd_numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        0.1..10.0_f64
    ]
}

/// A world with some history.
fn lived(config: Config, replicas: u32, service: u64, flow: &[u64]) -> World {
    let mut world = World::new(config, replicas);
    world.service = service;
    for count in flow {
        world.second(*count);
    }
    world
}

/// Arrivals of a Poisson process.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[allow(clippy::cast_precision_loss)]
        let part = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        part
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let (mut count, mut product) = (0, self.next());
        while product > (-mean).exp() {
            product *= self.next();
            count += 1;
        }
        count
    }
}

/// Changes of direction.
fn reversals(replicas: &[u32]) -> usize {
    let ways: Vec<bool> = replicas.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| pair[1] > pair[0]).collect();
    ways.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// A constant load: at most one reversal, and rest in the end.
///
/// Where replicas serve nearly all that comes, the backlog may take hours to ask for more. So it rests when neither the replicas have
/// changed nor the backlog has grown for ten minutes.
fn rests(load: u64, service: u64, replicas: u32, age: i64, by_count: bool, given: bool) -> Result<(), TestCaseError> {
    const WHILE: usize = 600;
    const DAY: usize = 86_400;
    let config = Config {
        messages_per_replica: by_count.then_some(50.0),
        service_rate: given.then(|| f64::from(u32::try_from(service).unwrap())),
        max: 1000,
        ..by_age(age)
    };
    let mut world = World::new(config, replicas);
    world.service = service;
    let (mut seen, mut backlogs) = (vec![replicas], vec![0]);
    let is_at_rest = |seen: &[u32], backlogs: &[u64]| {
        let begin = seen.len().saturating_sub(WHILE);
        seen.len() > WHILE
            && seen[begin..].iter().all(|replicas| *replicas == seen[begin])
            && backlogs.last() <= backlogs.get(begin)
    };
    while !is_at_rest(&seen, &backlogs) {
        prop_assert!(seen.len() < DAY, "no rest; {} reversals, {:?} replicas in the end", reversals(&seen), seen.last());
        seen.push(world.second(load).desired);
        backlogs.push(world.seen.ready + world.seen.unacknowledged);
    }
    prop_assert!(reversals(&seen) <= 1, "{} reversals", reversals(&seen));
    Ok(())
}

/// The first change comes after 50 minutes.
#[test]
fn p2_a_load_just_above_what_there_is_comes_to_rest() {
    rests(203, 10, 20, 99, false, true).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn p1_replicas_are_within_bounds_and_the_same_for_the_same_input(
        config in configs(),
        odd in odd_numbers(),
        steps in proptest::collection::vec((any_reading(), any_target(), 0..200_000_i64), 1..40),
    ) {
        let config = wild(config, odd);
        let mut state = State::default();
        let mut now = 0;
        for (reading, target, passed) in steps {
            now += passed;
            let sample = Sample { reading, target };
            let (next, decision) = step(&config, state.clone(), &sample, at(now));
            let (_, again) = step(&config, state, &sample, at(now));
            prop_assert_eq!(format!("{decision:?}"), format!("{again:?}"));
            match decision.held_back {
                Some(HeldBack::Paused | HeldBack::ConflictingScaler) => prop_assert_eq!(decision.write(), None),
                _ => prop_assert!((config.min..=config.max).contains(&decision.desired), "{decision:?}"),
            }
            let text = next.encode();
            let back: Result<State, _> = serde_json::from_str(&text);
            prop_assert!(back.is_ok(), "{text}");
            prop_assert!(text.len() < 4000, "{text}");
            state = next;
        }
    }

    #[test]
    fn p2_a_constant_load_is_at_most_one_reversal_and_then_rest(
        load in 0..300_u64, service in 5..20_u64, replicas in 0..40_u32, age in 20..120_i64, by_count in any::<bool>(), given in any::<bool>(),
    ) {
        rests(load, service, replicas, age, by_count, given)?;
    }

    #[test]
    fn p4_more_messages_and_a_higher_rate_never_mean_fewer_replicas(
        config in configs(), replicas in 0..40_u32, service in 1..20_u64, flow in flows(150),
        more_ready in 0..500_u64, more_held in 0..50_u64, more_published in 0..500_u64, base in 0..50_u64,
    ) {
        let mut world = lived(config, replicas, service, &flow);
        world.flow(base);
        let low = world.sample();
        world.seen.ready += more_ready;
        world.seen.unacknowledged += more_held;
        world.seen.published_total = world.seen.published_total.map(|total| total + more_published);
        let high = world.sample();
        let (_, low) = step(&world.config, world.state.clone(), &low, at(world.millis));
        let (_, high) = step(&world.config, world.state.clone(), &high, at(world.millis));
        prop_assert!(high.desired >= low.desired, "{} / {}", low.sentence, high.sentence);
    }

    #[test]
    fn p5_never_zero_while_a_message_is_there(
        config in configs(), replicas in 0..40_u32, service in 0..20_u64, flow in flows(300), lower_bound in any::<bool>(),
    ) {
        let mut world = lived(config, replicas, service, &flow);
        for count in [0, 0, 1, 0, 0] {
            world.flow(count);
            world.seen.is_lower_bound = lower_bound;
            let backlog = world.seen.ready + world.seen.unacknowledged;
            let sample = world.sample();
            let decision = world.decide(&sample);
            prop_assert!(backlog == 0 || decision.desired > 0, "{}", decision.sentence);
        }
    }

    #[test]
    fn p6_an_error_in_the_place_of_any_sample_never_lowers(
        config in configs(), replicas in 4..40_u32, service in 1..20_u64, flow in flows(300), errors in proptest::collection::vec(any::<bool>(), 300), stale in any::<bool>(),
    ) {
        let config = Config { max: 60, ..config };
        let mut world = World::new(config, replicas);
        world.service = service;
        for (count, error) in flow.iter().zip(errors) {
            world.flow(*count);
            let mut sample = world.sample();
            let before = world.target.spec_replicas;
            if error {
                sample.reading = if stale { Reading::Stale } else { Reading::Failed };
                let decision = world.decide(&sample);
                prop_assert!(decision.desired >= before, "{}", decision.sentence);
            } else {
                // What a sample lowers, it lowers with or without the errors before it.
                world.decide(&sample);
            }
        }
    }

    #[test]
    fn p7_rates_of_change_hold_over_any_minute(
        config in configs(), replicas in 4..40_u32, service in 1..20_u64, flow in flows(400), lull in 200..600_usize,
    ) {
        // Zero is left out: an idle target goes there at once.
        let config = Config { min: config.min.max(1), max: 60, down_window: config.down_window.min(30_000), ..config };
        let mut world = World::new(config.clone(), replicas);
        world.service = service;
        let mut seen = vec![replicas];
        for count in flow.iter().copied().chain(std::iter::repeat_n(0, lull)).chain(flow.iter().copied()) {
            seen.push(world.second(count).desired);
        }
        for window in seen.windows(61) {
            for (i, then) in window.iter().enumerate() {
                for now in &window[i..] {
                    let down = (then * config.down_percent_per_minute / 100).max(1);
                    prop_assert!(now + down >= *then, "from {then} to {now} within a minute");
                    if let Some(up) = config.up_per_minute {
                        prop_assert!(*now <= then + up, "from {then} to {now} within a minute");
                    }
                }
            }
        }
    }

    #[test]
    fn p8_a_restart_never_lowers(
        config in configs(), replicas in 4..40_u32, service in 1..20_u64, flow in flows(300), rest in 0..600_usize,
        away in 0..10_000_i64, saved_before in 0..200_usize,
    ) {
        let config = Config { max: 60, ..config };
        let mut world = lived(config, replicas, service, &flow);
        let mut saved = world.state.encode();
        for second in 0..rest {
            world.second(0);
            if second < rest.saturating_sub(saved_before) {
                saved = world.state.encode();
            }
        }
        world.state = State::resume(Some(&saved));
        world.millis += away * 1000;
        let until = world.config.down_window.min(world.config.idle_after);
        let start = world.millis;
        while world.millis - start < until {
            let before = world.target.spec_replicas;
            let decision = world.second(0);
            prop_assert!(decision.desired >= before, "{}", decision.sentence);
        }
    }

    #[test]
    fn p9_a_burst_is_drained_in_time_if_replicas_are_not_limited(
        burst in 100..20_000_u64, service in 5..20_u64, error in -20..=20_i64, age in 20..120_i64, start in 2..30_i64, replicas in 0..5_u32, drain in any::<bool>(),
    ) {
        #[allow(clippy::cast_precision_loss)]
        let known = service as f64 * (100 + error) as f64 / 100.0;
        let config = Config {
            max: 100_000,
            max_age: (!drain).then_some(age * 1000),
            drain_within: drain.then_some(age * 1000),
            service_rate: Some(known),
            ..by_age(age)
        };
        let mut world = World::new(config, replicas);
        world.service = service;
        world.starts = false;
        world.seconds(5, 0);
        let mut asked: Vec<(i64, u32)> = Vec::new();
        let mut pending = burst;
        let mut took = 0;
        loop {
            world.flow(std::mem::take(&mut pending));
            let sample = world.sample();
            let decision = world.decide(&sample);
            asked.push((took, decision.desired));
            // Replicas are ready so long after they were asked for.
            let ready = asked.iter().rev().find(|(at, _)| at + start <= took).map_or(replicas, |(_, count)| *count);
            world.target.ready_replicas = ready.min(world.target.spec_replicas);
            if world.seen.ready + world.seen.unacknowledged == 0 {
                break;
            }
            took += 1;
            // A second to see it and a second of the last whole batch, the start, and the time that was allowed.
            let allowed = 2 + start + age * 100 / (100 - error.abs()) + 1;
            prop_assert!(took <= allowed, "{took} s, {allowed} allowed: {}", decision.sentence);
        }
    }

    #[test]
    fn p10_a_clock_that_jumps_never_lowers(
        config in configs(), replicas in 4..40_u32, service in 1..20_u64, flow in flows(300), rest in 0..200_usize,
        jump in prop_oneof![-10_000_000..-1_i64, 61..10_000_000_i64], lower in any::<bool>(),
    ) {
        // Two clocks that differ are on different schedules for good.
        let config = Config { max: 60, schedules: Arc::default(), ..config };
        let mut straight = lived(config, replicas, service, &flow);
        for _ in 0..rest {
            straight.second(0);
        }
        let mut jumped = straight.clone();
        jumped.millis += jump * 1000;
        for second in 0..300 {
            let count = if lower { 0 } else { flow.get(second).copied().unwrap_or(0) };
            let (there, here) = (jumped.second(count), straight.second(count));
            // At the step of the jump nothing is lower. From then on both live on, and only what was asked for differs.
            if second == 0 {
                prop_assert!(there.desired >= here.desired.min(there.inputs.spec_replicas), "{} / {}", there.sentence, here.sentence);
            }
        }
        // And the clock going back does not stop the windows for ever. Twelve times the longest average: what came before is forgotten.
        for _ in 0..7200 {
            jumped.second(0);
            straight.second(0);
        }
        prop_assert_eq!(jumped.target.spec_replicas, straight.target.spec_replicas);
    }

    #[test]
    fn p10_a_clock_that_jumps_over_the_end_of_a_schedule_lowers_nothing_at_that_step(
        config in configs(), replicas in 0..40_u32, service in 1..20_u64, flow in flows(300), floor in 1..40_u32, rest in 0..200_usize,
        jump in prop_oneof![-10_000_000..-1_i64, 61..10_000_000_i64],
    ) {
        // All the time until the jump.
        let schedules = Arc::new([schedule("0 15 * * *", "1h", floor)]);
        let mut straight = lived(Config { max: 60, schedules, ..config }, replicas, service, &flow);
        for _ in 0..=rest {
            straight.second(0);
        }
        let mut jumped = straight.clone();
        jumped.millis += jump * 1000;
        let (there, here) = (jumped.second(0), straight.second(0));
        prop_assert!(there.desired >= here.desired.min(there.inputs.spec_replicas), "{} / {}", there.sentence, here.sentence);
    }

    #[test]
    fn p10_the_order_of_answers_does_not_matter(
        parts in proptest::collection::vec((0..1000_u64, 0..50_u64, 0..100_000_u64, 0..100_000_u64, any::<bool>()), 1..8), rotate in 0..8_usize,
    ) {
        let seen = |parts: &[(u64, u64, u64, u64, bool)]| {
            parts.iter().map(|(ready, held, published, acknowledged, is_lower_bound)| Seen {
                ready: *ready,
                unacknowledged: *held,
                published_total: Some(*published),
                acknowledged_total: Some(*acknowledged),
                consumers: 1,
                is_lower_bound: *is_lower_bound,
                busy_replicas: None,
            }).reduce(Seen::and).unwrap()
        };
        let mut other = parts.clone();
        other.rotate_left(rotate % parts.len());
        prop_assert_eq!(seen(&parts), seen(&other));
    }
}

/// Reversals that a day of Poisson arrivals may have: one an hour.
const DAY_REVERSALS: usize = 24;

#[test]
fn p3_a_day_of_poisson_arrivals_does_not_make_it_oscillate() {
    for (mean, by_count) in [(0.5, false), (5.0, false), (40.0, false), (95.0, false), (5.0, true), (40.0, true)] {
        let settings = if by_count { Config { messages_per_replica: Some(200.0), ..config() } } else { by_age(30) };
        let mut world = World::new(settings, 1);
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        let mut seen = Vec::new();
        for _ in 0..86_400 {
            seen.push(world.second(chance.poisson(mean)).desired);
        }
        let count = reversals(&seen[600..]);
        assert!(count <= DAY_REVERSALS, "{count} reversals at {mean}/s");
    }
}
