//! `make bench-autoscaler`: the autoscaler against KEDA with the HPA and others, simulated.
//!
//! Prints a table, names the cases that are lost, and writes `autoscaler.json` and a picture for each trace.

mod report;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use entente_simulator::suite::{self, Case, Plan};
use entente_simulator::trace::{NAMES, Trace};
use entente_simulator::{plot, setting};

/// Compares autoscalers in simulated time.
#[derive(Debug, Parser)]
struct Options {
    /// Seed of the first run; each further run takes the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Traces to run, all by default
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    traces: Vec<String>,
    /// A file of arrivals instead: seconds from the start, one a line
    #[arg(long)]
    arrivals: Option<PathBuf>,
    /// KEDA's messages per replica, as a share of those that a replica serves within the objective
    #[arg(long, default_value_t = 0.5)]
    keda_share: f64,
    /// Entente's scaleDownPercentPerMinute
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    down_percent: u32,
    /// Entente's scaleDownWindow in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(0..=3600))]
    down_window: i64,
    /// Where results are written
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let file = match &options.arrivals {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            Some(Trace::from_text("file", &text).with_context(|| format!("reading {}", path.display()))?)
        }
    };
    let traces = if options.traces.is_empty() { NAMES.map(str::to_owned).to_vec() } else { options.traces.clone() };
    let mut config = suite::config();
    config.down_percent_per_minute = options.down_percent;
    config.down_window = options.down_window * 1000;
    let plan = Plan { traces, file, runs: options.runs, seed: options.seed, keda_share: options.keda_share, config };
    let outcome = suite::run(&plan);
    print!("{}", report::table(&outcome));
    let losses = suite::losses(&outcome, false);
    print!("{}", report::losses(&losses, &suite::losses(&outcome, true)));
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(options.out.join("autoscaler.json"), report::json(&outcome)?)?;
    draw(&outcome, &options.out)?;
    println!("\nwritten: {0}/autoscaler.json, {0}/autoscaler-<trace>.svg", options.out.display());
    Ok(())
}

fn draw(outcome: &suite::Outcome, out: &std::path::Path) -> Result<()> {
    let service = "exponential";
    for case in outcome.keys().filter(|case| case.policy == "entente" && case.prefetch == Some(10) && case.service == service) {
        let policies = ["entente", "keda-default", "keda-tuned"];
        let runs: Vec<_> =
            policies.into_iter().filter_map(|policy| Some((policy, outcome.get(&Case { policy, ..case.clone() })?))).collect();
        let title = format!("{}: objective {} s, {service} service, prefetch 10", case.trace, setting::OBJECTIVE_SECONDS);
        std::fs::write(out.join(format!("autoscaler-{}.svg", case.trace)), plot::draw(&title, &runs)?)?;
    }
    Ok(())
}
