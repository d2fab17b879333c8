//! The texts of a contract that stand for lengths of time.

use entente_crds::service_contract::ServiceContractSpec;

use crate::admission::Judgement;
use crate::contract::terms::rules;
use crate::contract::{assurances, brownouts};

/// Says which of them are wrong.
pub(super) fn review(spec: &ServiceContractSpec, judgement: &mut Judgement) {
    // What is wrong with the notice is wrong for them as well, and told once.
    if let Err(problem) = rules(&spec.lifecycle).map(drop).and_then(|()| brownouts::rules(&spec.lifecycle).map(drop)) {
        judgement.refuse(problem);
    }
    if let Some(Err(problem)) = spec.assurances.as_ref().map(assurances::targets) {
        judgement.refuse(problem);
    }
}
