//! `make bench-reconcile`: how fast Queues are Ready, and what a restart of the operator writes.

mod admission;
mod broker_alone;
mod burst;
mod one_queue;
mod restart;
mod until_ready;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use entente_e2e::operator;
use entente_e2e::report::Report;
use entente_e2e::scene::{Scene, scene};

/// How fast Queues are Ready, and what a restart of the operator writes.
///
/// Needs the chart installed on an otherwise idle cluster. Everything that is made is removed afterwards.
#[derive(Parser)]
struct Options {
    /// What is measured, separated by commas; all of it by default. Figures of other cases stay in the file as they are.
    #[arg(long, env = "CASES", value_delimiter = ',')]
    cases: Vec<Case>,
    /// Queues that are made one after another, and contracts that are judged.
    #[arg(long, env = "ENTENTE_BENCH_TRIES", default_value_t = 200)]
    tries: usize,
    /// Queues that are made at once.
    #[arg(long, env = "ENTENTE_BENCH_BURST", default_value_t = 300)]
    burst: usize,
    /// Queues that are there when the operator starts again.
    #[arg(long, env = "ENTENTE_BENCH_QUEUES", default_value_t = 1000)]
    queues: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    /// The broker's own time for a queue.
    Alone,
    /// A Queue, from apply to Ready.
    One,
    /// Many Queues at once.
    Burst,
    /// What an operator writes that finds everything as it should be.
    Restart,
    /// What a large contract waits for the webhook.
    Admission,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut report = Report::new("reconcile");
    let outcome = measure(&options, &mut report).await;
    if !options.cases.is_empty() {
        report.keep_other_cases();
    }
    // What was measured before a failure is worth telling.
    report.write()?;
    outcome
}

async fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let Options { cases, tries, burst, queues } = options;
    let (tries, burst, queues) = (*tries, *burst, *queues);
    let chosen = if cases.is_empty() { Case::value_variants() } else { cases };
    for case in chosen {
        match case {
            Case::Alone => {
                scene("bench-alone", async |scene: &Scene| broker_alone::measure(scene, tries, burst, report).await).await?;
            }
            Case::One => {
                scene("bench-one", async |scene: &Scene| {
                    operator::await_leader(&scene.cluster).await?;
                    one_queue::measure(scene, tries, report).await
                })
                .await?;
            }
            Case::Burst => scene("bench-burst", async |scene: &Scene| burst::measure(scene, burst, report).await).await?,
            Case::Restart => scene("bench-restart", async |scene: &Scene| restart::measure(scene, queues, report).await).await?,
            Case::Admission => {
                scene("bench-admission", async |scene: &Scene| admission::measure(scene, tries, report).await).await?;
            }
        }
    }
    Ok(())
}
