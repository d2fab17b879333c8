//! One look at a whole contract: each version takes its next step, with the others around it.

use std::collections::BTreeMap;

use entente_crds::service_contract::{ServiceContractSpec, Version, VersionState, VersionStatus, VersionUse};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::brownouts;
use super::lifecycle::{Around, Outcome, Override, Record, Rules, State, Use, Wait, step};
use super::schemas::Assessment;
use super::settle::settle;
use super::terms::{self, is_offered};
use crate::conditions::whole_second;

/// Times are stored in whole seconds. What a version is given begins with the next whole second and ends with one that is over,
/// so that rounding shortens nothing.
pub(super) const ROUNDING: SignedDuration = SignedDuration::from_secs(1);
/// A date that was early enough when it was asked for is no longer so when the operator sees it, by as long as that takes, or as
/// its clock is ahead. Up to so much it is moved later by the operator instead of being refused.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// Retired versions that are remembered after they left the spec, so that their names are not used again.
const REMEMBERED: usize = 48;

/// What is around the versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// Assessments of versions that may be activated, by version.
    pub assessments: BTreeMap<String, Assessment>,
    /// Use at the broker, by version. Of one that is not here nothing is known.
    pub uses: BTreeMap<String, VersionUse>,
    /// Whether the clock was seen to jump since the last look.
    pub jumped: bool,
}

/// A version that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its name.
    pub version: String,
    /// Its state before.
    pub from: VersionState,
    /// Its state now.
    pub to: VersionState,
}

/// What came of a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conduct {
    /// The versions' new status. Equal to the old where nothing changed that is worth a write.
    pub versions: Vec<VersionStatus>,
    /// What moved.
    pub moves: Vec<Move>,
    /// When something moves by itself, at the earliest.
    pub look_again: Option<SignedDuration>,
}

/// Looks at a contract. `recorded` is what its status says of its versions.
pub fn conduct(
    spec: &ServiceContractSpec,
    rules: Rules,
    recorded: &[VersionStatus],
    around: &Surroundings,
    now: Timestamp,
) -> Conduct {
    // A rule that is none asks for none. The controller has refused it before.
    let brownouts = brownouts::rules(&spec.lifecycle).unwrap_or_default();
    let (exact, now) = (now, whole_second(now));
    let owner = &spec.owner;
    let mut look = Look { owner, rules, brownouts, around, now, exact, versions: recorded.to_vec(), moves: Vec::new(), steps: 0 };
    let mut look_again = None;
    // A version that is new begins as a draft, and one may have waited for another that moved: its successor, or room.
    for _ in 0..=2 * spec.versions.len() {
        let steps = look.steps;
        for version in &spec.versions {
            let soon = look.visit(version);
            look_again = [look_again, soon].into_iter().flatten().min();
        }
        if look.steps == steps {
            break;
        }
        look_again = None;
    }
    let Look { versions, moves, .. } = look;
    Conduct { versions: in_order(spec, recorded, versions, now), moves, look_again }
}

struct Look<'a> {
    /// Who answers for what the contract says.
    owner: &'a str,
    rules: Rules,
    brownouts: Vec<brownouts::Rule>,
    around: &'a Surroundings,
    now: Timestamp,
    /// Deadlines are met by the time as it is.
    exact: Timestamp,
    versions: Vec<VersionStatus>,
    moves: Vec<Move>,
    /// Versions that are new, or moved.
    steps: usize,
}

