//! `make bench-reaction`: how soon consumers are scaled, and with `CASES=thousand` what it takes to watch many queues.
//!
//! Needs the chart installed on an otherwise idle cluster. `CASES` names what is measured, with commas: `spikes` (the default) and
//! `thousand`. `ENTENTE_BENCH_SPIKES` (100) is the number of spikes from zero and from one each, `QUEUES` (1000) that of the queues.
//! Figures of a case that is not measured stay in the file as they are. Everything that is made is removed afterwards.

mod spikes;
mod thousand;

use anyhow::{Result, bail};
use entente_e2e::report::Report;

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<()> {
    let cases = std::env::var("CASES").ok().filter(|cases| !cases.is_empty()).unwrap_or_else(|| "spikes".to_owned());
    let mut report = Report::new("reaction");
    let mut outcome = Ok(());
    for case in cases.split(',') {
        outcome = match case.trim() {
            "spikes" => spikes::measure(size("ENTENTE_BENCH_SPIKES", 100), &mut report).await,
            "thousand" => thousand::measure(size("QUEUES", 1000), &mut report).await,
            other => bail!("CASES names {other:?}; there are spikes and thousand"),
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
