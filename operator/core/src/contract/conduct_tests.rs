//! Tests of a look at a whole contract.

use entente_crds::ServiceContract;
use entente_crds::service_contract::BrownoutState;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::kept::Kept;
use super::super::ranks::{Due, assessments};
use super::super::testing::{contract, version};
use super::super::{lifecycle, spec};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn idle(second: i64) -> VersionUse {
    let (consumers, subscriptions, backlog, producers) = (0, 0, 0, Some(0));
    VersionUse { consumers, producers, subscriptions, backlog, last_seen: None, observed_at: Time(at(second)), stale: false }
}

/// A contract, its status and a clock.
struct World {
    contract: ServiceContract,
    versions: Vec<VersionStatus>,
    uses: BTreeMap<String, VersionUse>,
    writes: usize,
}

impl World {
    fn new(versions: Value) -> Self {
        Self { contract: contract(versions), versions: Vec::new(), uses: BTreeMap::new(), writes: 0 }
    }

    fn look(&mut self, second: i64) -> Conduct {
        let spec = &self.contract.spec;
        let rules = spec::validate(&self.contract).unwrap();
        let all = spec.versions.iter().enumerate();
        let all: Vec<_> = all.map(|(index, version)| Due { version, older: spec.versions[..index].iter().collect() }).collect();
        let around = Surroundings { assessments: assessments(spec, &all, &Kept::new()), uses: self.uses.clone(), jumped: false };
        let conduct = conduct(spec, rules, &self.versions, &around, at(second));
        if conduct.versions != self.versions {
            self.writes += 1;
            self.versions.clone_from(&conduct.versions);
        }
        conduct
    }

    fn ask(&mut self, name: &str, field: &str, value: Value) {
        let mut versions = serde_json::to_value(&self.contract.spec.versions).unwrap();
        let version = versions.as_array_mut().unwrap().iter_mut().find(|version| version["name"] == name).unwrap();
        version[field] = value;
        self.contract.spec.versions = serde_json::from_value(versions).unwrap();
    }

    fn deprecate(&mut self, name: &str, successor: &str, sunset: i64) {
        self.ask(name, "successor", json!(successor));
        self.ask(name, "reason", json!("amounts"));
        self.ask(name, "sunsetAt", json!(at(sunset).to_string()));
        self.ask(name, "desiredState", json!("Deprecated"));
    }

    fn state(&self, name: &str) -> VersionState {
        self.version(name).state
    }

    fn version(&self, name: &str) -> &VersionStatus {
        self.versions.iter().find(|version| version.name == name).unwrap()
    }
}

#[test]
fn two_versions_are_activated_in_one_look_and_the_new_one_feeds_the_old() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    let conduct = world.look(0);
    assert_eq!((world.state("v1"), world.state("v2")), (VersionState::Active, VersionState::Active));
    assert_eq!(conduct.moves.len(), 2);
    assert_eq!(world.version("v2").feeds, ["v1"]);
    assert!(world.version("v1").feeds.is_empty() && world.version("v1").schemas_sha256.is_some());
}

#[test]
fn a_version_that_does_not_honour_the_old_stays_a_draft_and_says_why() {
    let old = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
    let new = json!({"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]});
    let mut world = World::new(json!([version("v1", "Active", old), version("v2", "Active", new)]));
    world.look(0);
    assert_eq!((world.state("v1"), world.state("v2")), (VersionState::Active, VersionState::Draft));
    assert!(world.version("v2").message.as_ref().unwrap().contains("does not honour v1"));
}

#[test]
fn a_successor_that_is_activated_in_the_same_edit_counts() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Draft", json!({}))]));
    world.look(0);
    world.ask("v2", "desiredState", json!("Active"));
    world.deprecate("v1", "v2", 3_600);
    world.look(10);
    assert_eq!((world.state("v1"), world.state("v2")), (VersionState::Deprecated, VersionState::Active));
    assert_eq!(world.version("v1").deprecated_at, Some(Time(at(11))), "with the next whole second");
}

#[test]
fn a_date_that_came_too_early_by_the_way_here_is_moved_and_one_that_was_too_early_is_refused() {
    for (sunset, state) in
        [(30 * 60 + 60, VersionState::Deprecated), (26 * 60, VersionState::Deprecated), (25 * 60, VersionState::Active)]
    {
        let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
        world.look(0);
        world.deprecate("v1", "v2", sunset);
        world.look(10);
        assert_eq!(world.state("v1"), state, "{sunset}");
        if state == VersionState::Deprecated {
            let earliest = at(11 + 30 * 60).max(at(sunset));
            assert_eq!(world.version("v1").sunset_at, Some(Time(earliest)));
        }
    }
}

/// The whole life, by looks of a minute, and what is written of it.
#[test]
fn from_draft_to_retired_and_gone() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    world.look(0);
    world.deprecate("v1", "v2", 60 * 31);
    let conduct = world.look(60);
    assert_eq!(conduct.look_again, Some(SignedDuration::from_secs(1)));
    let mut moved = Vec::new();
    for minute in 2..60 {
        if minute < 35 {
            world.uses.insert("v1".into(), VersionUse { subscriptions: 1, ..idle(minute * 60) });
        } else {
            world.uses.insert("v1".into(), idle(minute * 60));
        }
        if world.version("v1").retirable {
            world.ask("v1", "desiredState", json!("Retired"));
        }
        moved.extend(world.look(minute * 60).moves.into_iter().map(|step| (minute, step.to)));
    }
    // Deprecated from second 61 on: 30 minutes are over with the look at 32. Quiet from 35 on, a whole look and ten minutes.
    assert_eq!(moved, [(32, VersionState::Sunset), (47, VersionState::Retired)]);
    let last_seen = world.version("v1").use_.as_ref().unwrap().last_seen.clone();
    assert_eq!(last_seen, Some(Time(at(35 * 60))), "seen to have ended");
    assert!(world.writes < 40, "{}", world.writes);
    // A retired version is remembered, and its name not used again.
    world.contract.spec.versions.remove(0);
    world.look(61 * 60);
    assert_eq!(world.state("v1"), VersionState::Retired);
    let again = serde_json::from_value(version("v1", "Active", json!({}))).unwrap();
    world.contract.spec.versions.push(again);
    world.look(62 * 60);
    assert_eq!(world.state("v1"), VersionState::Retired);
    assert!(world.version("v1").message.as_ref().unwrap().contains("never back"));
}

