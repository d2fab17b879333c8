//! What is remembered from step to step.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::downstream::Downstream;
use super::ledger::Ledger;
use super::sample::Seen;
use super::service::Service;
use super::window::Highest;

/// What is remembered. Small (below 3 KB as text), and the same after a round trip through text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Wall clock of the last step.
    pub(super) stepped: Option<i64>,
    /// Milliseconds that passed in steps, by a clock that does not jump. Messages age by it.
    pub(super) time: i64,
    /// The same, without the time in which the broker was not seen. Windows are measured by it: what nobody saw
    /// is no reason to go down.
    pub(super) watched: i64,
    /// The last full reading, and when it was.
    pub(super) last: Option<Last>,
    pub(super) arrivals: Arrivals,
    pub(super) service: Service,
    pub(super) downstream: Downstream,
    pub(super) ledger: Ledger,
    /// Highest need of the down window, in thousandths of a replica.
    pub(super) needs: Highest<u64>,
    /// Highest and lowest replicas of the last minute.
    pub(super) most: Highest<u32>,
    pub(super) fewest: Highest<Reverse<u32>>,
    /// Since when the queue is empty and idle.
    pub(super) idle: Option<i64>,
    /// Replicas that the target was last seen to be asked for.
    pub(super) spec: Option<u32>,
    /// Replicas that were last decided.
    pub(super) decided: Option<u32>,
    /// When zero was last decided.
    pub(super) zeroed: Option<i64>,
    /// Since when all replicas have been the same.
    pub(super) steady: i64,
    /// A schedule was on in the last step.
    pub(super) scheduled: bool,
    /// Zero was set by hand.
    pub(super) paused: bool,
    /// Nothing was seen yet since the start of this process.
    #[serde(skip)]
    pub(super) resumed: bool,
}

/// The last full reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Last {
    pub wall: i64,
    pub time: i64,
    pub ready: u64,
    pub unacknowledged: u64,
    pub published: Option<u64>,
    pub acknowledged: Option<u64>,
    pub ready_replicas: u32,
}

impl Last {
    pub fn of(seen: &Seen, wall: i64, time: i64, ready_replicas: u32) -> Self {
        Self {
            wall,
            time,
            ready: seen.ready,
            unacknowledged: seen.unacknowledged,
            published: seen.published_total,
            acknowledged: seen.acknowledged_total,
            ready_replicas,
        }
    }

    pub fn backlog(&self) -> u64 {
        self.ready.saturating_add(self.unacknowledged)
    }
}

impl State {
    /// The state after a start of the process: what was saved, or nothing if the text is not understood.
    ///
    /// Nothing that was resumed lowers replicas before it was seen for a whole down window that less is needed: what was
    /// saved may be old, and what happened since is not known.
    pub fn resume(text: Option<&str>) -> Self {
        let saved: Option<Self> = text.and_then(|text| serde_json::from_str(text).ok());
        let mut state = saved.filter(Self::is_sound).unwrap_or_default();
        state.resumed = true;
        state.idle = None;
        state
    }

    /// The text to save.
    pub fn encode(&self) -> String {
        // Numbers are finite and keys are texts: there is nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the queue was empty when it was last seen.
    pub fn is_quiet(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.backlog() == 0)
    }

    /// Whether it differs from what was saved by more than passes in a moment: what a new process would miss.
    pub fn worth_saving(&self, saved: &Self) -> bool {
        let far = |now: Option<f64>, then: Option<f64>| match (now, then) {
            (Some(now), Some(then)) => (now - then).abs() > 0.2 * then,
            (now, then) => now.is_some() != then.is_some(),
        };
        self.paused != saved.paused
            || self.spec != saved.spec
            || self.decided != saved.decided
            || self.downstream.is_saturated() != saved.downstream.is_saturated()
            || far(self.service.rate(None), saved.service.rate(None))
            || far(Some(self.service.start()), Some(saved.service.start()))
    }

    /// A text may have been edited: times that this code could not have made are not calculated with.
    fn is_sound(&self) -> bool {
        const CENTURIES: i64 = 10_000_000_000_000;
        let times = [
            Some(self.time),
            Some(self.watched),
            Some(self.steady),
            self.idle,
            self.zeroed,
            self.last.as_ref().map(|last| last.time),
        ];
        times.into_iter().flatten().all(|time| (0..=CENTURIES).contains(&time))
            && self.watched <= self.time
            && self.ledger.is_sound(self.time)
            && self.needs.is_sound(self.watched, 7 * 86_400_000)
            && self.most.is_sound(self.watched, 120_000)
            && self.fewest.is_sound(self.watched, 120_000)
            && self.steady <= self.watched
    }
}
