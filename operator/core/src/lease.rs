//! Leader election: what to do with a Lease, decided from what was read.
//!
//! Expected flow: read the Lease, ask [`decide`], write with a PUT that carries the
//! `resourceVersion` that was read. Two candidates that decide alike are told apart by the
//! API server: one PUT wins, the other gets a conflict. A patch without `resourceVersion`
//! would let both win.
//!
//! Time is judged by the candidate's own monotonic observation of *changes* to the Lease and
//! never by comparing the holder's clock with ours, as client-go does: a skewed clock must not
//! shorten a lease.

use std::time::Duration;

/// What the Lease says, reduced to what matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty or absent when released.
    pub holder: Option<String>,
    /// `resourceVersion`: changes with each write.
    pub version: String,
}

/// A Lease as seen by one candidate: what it says, and for how long it has said so.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// What the Lease says.
    pub record: Record,
    /// How long this candidate has seen this very version, by its monotonic clock.
    pub unchanged_for: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No Lease exists: create it with us as holder.
    Create,
    /// Take it over.
    Acquire,
    /// We hold it: renew it.
    Renew,
    /// Another holds it: look again later.
    Wait,
}

/// Decides for the candidate `me`, given what was just read (`None`: no Lease exists).
pub fn decide(me: &str, seen: Option<&Sighting>, lease_duration: Duration) -> Decision {
    let Some(Sighting { record, unchanged_for }) = seen else {
        return Decision::Create;
    };
    match record.holder.as_deref() {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if *unchanged_for >= lease_duration => Decision::Acquire,
        Some(_) => Decision::Wait,
    }
}

/// Whether a holder whose last successful write *began* `since_renewal` ago must stop acting as leader.
///
/// It stops earlier than others may take over (`renew_deadline < lease_duration`), so that two
/// never act at once, even while the API server cannot be reached.
pub fn must_step_down(since_renewal: Duration, renew_deadline: Duration) -> bool {
    since_renewal >= renew_deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn seen(holder: Option<&str>, seconds: u64) -> Sighting {
        Sighting {
            record: Record { holder: holder.map(Into::into), version: "7".into() },
            unchanged_for: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn every_case_has_one_answer() {
        for (sighting, expected) in [
            (None, Decision::Create),
            (Some(seen(None, 0)), Decision::Acquire),
            (Some(seen(Some(""), 0)), Decision::Acquire),
            (Some(seen(Some("me"), 0)), Decision::Renew),
            (Some(seen(Some("me"), 99)), Decision::Renew),
            (Some(seen(Some("other"), 9)), Decision::Wait),
            (Some(seen(Some("other"), 10)), Decision::Acquire),
        ] {
            assert_eq!(decide("me", sighting.as_ref(), LEASE), expected, "{sighting:?}");
        }
    }

    #[test]
    fn a_leader_stops_before_another_may_start() {
        let deadline = Duration::from_secs(7);
        assert!(deadline < LEASE);
        assert!(!must_step_down(Duration::from_millis(6_999), deadline));
        assert!(must_step_down(deadline, deadline));
    }
}
