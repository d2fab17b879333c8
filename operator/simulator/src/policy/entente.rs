//! Entente's autoscaler: the very function that the operator calls.

use entente_core::scaling::{Config, Reading, Sample, Seen, State, Target, step};
use jiff::Timestamp;

use super::{Policy, View};
use crate::chance::Chance;

/// Entente's autoscaler, asked once a second.
pub struct Entente {
    config: Config,
    state: State,
    next: f64,
}

impl Entente {
    /// With these settings, and a phase by chance.
    pub fn new(config: Config, phases: &mut Chance) -> Self {
        Self { config, state: State::resume(None), next: phases.even() }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond(1_750_000_000_000 + (seconds * 1000.0) as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Policy for Entente {
    fn name(&self) -> String {
        "entente".to_owned()
    }

    fn next(&self) -> f64 {
        self.next
    }

    fn look(&mut self, view: &View) -> Option<u32> {
        self.next += 1.0;
        let reading = match view.told {
            None => Reading::Failed,
            Some(told) => Reading::Seen(Seen {
                ready: told.ready,
                unacknowledged: told.unacknowledged,
                published_total: Some(told.published),
                acknowledged_total: Some(told.acknowledged),
                consumers: told.consumers,
                is_lower_bound: false,
                busy_replicas: None,
            }),
        };
        let target = Target { spec_replicas: view.spec, ready_replicas: view.ready, ..Target::default() };
        let state = std::mem::take(&mut self.state);
        let (state, decision) = step(&self.config, state, &Sample { reading, target }, moment(view.now));
        self.state = state;
        decision.write()
    }

    fn idle_first(&self) -> bool {
        true
    }
}
