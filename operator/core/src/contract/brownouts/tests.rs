//! Tests of brown-outs, by looks one after another and by whatever a clock may do.

use entente_crds::ServiceContract;
use entente_crds::condition::{reasons, types};
use entente_crds::service_contract::ServiceContractStatus;
use proptest::prelude::*;
use serde_json::json;

use super::super::reference::Reference;
use super::super::testing::{contract, version};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A version that is deprecated since second 0 and ends at second 10,000; from 9,000 to 9,100 it is in a brown-out.
struct World {
    rules: Vec<Rule>,
    record: Record,
    status: VersionStatus,
}

impl World {
    fn new() -> Self {
        let record = Record { state: State::Deprecated, sunset_at: Some(at(10_000)), ..Record::draft(at(0)) };
        let status = VersionStatus { state: VersionState::Active, ..terms::recorded("v1", &record, None) };
        let rules = vec![Rule { before: secs(1_000), lasts: secs(100), announced: secs(600) }];
        let mut world = Self { rules, record, status };
        world.look(0);
        world
    }

    fn look_after(&mut self, second: i64, jumped: bool) -> Option<(BrownoutState, Option<Timestamp>)> {
        let ledger = look(&self.rules, Some(&self.status), &self.record, jumped, at(second));
        self.record.watched_at = at(second);
        self.status = VersionStatus {
            watched_since: ledger.watched_since,
            brownouts: ledger.brownouts,
            ..terms::recorded("v1", &self.record, None)
        };
        self.status.brownouts.last().map(|known| (known.state, closed(&self.status, at(second))))
    }

    fn look(&mut self, second: i64) -> Option<BrownoutState> {
        self.look_after(second, false).map(|(state, _)| state)
    }

    /// Looks each minute, up to before a second.
    fn until(&mut self, second: i64) {
        let mut now = self.record.watched_at.as_second() - at(0).as_second();
        while now + 60 < second {
            now += 60;
            self.look(now);
        }
    }

    fn message(&self) -> &str {
        self.status.brownouts[0].message.as_deref().unwrap_or_default()
    }
}

const ANNOUNCED: Option<BrownoutState> = Some(BrownoutState::Announced);
const ON: Option<BrownoutState> = Some(BrownoutState::Underway);
const OVER: Option<BrownoutState> = Some(BrownoutState::Over);
const SKIPPED: Option<BrownoutState> = Some(BrownoutState::Skipped);

#[test]
fn one_is_announced_begins_and_ends_at_its_dates() {
    let mut world = World::new();
    assert_eq!(world.status.brownouts[0].starts_at, Time(at(9_000)));
    assert_eq!(world.status.brownouts[0].ends_at, Time(at(9_100)));
    world.until(8_999);
    assert_eq!(world.look(8_999), ANNOUNCED);
    assert_eq!(world.look_after(9_000, false), Some((BrownoutState::Underway, Some(at(9_100)))));
    assert_eq!(world.look_after(9_099, false), Some((BrownoutState::Underway, Some(at(9_100)))));
    // Before anybody has written that it is over.
    assert_eq!((closed(&world.status, at(9_100)), closed(&world.status, at(8_999))), (None, None));
    assert_eq!(world.look_after(9_100, false), Some((BrownoutState::Over, None)));
    assert_eq!((world.look(9_050), world.message()), (OVER, ""), "and not twice");
}

#[test]
fn i6_an_announcement_is_written_once() {
    let mut world = World::new();
    let first = (world.status.brownouts.clone(), world.status.watched_since.clone());
    world.until(8_999);
    assert_eq!((world.status.brownouts.clone(), world.status.watched_since.clone()), first);
}

#[test]
fn what_was_not_watched_is_skipped() {
    // Away over the beginning, longer than can be taken for a wait.
    let mut world = World::new();
    world.until(8_900);
    assert_eq!(world.look(9_050 + 200), SKIPPED);
    let mut world = World::new();
    world.until(8_700);
    assert_eq!((world.look(9_020), world.message()), (SKIPPED, "the 10m before it were not watched without a gap"));
    // Away within the announcement, and back before it.
    let mut world = World::new();
    world.until(8_100);
    world.look(8_500);
    world.until(9_000);
    assert_eq!(world.look(9_000), SKIPPED);
    // Away before the announcement alone.
    let mut world = World::new();
    world.until(7_000);
    world.look(8_300);
    world.until(9_000);
    assert_eq!(world.look(9_000), ON);
}

#[test]
fn one_that_begins_late_ends_when_it_was_to_end() {
    let mut world = World::new();
    world.until(8_900);
    assert_eq!(world.look_after(9_090, false), Some((BrownoutState::Underway, Some(at(9_100)))));
    assert_eq!(world.look(9_100), OVER);
}

