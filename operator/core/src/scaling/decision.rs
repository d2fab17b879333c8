//! What a step decided, and why.

use serde::{Deserialize, Serialize};

/// What a step decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// How many replicas the target should have. What it has, if nothing is to change.
    pub desired: u32,
    /// How many the objectives ask for, before any limit.
    pub wanted: u32,
    /// The schedule that is on, and of several the one that asks for most.
    pub schedule: Option<String>,
    /// The objective that asked for most.
    pub objective: Option<Objective>,
    /// What kept `desired` from being `wanted`.
    pub held_back: Option<HeldBack>,
    /// What it was decided on.
    pub inputs: Inputs,
    /// The same for people, in one sentence.
    pub sentence: String,
}

impl Decision {
    /// The number to write to `/scale`; `None` if nothing is to be written.
    pub fn write(&self) -> Option<u32> {
        let hands_off = self.held_back.is_some_and(HeldBack::is_hands_off);
        (!hands_off && self.desired != self.inputs.spec_replicas).then_some(self.desired)
    }
}

/// What a step was decided on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Replicas that the target should have had so far.
    pub spec_replicas: u32,
    /// Replicas that were ready.
    pub ready_replicas: u32,
    /// Messages ready, as last seen.
    pub ready: u64,
    /// Messages unacknowledged, as last seen.
    pub unacknowledged: u64,
    /// Messages per second that come in.
    pub arrival_rate: f64,
    /// Messages per second that one replica serves, if known.
    pub service_rate: Option<f64>,
    /// How long the oldest message has waited, as far as the arrivals tell, in milliseconds.
    pub oldest_age: i64,
    /// How long until the backlog of now is drained by what is ready, in milliseconds, if it is known.
    pub time_to_drain: Option<i64>,
}

/// What asks for replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Objective {
    /// `messagesPerReplica`.
    MessagesPerReplica,
    /// `drainWithin`.
    DrainWithin,
    /// `maxAge`.
    MaxAge,
    /// As many as serve what comes in: below that a drained queue would fill again at once.
    ArrivalRate,
    /// A message waits, so somebody must be there.
    Waiting,
    /// A schedule is on.
    Schedule,
}

impl Objective {
    /// As it stands in status, Events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessagesPerReplica => "MessagesPerReplica",
            Self::DrainWithin => "DrainWithin",
            Self::MaxAge => "MaxAge",
            Self::ArrivalRate => "ArrivalRate",
            Self::Waiting => "Waiting",
            Self::Schedule => "Schedule",
        }
    }
}

/// What kept replicas from being what the objectives ask for. A closed set: people alert on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeldBack {
    /// The difference is too small to be worth a change.
    DeadBand,
    /// More was needed within the down window.
    DownWindow,
    /// The rate of changes is at its limit.
    RateLimited,
    /// The broker did not answer, or with something old.
    Stale,
    /// A node did not answer: what is there may be more than was seen.
    NodesMissing,
    /// Replicas hold unacknowledged messages.
    Unacknowledged,
    /// No room for more pods: quota, or unschedulable ones.
    CapacityLimited,
    /// Two steps up brought no more throughput: something behind the consumers is the limit.
    DownstreamSaturated,
    /// The queue is empty, but not for `idleAfter` yet.
    NotIdle,
    /// Somebody set zero by hand.
    Paused,
    /// Another autoscaler acts on the same target.
    ConflictingScaler,
    /// `minReplicas`.
    Minimum,
    /// `maxReplicas`.
    Maximum,
    /// One consumer at a time gets messages.
    SingleActiveConsumer,
    /// No more consumers than partitions get messages.
    Partitions,
}

impl HeldBack {
    /// All of them, for metrics that must know their labels.
    pub const ALL: [Self; 15] = [
        Self::DeadBand,
        Self::DownWindow,
        Self::RateLimited,
        Self::Stale,
        Self::NodesMissing,
        Self::Unacknowledged,
        Self::CapacityLimited,
        Self::DownstreamSaturated,
        Self::NotIdle,
        Self::Paused,
        Self::ConflictingScaler,
        Self::Minimum,
        Self::Maximum,
        Self::SingleActiveConsumer,
        Self::Partitions,
    ];

    /// As it stands in status, Events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeadBand => "DeadBand",
            Self::DownWindow => "DownWindow",
            Self::RateLimited => "RateLimited",
            Self::Stale => "Stale",
            Self::NodesMissing => "NodesMissing",
            Self::Unacknowledged => "Unacknowledged",
            Self::CapacityLimited => "CapacityLimited",
            Self::DownstreamSaturated => "DownstreamSaturated",
            Self::NotIdle => "NotIdle",
            Self::Paused => "Paused",
            Self::ConflictingScaler => "ConflictingScaler",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::SingleActiveConsumer => "SingleActiveConsumer",
            Self::Partitions => "Partitions",
        }
    }

    /// Whether nothing at all is to be written to the target.
    pub const fn is_hands_off(self) -> bool {
        matches!(self, Self::Paused | Self::ConflictingScaler)
    }
}

impl Decision {
    /// The decision in one sentence.
    pub(super) fn explain(&self) -> String {
        let Inputs { spec_replicas: spec, ready_replicas, ready, unacknowledged, arrival_rate, service_rate, .. } = self.inputs;
        let queue = match service_rate {
            Some(rate) => format!(
                "{ready} messages ready, {unacknowledged} unacknowledged, {arrival_rate:.1}/s in, {rate:.1}/s served by each of {ready_replicas}"
            ),
            None => format!(
                "{ready} messages ready, {unacknowledged} unacknowledged, {arrival_rate:.1}/s in, service rate not known yet"
            ),
        };
        let asks = match (self.objective, &self.schedule) {
            (Some(Objective::Schedule), Some(name)) => format!("schedule {name} asks for {}", self.wanted),
            (Some(objective), _) => format!("{} asks for {}", objective.as_str(), self.wanted),
            (None, _) => "nothing asks for any".to_owned(),
        };
        let change = match self.desired.cmp(&spec) {
            std::cmp::Ordering::Equal => format!("{spec} replicas stay"),
            _ => format!("{spec} to {} replicas", self.desired),
        };
        match self.held_back {
            Some(HeldBack::Stale) => format!("{change}: the broker was not seen, and what is not seen lowers nothing"),
            Some(HeldBack::Paused) => format!("{change}: zero was set by hand; set any other number to go on"),
            Some(HeldBack::ConflictingScaler) => format!("{change}: another autoscaler acts on this target; remove one of them"),
            Some(reason) => format!("{change}: {asks}, held back by {}; {queue}", reason.as_str()),
            None => format!("{change}: {asks}; {queue}"),
        }
    }
}
