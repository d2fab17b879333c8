//! What a run is judged by.

use crate::setting::OBJECTIVE_SECONDS;

/// The figures of a run, or the means of several.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Seconds with the oldest message over the objective.
    pub objective_seconds: f64,
    /// Seconds of all replicas, those that start included.
    pub replica_seconds: f64,
    /// Changes of direction.
    pub reversals: f64,
    /// Changes of the number of replicas.
    pub scale_events: f64,
    /// Age of a message when it was served, in seconds: the median.
    pub age_p50: f64,
    /// The same, of which 1 in 100 was older.
    pub age_p99: f64,
    /// The longest time without a break in which messages were ready, in seconds.
    pub drain_seconds: f64,
    /// The most replicas.
    pub peak_replicas: f64,
    /// Messages delivered again since their consumer was taken away.
    pub redeliveries: f64,
    /// Seconds from the trace's event to the first raise.
    pub first_patch_seconds: f64,
    /// Seconds from the trace's event to the last raise before the first time replicas go down again.
    pub last_patch_seconds: f64,
    /// Messages served.
    pub served: f64,
    /// Each second of it.
    pub history: Vec<Moment>,
}

/// One second of a run, for plots.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Replicas, those that start included.
    pub replicas: f64,
    /// Messages in the queue.
    pub backlog: f64,
    /// Age of the oldest message in seconds.
    pub age: f64,
}

impl Figures {
    /// Name, unit and value of each figure.
    pub fn list(&self) -> [(&'static str, &'static str, f64); 12] {
        // Exhaustive: a new figure cannot be left out of the report.
        let Self {
            objective_seconds,
            replica_seconds,
            reversals,
            scale_events,
            age_p50,
            age_p99,
            drain_seconds,
            peak_replicas,
            redeliveries,
            first_patch_seconds,
            last_patch_seconds,
            served,
            history: _, // for plots
        } = self;
        [
            ("objective_seconds", "s", *objective_seconds),
            ("replica_seconds", "s", *replica_seconds),
            ("reversals", "", *reversals),
            ("scale_events", "", *scale_events),
            ("age_p50_seconds", "s", *age_p50),
            ("age_p99_seconds", "s", *age_p99),
            ("drain_seconds", "s", *drain_seconds),
            ("peak_replicas", "", *peak_replicas),
            ("redeliveries", "", *redeliveries),
            ("first_patch_seconds", "s", *first_patch_seconds),
            ("last_patch_seconds", "s", *last_patch_seconds),
            ("served", "", *served),
        ]
    }

    /// The mean of several runs. The history is that of the first.
    pub fn mean(runs: &[Self]) -> Self {
        let count = f64::from(u32::try_from(runs.len().max(1)).unwrap_or(u32::MAX));
        let mean = |figure: fn(&Self) -> f64| runs.iter().map(figure).sum::<f64>() / count;
        Self {
            objective_seconds: mean(|run| run.objective_seconds),
            replica_seconds: mean(|run| run.replica_seconds),
            reversals: mean(|run| run.reversals),
            scale_events: mean(|run| run.scale_events),
            age_p50: mean(|run| run.age_p50),
            age_p99: mean(|run| run.age_p99),
            drain_seconds: mean(|run| run.drain_seconds),
            peak_replicas: mean(|run| run.peak_replicas),
            redeliveries: mean(|run| run.redeliveries),
            first_patch_seconds: mean(|run| run.first_patch_seconds),
            last_patch_seconds: mean(|run| run.last_patch_seconds),
            served: mean(|run| run.served),
            history: runs.first().map(|run| run.history.clone()).unwrap_or_default(),
        }
    }
}

/// Gathers figures while a run goes on.
#[derive(Debug)]
pub struct Record {
    event: f64,
    figures: Figures,
    ages: Vec<f64>,
    waiting: f64,
    rose: Option<bool>,
    first_patch: Option<f64>,
    last_patch: Option<f64>,
    fell: bool,
}

impl Record {
    /// A record of a run whose event is at `event`.
    pub fn new(event: f64) -> Self {
        let (figures, ages) = (Figures::default(), Vec::new());
        Self { event, figures, ages, waiting: 0.0, rose: None, first_patch: None, last_patch: None, fell: false }
    }

    /// A second has passed.
    #[allow(clippy::cast_precision_loss)]
    pub fn second(&mut self, age: f64, ready: usize, unacknowledged: u64, replicas: usize) {
        let replicas = replicas as f64;
        let figures = &mut self.figures;
        figures.objective_seconds += f64::from(u8::from(age > OBJECTIVE_SECONDS));
        figures.replica_seconds += replicas;
        figures.peak_replicas = figures.peak_replicas.max(replicas);
        self.waiting = if ready > 0 { self.waiting + 1.0 } else { 0.0 };
        figures.drain_seconds = figures.drain_seconds.max(self.waiting);
        figures.history.push(Moment { replicas, backlog: ready as f64 + unacknowledged as f64, age });
    }

    /// A message was served at this age.
    pub fn served(&mut self, age: f64) {
        self.ages.push(age);
    }

    /// Messages were given back.
    #[allow(clippy::cast_precision_loss)]
    pub fn redelivered(&mut self, count: usize) {
        self.figures.redeliveries += count as f64;
    }

    /// Replicas were changed.
    pub fn scaled(&mut self, now: f64, from: u32, to: u32) {
        let rises = to > from;
        self.figures.scale_events += 1.0;
        if self.rose.is_some_and(|rose| rose != rises) {
            self.figures.reversals += 1.0;
        }
        self.rose = Some(rises);
        if now < self.event {
            return;
        }
        if rises && !self.fell {
            self.first_patch.get_or_insert(now - self.event);
            self.last_patch = Some(now - self.event);
        }
        self.fell |= !rises && self.first_patch.is_some();
    }

    /// The figures.
    #[allow(clippy::cast_precision_loss)]
    pub fn finish(mut self) -> Figures {
        self.ages.sort_by(f64::total_cmp);
        let part = |hundredths: usize| self.ages.get(self.ages.len() * hundredths / 100).copied().unwrap_or(0.0);
        Figures {
            age_p50: part(50),
            age_p99: part(99),
            served: self.ages.len() as f64,
            first_patch_seconds: self.first_patch.unwrap_or(0.0),
            last_patch_seconds: self.last_patch.unwrap_or(0.0),
            ..self.figures
        }
    }
}
