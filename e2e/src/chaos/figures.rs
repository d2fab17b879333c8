//! What is told in the end: a table for people, JSON for machines, and figures that can be added up over runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::Counts;
use crate::ranks::ranks;

/// Unavailability that clients may see when a leader's node is killed.
const BAR: &str = "<= 2000";

/// Of one or more runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Each run, so that it can be repeated.
    pub runs: Vec<Run>,
    /// By nemesis and workload, such as `kill quorum`.
    pub cases: BTreeMap<String, Case>,
}

/// What repeats a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in a campaign")]
pub struct Run {
    pub nemesis: String,
    pub seed: u64,
    pub rounds: u64,
    /// How often clients reconnected, in all.
    pub reconnections: u64,
}

/// Of one nemesis and workload. Times are in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Case {
    /// Whether nothing may be lost.
    pub safe: bool,
    /// Failures.
    pub rounds: u64,
    /// The verdict.
    pub counts: Counts,
    /// Longest time without an acceptance: one for each producer and each failure of a node that led one of its queues.
    pub send_gaps: Vec<u64>,
    /// Longest time in which nothing was received: one for each queue and each such failure.
    pub receive_gaps: Vec<u64>,
    /// From the strike until every queue had all of its copies: one for each such failure.
    pub restored: Vec<u64>,
}

impl Figures {
    /// Reads what a run has written.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        let Self { runs, cases } = other;
        self.runs.extend(runs);
        for (name, case) in cases {
            self.cases.entry(name).or_default().add(case);
        }
    }

    /// For people. Gaps are p50/p95/p99/max in milliseconds.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<34} {:>6} {:>8} {:>5} {:>7} {:>8} {:>7} {:>9} {:>9} {:>23} {:>23} {:>21}\n",
            "case",
            "rounds",
            "acked",
            "lost",
            "phantom",
            "dup. %",
            "reord.",
            "unknown",
            "recovered",
            "send gap, ms",
            "receive gap, ms",
            "all copies back, s"
        );
        for (name, case) in &self.cases {
            let Counts { acked, lost, phantom, reordered, unknown, recovered, .. } = case.counts;
            let send = quantiles(&case.send_gaps, 1_000);
            let receive = quantiles(&case.receive_gaps, 1_000);
            let restored = quantiles(&case.restored, 1_000_000);
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name:<34} {:>6} {acked:>8} {lost:>5} {phantom:>7} {:>8.3} {reordered:>7} {unknown:>9} {recovered:>9} {send:>23} {receive:>23} {restored:>21}",
                case.rounds,
                case.duplicated_share() * 100.0,
            );
        }
        text
    }

    /// For machines, in the shape that every benchmark has.
    pub fn json(&self) -> Value {
        let mut all = Vec::new();
        for (name, case) in &self.cases {
            for (metric, unit, value, bar) in case.metrics(name) {
                let value = (value * 100_000.0).round() / 100_000.0;
                all.push(json!({"case": name, "metric": metric, "unit": unit, "value": value, "bar": bar}));
            }
        }
        Value::Array(all)
    }

    /// Whether something happened that may not, and what.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, case) in &self.cases {
            let Counts { lost, phantom, corrupt, early, .. } = case.counts;
            if case.safe && lost > 0 {
                broken.push(format!("{name}: {lost} acknowledged messages are lost"));
            }
            if !case.safe && lost == 0 && case.rounds > 0 {
                broken.push(format!("{name}: nothing is lost, although it must be: does the checker see?"));
            }
            if phantom > 0 || corrupt > 0 {
                broken.push(format!("{name}: {phantom} phantom messages, {corrupt} corrupt"));
            }
            if early > 0 {
                broken.push(format!("{name}: {early} messages came too early"));
            }
        }
        broken
    }
}

impl Case {
    /// Adds another's, which is of the same kind.
    pub fn add(&mut self, other: Self) {
        let Self { safe, rounds, counts, send_gaps, receive_gaps, restored } = other;
        self.safe = safe;
        self.rounds += rounds;
        self.counts.add(&counts);
        self.send_gaps.extend(send_gaps);
        self.receive_gaps.extend(receive_gaps);
        self.restored.extend(restored);
    }

    #[allow(clippy::cast_precision_loss)]
    fn duplicated_share(&self) -> f64 {
        if self.counts.received == 0 { 0.0 } else { self.counts.duplicated as f64 / self.counts.received as f64 }
    }

