//! `make bench-reaction`: how soon consumers are scaled, and what it takes to watch many queues.

mod spikes;
mod thousand;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use entente_e2e::report::Report;

/// How soon consumers are scaled, and what it takes to watch many queues.
///
/// Needs the chart installed on an otherwise idle cluster. Everything that is made is removed afterwards.
#[derive(Parser)]
struct Options {
    /// What is measured, separated by commas. Figures of other cases stay in the file as they are.
    #[arg(long, env = "CASES", value_delimiter = ',', default_value = "spikes")]
    cases: Vec<Case>,
    /// Spikes from zero, and as many from one.
    #[arg(long, env = "ENTENTE_BENCH_SPIKES", default_value_t = 100)]
    spikes: usize,
    /// Queues that are watched.
    #[arg(long, env = "QUEUES", default_value_t = 1000)]
    queues: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    /// From the message that crosses the threshold to the patch of /scale.
    Spikes,
    /// What a thousand scaled queues cost.
    Thousand,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { cases, spikes, queues } = Options::parse();
    let mut report = Report::new("reaction");
    let mut outcome = Ok(());
    for case in cases {
        outcome = match case {
            Case::Spikes => spikes::measure(spikes, &mut report).await,
            Case::Thousand => thousand::measure(queues, &mut report).await,
        };
        if outcome.is_err() {
            break;
        }
    }
    // What was measured before a failure is worth telling.
    report.keep_other_cases();
    report.write()?;
    outcome
}
