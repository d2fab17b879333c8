use proptest::prelude::*;

use super::*;

const DAY: i64 = 24 * 3600;
const MINUTE: i64 = 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count * DAY)
}

fn desired(state: DesiredState) -> Desired {
    Desired { state, sunset_at: Some(at(40 * DAY)), successor: Some("v2".into()), reason: Some("v2 has amounts".into()) }
}

fn around() -> Around {
    Around {
        rules: Rules { max_supported: 3, notice: days(30), quiet: days(1) },
        schema_problem: None,
        others_supported: 1,
        successor_active: true,
        use_: Use::None,
        override_: None,
    }
}

/// A record in a state, with all guards met.
fn record(state: State) -> Record {
    let deprecated = state >= State::Deprecated;
    Record {
        state,
        activated_at: (state >= State::Active).then(|| at(-DAY)),
        deprecated_at: deprecated.then(|| at(0)),
        sunset_at: deprecated.then(|| at(40 * DAY)),
        notice: if deprecated { days(30) } else { SignedDuration::ZERO },
        noticed: if deprecated { days(31) } else { SignedDuration::ZERO },
        quiet: if state >= State::Sunset { days(2) } else { SignedDuration::ZERO },
        ..Record::draft(at(40 * DAY))
    }
}

fn run(from: State, to: DesiredState, around: &Around, now: i64) -> (State, Outcome) {
    let (record, outcome) = step(&desired(to), Some(&record(from)), around, at(now));
    (record.state, outcome)
}

/// Every pair of states, with every guard met.
#[test]
fn the_table_of_transitions() {
    use DesiredState as D;
    use State::{Active, Deprecated, Draft, Retired, Sunset};
    let allowed = [
        (Draft, D::Active, Active),
        (Active, D::Deprecated, Deprecated),
        (Deprecated, D::Deprecated, Sunset),
        (Deprecated, D::Retired, Sunset),
        (Sunset, D::Retired, Retired),
    ];
    let resting = [(Draft, D::Draft), (Active, D::Active), (Sunset, D::Deprecated), (Retired, D::Retired)];
    for from in [Draft, Active, Deprecated, Sunset, Retired] {
        for to in [D::Draft, D::Active, D::Deprecated, D::Retired] {
            // The date of a version that is about to be deprecated is still ahead.
            let now = if from == Active { DAY } else { 40 * DAY };
            let (state, outcome) = run(from, to, &around(), now);
            if let Some((_, _, next)) = allowed.iter().find(|(a, b, _)| (*a, *b) == (from, to)) {
                assert_eq!((state, outcome), (*next, Outcome::Moved { from, to: *next }));
            } else if resting.contains(&(from, to)) {
                assert_eq!((state, outcome), (from, Outcome::Rests));
            } else {
                assert_eq!((state, outcome), (from, Outcome::Refused(Refusal::NoWay { from, to })));
            }
        }
    }
}

