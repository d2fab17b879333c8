//! What is told of versions that end: on the objects of those who depend on them, in Events, and as figures.

use entente_core::client::grants::admits;
use entente_core::contract::brownouts::closed;
use entente_core::contract::brownouts::told as brownouts;
use entente_core::contract::conduct::Move;
use entente_core::contract::notice::{self, notice};
use entente_core::contract::reference::Reference;
use entente_core::contract::refusals::News;
use entente_core::resolve::Asker;
use entente_crds::ServiceContract;
use entente_crds::condition::reasons;
use entente_crds::grant::Verb;
use entente_crds::service_contract::{BrownoutState, BrownoutStatus, VersionState, VersionStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;

use crate::metrics::EndingVersion;
use crate::objects::{Shared, writes};

/// Tells an object of namespace `own` of the versions that it depends on. Of a contract that does not grant it anything it
/// learns nothing (invariant I3).
pub fn tell(
    shared: &Shared,
    own: &str,
    references: impl IntoIterator<Item = (Reference, Verb)>,
    conditions: &mut Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let labels = shared.labels(own);
    let asker = Asker { namespace: own, labels: labels.as_ref() };
    let (mut notices, mut rehearsals) = (Vec::new(), Vec::new());
    for (reference, verb) in references {
        let contract = shared.contracts.get(&ObjectRef::new(&reference.contract).within(&reference.namespace));
        let granted = contract.filter(|contract| admits(&contract.spec.grants, &reference.namespace, asker, verb));
        let Some(contract) = granted else { continue };
        notices.extend(notice(&reference, &contract));
        rehearsals.extend(brownouts::told(&reference, &contract, now));
    }
    notice::tell(conditions, notices, generation, now);
    brownouts::tell(conditions, rehearsals, generation, now);
}

/// Tells of versions that moved.
pub fn moved(shared: &Shared, contract: &ServiceContract, moves: &[Move]) {
    for Move { version, from, to } in moves {
        let (type_, reason) = match to {
            VersionState::Draft | VersionState::Active => (EventType::Normal, "VersionActive"),
            VersionState::Deprecated => (EventType::Warning, reasons::VERSION_DEPRECATED),
            VersionState::Sunset => (EventType::Warning, reasons::VERSION_SUNSET),
            VersionState::Retired => (EventType::Warning, reasons::VERSION_RETIRED),
        };
        let meant =
            contract.spec.versions.iter().find(|known| known.name == *version).and_then(|known| known.retire_in_use.as_ref());
        let why =
            meant.filter(|_| *to == VersionState::Retired).map(|why| format!(", whoever uses it: {why}")).unwrap_or_default();
        writes::tell(shared, contract, type_, reason, &format!("{version} went from {from:?} to {to:?}{why}"));
    }
}

/// Tells of brown-outs that came to another state.
pub fn rehearsed(shared: &Shared, contract: &ServiceContract, before: &[VersionStatus], now: &[VersionStatus]) {
    for VersionStatus { name, brownouts, .. } in now {
        let known = before.iter().find(|known| known.name == *name).map(|known| known.brownouts.as_slice()).unwrap_or_default();
        for BrownoutStatus { starts_at, ends_at, state, announced_at: _, announced_before: _, message } in brownouts {
            let same = known.iter().find(|known| (&known.starts_at, &known.ends_at) == (starts_at, ends_at));
            if same.is_some_and(|same| same.state == *state) {
                continue;
            }
            let (type_, reason, what) = match state {
                BrownoutState::Announced => (EventType::Normal, reasons::BROWNOUT_ANNOUNCED, "will be"),
                BrownoutState::Underway => (EventType::Warning, reasons::VERSION_BROWNOUT, "is"),
                BrownoutState::Over => (EventType::Normal, "BrownoutOver", "was"),
                BrownoutState::Skipped => (EventType::Warning, "BrownoutSkipped", "was not"),
            };
            let why = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            let text = format!("{name} {what} closed from {} to {}, as a rehearsal{why}", starts_at.0, ends_at.0);
            writes::tell(shared, contract, type_, reason, &text);
        }
    }
}

/// Tells of those who were refused a version.
pub fn refused(shared: &Shared, contract: &ServiceContract, versions: &[VersionStatus], news: &[News]) {
    for News { version, client, count } in news {
        let state = versions.iter().find(|known| known.name == *version).map(|known| known.state);
        let state = state.map(|state| format!(", which is {state:?}")).unwrap_or_default();
        let text = format!("{client} was refused {version}{state}, {count} times so far");
        writes::tell(shared, contract, EventType::Warning, "VersionRefused", &text);
    }
}

/// Sets the figures of a contract's versions.
pub fn figures(shared: &Shared, contract: &ServiceContract, now: Timestamp) {
    for known in contract.status.iter().flat_map(|status| &status.versions) {
        let label = label(contract, &known.name);
        if closed(known, now).is_some() {
            shared.metrics.brownouts.get_or_create(&label).set(1);
        } else {
            shared.metrics.brownouts.remove(&label);
        }
        if let Some(refused) = &known.refused {
            shared.metrics.refused.get_or_create(&label).set(refused.count);
        }
        let ends = matches!(known.state, VersionState::Deprecated | VersionState::Sunset);
        match known.sunset_at.as_ref().filter(|_| ends) {
            Some(at) => {
                let days = at.0.duration_since(now).as_secs_f64() / 86_400.0;
                shared.metrics.days_to_sunset.get_or_create(&label).set(days);
            }
            None => {
                shared.metrics.days_to_sunset.remove(&label);
            }
        }
    }
}

/// Takes the figures of a contract away that is gone.
pub fn forget(shared: &Shared, contract: &ServiceContract) {
    for known in contract.status.iter().flat_map(|status| &status.versions) {
        shared.metrics.days_to_sunset.remove(&label(contract, &known.name));
        shared.metrics.brownouts.remove(&label(contract, &known.name));
        shared.metrics.refused.remove(&label(contract, &known.name));
    }
}

fn label(contract: &ServiceContract, version: &str) -> EndingVersion {
    EndingVersion {
        namespace: contract.namespace().unwrap_or_default(),
        contract: contract.name_any(),
        version: version.to_owned(),
    }
}
