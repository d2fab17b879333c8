//! What was seen at one moment.

/// What one step decides on.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What the broker said of the queue.
    pub reading: Reading,
    /// What Kubernetes said of the workload.
    pub target: Target,
}

/// What the broker said of the queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It answered.
    Seen(Seen),
    /// It did not answer.
    Failed,
    /// It answered with what is too old to decide on.
    Stale,
}

/// Figures of a queue; of all its partitions together.
///
/// A total that is not known is `None`, never 0: arrivals are then told from the depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages delivered and not yet settled.
    pub unacknowledged: u64,
    /// Messages ever taken in, since the counter's last reset.
    pub published_total: Option<u64>,
    /// Messages ever acknowledged, since the counter's last reset.
    pub acknowledged_total: Option<u64>,
    /// Consumers attached.
    pub consumers: u32,
    /// A node, or a partition's leader, did not answer: there may be more of everything.
    pub is_lower_bound: bool,
    /// Replicas that hold unacknowledged messages, where it is known. Else as many as may hold one are taken for busy.
    pub busy_replicas: Option<u32>,
}

impl Seen {
    /// The figures of two parts of a queue, or of what two nodes know, in any order.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // as `reduce` calls it
    pub fn and(self, other: Self) -> Self {
        let both = |one: Option<u64>, two: Option<u64>| Some(one?.saturating_add(two?));
        Self {
            ready: self.ready.saturating_add(other.ready),
            unacknowledged: self.unacknowledged.saturating_add(other.unacknowledged),
            published_total: both(self.published_total, other.published_total),
            acknowledged_total: both(self.acknowledged_total, other.acknowledged_total),
            consumers: self.consumers.saturating_add(other.consumers),
            is_lower_bound: self.is_lower_bound || other.is_lower_bound,
            // One replica may hold messages of both.
            busy_replicas: self.busy_replicas.zip(other.busy_replicas).map(|(one, two)| one.saturating_add(two)),
        }
    }
}

/// The workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `/scale` `spec.replicas`.
    pub spec_replicas: u32,
    /// Replicas that are ready. Never counted beyond `spec_replicas`: a rollout's surge is not capacity.
    pub ready_replicas: u32,
    /// Pods that the scheduler finds no place for.
    pub unschedulable: u32,
    /// The namespace's quota refuses more pods.
    pub quota_exceeded: bool,
    /// Another autoscaler acts on the same target.
    pub other_scaler: bool,
}
