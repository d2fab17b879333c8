//! All runs, and who wins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use entente_core::scaling::Config;

use crate::chance::{Chance, Service};
use crate::figures::Figures;
use crate::policy::aws::Aws;
use crate::policy::entente::Entente;
use crate::policy::fixed::Fixed;
use crate::policy::keda::Keda;
use crate::policy::{Kind, Policy};
use crate::setting::{MAX_REPLICAS, OBJECTIVE_SECONDS, SERVICE_SECONDS};
use crate::trace::Trace;
use crate::world::World;

/// Messages that a consumer may hold.
pub const PREFETCH: [usize; 3] = [1, 10, 1000];

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Traces by name.
    pub traces: Vec<String>,
    /// Arrivals of a file, instead of traces by name.
    pub file: Option<Trace>,
    /// Runs of each case, each with its own seed.
    pub runs: u64,
    /// The first seed.
    pub seed: u64,
    /// KEDA's messages per replica, as a share of those that one replica serves within the objective.
    pub keda_share: f64,
    /// Entente's settings.
    pub config: Config,
}

/// A case: the mean of these is what is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The trace.
    pub trace: String,
    /// The service.
    pub service: &'static str,
    /// Prefetch; `None`: all of them together.
    pub prefetch: Option<usize>,
    /// The policy, or `bound`.
    pub policy: &'static str,
}

/// The figures of all cases.
pub type Outcome = BTreeMap<Case, Figures>;

/// Entente's settings in the comparison: the objective, and what KEDA is told too by its messages per replica.
pub fn config() -> Config {
    Config {
        min: 0,
        max: MAX_REPLICAS,
        schedules: Arc::default(),
        cap: None,
        messages_per_replica: None,
        drain_within: None,
        max_age: Some(whole(OBJECTIVE_SECONDS * 1000.0)),
        idle_after: 120_000,
        service_rate: Some(1.0 / SERVICE_SECONDS),
        down_window: 60_000,
        down_percent_per_minute: 50,
        up_per_minute: None,
    }
}

#[allow(clippy::cast_possible_truncation)]
fn whole(value: f64) -> i64 {
    value as i64
}

fn policy(kind: Kind, plan: &Plan, trace: &Trace, seed: u64) -> Box<dyn Policy> {
    let phases = &mut Chance::new(seed, 5);
    let messages = plan.keda_share * OBJECTIVE_SECONDS / SERVICE_SECONDS;
    match kind {
        Kind::Entente => Box::new(Entente::new(plan.config.clone(), phases)),
        Kind::EntenteLearning => Box::new(Entente::new(Config { service_rate: None, ..plan.config.clone() }, phases)),
        Kind::KedaDefault => Box::new(Keda::as_it_comes(messages, MAX_REPLICAS, phases)),
        Kind::KedaTuned => Box::new(Keda::tuned(messages, MAX_REPLICAS, phases)),
        Kind::Aws => Box::new(Aws::new(OBJECTIVE_SECONDS, SERVICE_SECONDS, MAX_REPLICAS, phases)),
        Kind::Fixed => Box::new(Fixed::new(fixed(trace))),
    }
}

/// Half as many again as the mean load needs.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn fixed(trace: &Trace) -> u32 {
    let mean = trace.arrivals.len() as f64 * SERVICE_SECONDS / trace.seconds;
    ((1.5 * mean).ceil() as u32).clamp(1, MAX_REPLICAS)
}

struct Job<'a> {
    trace: &'a Trace,
    service: Service,
    prefetch: usize,
    seed: u64,
    kind: Option<Kind>,
}

impl Job<'_> {
    fn run(&self, plan: &Plan) -> Figures {
        let world = World::new(self.trace, self.service, self.prefetch, self.seed);
        if let Some(kind) = self.kind {
            return world.run(policy(kind, plan, self.trace, self.seed).as_mut());
        }
        // The bound: nobody is over the objective for less than the most replicas are, ready at all times; and nobody
        // serves with fewer replica-seconds than the work takes. No policy reaches both.
        let figures = world.run(&mut Fixed::new(MAX_REPLICAS));
        Figures { replica_seconds: figures.served * SERVICE_SECONDS, ..figures }
    }
}

/// Runs all of it, on as many threads as there are processors.
pub fn run(plan: &Plan) -> Outcome {
    let mut traces: Vec<(u64, Trace)> = Vec::new();
    for seed in plan.seed..plan.seed + plan.runs {
        match &plan.file {
            Some(trace) => traces.push((seed, trace.clone())),
            None => traces.extend(plan.traces.iter().filter_map(|name| Some((seed, Trace::named(name, seed)?)))),
        }
    }
    let mut jobs = Vec::new();
    for (seed, trace) in &traces {
        for service in Service::ALL {
            for prefetch in PREFETCH {
                for kind in Kind::ALL.into_iter().map(Some).chain([None]) {
                    jobs.push(Job { trace, service, prefetch, seed: *seed, kind });
                }
            }
        }
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Figures)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, job)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, jobs.get(n)?))) {
                    let mut figures = job.run(plan);
                    if job.seed != plan.seed {
                        figures.history = Vec::new();
                    }
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, figures));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    let mut cases: BTreeMap<Case, Vec<Figures>> = BTreeMap::new();
    for (number, figures) in results {
        let Job { trace, service, prefetch, kind, .. } = &jobs[number];
        for prefetch in [Some(*prefetch), None] {
            let case =
                Case { trace: trace.name.clone(), service: service.name(), prefetch, policy: kind.map_or("bound", Kind::name) };
            cases.entry(case).or_default().push(figures.clone());
        }
    }
    cases.into_iter().map(|(case, runs)| (case, Figures::mean(&runs))).collect()
}

/// A case that Entente loses to a baseline, and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The case.
    pub case: Case,
    /// The figure.
    pub figure: &'static str,
    /// Entente's.
    pub ours: f64,
    /// The baseline's.
    pub theirs: f64,
}

/// Where Entente is over the objective for longer, or takes more replica-seconds, than KEDA; or turns more often than KEDA
/// as tuned. Equal is no loss.
pub fn losses(outcome: &Outcome, by_prefetch: bool) -> Vec<Loss> {
    let mut losses = Vec::new();
    for (case, ours) in outcome.iter().filter(|(case, _)| case.policy == "entente" && case.prefetch.is_some() == by_prefetch) {
        for baseline in [Kind::KedaDefault, Kind::KedaTuned] {
            let other = Case { policy: baseline.name(), ..case.clone() };
            let Some(theirs) = outcome.get(&other) else { continue };
            let pairs = [
                ("objective_seconds", ours.objective_seconds, theirs.objective_seconds),
                ("replica_seconds", ours.replica_seconds, theirs.replica_seconds),
                ("reversals", ours.reversals, theirs.reversals),
            ];
            for (figure, ours, theirs) in pairs {
                if ours > theirs + 1e-9 && (figure != "reversals" || baseline == Kind::KedaTuned) {
                    losses.push(Loss { case: other.clone(), figure, ours, theirs });
                }
            }
        }
    }
    losses
}
