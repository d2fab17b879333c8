//! `make bench-reconcile`: how fast Queues are Ready, and what a restart of the operator writes.
//!
//! Needs the chart installed on an otherwise idle cluster. `CASES`, separated by commas, chooses among `alone`, `one`, `burst`, `restart` and
//! `admission`. `ENTENTE_BENCH_TRIES` (200), `ENTENTE_BENCH_BURST` (300) and `ENTENTE_BENCH_QUEUES` (1000) change the sizes. Everything that is
//! made is removed afterwards.

mod admission;
mod broker_alone;
mod burst;
mod one_queue;
mod restart;
mod until_ready;

use anyhow::{Result, bail};
use entente_e2e::operator;
use entente_e2e::report::Report;
use entente_e2e::scene::{Scene, scene};

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut report = Report::new("reconcile");
    let outcome = measure(&mut report).await;
    if std::env::var_os("CASES").is_some() {
        report.keep_other_cases();
    }
    // What was measured before a failure is worth telling.
    report.write()?;
    outcome
}

const ALL: [&str; 5] = ["alone", "one", "burst", "restart", "admission"];

async fn measure(report: &mut Report) -> Result<()> {
    let chosen = std::env::var("CASES").unwrap_or_else(|_| ALL.join(","));
    let (tries, burst) = (size("ENTENTE_BENCH_TRIES", 200), size("ENTENTE_BENCH_BURST", 300));
    for case in chosen.split(',') {
        match case {
            "alone" => {
                scene("bench-alone", async |scene: &Scene| broker_alone::measure(scene, tries, burst, report).await).await?;
            }
            "one" => {
                scene("bench-one", async |scene: &Scene| {
                    operator::await_leader(&scene.cluster).await?;
                    one_queue::measure(scene, tries, report).await
                })
                .await?;
            }
            "burst" => scene("bench-burst", async |scene: &Scene| burst::measure(scene, burst, report).await).await?,
            "restart" => {
                let queues = size("ENTENTE_BENCH_QUEUES", 1000);
                scene("bench-restart", async |scene: &Scene| restart::measure(scene, queues, report).await).await?;
            }
            "admission" => scene("bench-admission", async |scene: &Scene| admission::measure(scene, tries, report).await).await?,
            other => bail!("CASES names {other:?}; there are {}", ALL.join(", ")),
        }
    }
    Ok(())
}
