//! That a ServiceContract goes.

use entente_crds::ServiceContract;
use entente_crds::meta::DELETE_IN_USE_ANNOTATION;
use entente_crds::service_contract::{VersionState, VersionStatus, VersionUse};
use kube::ResourceExt;

use crate::admission::Judgement;

/// Judges a deletion: a version that somebody uses does not vanish. `ending` says that the namespace goes: then nothing is held up,
/// and what is at the broker is kept as orphans for a while.
///
/// The status is only ever a reason to refuse, and never one to allow: whoever may write it gains nothing.
pub fn review_deletion(contract: &ServiceContract, ending: bool) -> Judgement {
    let mut judgement = Judgement::default();
    let annotations = contract.annotations();
    let meant = annotations.get(DELETE_IN_USE_ANNOTATION).is_some_and(|reason| !reason.trim().is_empty());
    if ending || contract.metadata.deletion_timestamp.is_some() {
        return judgement;
    }
    let versions = contract.status.iter().flat_map(|status| &status.versions);
    let used: Vec<String> = versions
        .filter(|version| !matches!(version.state, VersionState::Draft | VersionState::Retired))
        .filter_map(|version| used_by(version).map(|who| format!("{} by {who}", version.name)))
        .collect();
    if used.is_empty() {
        return judgement;
    }
    let used = used.join("; ");
    if meant {
        judgement.warn(format!("it goes although it is in use, as its annotation asks: {used}"));
    } else {
        judgement.refuse(format!(
            "the contract is in use: {used}. Deprecate its versions and move the dependents; to have it go as soon as they are gone, say why in the annotation {DELETE_IN_USE_ANNOTATION}"
        ));
    }
    judgement
}

/// Who uses a version, in figures, and when that was seen; nothing if nobody does.
pub(super) fn used_by(version: &VersionStatus) -> Option<String> {
    let VersionUse { consumers, producers, subscriptions, backlog, last_seen: _, observed_at, stale: _ } =
        version.use_.as_ref()?;
    let producers = &producers.unwrap_or_default();
    let parts: Vec<String> =
        [(consumers, "consumer"), (producers, "producer"), (subscriptions, "durable subscription"), (backlog, "waiting message")]
            .into_iter()
            .filter(|(count, _)| **count > 0)
            .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
            .collect();
    (!parts.is_empty()).then(|| format!("{} (seen at {})", parts.join(", "), observed_at.0))
}