#[test]
fn a_gap_or_a_jump_ends_it() {
    let on = || {
        let mut world = World::new();
        world.rules[0] = Rule { lasts: secs(900), ..world.rules[0] };
        world.look(60);
        world.until(9_000);
        assert_eq!(world.look(9_000), ON);
        world
    };
    let mut world = on();
    assert_eq!(world.look_after(9_060, true), Some((BrownoutState::Over, None)), "a jump");
    assert_eq!(on().look(9_301), OVER, "away");
    assert_eq!(on().look(8_990), OVER, "the clock went back");
    let mut world = on();
    assert_eq!((world.look(9_300), world.look(9_299)), (ON, OVER), "back, and still within its dates");
    assert!(world.message().contains("ended early"));
    assert_eq!(world.look(9_400), OVER);
}

#[test]
fn a_date_that_moves_is_announced_anew() {
    let mut world = World::new();
    world.until(9_000);
    assert_eq!(world.look(9_000), ON);
    world.record.sunset_at = Some(at(20_000));
    assert_eq!(world.look(9_010), ANNOUNCED);
    assert_eq!((world.status.brownouts[0].state, world.message()), (BrownoutState::Over, "it was called off"));
    assert_eq!((closed(&world.status, at(9_010)), world.status.brownouts[1].starts_at.0), (None, at(19_000)));
    // Called off while it is only announced, it leaves no trace.
    world.rules.clear();
    assert_eq!(world.look(9_020), OVER);
    assert_eq!((world.status.brownouts.len(), world.status.watched_since.clone()), (1, None));
}

#[test]
fn one_that_comes_too_soon_is_skipped_and_a_shorter_time_is_for_later_ones() {
    let mut world = World::new();
    world.until(8_500);
    world.rules.push(Rule { before: secs(1_000), lasts: secs(50), announced: secs(600) });
    world.rules.remove(0);
    assert_eq!(world.look(8_500), SKIPPED);
    assert!(world.message().contains("sooner than 10m"));
    let mut world = World::new();
    world.until(8_500);
    world.look_after(8_500, true);
    world.rules[0].announced = secs(60);
    world.until(9_000);
    assert_eq!(world.look(9_000), SKIPPED);
}

#[test]
fn no_other_state_has_one() {
    for state in [State::Draft, State::Active, State::Sunset, State::Retired] {
        let mut world = World::new();
        world.until(9_000);
        assert_eq!(world.look(9_000), ON);
        world.record.state = state;
        assert_eq!(world.look_after(9_010, false), Some((BrownoutState::Over, None)), "{state:?}");
        let mut world = World::new();
        world.record.state = state;
        assert_eq!(world.look(60), None);
    }
}

#[test]
fn it_is_looked_at_in_time() {
    let mut world = World::new();
    let wait = |world: &World, second: i64| {
        let ledger = Ledger { watched_since: None, brownouts: world.status.brownouts.clone() };
        look_again(&ledger, at(second))
    };
    assert_eq!(wait(&world, 0), Some(secs(60)));
    assert_eq!(wait(&world, 8_990), Some(secs(10)));
    world.until(9_000);
    world.look(9_000);
    assert_eq!((wait(&world, 9_000), wait(&world, 9_097)), (Some(secs(10)), Some(secs(3))));
    world.look(9_100);
    assert_eq!(wait(&world, 9_100), None);
}

fn orders(world: &World) -> (ServiceContract, Reference) {
    let mut v1 = version("v1", "Deprecated", json!({}));
    v1["successor"] = json!("v2");
    let mut contract = contract(json!([v1, version("v2", "Active", json!({}))]));
    contract.status = Some(ServiceContractStatus { versions: vec![world.status.clone()], ..ServiceContractStatus::default() });
    let operation = "placed".into();
    (contract, Reference { namespace: "shop".into(), contract: "orders".into(), version: "v1".into(), operation })
}

