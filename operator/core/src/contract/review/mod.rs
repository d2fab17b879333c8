//! What is said of a ServiceContract before it is stored.
//!
//! [`review`] judges a change of the spec, [`review_deletion`] that it goes, [`binding`] what somebody is told who binds to a version.
//! All are functions of values; the controller repeats what they refuse, by [`comparer`] and [`super::lifecycle`].
//!
//! - Judged is what changes: schemas that are new, and states that are asked for anew. A contract that was admitted by an older
//!   version of Entente can still be edited elsewhere.
//! - A ConfigMap that is not there, or not as its hash says, is warned of and not refused: it may be applied a moment later, and the
//!   version stays a draft until it is right.
//! - On creation, versions that are deprecated or retired already are let through: that is what a backup put back looks like.
//! - Comparisons cost time. `go_on` is asked before each; where it says no, the rest is left to the controller, with a warning.

pub mod binding;
pub mod comparer;
mod deletion;
mod durations;
pub mod schemas;
mod states;
#[cfg(test)]
mod tests;

pub use deletion::review_deletion;

use std::collections::BTreeMap;

use entente_crds::ServiceContract;
use entente_crds::service_contract::{DesiredState, ServiceContractSpec, Version};
use jiff::Timestamp;

use self::comparer::{Comparer, GoOn};
use crate::admission::Judgement;
use crate::contract::kept::Kept;

/// Judges a change. `old` is nothing for a new contract; `new` carries the status that the API server has, and `kept` holds the
/// schemas of ConfigMaps as far as they could be read.
pub fn review(old: Option<&ServiceContract>, new: &ServiceContract, kept: &Kept, now: Timestamp, go_on: &GoOn<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    let spec = &new.spec;
    durations::review(spec, &mut judgement);
    let before: BTreeMap<&str, &Version> =
        old.iter().flat_map(|old| &old.spec.versions).map(|version| (version.name.as_str(), version)).collect();
    let mut comparer = Comparer::new(spec, kept, go_on);
    let mut candidates: Vec<(&Version, Vec<&Version>)> = Vec::new();
    for (at, version) in spec.versions.iter().enumerate() {
        let was = before.get(version.name.as_str()).copied();
        let activated =
            version.desired_state == DesiredState::Active && was.is_none_or(|was| was.desired_state == DesiredState::Draft);
        let drafted = version.desired_state == DesiredState::Draft && was.is_none_or(|was| was.messages != version.messages);
        // What was a draft may have been let through when nobody was there to read it.
        let found = comparer.read(version, was.filter(|_| !activated));
        if (activated || drafted) && found.is_empty() {
            candidates.push((version, earlier(spec, at, &before)));
        }
        for problem in &found {
            problem.tell(&mut judgement);
        }
    }
    let found = comparer.compare(&candidates);
    for ((version, _), found) in candidates.iter().zip(&found) {
        match (version.desired_state, found.first()) {
            (DesiredState::Draft, Some(problem)) => {
                judgement.warn(format!("{} could not be activated as it stands: {}", version.name, problem.brief()));
            }
            _ => found.iter().for_each(|problem| problem.tell(&mut judgement)),
        }
    }
    states::review(old, new, now, &mut judgement);
    if comparer.unfinished() {
        judgement
            .warn("the schemas were not compared to the end, for lack of time; the contract's status will say what came of it");
    }
    judgement
}

/// The versions that one has to honour: those that were offered before this change, and those before it in the list that are offered
/// by the same change. Not transitive: the last of them alone.
fn earlier<'a>(spec: &'a ServiceContractSpec, at: usize, before: &BTreeMap<&str, &Version>) -> Vec<&'a Version> {
    let offered = |version: &&Version| matches!(version.desired_state, DesiredState::Active | DesiredState::Deprecated);
    let was_offered = |version: &&Version| {
        before
            .get(version.name.as_str())
            .is_some_and(|was| matches!(was.desired_state, DesiredState::Active | DesiredState::Deprecated))
    };
    let mut all: Vec<&Version> = spec
        .versions
        .iter()
        .enumerate()
        .filter(|(other, version)| *other != at && offered(version) && (*other < at || was_offered(version)))
        .map(|(_, version)| version)
        .collect();
    if !spec.compatibility.transitive
        && let Some(last) = all.pop()
    {
        all = vec![last];
    }
    all
}