fn refused(from: State, to: DesiredState, change: impl Fn(&mut Around, &mut Desired), now: i64) -> Refusal {
    let (mut around, mut wanted) = (around(), desired(to));
    change(&mut around, &mut wanted);
    match step(&wanted, Some(&record(from)), &around, at(now)) {
        (record, Outcome::Refused(refusal)) if record.state == from => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_draft_is_activated_with_a_schema_and_room() {
    let problem = |around: &mut Around, _: &mut Desired| around.schema_problem = Some("breaks v1".into());
    assert_eq!(refused(State::Draft, DesiredState::Active, problem, 0), Refusal::Schema("breaks v1".into()));
    let full = |around: &mut Around, _: &mut Desired| around.others_supported = 3;
    assert_eq!(refused(State::Draft, DesiredState::Active, full, 0), Refusal::TooMany { supported: 3, max: 3 });
    let mut around = around();
    around.others_supported = 2;
    assert_eq!(run(State::Draft, DesiredState::Active, &around, 0).0, State::Active);
}

#[test]
fn deprecation_needs_a_successor_a_reason_and_time() {
    let deprecate =
        |change: &dyn Fn(&mut Around, &mut Desired), now| refused(State::Active, DesiredState::Deprecated, change, now);
    assert_eq!(deprecate(&|around, _| around.successor_active = false, 0), Refusal::Successor);
    assert_eq!(deprecate(&|_, wanted| wanted.successor = None, 0), Refusal::Successor);
    assert_eq!(deprecate(&|_, wanted| wanted.reason = Some("  ".into()), 0), Refusal::Reason);
    assert_eq!(deprecate(&|_, wanted| wanted.reason = None, 0), Refusal::Reason);
    assert!(matches!(deprecate(&|_, wanted| wanted.sunset_at = None, 0), Refusal::TooSoon { .. }));
    let soon = deprecate(&|_, _| {}, 10 * DAY + 1);
    assert_eq!(soon, Refusal::TooSoon { earliest: at(40 * DAY + 1), notice: days(30) });
    assert_eq!(run(State::Active, DesiredState::Deprecated, &around(), 10 * DAY).0, State::Deprecated);
}

#[test]
fn what_is_deprecated_has_a_stamp_and_a_date() {
    let (stamped, _) = step(&desired(DesiredState::Deprecated), Some(&record(State::Active)), &around(), at(DAY));
    assert_eq!((stamped.deprecated_at, stamped.sunset_at, stamped.notice), (Some(at(DAY)), Some(at(40 * DAY)), days(30)));
    assert_eq!(stamped.noticed, SignedDuration::ZERO);
}

#[test]
fn sunset_needs_the_date_and_the_watched_notice() {
    let waits = |change: &dyn Fn(&mut Record), now: i64| {
        let mut record = record(State::Deprecated);
        change(&mut record);
        let (after, outcome) = step(&desired(DesiredState::Deprecated), Some(&record), &around(), at(now));
        assert!(matches!(outcome, Outcome::Waits(Wait::Notice { .. })), "{outcome:?}");
        assert_eq!(after.state, State::Deprecated);
    };
    waits(&|_| {}, 40 * DAY - 1);
    waits(&|record| record.noticed = days(29), 41 * DAY);
}

#[test]
fn the_date_moves_later_and_never_earlier() {
    for (date, expected) in [(50, 50), (45, 50), (10, 50), (60, 60)] {
        let wanted = Desired { sunset_at: Some(at(date * DAY)), ..desired(DesiredState::Deprecated) };
        let mut record = record(State::Deprecated);
        record.sunset_at = Some(at(if date == 50 { 40 } else { 50 } * DAY));
        let (after, _) = step(&wanted, Some(&record), &around(), at(DAY));
        assert_eq!(after.sunset_at, Some(at(expected * DAY)));
    }
}

#[test]
fn a_shorter_notice_in_the_spec_shortens_nothing() {
    let mut around = around();
    around.rules.notice = days(1);
    let mut deprecated = record(State::Deprecated);
    deprecated.noticed = days(20);
    let (after, outcome) = step(&desired(DesiredState::Deprecated), Some(&deprecated), &around, at(41 * DAY));
    assert_eq!((after.state, after.notice), (State::Deprecated, days(30)));
    assert!(matches!(outcome, Outcome::Waits(_)));
    around.rules.notice = days(60);
    let (after, _) = step(&desired(DesiredState::Deprecated), Some(&deprecated), &around, at(41 * DAY));
    assert_eq!(after.notice, days(60));
}

#[test]
fn retirement_needs_quiet() {
    let waits = |use_: Use, quiet: i64| {
        let mut sunset = record(State::Sunset);
        sunset.quiet = SignedDuration::from_secs(quiet);
        let around = Around { use_, ..around() };
        let (after, outcome) = step(&desired(DesiredState::Retired), Some(&sunset), &around, at(50 * DAY));
        assert_eq!(after.state, State::Sunset);
        assert!(!after.retirable);
        match outcome {
            Outcome::Waits(wait) => wait,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(waits(Use::Seen { links: 0, backlog: 5 }, 2 * DAY), Wait::InUse { links: 0, backlog: 5 });
    assert_eq!(waits(Use::Seen { links: 1, backlog: 0 }, 2 * DAY), Wait::InUse { links: 1, backlog: 0 });
    assert_eq!(waits(Use::None, DAY - 1), Wait::Quiet { quiet: SignedDuration::from_secs(DAY - 1), period: days(1) });
}

#[test]
fn i5_use_that_is_unknown_is_not_none() {
    let mut around = around();
    around.use_ = Use::Unknown;
    let (after, outcome) = step(&desired(DesiredState::Retired), Some(&record(State::Sunset)), &around, at(40 * DAY + 1));
    assert_eq!((after.state, after.retirable, outcome), (State::Sunset, false, Outcome::Waits(Wait::UseUnknown)));
    // It counts nothing, and what was counted stays.
    assert_eq!(after.quiet, days(2));
}

#[test]
fn use_starts_the_quiet_period_anew() {
    let mut around = around();
    around.use_ = Use::Seen { links: 1, backlog: 0 };
    let (after, _) = step(&desired(DesiredState::Deprecated), Some(&record(State::Sunset)), &around, at(40 * DAY + 1));
    assert_eq!(after.quiet, SignedDuration::ZERO);
}

#[test]
fn an_override_retires_in_spite_of_use_and_not_of_notice() {
    let mut around = around();
    around.use_ = Use::Seen { links: 3, backlog: 7 };
    around.override_ = Some(Override { by: "ada".into(), reason: "abandoned".into() });
    assert_eq!(run(State::Sunset, DesiredState::Retired, &around, 41 * DAY).0, State::Retired);
    assert_eq!(run(State::Deprecated, DesiredState::Retired, &around, DAY).0, State::Deprecated);
    around.override_ = Some(Override { by: "ada".into(), reason: " ".into() });
    assert_eq!(run(State::Sunset, DesiredState::Retired, &around, 41 * DAY).0, State::Sunset);
}

#[test]
fn the_status_says_when_it_may_be_retired() {
    let (after, outcome) = step(&desired(DesiredState::Deprecated), Some(&record(State::Sunset)), &around(), at(40 * DAY + 1));
    assert!(after.retirable);
    assert_eq!(outcome, Outcome::Rests);
    // Retired, it is not to be retired.
    assert!(!step(&desired(DesiredState::Retired), Some(&after), &around(), at(40 * DAY + 2)).0.retirable);
}

#[test]
fn a_lost_record_starts_the_notice_anew() {
    let (after, _) = step(&desired(DesiredState::Deprecated), None, &around(), at(39 * DAY));
    assert_eq!(after.state, State::Active);
    let (after, _) = step(&desired(DesiredState::Retired), None, &around(), at(39 * DAY));
    assert_eq!((after.state, after.sunset_at, after.noticed), (State::Deprecated, Some(at(69 * DAY)), SignedDuration::ZERO));
    let (after, outcome) = step(&desired(DesiredState::Active), None, &around(), at(0));
    assert_eq!((after.state, outcome), (State::Draft, Outcome::Rests));
}

/// The whole life, by steps of a minute.
#[test]
fn from_draft_to_retired() {
    let mut around = around();
    around.rules = Rules { max_supported: 3, notice: SignedDuration::from_mins(30), quiet: SignedDuration::from_mins(10) };
    let mut wanted = Desired { sunset_at: Some(at(40 * MINUTE)), ..desired(DesiredState::Draft) };
    let (mut record, _) = step(&wanted, None, &around, at(0));
    let mut moves = Vec::new();
    for minute in 1..100 {
        wanted.state = match minute {
            0..5 => DesiredState::Draft,
            5..9 => DesiredState::Active,
            9..45 => DesiredState::Deprecated,
            _ => DesiredState::Retired,
        };
        let (next, outcome) = step(&wanted, Some(&record), &around, at(minute * MINUTE));
        record = next;
        if let Outcome::Moved { to, .. } = outcome {
            moves.push((minute, to));
        }
    }
    assert_eq!(moves, [(5, State::Active), (9, State::Deprecated), (40, State::Sunset), (50, State::Retired)]);
}

/// What a clock shows, and how long it really took: waits, jumps, outages.
#[derive(Debug, Clone)]
enum Event {
    /// The operator watches for so many seconds.
    Wait(i64),
    /// The operator is down for so many seconds.
    Down(i64),
    /// The clock jumps, by more than can be taken for a wait, or back.
    Jump(i64),
    /// The record is put back to an earlier one.
    Restore,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (1..=240_i64).prop_map(Event::Wait),
        1 => (301..100_000_i64).prop_map(Event::Down),
        1 => (301..10_000_000_i64).prop_map(Event::Jump),
        1 => (-10_000_000..0_i64).prop_map(Event::Jump),
        1 => Just(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn notice_is_never_shortened_and_retirement_never_early(
        events in proptest::collection::vec(event(), 1..400),
        used in proptest::collection::vec(any::<bool>(), 400),
        notice in 600..20_000_i64,
        quiet in 600..5_000_i64,
    ) {
        let mut around = around();
        around.rules = Rules { max_supported: 3, notice: SignedDuration::from_secs(notice), quiet: SignedDuration::from_secs(quiet) };
        let mut wanted = Desired { sunset_at: Some(at(notice + 60)), ..desired(DesiredState::Deprecated) };
        let mut record = step(&wanted, Some(&Record { state: State::Active, ..Record::draft(at(0)) }), &around, at(0)).0;
        prop_assert_eq!(record.state, State::Deprecated);
        let first = record.clone();
        let (mut real, mut shown) = (0_i64, 0_i64);
        let mut last_use = 0_i64;
        // What an older record that was put back may count wrongly, at most.
        let mut slack = 0_i64;
        for (turn, event) in events.iter().enumerate() {
            let before = record.clone();
            match event {
                Event::Wait(seconds) | Event::Down(seconds) => { real += seconds; shown += seconds; }
                Event::Jump(seconds) => shown += seconds,
                Event::Restore if record.state == State::Deprecated => {
                    record = first.clone();
                    slack = LONGEST_STEP.as_secs();
                }
                Event::Restore => {}
            }
            around.use_ = if used[turn] && turn % 7 == 0 { last_use = real; Use::Seen { links: 1, backlog: 0 } } else { Use::None };
            wanted.state = if record.retirable { DesiredState::Retired } else { DesiredState::Deprecated };
            let (next, outcome) = step(&wanted, Some(&record), &around, at(shown));
            // Neither back nor by two states.
            prop_assert!(next.state >= record.state);
            prop_assert!(next.sunset_at >= record.sunset_at && next.notice >= record.notice);
            if let Outcome::Moved { to: State::Sunset, .. } = outcome {
                prop_assert!(real + slack >= notice, "after {real} of {notice}");
            }
            if next.state == State::Retired && before.state != State::Retired {
                prop_assert!(real + slack >= notice + quiet, "after {real} of {notice} and {quiet}");
                prop_assert!(real - last_use >= quiet, "{real} {last_use}");
            }
            if before.state == State::Retired {
                prop_assert_eq!(next.state, State::Retired);
            }
            record = next;
        }
    }

    /// With a clock that runs as it should, it gets there, and in time.
    #[test]
    fn a_watched_notice_ends(notice in 600..20_000_i64, tick in 1..=300_i64) {
        let mut around = around();
        around.rules.notice = SignedDuration::from_secs(notice);
        let wanted = Desired { sunset_at: Some(at(notice)), ..desired(DesiredState::Deprecated) };
        let mut record = step(&wanted, Some(&Record { state: State::Active, ..Record::draft(at(0)) }), &around, at(0)).0;
        let mut now = 0;
        while record.state == State::Deprecated {
            now += tick;
            prop_assert!(now <= notice + tick, "not over at {now}");
            record = step(&wanted, Some(&record), &around, at(now)).0;
        }
        prop_assert_eq!(record.state, State::Sunset);
        prop_assert!(now >= notice);
    }
}