/// Somebody who never moves does not hold a version for ever. He has had his notice all the same.
#[test]
fn a_version_in_use_is_retired_for_a_reason_and_not_before_its_notice() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    world.look(0);
    world.deprecate("v1", "v2", 60 * 31);
    world.look(60);
    world.ask("v1", "retireInUse", json!("nobody answers for billing any more"));
    let mut moved = Vec::new();
    for minute in 2..60 {
        world.uses.insert("v1".into(), VersionUse { subscriptions: 1, ..idle(minute * 60) });
        if minute == 40 {
            world.ask("v1", "desiredState", json!("Retired"));
        }
        moved.extend(world.look(minute * 60).moves.into_iter().map(|step| (minute, step.to)));
    }
    assert_eq!(moved, [(32, VersionState::Sunset), (40, VersionState::Retired)]);
}

#[test]
fn an_offered_version_does_not_vanish_with_its_entry() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    world.look(0);
    world.contract.spec.versions.remove(0);
    world.look(10);
    assert_eq!(world.state("v1"), VersionState::Active);
    assert!(world.version("v1").message.as_ref().unwrap().contains("put it back"));
}

#[test]
fn a_draft_that_is_not_wanted_goes_without_a_trace() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Draft", json!({}))]));
    world.look(0);
    world.contract.spec.versions.remove(1);
    assert_eq!(world.look(10).versions.len(), 1);
}

#[test]
fn room_is_for_those_that_are_offered() {
    let drafts: Vec<Value> = (1..=5).map(|number| version(&format!("v{number}"), "Active", json!({}))).collect();
    let mut world = World::new(json!(drafts));
    world.look(0);
    assert_eq!(world.versions.iter().filter(|known| known.state == VersionState::Active).count(), 3);
    assert!(world.version("v4").message.as_ref().unwrap().contains("the most are 3"));
}

#[test]
fn i6_a_second_look_changes_nothing() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Draft", json!({}))]));
    world.uses.insert("v1".into(), VersionUse { consumers: 2, subscriptions: 1, ..idle(0) });
    world.look(0);
    let writes = world.writes;
    for minute in 1..100 {
        world.uses.insert("v1".into(), VersionUse { consumers: 2, subscriptions: 1, ..idle(minute * 60) });
        world.look(minute * 60);
    }
    assert_eq!(world.writes, writes);
}

#[test]
fn a_brownout_is_announced_with_the_deprecation_and_costs_few_writes() {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    let brownouts = json!([{"beforeSunset": "10m", "lasts": "2m", "announcedBefore": "5m"}]);
    world.contract.spec.lifecycle.brownouts = serde_json::from_value(brownouts).unwrap();
    world.look(0);
    assert!(world.version("v1").brownouts.is_empty(), "an active version has none");
    world.deprecate("v1", "v2", 60 * 40);
    world.look(60);
    assert_eq!(world.version("v1").brownouts[0].starts_at, Time(at(60 * 30)));
    let writes = world.writes;
    let mut states = Vec::new();
    for minute in 2..45 {
        let wait = world.look(minute * 60).look_again;
        assert!(world.state("v1") != VersionState::Deprecated || wait <= Some(SignedDuration::from_mins(1)) || minute > 31);
        let state = world.version("v1").brownouts[0].state;
        if states.last().is_none_or(|(_, last)| *last != state) {
            states.push((minute, state));
        }
    }
    assert_eq!(states, [(2, BrownoutState::Announced), (30, BrownoutState::Underway), (32, BrownoutState::Over)]);
    assert_eq!((world.state("v1"), world.version("v2").brownouts.len()), (VersionState::Sunset, 0));
    assert!(world.writes - writes <= 30, "{}", world.writes - writes);
}

