//! The texts of a contract that stand for lengths of time.

use entente_crds::service_contract::{Assurances, ServiceContractSpec};

use crate::admission::Judgement;
use crate::contract::brownouts;
use crate::contract::terms::{length, rules};

/// Says which of them are wrong.
pub(super) fn review(spec: &ServiceContractSpec, judgement: &mut Judgement) {
    // What is wrong with the notice is wrong for them as well, and told once.
    if let Err(problem) = rules(&spec.lifecycle).map(drop).and_then(|()| brownouts::rules(&spec.lifecycle).map(drop)) {
        judgement.refuse(problem);
    }
    if let Some(Assurances { availability: _, latency_p99, rpo, rto }) = &spec.assurances {
        for (field, text) in [("latencyP99", latency_p99), ("rpo", rpo), ("rto", rto)] {
            if let Some(Err(problem)) = text.as_ref().map(|text| length(&format!("assurances.{field}"), text)) {
                judgement.refuse(problem);
            }
        }
    }
}
