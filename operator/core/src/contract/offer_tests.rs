//! Tests of what a contract stands for at the broker.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::service_contract::ServiceContractStatus;
use proptest::prelude::*;
use serde_json::json;

use super::super::lifecycle::{Record, State};
use super::super::terms;
use super::super::testing::{contract, version};
use super::*;
use crate::topology::diff::diff;
use crate::topology::observed::ObservedVirtualHost;

fn status(name: &str, state: State, feeds: &[&str]) -> VersionStatus {
    let mut status = terms::recorded(name, &Record { state, ..Record::draft(jiff::Timestamp::UNIX_EPOCH) }, None);
    status.feeds = feeds.iter().map(|name| (*name).to_owned()).collect();
    status
}

fn with(versions: &[(&str, State, &[&str])]) -> ServiceContract {
    let desired = |state: &State| match state {
        State::Retired => "Retired",
        State::Draft => "Draft",
        _ => "Active",
    };
    let spec: Vec<_> = versions.iter().map(|(name, state, _)| version(name, desired(state), json!({}))).collect();
    let mut contract = contract(json!(spec));
    let versions = versions.iter().map(|(name, state, feeds)| status(name, *state, feeds)).collect();
    contract.status = Some(ServiceContractStatus { versions, ..ServiceContractStatus::default() });
    contract
}

/// Makes the broker as a contract wants it; returns what was done.
fn become_(seen: &mut ObservedVirtualHost, contract: &ServiceContract) -> Vec<String> {
    let plan = diff(&desired(&settings(contract).unwrap()).usable, seen).unwrap();
    plan.actions().for_each(|action| seen.note(action));
    plan.actions().map(ToString::to_string).collect()
}

#[test]
fn each_offered_version_has_a_way_in_and_an_outlet() {
    let mut seen = ObservedVirtualHost::default();
    let v1 = [("v1", State::Active, &[] as &[&str])];
    assert_eq!(
        become_(&mut seen, &with(&v1)),
        [
            "declare exchange contract.orders.v1.placed.out",
            "declare exchange contract.orders.v1.placed",
            "bind contract.orders.v1.placed to contract.orders.v1.placed.out by \"\"",
        ]
    );
    assert!(become_(&mut seen, &with(&v1)).is_empty(), "i6");
}

#[test]
fn a_newer_version_feeds_the_older_until_that_is_retired() {
    let mut seen = ObservedVirtualHost::default();
    let both = |state| with(&[("v1", state, &[]), ("v2", State::Active, &["v1"])]);
    become_(&mut seen, &both(State::Active));
    let fed = Binding::to_exchange("contract.orders.v2.placed", "contract.orders.v1.placed.out", "");
    assert!(seen.bindings.contains(&fed));
    for state in [State::Deprecated, State::Sunset] {
        assert!(become_(&mut seen, &both(state)).is_empty(), "those who are there go on in {state:?}");
    }
    let words = become_(&mut seen, &both(State::Retired));
    let unbound = "unbind contract.orders.v2.placed from contract.orders.v1.placed.out by \"\"";
    let deleted = ["delete exchange contract.orders.v1.placed", "delete exchange contract.orders.v1.placed.out"];
    assert_eq!(words, [vec![unbound], deleted.to_vec()].concat());
    assert!(become_(&mut seen, &both(State::Retired)).is_empty());
}

#[test]
fn what_somebody_added_or_took_away_is_put_right() {
    let mut seen = ObservedVirtualHost::default();
    let contract = with(&[("v1", State::Active, &[]), ("v2", State::Active, &["v1"])]);
    become_(&mut seen, &contract);
    seen.bindings.remove(&Binding::to_exchange("contract.orders.v2.placed", "contract.orders.v1.placed.out", ""));
    seen.bindings.insert(Binding::to_exchange("contract.orders.v1.placed", "contract.orders.v2.placed.out", ""));
    assert_eq!(
        become_(&mut seen, &contract),
        [
            "bind contract.orders.v2.placed to contract.orders.v1.placed.out by \"\"",
            "unbind contract.orders.v1.placed from contract.orders.v2.placed.out by \"\"",
        ]
    );
}

