//! What dependents are told of brown-outs, on their own objects and before they bind.

use entente_crds::ServiceContract;
use entente_crds::condition::{reasons, types};
use entente_crds::service_contract::{BrownoutState, BrownoutStatus, VersionState, VersionStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::closed;
use crate::conditions::{self, Status};
use crate::contract::reference::Reference;
use crate::object::Refusal;

/// A brown-out to tell of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// Whether it is only announced: what is on comes first.
    announced: bool,
    starts: Timestamp,
    text: String,
}

/// What is to be told of a version that somebody depends on: the brown-out that it is in, or the next.
///
/// Only to those that may use the contract: others learn nothing of it (invariant I3).
pub fn told(reference: &Reference, contract: &ServiceContract, now: Timestamp) -> Option<Told> {
    let status = reference.find(contract)?;
    let Reference { namespace, contract: name, version, .. } = reference;
    let mend = reference.way_out(contract);
    let owner = &contract.spec.owner;
    let tell = |what: &str| {
        format!(
            "version {version} of the contract {namespace}/{name} {what}, as a rehearsal of its retirement{mend}. Owner: {owner}"
        )
    };
    if let Some(until) = closed(status, now) {
        return Some(Told { announced: false, starts: Timestamp::MIN, text: tell(&format!("is closed until {until}")) });
    }
    let BrownoutStatus { starts_at, ends_at, .. } = next(status).filter(|next| next.ends_at.0 > now)?;
    let text = tell(&format!("will be closed from {} to {}", starts_at.0, ends_at.0));
    Some(Told { announced: true, starts: starts_at.0, text })
}

/// The next that is announced.
pub fn next(status: &VersionStatus) -> Option<&BrownoutStatus> {
    let announced = status.brownouts.iter().filter(|known| known.state == BrownoutState::Announced);
    announced.filter(|_| status.state == VersionState::Deprecated).min_by_key(|known| known.starts_at.0)
}

/// Sets the condition, or takes it away where nothing is to be told. It holds while one is on.
pub fn tell(conditions: &mut Vec<Condition>, mut all: Vec<Told>, generation: Option<i64>, now: Timestamp) {
    all.sort();
    all.dedup();
    let Some(first) = all.first() else {
        conditions::remove(conditions, types::CONTRACT_BROWNOUT);
        return;
    };
    let (status, reason) =
        if first.announced { (Status::False, reasons::BROWNOUT_ANNOUNCED) } else { (Status::True, reasons::VERSION_BROWNOUT) };
    let texts: Vec<&str> = all.iter().map(|told| told.text.as_str()).collect();
    conditions::set(conditions, types::CONTRACT_BROWNOUT, status, reason, texts.join("; "), generation, now);
}

/// Why a version may not be used now, and until when.
pub fn refusal(reference: &Reference, contract: &ServiceContract, now: Timestamp) -> Option<(Refusal, Timestamp)> {
    let until = closed(reference.find(contract)?, now)?;
    let Reference { namespace, contract: name, version, .. } = reference;
    let mend = reference.way_out(contract);
    let message = format!(
        "the version {version} of the ServiceContract {namespace}/{name} is closed until {until}, as a rehearsal of its retirement{mend}"
    );
    Some((Refusal { reason: reasons::VERSION_BROWNOUT, message }, until))
}
