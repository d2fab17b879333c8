//! What happens to the queue: when messages arrive, and what fails.

use anyhow::{Context, Result, bail};

use crate::chance::Chance;
use crate::setting::SERVICE_SECONDS;

/// One hour of a queue's life.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Its name in tables.
    pub name: String,
    /// Seconds it lasts.
    pub seconds: f64,
    /// When messages arrive.
    pub arrivals: Vec<f64>,
    /// Replicas at the start.
    pub replicas: u32,
    /// When what it is about begins.
    pub event: f64,
    /// From when until when the broker does not answer and delivers nothing. Senders keep their messages.
    pub outage: Option<(f64, f64)>,
    /// When the broker's counters start again at zero.
    pub resets: Vec<f64>,
    /// From when until when all replicas together serve no more than so many alone would.
    pub downstream: Option<(f64, f64, f64)>,
}

/// The traces, by name.
pub const NAMES: [&str; 9] = ["steady", "step", "spike", "sine", "ramp", "on-off", "downstream", "outage", "resets"];

impl Trace {
    /// A trace by its name. The load is in replicas that it keeps busy; arrivals are Poisson.
    pub fn named(name: &str, seed: u64) -> Option<Self> {
        let mut chance = Chance::new(seed, 1);
        let hour = Self { name: name.to_owned(), seconds: 3600.0, ..Self::default() };
        let between = |at: f64, from: f64, to: f64| (from..to).contains(&at);
        Some(match name {
            "steady" => Self { replicas: 9, ..hour }.with_load(&mut chance, |_| 8.0),
            "step" => Self { replicas: 3, event: 600.0, ..hour }
                .with_load(&mut chance, |at| if between(at, 600.0, 2100.0) { 16.0 } else { 2.0 }),
            "spike" => {
                let mut trace = hour;
                for start in [600.0, 2100.0] {
                    let start = start + 60.0 * chance.even();
                    trace.arrivals.extend((0..1500).map(|_| start + 5.0 * chance.even()));
                }
                trace.arrivals.sort_by(f64::total_cmp);
                trace.event = trace.arrivals[0];
                trace
            }
            "sine" => Self { replicas: 11, ..hour }
                .with_load(&mut chance, |at| 10.0 + 8.0 * (at / 1200.0 * std::f64::consts::TAU).sin()),
            "ramp" => Self { replicas: 2, event: 300.0, ..hour }
                .with_load(&mut chance, |at| if between(at, 300.0, 2100.0) { 1.0 + 19.0 * (at - 300.0) / 1800.0 } else { 1.0 }),
            "on-off" => {
                let mut switches = Vec::new();
                let mut at = 0.0;
                while at < 3600.0 {
                    let off = at + 200.0 + 300.0 * chance.even();
                    let on = off + 120.0 + 360.0 * chance.even();
                    switches.push((off, on));
                    at = on;
                }
                Self { event: switches[0].0, ..hour }.with_load(&mut chance, |at| {
                    if switches.iter().any(|(from, to)| between(at, *from, *to)) { 12.0 } else { 0.0 }
                })
            }
            "downstream" => {
                Self { replicas: 7, event: 900.0, downstream: Some((900.0, 1800.0, 4.0)), ..hour }.with_load(&mut chance, |_| 6.0)
            }
            "outage" => Self { replicas: 9, event: 900.0, outage: Some((900.0, 1020.0)), ..hour }.with_load(&mut chance, |_| 8.0),
            "resets" => {
                let resets = (1..12).map(|count| f64::from(count) * 300.0 + 17.0).collect();
                Self { replicas: 9, resets, ..hour }.with_load(&mut chance, |at| if at < 1800.0 { 8.0 } else { 4.0 })
            }
            _ => return None,
        })
    }

    /// Arrivals of a file: seconds from the start, one a line; empty lines and those that begin with `#` are skipped.
    pub fn from_text(name: &str, text: &str) -> Result<Self> {
        let mut arrivals = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at: f64 = line.parse().with_context(|| format!("line {}: {line:?} is not a number of seconds", number + 1))?;
            if !(0.0..=1e7).contains(&at) {
                bail!("line {}: seconds must be 0 to 10000000", number + 1);
            }
            arrivals.push(at);
        }
        arrivals.sort_by(f64::total_cmp);
        let Some(last) = arrivals.last() else { bail!("no arrivals") };
        let seconds = last.ceil() + 600.0;
        Ok(Self { name: name.to_owned(), seconds, event: arrivals[0], arrivals, ..Self::default() })
    }

    /// Poisson arrivals of a load that changes, by thinning.
    fn with_load(mut self, chance: &mut Chance, load: impl Fn(f64) -> f64) -> Self {
        const HIGHEST: f64 = 24.0;
        let mut at = 0.0;
        loop {
            at += chance.exponential(SERVICE_SECONDS / HIGHEST);
            if at >= self.seconds {
                return self;
            }
            if chance.even() * HIGHEST < load(at) {
                self.arrivals.push(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_trace_in_order() {
        for name in NAMES {
            let trace = Trace::named(name, 3).unwrap();
            assert!(trace.arrivals.len() > 1000, "{name}: {}", trace.arrivals.len());
            assert!(trace.arrivals.is_sorted(), "{name}");
        }
        assert!(Trace::named("other", 3).is_none());
    }

    #[test]
    fn a_file_is_read_and_its_errors_name_the_line() {
        let trace = Trace::from_text("mine", "# seconds\n3.5\n\n1\n").unwrap();
        assert_eq!(trace.arrivals, [1.0, 3.5]);
        assert!(Trace::from_text("mine", "1\nx\n").unwrap_err().to_string().contains("line 2"));
        assert!(Trace::from_text("mine", "-1\n").is_err());
        assert!(Trace::from_text("mine", "NaN\n").is_err());
        assert!(Trace::from_text("mine", "").is_err());
    }
}