#[test]
fn what_the_owner_receives_is_not_led_on() {
    let mut contract = with(&[("v1", State::Active, &[]), ("v2", State::Active, &["v1"])]);
    for version in &mut contract.spec.versions {
        version.messages[0].operation = "cancel".into();
    }
    assert!(settings(&contract).unwrap().offers.iter().all(|offer| offer.feeds.is_empty()));
}

#[test]
fn drafts_are_nowhere_and_a_refusal_is_told() {
    let mut contract = with(&[("v1", State::Draft, &[])]);
    contract.status.as_mut().unwrap().versions[0].message = Some("no".into());
    let settings = settings(&contract).unwrap();
    assert!(settings.offers.is_empty() && settings.closed.is_empty());
    assert_eq!(settings.refused.as_deref(), Some("v1: no"));
    let mut waiting = with(&[("v1", State::Sunset, &[])]);
    let mut ending = version("v1", "Deprecated", json!({}));
    for (field, value) in [("successor", "v2"), ("reason", "r"), ("sunsetAt", "2030-01-01T00:00:00Z")] {
        ending[field] = json!(value);
    }
    let all = json!([ending, version("v2", "Draft", json!({}))]);
    waiting.spec.versions = serde_json::from_value(all).unwrap();
    waiting.status.as_mut().unwrap().versions[0].message = Some("in use".into());
    assert_eq!(super::settings(&waiting).unwrap().refused, None, "what only waits is not refused");
}

/// Exchanges that a message reaches from one.
fn reached(seen: &ObservedVirtualHost, from: &str) -> BTreeSet<String> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(exchange) = open.pop() {
        if reached.insert(exchange.clone()) {
            open.extend(seen.bindings_from(&exchange).map(|binding| binding.destination.clone()));
        }
    }
    reached
}

proptest! {
    /// Whatever states the versions go through: a message reaches its own outlet and those that its version feeds, and no other.
    #[test]
    fn a_message_reaches_who_can_read_it_and_nobody_else(
        turns in proptest::collection::vec(proptest::collection::vec((0..5_u8, any::<[bool; 4]>()), 4), 1..5),
    ) {
        let names = ["v1", "v2", "v3", "v4"];
        let states = [State::Draft, State::Active, State::Deprecated, State::Sunset, State::Retired];
        let mut seen = ObservedVirtualHost::default();
        let mut last = [0_u8; 4];
        let mut feeds: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for turn in turns {
            for (index, (state, fed)) in turn.iter().enumerate() {
                // States do not go back, and what a version feeds is fixed when it is offered.
                last[index] = last[index].max(*state);
                feeds.entry(index).or_insert_with(|| (0..index).filter(|older| fed[*older]).map(|older| names[older]).collect());
            }
            let versions: Vec<(&str, State, &[&str])> =
                names.iter().enumerate().map(|(index, name)| (*name, states[usize::from(last[index])], feeds[&index].as_slice())).collect();
            become_(&mut seen, &with(&versions));
            let offered = |index: usize| (1..4).contains(&last[index]);
            for (index, name) in names.iter().enumerate() {
                let source = contract_exchange("orders", name, "placed");
                prop_assert_eq!(seen.exchanges.contains_key(&source), offered(index));
                let mut expected = BTreeSet::from([source.clone()]);
                if offered(index) {
                    expected.insert(contract_outlet("orders", name, "placed"));
                    let older = (0..index).filter(|older| offered(*older) && feeds[&index].contains(&names[*older]));
                    expected.extend(older.map(|older| contract_outlet("orders", names[older], "placed")));
                }
                prop_assert_eq!(reached(&seen, &source), expected);
            }
        }
    }
}
