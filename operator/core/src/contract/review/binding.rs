//! What somebody is told who binds to a version of a contract.

use entente_crds::ServiceContract;
use entente_crds::service_contract::{BrownoutState, BrownoutStatus, DesiredState, Version, VersionState, VersionStatus};
use kube::ResourceExt;

use crate::admission::Judgement;

/// Judges a new binding to a version. Whether its namespace is granted the contract has been seen to before: this names things that
/// only those may know who are.
///
/// A contract or version that is not there is no reason to refuse: it may be applied a moment later.
pub fn judge(contract: &ServiceContract, version: &str) -> Judgement {
    let mut judgement = Judgement::default();
    let declared = contract.spec.versions.iter().find(|known| known.name == version);
    let recorded = contract.status.iter().flat_map(|status| &status.versions).find(|known| known.name == version);
    let name = format!("{}/{version}", contract.name_any());
    let moving = declared.and_then(|version| version.successor.as_ref()).map(|to| format!(" move to {to}")).unwrap_or_default();
    match recorded.map(|recorded| recorded.state) {
        None if declared.is_none() => judgement.warn(format!("the contract {} has no version {version}", contract.name_any())),
        // Applied together with what binds to it, a contract is not looked at yet: that it is offered is its owner's word.
        None | Some(VersionState::Draft) if !is_looked_at(contract) && declared.is_some_and(is_offered) => {}
        None | Some(VersionState::Draft) => {
            judgement.warn(format!("{name} is a draft: it may change, and nothing is sent under it"));
        }
        Some(VersionState::Active) => {}
        Some(VersionState::Deprecated) => {
            let reason = declared.and_then(|version| version.reason.as_ref()).map(|why| format!(" ({why})")).unwrap_or_default();
            judgement.warn(format!("{name} is deprecated{};{moving}{reason}", until(recorded)));
            for brownout in recorded.iter().flat_map(|recorded| &recorded.brownouts) {
                let BrownoutStatus { starts_at, ends_at, state, .. } = brownout;
                match state {
                    BrownoutState::Announced => {
                        judgement.warn(format!("{name} will be closed, as a rehearsal, from {} to {}", starts_at.0, ends_at.0));
                    }
                    BrownoutState::Underway => judgement.warn(format!("{name} is closed until {}, as a rehearsal", ends_at.0)),
                    BrownoutState::Over | BrownoutState::Skipped => {}
                }
            }
        }
        Some(VersionState::Sunset) => {
            judgement.refuse(format!("{name} takes no new bindings since its notice is over{};{moving}", until(recorded)));
        }
        Some(VersionState::Retired) => judgement.refuse(format!("{name} is retired;{moving}")),
    }
    judgement
}

/// Whether its status speaks of the spec as it is.
fn is_looked_at(contract: &ServiceContract) -> bool {
    contract.status.as_ref().is_some_and(|status| status.observed_generation == contract.metadata.generation)
}

fn is_offered(version: &Version) -> bool {
    version.desired_state != DesiredState::Draft
}

fn until(recorded: Option<&VersionStatus>) -> String {
    let date = recorded.and_then(|recorded| recorded.sunset_at.as_ref());
    date.map(|date| format!(", sunset {}", date.0.strftime("%Y-%m-%d"))).unwrap_or_default()
}