    #[allow(clippy::cast_precision_loss)]
    fn metrics(&self, name: &str) -> Vec<(&'static str, &'static str, f64, &'static str)> {
        let count = |number: u64| number as f64;
        let gap = if name.starts_with("kill ") && self.safe { BAR } else { "" };
        let Counts { acked, unknown, lost, phantom, corrupt, most_deliveries, reordered, reappeared, recovered, early, .. } =
            self.counts;
        let mut metrics = vec![
            ("rounds", "", count(self.rounds), ""),
            ("acked", "", count(acked), ""),
            ("acked_lost", "", count(lost), if self.safe { "0" } else { "> 0" }),
            ("phantom", "", count(phantom), "0"),
            ("corrupt", "", count(corrupt), "0"),
            ("early", "", count(early), "0"),
            ("duplicated_share", "", self.duplicated_share(), ""),
            ("most_deliveries", "", count(most_deliveries), ""),
            ("reordered", "", count(reordered), ""),
            ("reappeared", "", count(reappeared), ""),
            ("unknown", "", count(unknown), ""),
            ("recovered", "", count(recovered), ""),
        ];
        let times: [(&[u64], [&'static str; 4], &'static str); 3] = [
            (&self.send_gaps, ["send_gap_p50_ms", "send_gap_p95_ms", "send_gap_p99_ms", "send_gap_max_ms"], gap),
            (&self.receive_gaps, ["receive_gap_p50_ms", "receive_gap_p95_ms", "receive_gap_p99_ms", "receive_gap_max_ms"], gap),
            (
                &self.restored,
                [
                    "redundancy_restored_p50_ms",
                    "redundancy_restored_p95_ms",
                    "redundancy_restored_p99_ms",
                    "redundancy_restored_max_ms",
                ],
                "",
            ),
        ];
        // No failure was felt: nothing was measured, which zero would hide.
        for (times, names, bar) in times {
            for (metric, time) in names.into_iter().zip(ranks(times, SHARES).into_iter().flatten()) {
                let bar = if metric.ends_with("p99_ms") { bar } else { "" };
                metrics.push((metric, "ms", time as f64 / 1_000.0, bar));
            }
        }
        metrics
    }
}

const SHARES: [f64; 4] = [0.5, 0.95, 0.99, 1.0];

#[allow(clippy::cast_precision_loss)]
fn quantiles(times: &[u64], unit: u64) -> String {
    let decimals = usize::from(unit >= 1_000_000);
    let told = ranks(times, SHARES).map(|ranks| ranks.map(|time| format!("{:.decimals$}", time as f64 / unit as f64)).join("/"));
    told.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(safe: bool, lost: u64) -> Figures {
        let counts = Counts { acked: 100, received: 50, duplicated: 1, lost, ..Counts::default() };
        let case = Case {
            safe,
            rounds: 2,
            counts,
            send_gaps: vec![30_000, 10_000],
            receive_gaps: Vec::new(),
            restored: vec![6_000_000],
        };
        Figures { runs: Vec::new(), cases: BTreeMap::from([("kill quorum".to_owned(), case)]) }
    }

    fn value(json: &Value, metric: &str) -> Option<(f64, String)> {
        let found = json.as_array()?.iter().find(|figure| figure["metric"] == metric)?;
        Some((found["value"].as_f64()?, found["bar"].as_str()?.to_owned()))
    }

    #[test]
    fn runs_add_up() {
        let mut both = figures(true, 0);
        both.add(figures(true, 1));
        let json = both.json();
        assert_eq!(value(&json, "rounds"), Some((4.0, String::new())));
        assert_eq!(value(&json, "acked_lost"), Some((1.0, "0".to_owned())));
        assert_eq!(value(&json, "duplicated_share"), Some((0.02, String::new())));
        assert_eq!(value(&json, "send_gap_p99_ms"), Some((30.0, BAR.to_owned())));
        assert_eq!(value(&json, "send_gap_p50_ms"), Some((10.0, String::new())));
        assert_eq!(value(&json, "redundancy_restored_p99_ms"), Some((6_000.0, String::new())));
        assert_eq!(value(&json, "receive_gap_p99_ms"), None, "what was not measured is not zero");
        assert!(both.table().contains("10/30/30/30"), "{}", both.table());
    }

    #[test]
    fn loss_is_told_and_so_is_a_checker_that_sees_none() {
        assert!(figures(true, 0).broken().is_empty());
        assert_eq!(figures(true, 3).broken(), ["kill quorum: 3 acknowledged messages are lost"]);
        assert!(figures(false, 3).broken().is_empty());
        assert_eq!(figures(false, 0).broken().len(), 1);
        let mut hasty = figures(true, 0);
        for case in hasty.cases.values_mut() {
            case.counts.early = 2;
        }
        assert_eq!(hasty.broken(), ["kill quorum: 2 messages came too early"]);
    }
}