/// A version in Sunset.
fn sunset() -> World {
    let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
    world.look(0);
    world.deprecate("v1", "v2", 60 * 31);
    for minute in 1..=33 {
        world.uses.insert("v1".into(), idle(minute * 60));
        world.look(minute * 60);
    }
    assert_eq!(world.state("v1"), VersionState::Sunset);
    world
}

#[test]
fn i5_time_in_which_use_was_not_known_is_not_quiet() {
    let mut world = sunset();
    for minute in 34..=60 {
        world.uses.remove("v1");
        world.look(minute * 60);
    }
    assert!(!world.version("v1").retirable);
    assert!(world.version("v1").use_.as_ref().unwrap().stale);
    world.uses.insert("v1".into(), idle(61 * 60));
    world.look(61 * 60);
    assert!(!world.version("v1").retirable, "nor is the time up to the first look that knows");
}

#[test]
fn i5_producers_that_were_not_looked_for_are_not_none() {
    let mut world = sunset();
    for minute in 34..=60 {
        world.uses.insert("v1".into(), VersionUse { producers: None, ..idle(minute * 60) });
        world.look(minute * 60);
    }
    assert!(!world.version("v1").retirable);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever the looks' times and whatever is used: the notice is not shortened by rounding, and retirement is not early by it.
    #[test]
    fn notice_and_quiet_are_whole_in_spite_of_rounding(
        millis in proptest::collection::vec(1..200_000_i64, 50..300),
        used in proptest::collection::vec(any::<bool>(), 300),
        begin in 0..1_000_i64,
    ) {
        let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({}))]));
        let exact = |millis: i64| Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap();
        let rules = spec::validate(&world.contract).unwrap();
        let mut now = begin;
        let mut deprecated = 0;
        let mut last_use = 0;
        for (index, wait) in millis.iter().enumerate() {
            let busy = used[index] && index % 5 == 0;
            if busy { last_use = now; }
            world.uses.insert("v1".into(), VersionUse { subscriptions: i64::from(busy), observed_at: Time(exact(now)), ..idle(0) });
            if world.versions.iter().any(|known| known.name == "v1" && known.retirable) {
                world.ask("v1", "desiredState", json!("Retired"));
            } else if index == 1 {
                world.deprecate("v1", "v2", 32 * 60);
            }
            let spec = &world.contract.spec;
            let passed = |name: &str| (name.to_owned(), Assessment { sha256: Some("a".into()), ..Assessment::default() });
            let around = Surroundings { assessments: [passed("v1"), passed("v2")].into(), uses: world.uses.clone(), jumped: false };
            let looked = conduct(spec, rules, &world.versions, &around, exact(now));
            for step in looked.moves.iter().filter(|step| step.version == "v1") {
                match step.to {
                    VersionState::Deprecated => deprecated = now,
                    VersionState::Sunset => prop_assert!(now - deprecated >= 30 * 60_000, "sunset after {} ms", now - deprecated),
                    VersionState::Retired => prop_assert!(now - last_use >= 10 * 60_000, "retired after {} ms", now - last_use),
                    _ => {}
                }
            }
            world.versions = looked.versions;
            now += wait;
        }
    }

    /// States have an order, whatever is asked for and whatever was recorded.
    #[test]
    fn no_look_leads_back(
        wanted in proptest::collection::vec((0..3_usize, proptest::sample::select(vec!["Draft", "Active", "Deprecated", "Retired"])), 1..40),
    ) {
        let mut world = World::new(json!([version("v1", "Active", json!({})), version("v2", "Active", json!({})), version("v3", "Draft", json!({}))]));
        let mut second = 0;
        for (index, state) in wanted {
            let name = format!("v{}", index + 1);
            if state == "Deprecated" { world.deprecate(&name, if name == "v2" { "v3" } else { "v2" }, second + 40 * 60) } else { world.ask(&name, "desiredState", json!(state)) }
            let before: Vec<(String, lifecycle::State)> = world.versions.iter().map(|known| (known.name.clone(), known.state.into())).collect();
            second += 250;
            for name in ["v1", "v2", "v3"] { world.uses.insert(name.into(), idle(second)); }
            world.look(second);
            for (name, state) in before {
                prop_assert!(lifecycle::State::from(world.state(&name)) >= state, "{name}");
            }
        }
    }
}
