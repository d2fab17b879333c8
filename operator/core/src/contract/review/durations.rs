//! The texts of a contract that stand for lengths of time.

use entente_crds::service_contract::{Assurances, Brownout, Lifecycle, ServiceContractSpec};
use entente_crds::text::DurationText;
use jiff::SignedDuration;

use crate::admission::Judgement;
use crate::contract::lifecycle::Rules;
use crate::contract::terms;

/// Ten years: more is a mistake, and would overflow times.
const LONGEST_MILLIS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

/// The rules of a contract's lifecycle.
pub fn rules(lifecycle: &Lifecycle) -> Result<Rules, String> {
    let Lifecycle { max_supported_versions: _, minimum_deprecation_notice, quiet_period, brownouts: _ } = lifecycle;
    duration("lifecycle.minimumDeprecationNotice", minimum_deprecation_notice)?;
    duration("lifecycle.quietPeriod", quiet_period)?;
    terms::rules(lifecycle).map_err(|error| format!("lifecycle: {error}"))
}

fn duration(field: &str, text: &DurationText) -> Result<SignedDuration, String> {
    let millis = text.as_millis().map_err(|error| format!("{field}: {error}"))?;
    if millis > LONGEST_MILLIS {
        return Err(format!("{field}: at most 3650d"));
    }
    Ok(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
}

/// Says which of them are wrong.
pub(super) fn review(spec: &ServiceContractSpec, judgement: &mut Judgement) {
    if let Err(problem) = rules(&spec.lifecycle) {
        judgement.refuse(problem);
    }
    for Brownout { before_sunset, lasts } in &spec.lifecycle.brownouts {
        match (duration("beforeSunset", before_sunset), duration("lasts", lasts)) {
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
            if let Some(Err(problem)) = text.as_ref().map(|text| duration(&format!("assurances.{field}"), text)) {
                judgement.refuse(problem);
            }
        }
    }
}
