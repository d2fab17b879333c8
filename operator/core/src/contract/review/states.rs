//! The states that a change asks for.

use entente_crds::ServiceContract;
use entente_crds::service_contract::{self as api, Version, VersionState};
use jiff::{SignedDuration, Timestamp};

use super::deletion::used_by;
use crate::admission::Judgement;
use crate::contract::conduct::GRACE;
use crate::contract::lifecycle::{Around, Outcome, Record, State, Use, step};
use crate::contract::terms::{desired, rules};

/// A date that is refused is answered with one that is far enough still when somebody has typed it.
const HEAD_START: SignedDuration = SignedDuration::from_mins(1);

/// Refuses states that the contract's rules do not allow, by the same state machine that moves versions.
pub(super) fn review(old: Option<&ServiceContract>, new: &ServiceContract, now: Timestamp, judgement: &mut Judgement) {
    // What is wrong with them has been said.
    let Ok(rules) = rules(&new.spec.lifecycle) else { return };
    // The controller moves a date that came a little too early, rather than refuse it: so it is not refused here either.
    let (judged, told) = (now.saturating_sub(GRACE).unwrap_or(now), head_start(now));
    for (at, version) in new.spec.versions.iter().enumerate() {
        let was = old.and_then(|old| old.spec.versions.iter().find(|known| known.name == version.name));
        let from = match was {
            Some(was) if was.desired_state == version.desired_state => continue,
            Some(was) => state(was.desired_state).max(recorded(new, &version.name)),
            None if version.desired_state == api::DesiredState::Draft => continue,
            None if old.is_none() && version.desired_state != api::DesiredState::Active => {
                judgement.warn(format!("{} comes {:?}: its notice begins anew, from today", version.name, version.desired_state));
                continue;
            }
            None => recorded(new, &version.name),
        };
        if version.desired_state == api::DesiredState::Retired {
            retire(new, version, judgement);
            continue;
        }
        let others = new.spec.versions.iter().enumerate().filter(|(other, _)| *other != at);
        let around = Around {
            rules,
            // Told by itself, with all that is wrong.
            schema_problem: None,
            others_supported: others
                .filter(|(other, known)| is_offered(known) && (*other < at || was_offered(old, known)))
                .count(),
            successor_active: successor_is_active(new, version),
            use_: Use::Unknown,
            override_: None,
        };
        let refusal = |at: Timestamp| {
            let record = Record { state: from, ..Record::draft(at) };
            match step(&desired(version), Some(&record), &around, at).1 {
                Outcome::Refused(refusal) => Some(refusal),
                _ => None,
            }
        };
        if let Some(refusal) = refusal(judged).and_then(|_| refusal(told)) {
            judgement.refuse(format!("version {}: {refusal}", version.name));
        }
    }
    let notice = |contract: &ServiceContract| self::rules(&contract.spec.lifecycle).map(|rules| rules.notice).ok();
    let ends = new.spec.versions.iter().any(|version| version.desired_state == api::DesiredState::Deprecated);
    if ends && old.and_then(notice) > Some(rules.notice) {
        judgement.warn("a shorter notice is for versions that are deprecated from now on; those that are already keep theirs");
    }
}

/// A minute from now, at a whole minute: what a person is told should be a date to write down.
fn head_start(now: Timestamp) -> Timestamp {
    let seconds = now.as_second() + HEAD_START.as_secs();
    Timestamp::from_second(seconds + (60 - seconds.rem_euclid(60)) % 60).unwrap_or(now)
}

fn state(desired: api::DesiredState) -> State {
    match desired {
        api::DesiredState::Draft => State::Draft,
        api::DesiredState::Active => State::Active,
        api::DesiredState::Deprecated => State::Deprecated,
        api::DesiredState::Retired => State::Retired,
    }
}

/// The state that the status has of a version: a draft where it has none.
fn recorded(contract: &ServiceContract, name: &str) -> State {
    let versions = contract.status.iter().flat_map(|status| &status.versions);
    versions.into_iter().find(|version| version.name == name).map_or(State::Draft, |version| version.state.into())
}

fn is_offered(version: &Version) -> bool {
    matches!(version.desired_state, api::DesiredState::Active | api::DesiredState::Deprecated)
}

/// Of two that are offered by the same change the first in the list comes first.
fn was_offered(old: Option<&ServiceContract>, version: &Version) -> bool {
    old.iter().flat_map(|old| &old.spec.versions).any(|known| known.name == version.name && is_offered(known))
}

fn successor_is_active(contract: &ServiceContract, version: &Version) -> bool {
    let active = |other: &&Version| other.desired_state == api::DesiredState::Active && other.name != version.name;
    version
        .successor
        .as_ref()
        .is_some_and(|wanted| contract.spec.versions.iter().filter(active).any(|other| other.name == *wanted))
}

fn retire(contract: &ServiceContract, version: &Version, judgement: &mut Judgement) {
    let known = contract.status.iter().flat_map(|status| &status.versions).find(|known| known.name == version.name);
    if known.is_some_and(|known| known.retirable) {
        return;
    }
    let name = &version.name;
    let why = match known {
        None => "nothing has been observed of it yet".to_owned(),
        Some(known) if known.state != VersionState::Sunset => {
            let until = known.sunset_at.as_ref().map(|time| format!(" until {}", time.0)).unwrap_or_default();
            format!("it is {:?}{until}: retirement comes after its notice and its quiet period", known.state)
        }
        Some(known) => match used_by(known) {
            Some(who) => {
                format!("it is in use: {who}; move the dependents to {}", version.successor.as_deref().unwrap_or("its successor"))
            }
            None => "its quiet period is not over".to_owned(),
        },
    };
    let in_sunset = known.is_some_and(|known| known.state == VersionState::Sunset);
    if in_sunset && version.retire_in_use.as_ref().is_some_and(|reason| !reason.trim().is_empty()) {
        judgement.warn(format!("{name} is retired all the same, as retireInUse asks: {why}"));
        return;
    }
    judgement.refuse(format!("version {name} cannot be retired now: {why}; status.versions says retirable: true when it can"));
}