impl Look<'_> {
    /// One step of one version. Returns when it moves by itself.
    fn visit(&mut self, version: &Version) -> Option<SignedDuration> {
        let before = self.versions.iter().find(|known| known.name == version.name).cloned();
        let settled = |moved: &Move| moved.version == version.name && is_ending(moved.to);
        if self.moves.iter().any(settled) {
            return Some(ROUNDING);
        }
        if let Some(before) = &before {
            let ahead = before.watched_at.0.duration_since(self.now);
            // It moved within this very second, and its time begins with the next.
            if ahead.is_positive() && ahead <= ROUNDING {
                return Some(ROUNDING + ROUNDING);
            }
        }
        let seen = self.around.uses.get(&version.name);
        let (mut record, outcome) = self.step(version, before.as_ref());
        if let Outcome::Moved { from, to } = &outcome {
            self.steps += 1;
            self.moves.push(Move { version: version.name.clone(), from: (*from).into(), to: (*to).into() });
        }
        if record.state == State::Sunset && before.as_ref().is_some_and(|before| before.state == VersionState::Sunset) {
            between_looks(&mut record, before.as_ref(), seen, self.now);
        }
        let soon = self.soon(&record);
        let mut status = terms::recorded(&version.name, &record, before.as_ref());
        status.message = message(&outcome);
        status.use_ = use_now(before.as_ref().and_then(|before| before.use_.as_ref()), seen, is_offered(status.state));
        let ledger = brownouts::look(&self.brownouts, before.as_ref(), &record, self.around.jumped, self.now);
        let soon = [soon, brownouts::look_again(&ledger, self.exact)].into_iter().flatten().min();
        brownouts::Ledger { watched_since: status.watched_since, brownouts: status.brownouts } = ledger;
        if let Some(assessment) = self.around.assessments.get(&version.name)
            && is_offered(status.state)
            && before.as_ref().is_none_or(|before| before.schemas_sha256.is_none())
        {
            status.schemas_sha256.clone_from(&assessment.sha256);
            status.feeds.clone_from(&assessment.feeds);
        }
        if let Some(known) = self.versions.iter_mut().find(|known| known.name == version.name) {
            *known = status;
        } else {
            self.steps += 1;
            self.versions.push(status);
        }
        soon
    }

    fn step(&self, version: &Version, before: Option<&VersionStatus>) -> (Record, Outcome) {
        let (mut desired, around) = (terms::desired(version), self.around(version));
        let recorded = before.map(terms::record);
        if recorded.as_ref().is_some_and(|recorded| recorded.state == State::Active) {
            let earliest = self.now.saturating_add(self.rules.notice.saturating_add(ROUNDING)).unwrap_or(Timestamp::MAX);
            let missed = desired.sunset_at.map(|at| earliest.duration_since(at)).filter(|missed| *missed <= GRACE);
            desired.sunset_at = if missed.is_some() { desired.sunset_at.max(Some(earliest)) } else { desired.sunset_at };
        }
        let (record, outcome) = step(&desired, recorded.as_ref(), &around, self.now);
        if matches!(outcome, Outcome::Moved { .. }) && is_ending(record.state.into()) {
            return step(&desired, recorded.as_ref(), &around, self.now.saturating_add(ROUNDING).unwrap_or(self.now));
        }
        (record, outcome)
    }

    fn around(&self, version: &Version) -> Around {
        let others = self.versions.iter().filter(|known| known.name != version.name);
        let successor = version.successor.as_ref().filter(|name| **name != version.name);
        let active = |name: &String| self.versions.iter().any(|known| known.name == *name && known.state == VersionState::Active);
        Around {
            rules: self.rules,
            schema_problem: match self.around.assessments.get(&version.name) {
                Some(assessment) => assessment.problem.clone(),
                None => Some("its schemas were not compared yet".to_owned()),
            },
            others_supported: others.filter(|known| is_offered(known.state)).count(),
            successor_active: successor.is_some_and(active),
            use_: use_of(self.around.uses.get(&version.name)),
            override_: version.retire_in_use.clone().map(|reason| Override { by: self.owner.to_owned(), reason }),
        }
    }

    fn soon(&self, record: &Record) -> Option<SignedDuration> {
        let rest = match record.state {
            State::Draft | State::Active | State::Retired => return None,
            State::Deprecated => {
                let date = record.sunset_at.map(|at| at.duration_since(self.now)).unwrap_or_default();
                date.max(record.notice.saturating_sub(record.noticed))
            }
            State::Sunset if record.retirable => return None,
            State::Sunset => self.rules.quiet.saturating_sub(record.quiet),
        };
        Some(rest.max(ROUNDING))
    }
}

fn is_ending(state: VersionState) -> bool {
    matches!(state, VersionState::Deprecated | VersionState::Sunset | VersionState::Retired)
}

