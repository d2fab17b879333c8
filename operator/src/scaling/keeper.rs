//! Keeps one target at the number of replicas that its queue needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_core::scaling::{Decision, Reading, Sample, State, step};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Readings;
use super::costs::Costs;
use super::report::Reporter;
use super::subject::Subject;
use super::target::{SeenTarget, TargetWatch, Unscaled};
use crate::objects::Shared;

/// A target that is worked on is looked at so often.
const BUSY_LOOK: Duration = Duration::from_secs(1);
/// One that rests. What is to be written is always decided on a fresh look.
const IDLE_LOOK: Duration = Duration::from_secs(30);
/// After a look that failed.
const FAILED_LOOK: Duration = Duration::from_secs(5);
/// A board that says nothing for so long is taken for one that could not be read.
const SILENCE: Duration = Duration::from_secs(3);

/// The keeper of one subject.
pub struct Keeper {
    shared: Arc<Shared>,
    subject: watch::Receiver<Arc<Subject>>,
    board: Readings,
    state: State,
    target: TargetWatch,
    seen: Option<SeenTarget>,
    failed_at: Option<Instant>,
    ticked_at: Option<Instant>,
    reporter: Reporter,
    costs: Costs,
}

impl Keeper {
    /// Begins where the status says that the process before stopped.
    pub fn new(shared: Arc<Shared>, subject: watch::Receiver<Arc<Subject>>, board: Readings, costs: Costs) -> Self {
        let first = Arc::clone(&subject.borrow());
        let memory = first.told.0.as_ref().and_then(|told| told.memory.as_deref());
        let state = State::resume(memory);
        Self {
            target: watch_target(&shared, &first),
            reporter: Reporter::new(Arc::clone(&shared), first.told.0.clone(), state.clone()),
            shared,
            subject,
            board,
            state,
            seen: None,
            failed_at: None,
            ticked_at: None,
            costs,
        }
    }

    /// Works until it is aborted, or whoever tells of the subject or the board is gone.
    pub async fn run(mut self) {
        loop {
            let subject = Arc::clone(&self.subject.borrow_and_update());
            self.tick(&subject).await;
            let target = subject.target.clone();
            tokio::select! {
                told = self.board.changed() => if told.is_err() { return },
                told = self.subject.changed() => {
                    if told.is_err() {
                        return;
                    }
                    let now = Arc::clone(&self.subject.borrow());
                    if now.target != target {
                        // What was learned of another workload says nothing of this one.
                        self.state = State::resume(None);
                        self.target = watch_target(&self.shared, &now);
                        self.seen = None;
                    }
                }
                () = sleep(SILENCE) => {}
            }
        }
    }

    async fn tick(&mut self, subject: &Subject) {
        if subject.external {
            self.reporter.external(subject).await;
            return;
        }
        if let Some(rival) = &subject.rival {
            self.reporter.rival(subject, rival).await;
            return;
        }
        if self.failed_at.is_some_and(|at| at.elapsed() < FAILED_LOOK) {
            return;
        }
        let now = Instant::now();
        if let Some(before) = self.ticked_at.replace(now) {
            self.shared.metrics.tick_seconds.observe(now.duration_since(before).as_secs_f64());
        }
        match self.decide(subject).await {
            Ok(decision) => {
                self.failed_at = None;
                self.reporter.decision(subject, &decision, &self.state).await;
            }
            // The next look tells what somebody else wrote.
            Err(Unscaled::Conflict(_)) => self.seen = None,
            Err(error) => {
                self.seen = None;
                self.failed_at = Some(Instant::now());
                self.reporter.failure(subject, &error).await;
            }
        }
    }

    async fn decide(&mut self, subject: &Subject) -> Result<Decision, Unscaled> {
        let (reading, read_at) = {
            let board = self.board.borrow_and_update();
            (board.reading(&subject.virtual_host, &subject.queues), board.read_at)
        };
        let mut seen = match self.seen.take().filter(|seen| !is_old(seen, &self.state)) {
            Some(seen) => seen,
            None => self.target.look().await?,
        };
        let now = Timestamp::now();
        if let Some(read_at) = read_at {
            self.shared.metrics.sample_age_seconds.observe(read_at.elapsed().as_secs_f64());
        }
        loop {
            let sample = Sample { reading: reading.clone(), target: seen.target.clone() };
            let (state, decision) = step(&subject.config, self.state.clone(), &sample, now);
            let Some(replicas) = decision.write() else {
                self.state = state;
                self.seen = Some(seen);
                return Ok(decision);
            };
            // Nothing is written on old knowledge: somebody may have scaled it meanwhile.
            if seen.at.elapsed() > BUSY_LOOK {
                seen = self.target.look().await?;
                continue;
            }
            if replicas < seen.target.spec_replicas && holds_messages(&reading) {
                self.costs.prepare(subject, &seen.candidates, replicas).await;
            }
            self.target.write(&seen, replicas).await?;
            self.state = state;
            self.reporter.scaled(subject, &decision);
            return Ok(decision);
        }
    }
}

/// Whether there is anything to choose by.
fn holds_messages(reading: &Reading) -> bool {
    matches!(reading, Reading::Seen(seen) if seen.unacknowledged > 0)
}

fn watch_target(shared: &Shared, subject: &Subject) -> TargetWatch {
    TargetWatch::new(shared.client.clone(), subject.namespace.clone(), subject.target.clone())
}

fn is_old(seen: &SeenTarget, state: &State) -> bool {
    let rests = state.is_quiet() && seen.target.ready_replicas == seen.target.spec_replicas;
    seen.at.elapsed() > if rests { IDLE_LOOK } else { BUSY_LOOK }
}
