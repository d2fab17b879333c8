//! Queues and targets for tests.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Config, Decision, Reading, Sample, Seen, State, Target, step};

/// Moderate settings with one objective: at most 10 messages a replica.
pub fn config() -> Config {
    Config {
        min: 0,
        max: 100,
        schedules: Arc::default(),
        cap: None,
        messages_per_replica: Some(10.0),
        drain_within: None,
        max_age: None,
        idle_after: 120_000,
        service_rate: None,
        down_window: 120_000,
        down_percent_per_minute: 25,
        up_per_minute: None,
    }
}

/// Settings with the age as objective, and a service rate of 10/s.
pub fn by_age(seconds: i64) -> Config {
    Config { messages_per_replica: None, max_age: Some(seconds * 1000), service_rate: Some(10.0), ..config() }
}

/// A moment.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_750_000_000_000 + millis).unwrap()
}

/// A queue in numbers that flow, and a target that does at once what it is told.
#[derive(Clone, Debug)]
pub struct World {
    pub config: Config,
    pub state: State,
    pub millis: i64,
    pub seen: Seen,
    pub target: Target,
    /// Messages that one replica serves in a second.
    pub service: u64,
    /// Replicas start at once.
    pub starts: bool,
}

impl World {
    pub fn new(config: Config, replicas: u32) -> Self {
        let target = Target { spec_replicas: replicas, ready_replicas: replicas, ..Target::default() };
        let seen = Seen { published_total: Some(0), acknowledged_total: Some(0), ..Seen::default() };
        Self { config, state: State::default(), millis: 0, seen, target, service: 10, starts: true }
    }

    pub fn sample(&self) -> Sample {
        Sample { reading: Reading::Seen(self.seen.clone()), target: self.target.clone() }
    }

    /// A second in which `count` messages come and are served as far as replicas reach.
    pub fn flow(&mut self, count: u64) {
        let capacity = u64::from(self.target.ready_replicas) * self.service;
        let backlog = self.seen.ready + self.seen.unacknowledged + count;
        let served = backlog.min(capacity);
        let left = backlog - served;
        let held = left.min(u64::from(self.target.ready_replicas));
        (self.seen.ready, self.seen.unacknowledged) = (left - held, held);
        self.seen.published_total = self.seen.published_total.map(|total| total + count);
        self.seen.acknowledged_total = self.seen.acknowledged_total.map(|total| total + served);
        self.millis += 1000;
    }

    /// Decides on a sample and does what was decided.
    pub fn decide(&mut self, sample: &Sample) -> Decision {
        let (state, decision) = step(&self.config, std::mem::take(&mut self.state), sample, at(self.millis));
        self.state = state;
        if let Some(replicas) = decision.write() {
            self.target.spec_replicas = replicas;
        }
        if self.starts || self.target.ready_replicas > self.target.spec_replicas {
            self.target.ready_replicas = self.target.spec_replicas;
        }
        decision
    }

    /// A second with its step.
    pub fn second(&mut self, count: u64) -> Decision {
        self.flow(count);
        let sample = self.sample();
        self.decide(&sample)
    }

    /// Several seconds; the last decision.
    pub fn seconds(&mut self, seconds: u32, count: u64) -> Decision {
        let mut last = None;
        for _ in 0..seconds {
            last = Some(self.second(count));
        }
        last.unwrap()
    }
}
