//! The table, the losses and the JSON.

use std::fmt::Write;

use anyhow::Result;
use entente_simulator::figures::Figures;
use entente_simulator::policy::Kind;
use entente_simulator::suite::{Case, Loss, Outcome};
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    case: String,
    metric: String,
    unit: String,
    value: f64,
    bar: String,
}

/// A row for each trace, service and policy; the mean of all runs and prefetches.
pub fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<11} {:<13} {:<17} {:>9} {:>10} {:>9} {:>7} {:>8} {:>8} {:>7} {:>6} {:>7} {:>7} {:>7}",
        "trace",
        "service",
        "policy",
        "over (s)",
        "replica·s",
        "reversals",
        "events",
        "age p50",
        "age p99",
        "drain",
        "peak",
        "redeliv",
        "first",
        "last",
    );
    for (case, figures) in outcome.iter().filter(|(case, _)| case.prefetch.is_none()) {
        let Figures {
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
            served: _, // the same for all that keep up
            history: _,
        } = figures;
        let _ = writeln!(
            text,
            "{:<11} {:<13} {:<17} {objective_seconds:>9.1} {replica_seconds:>10.0} {reversals:>9.1} {scale_events:>7.1} \
             {age_p50:>8.2} {age_p99:>8.1} {drain_seconds:>7.0} {peak_replicas:>6.1} {redeliveries:>7.1} \
             {first_patch_seconds:>7.1} {last_patch_seconds:>7.1}",
            case.trace, case.service, case.policy,
        );
    }
    text
}

/// The cases that are lost.
pub fn losses(losses: &[Loss], by_prefetch: &[Loss]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\nLost, as the mean over prefetch 1, 10 and 1000: {}", losses.len());
    write_losses(&mut text, losses);
    let _ = writeln!(text, "Lost at one prefetch: {}", by_prefetch.len());
    write_losses(&mut text, by_prefetch);
    text
}

fn write_losses(text: &mut String, losses: &[Loss]) {
    for Loss { case, figure, ours, theirs } in losses {
        let prefetch = case.prefetch.map(|count| format!(" prefetch {count}")).unwrap_or_default();
        let _ = writeln!(text, "  {} {}{prefetch}: {figure} {ours:.1}, {} {theirs:.1}", case.trace, case.service, case.policy);
    }
}

/// What is written to `autoscaler.json`.
#[allow(clippy::float_cmp)]
pub fn json(outcome: &Outcome) -> Result<String> {
    let mut list = Vec::new();
    for (case, figures) in outcome.iter().filter(|(case, _)| case.prefetch.is_none()) {
        let name = format!("{} {} {}", case.policy, case.trace, case.service);
        for (metric, unit, value) in figures.list() {
            let bar = match (case.policy, metric) {
                ("entente", "objective_seconds") => "fewer than keda-default and keda-tuned",
                ("entente", "replica_seconds") => "no more than keda-default and keda-tuned",
                ("entente", "reversals") => "no more than keda-tuned",
                _ => "",
            };
            list.push(figure(&name, metric, unit, value, bar));
        }
        if case.policy == Kind::Entente.name() {
            for baseline in [Kind::KedaDefault, Kind::KedaTuned] {
                let Some(theirs) = outcome.get(&Case { policy: baseline.name(), ..case.clone() }) else { continue };
                let other = baseline.name().replace('-', "_");
                for (metric, ours, theirs) in [
                    ("objective_seconds", figures.objective_seconds, theirs.objective_seconds),
                    ("replica_seconds", figures.replica_seconds, theirs.replica_seconds),
                ] {
                    // Both without a second over the objective: as good as each other.
                    let ratio = if ours == theirs { 1.0 } else { ours / theirs.max(0.01) };
                    list.push(figure(&name, &format!("{metric}_ratio_to_{other}"), "", ratio, "at most 1"));
                }
            }
        }
    }
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

fn figure(case: &str, metric: &str, unit: &str, value: f64, bar: &str) -> Figure {
    let value = (value * 1000.0).round() / 1000.0;
    Figure { case: case.to_owned(), metric: metric.to_owned(), unit: unit.to_owned(), value, bar: bar.to_owned() }
}