/// Time counts as quiet only between two looks that both found no use.
fn between_looks(record: &mut Record, before: Option<&VersionStatus>, seen: Option<&VersionUse>, now: Timestamp) {
    let last = use_of(before.and_then(|before| before.use_.as_ref()));
    if use_of(seen) != Use::None || last == Use::None {
        return;
    }
    record.quiet = match last {
        Use::Seen { .. } => SignedDuration::ZERO,
        _ => before.map(|before| terms::record(before).quiet).unwrap_or_default(),
    };
    record.retirable = false;
    record.watched_at = now.saturating_add(ROUNDING).unwrap_or(now);
}

/// What the state machine makes of use.
pub fn use_of(seen: Option<&VersionUse>) -> Use {
    let Some(VersionUse { consumers, producers, subscriptions, backlog, last_seen: _, observed_at: _, stale: false }) = seen
    else {
        return Use::Unknown;
    };
    let Some(producers) = producers else { return Use::Unknown };
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let links = [*consumers, *producers, *subscriptions].into_iter().map(count).fold(0, u64::saturating_add);
    if links == 0 && *backlog == 0 { Use::None } else { Use::Seen { links, backlog: count(*backlog) } }
}

/// Whether anything of it is use, whether or not all is known.
fn is_used(seen: &VersionUse) -> bool {
    let VersionUse { consumers, producers, subscriptions, backlog, last_seen: _, observed_at: _, stale: _ } = seen;
    [*consumers, producers.unwrap_or_default(), *subscriptions, *backlog].iter().any(|number| *number > 0)
}

/// Use as the status tells it. When it ended is noted when it is first seen to have ended.
fn use_now(before: Option<&VersionUse>, seen: Option<&VersionUse>, offered: bool) -> Option<VersionUse> {
    if !offered {
        return before.map(|before| VersionUse { consumers: 0, producers: None, subscriptions: 0, backlog: 0, ..before.clone() });
    }
    let Some(seen) = seen else { return before.map(|before| VersionUse { stale: true, ..before.clone() }) };
    let last_seen = match before {
        Some(before) if is_used(before) || is_used(seen) => Some(Time(seen.observed_at.0)),
        Some(before) => before.last_seen.clone(),
        None => is_used(seen).then_some(Time(seen.observed_at.0)),
    };
    Some(VersionUse { last_seen, ..seen.clone() })
}

/// What is told of an outcome: nothing that changes from look to look.
fn message(outcome: &Outcome) -> Option<String> {
    let text = match outcome {
        Outcome::Rests | Outcome::Moved { .. } => return None,
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::Waits(Wait::Notice { until, notice, .. }) => {
            format!("its notice ends at {until} at the earliest, and when {} were watched", terms::text(*notice).0)
        }
        Outcome::Waits(Wait::Quiet { period, .. }) => {
            format!("it can be retired once nobody has used it for {}", terms::text(*period).0)
        }
        Outcome::Waits(Wait::InUse { .. }) => "it is in use; move the dependents to the successor".to_owned(),
        Outcome::Waits(Wait::UseUnknown) => "who uses it could not be seen; that is not taken for no use".to_owned(),
    };
    Some(text.chars().take(1024).collect())
}

/// Versions of the spec in its order; then those that were removed from it: offered ones, which go on as they were, and retired
/// ones, the latest.
fn in_order(
    spec: &ServiceContractSpec,
    recorded: &[VersionStatus],
    versions: Vec<VersionStatus>,
    now: Timestamp,
) -> Vec<VersionStatus> {
    let mut of_spec = Vec::new();
    let mut removed: Vec<VersionStatus> = Vec::new();
    for version in versions {
        if spec.versions.iter().any(|known| known.name == version.name) {
            let before = recorded.iter().find(|known| known.name == version.name);
            of_spec.push(settle(before, version, now));
        } else if is_offered(version.state) {
            let message = "it is offered and was removed from the spec; put it back, and deprecate it".to_owned();
            removed.push(VersionStatus { message: Some(message), ..version });
        } else if version.state == VersionState::Retired {
            removed.push(version);
        }
    }
    let place = |status: &VersionStatus| spec.versions.iter().position(|version| version.name == status.name);
    of_spec.sort_by_key(place);
    removed.sort_by(|a, b| (is_offered(b.state), &b.retired_at).cmp(&(is_offered(a.state), &a.retired_at)));
    removed.truncate(REMEMBERED);
    of_spec.extend(removed);
    of_spec
}

#[cfg(test)]
#[path = "conduct_tests.rs"]
mod tests;
