//! Assurances: what a contract is measured by, and what probes saw of it.
//!
//! [`targets`] reads what is declared, [`canaries`] follows the messages that probes send, [`window`] keeps what they saw, [`report`] puts both into the status. All are functions of
//! values; the probes themselves are the operator's.
//!
//! - Availability is a share of time: each probe stands for the time up to the next. Time in which nobody probed is not in it.
//! - Latency is that of messages that came back; those that did not are in the availability.
//! - What is lost are messages that the broker accepted and that never came, by the time in which they were sent.
//! - Recovery is the time from the first probe that failed to the next that came back; a failure that lasts counts as it goes on.
//! - Nothing is said to be met before some probes were made.

pub mod canaries;
pub mod path;
pub mod report;
pub mod window;

use entente_crds::service_contract::Assurances;
use jiff::SignedDuration;

use super::terms::length;

/// A whole, in millionths.
const WHOLE: u32 = 1_000_000;

/// What is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Share of the time, in millionths.
    pub availability: Option<u32>,
    /// The latency that 99 of 100 messages keep.
    pub latency_p99: Option<SignedDuration>,
    /// The most that a failure may lose.
    pub rpo: Option<SignedDuration>,
    /// The longest recovery.
    pub rto: Option<SignedDuration>,
}

/// Reads what is declared.
///
/// # Errors
/// What is no share or no length of time, with the field.
pub fn targets(assurances: &Assurances) -> Result<Targets, String> {
    let Assurances { availability, latency_p99, rpo, rto } = assurances;
    let time = |field: &str, text: Option<&_>| text.map(|text| length(&format!("assurances.{field}"), text)).transpose();
    Ok(Targets {
        availability: availability.as_deref().map(share).transpose()?,
        latency_p99: time("latencyP99", latency_p99.as_ref())?,
        rpo: time("rpo", rpo.as_ref())?,
        rto: time("rto", rto.as_ref())?,
    })
}

/// A share in per cent, with at most four decimals, as millionths.
fn share(text: &str) -> Result<u32, String> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = digits(whole) && whole.len() <= 3 && (rest.is_empty() != text.contains('.')) && rest.len() <= 4;
    let value = if sound && (rest.is_empty() || digits(rest)) { format!("{whole}{rest:0<4}").parse::<u32>().ok() } else { None };
    let share = value.filter(|share| *share <= WHOLE);
    share.ok_or_else(|| format!("assurances.availability: {text} is no share in per cent, such as 99.9"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_are_exact_and_nothing_else_is_taken_for_one() {
        for (text, expected) in
            [("99.9", 999_000), ("100", WHOLE), ("0", 0), ("99.9999", 999_999), ("100.0000", WHOLE), ("5.05", 50_500)]
        {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for text in ["", ".", "99.", ".9", "100.1", "99.99999", "-1", "9e1", "101", "1000"] {
            assert!(share(text).unwrap_err().contains("availability"), "{text}");
        }
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named() {
        let read = |value| targets(&serde_json::from_value(value).unwrap());
        let all = read(json!({"availability": "99.5", "latencyP99": "250ms", "rpo": "0s", "rto": "30s"})).unwrap();
        assert_eq!((all.availability, all.rto), (Some(995_000), Some(SignedDuration::from_secs(30))));
        assert_eq!(read(json!({})), Ok(Targets::default()));
        assert!(read(json!({"rto": "soon"})).unwrap_err().starts_with("assurances.rto: "));
    }
}
