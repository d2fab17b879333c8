//! How many replicas each objective asks for, as a number with a fraction.

use super::config::Config;
use super::decision::Objective;
use super::ledger::Ledger;
use super::number::of_count;

/// Of the time an objective allows, so much is planned with. The rest is for what was not foreseen.
const PLANNED: f64 = 0.5;
/// Messages that the spare replicas serve within the planned time. A queue whose replicas are all but busy waits longer
/// than that time with a chance of about exp(-this), whatever their number.
const SPARE: f64 = 6.0;
/// No more is asked for than serves what is due within this share of the planned time: nearer deadlines, and missed
/// ones, would ask for replicas without end.
const NEAREST: f64 = 0.5;

/// What the objectives look at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Now, as the ledger counts.
    pub time: i64,
    /// Messages per second that come in.
    pub arrivals: f64,
    /// Messages per second of one replica.
    pub service: Option<f64>,
    /// Seconds that a new replica takes to start.
    pub start: f64,
    /// The backlog by arrival.
    pub ledger: &'a Ledger,
    /// Messages ready.
    pub ready: u64,
    /// Messages ready or unacknowledged.
    pub backlog: u64,
    /// Messages that are worked on.
    pub in_work: u64,
    /// Replicas that are ready.
    pub ready_replicas: u32,
    /// The most replicas that are not known to be useless.
    pub useful: u32,
    /// Replicas have been the same for a while.
    pub steady: bool,
    /// Replicas that are asked for.
    pub spec_replicas: u32,
}

/// The highest need, and the objective that has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Need {
    /// Replicas.
    pub replicas: f64,
    /// What asks for them.
    pub objective: Option<Objective>,
}

impl Need {
    fn raise(&mut self, replicas: f64, objective: Objective) {
        if replicas > self.replicas {
            *self = Self { replicas, objective: Some(objective) };
        }
    }
}

/// What is needed now.
pub fn of(config: &Config, at: &Situation) -> Need {
    let mut need = Need::default();
    if at.backlog > 0 {
        need.raise(1e-3, Objective::Waiting);
    }
    if let Some(most) = config.messages_per_replica {
        need.raise(of_count(at.backlog) / most, Objective::MessagesPerReplica);
    }
    let to_keep_up = keep_up(config, at);
    if let Some(within) = config.drain_within {
        let drain = to_drain(at, within);
        need.raise(to_keep_up + drain, Objective::DrainWithin);
    }
    if let Some(within) = config.max_age {
        need.raise(to_drain(at, within), Objective::MaxAge);
        need.raise(to_keep_up, Objective::ArrivalRate);
    }
    need
}

/// Replicas that serve what comes in, and a few to spare. Below that, a backlog that was drained would grow again.
pub fn keep_up(config: &Config, at: &Situation) -> f64 {
    let Some(service) = at.service else { return 0.0 };
    let busy = at.arrivals / service;
    let within = config.max_age.into_iter().chain(config.drain_within).min().map(super::number::seconds);
    // So many messages for each replica are served within this time.
    let within = within.or(config.messages_per_replica.map(|most| most / service)).unwrap_or(0.0);
    // Where a message takes about as long as the objective allows, the square root is what chance asks for.
    busy + (SPARE / (service * within * PLANNED)).min(busy.sqrt())
}

/// Replicas that serve each message of the backlog before it is `within` milliseconds old.
///
/// The oldest are served first, so what comes later does not delay them: each part of the backlog, with all before it,
/// has to be served within the time that it has left. The part that asks for most rules.
fn to_drain(at: &Situation, within: i64) -> f64 {
    let existing = f64::from(at.spec_replicas);
    let Some(service) = at.service else { return probe(at, within) };
    let planned = scaled(within, PLANNED);
    let nearest = super::number::seconds(planned) * NEAREST;
    let mut with_existing: f64 = 0.0;
    let mut with_new: f64 = 0.0;
    for (messages, left) in at.ledger.due(at.time, planned, at.in_work) {
        with_existing = with_existing.max(messages / (service * left.max(nearest)));
        // Until new replicas have started, those that are ready work alone.
        let alone = f64::from(at.ready_replicas) * service * at.start.min(left.max(nearest));
        with_new = with_new.max((messages - alone) / (service * (left - at.start).max(nearest)));
    }
    // What consumers prefetched does not move to a new replica, but that takes its share of what comes, and so lets them
    // work off what they hold.
    if with_existing > existing { with_existing.max(with_new) } else { with_existing }
}

/// As long as nobody knows how fast a replica is: twice as many, once messages have waited for half the time.
fn probe(at: &Situation, within: i64) -> f64 {
    let all_ready = at.ready_replicas >= at.spec_replicas && at.ready_replicas > 0;
    let all_ready = all_ready && at.steady;
    let late = at.ledger.oldest_age(at.time) > within / 2;
    if all_ready && late && at.ready > 0 { 2.0 * f64::from(at.spec_replicas) } else { 0.0 }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // at most a week
fn scaled(millis: i64, share: f64) -> i64 {
    (millis as f64 * share) as i64
}