#[test]
fn dependents_are_told_before_and_while() {
    let mut world = World::new();
    let (contract, reference) = orders(&world);
    let mut conditions = Vec::new();
    let mut told = |contract: &ServiceContract, second: i64| {
        told::tell(&mut conditions, told::told(&reference, contract, at(second)).into_iter().collect(), Some(1), at(second));
        conditions.first().map(|told: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            (told.type_.clone(), told.status.clone(), told.reason.clone(), told.message.clone())
        })
    };
    let (type_, status, reason, message) = told(&contract, 0).unwrap();
    assert_eq!(
        (type_.as_str(), status.as_str(), reason.as_str()),
        (types::CONTRACT_BROWNOUT, "False", reasons::BROWNOUT_ANNOUNCED)
    );
    for word in
        ["v1", "shop/orders", "from 2027-01-15T10:30:00Z to 2027-01-15T10:31:40Z", "contractRef.version to v2", "Owner: orders"]
    {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert!(told::refusal(&reference, &contract, at(9_050)).is_none(), "announced is not on");
    world.until(9_000);
    world.look(9_000);
    let (contract, _) = orders(&world);
    let (_, status, reason, message) = told(&contract, 9_010).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", reasons::VERSION_BROWNOUT));
    assert!(message.contains("is closed until 2027-01-15T10:31:40Z"), "{message}");
    let (refusal, until) = told::refusal(&reference, &contract, at(9_010)).unwrap();
    assert_eq!((refusal.reason, until), (reasons::VERSION_BROWNOUT, at(9_100)));
    assert!(refusal.message.contains("Set contractRef.version to v2"), "{refusal}");
    assert!(told::refusal(&reference, &contract, at(9_100)).is_none());
    assert!(told(&contract, 9_100).is_none());
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Event {
    /// The operator waits for so many seconds; then its clock jumps by so many, which it sees by another clock that does not.
    Wait(i64, i64),
    /// The operator is down for so many seconds.
    Down(i64),
    /// The clock jumps while it is down.
    Jump(i64),
    /// The sunset moves later.
    Postpone(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        30 => (1..=240_i64).prop_map(|wait| Event::Wait(wait, 0)),
        1 => (1..=240_i64, -20_000..20_000_i64).prop_map(|(wait, jump)| Event::Wait(wait, jump)),
        1 => (301..6_000_i64).prop_map(Event::Down),
        1 => prop_oneof![301..20_000_i64, -20_000..0_i64].prop_map(Event::Jump),
        1 => (1..3_000_i64).prop_map(Event::Postpone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn none_is_on_but_as_announced_whatever_the_clock_does(
        events in proptest::collection::vec(event(), 1..300),
        before in 400..3_000_i64,
        lasts in 1..400_i64,
        announced in 1..2_000_i64,
    ) {
        let mut world = World::new();
        world.rules = vec![Rule { before: secs(before), lasts: secs(lasts), announced: secs(announced) }];
        let (mut real, mut shown) = (0_i64, 0_i64);
        // In true time: since when each is announced, and when it began.
        let mut told: Vec<((Timestamp, Timestamp), i64)> = Vec::new();
        let mut begun: Vec<((Timestamp, Timestamp), i64)> = Vec::new();
        let mut last_on = None;
        for event in &events {
            let mut jumped = false;
            match event {
                Event::Wait(wait, jump) => { real += wait; shown += wait + jump; jumped = *jump != 0; }
                Event::Down(down) => { real += down; shown += down; }
                Event::Jump(jump) => shown += jump,
                Event::Postpone(later) => {
                    real += 1;
                    shown += 1;
                    world.record.sunset_at = world.record.sunset_at.map(|at| at.saturating_add(secs(*later)).unwrap());
                }
            }
            world.look_after(shown, jumped);
            let on: Vec<&BrownoutStatus> = world.status.brownouts.iter().filter(|known| known.state == BrownoutState::Underway).collect();
            prop_assert!(on.len() <= 1);
            for known in &world.status.brownouts {
                let key = (known.starts_at.0, known.ends_at.0);
                if told.iter().all(|(other, _)| *other != key) { told.push((key, real)); }
            }
            let now_on = on.first().map(|known| (known.starts_at.0, known.ends_at.0));
            if let Some(key) = now_on {
                prop_assert!(key.0 <= at(shown) && at(shown) < key.1, "on outside of its dates");
                let first_told = told.iter().find(|(other, _)| *other == key).unwrap().1;
                if let Some((_, began)) = begun.iter().find(|(other, _)| *other == key) {
                    prop_assert_eq!(last_on, now_on, "it began twice");
                    prop_assert!(real - began < lasts, "on for {} of {}", real - began, lasts);
                } else {
                    prop_assert!(real - first_told >= announced, "announced for {} of {}", real - first_told, announced);
                    begun.push((key, real));
                }
            }
            prop_assert_eq!(closed(&world.status, at(shown)), now_on.map(|(_, ends)| ends));
            last_on = now_on;
        }
    }

    /// With a clock that runs as it should and an operator that is there, each one is held, and in time.
    #[test]
    fn one_that_is_watched_is_held(tick in 1..=300_i64, before in 400..3_000_i64, lasts in 301..400_i64, announced in 1..2_000_i64) {
        let mut world = World::new();
        world.rules = vec![Rule { before: secs(before), lasts: secs(lasts), announced: secs(announced) }];
        let mut on = 0;
        for turn in 1..=(10_000 / tick) {
            let now = turn * tick;
            let inside = (10_000 - before..10_000 - before + lasts).contains(&now);
            prop_assert_eq!(world.look(now) == ON, inside, "at {}", now);
            on += i64::from(inside);
        }
        prop_assert!(on > 0);
        prop_assert_eq!(world.look(10_001), OVER);
    }
}
