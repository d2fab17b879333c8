//! The texts of a contract that stand for lengths of time.

use entente_crds::service_contract::{Assurances, Brownout, ServiceContractSpec};

use crate::admission::Judgement;
use crate::contract::terms::{length, rules};

/// Says which of them are wrong.
pub(super) fn review(spec: &ServiceContractSpec, judgement: &mut Judgement) {
    if let Err(problem) = rules(&spec.lifecycle) {
        judgement.refuse(problem);
    }
    for Brownout { before_sunset, lasts } in &spec.lifecycle.brownouts {
        match (length("beforeSunset", before_sunset), length("lasts", lasts)) {
            (Ok(before), Ok(long)) if long > before || long.is_zero() => judgement.refuse(format!(
                "lifecycle.brownouts: one that begins {} before sunset cannot last {}: it must end before sunset, and last some time",
                before_sunset.0, lasts.0
            )),
            (Ok(_), Ok(_)) => {}
            (Err(problem), _) | (_, Err(problem)) => judgement.refuse(format!("lifecycle.brownouts: {problem}")),
        }
    }
    if let Some(Assurances { availability: _, latency_p99, rpo, rto }) = &spec.assurances {
        for (field, text) in [("latencyP99", latency_p99), ("rpo", rpo), ("rto", rto)] {
            if let Some(Err(problem)) = text.as_ref().map(|text| length(&format!("assurances.{field}"), text)) {
                judgement.refuse(problem);
            }
        }
    }
}
