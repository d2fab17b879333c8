//! Time from the broker's acceptance of the message that crosses the threshold to the patch of `/scale`.
//!
//! The end is when the API server received the patch, by its audit log; beginning and end are by the same machine's clock.
//!
//! Beside it, for the same spikes, when a KEDA ScaledObject with an HPA would have written, by their algorithms and with no time for
//! reading: KEDA asks each `pollingInterval` (30 s by default, 1 s tuned) and decides on zero or one; from one on the HPA asks each 15 s.

use std::time::Duration;

use anyhow::{Context, Result};
use entente_e2e::chance::{Chance, seed};
use entente_e2e::ranks::rank;
use entente_e2e::report::Report;
use entente_e2e::scaled::{Consumers, WORK};
use entente_e2e::scene::scene;
use entente_e2e::wait::{seconds, until};
use entente_e2e::{audit, operator};
use jiff::Timestamp;
use serde_json::json;

/// Messages for each replica.
const EACH: usize = 5;
/// Time between two looks of the HPA.
const HPA: u64 = 15_000;

pub async fn measure(spikes: usize, report: &mut Report) -> Result<()> {
    let mut random = Chance::of(seed()?);
    measure_from(0, spikes, &mut random, report).await?;
    measure_from(1, spikes, &mut random, report).await
}

async fn measure_from(from: i32, spikes: usize, random: &mut Chance, report: &mut Report) -> Result<()> {
    let case = if from == 0 { "from zero" } else { "from one" };
    let mut took = Vec::new();
    let outcome = scene(&format!("reaction-{from}"), async |scene| {
        operator::await_leader(&scene.cluster).await?;
        let scaling = json!({"minReplicas": from, "maxReplicas": 5, "messagesPerReplica": EACH, "idleAfter": "0s",
            "behavior": {"scaleDownWindow": "0s", "scaleDownPercentPerMinute": 100}});
        // Slow enough that the one cannot do it all before anybody looks.
        let delay = if from == 0 { "20ms" } else { "200ms" };
        let consumers = Consumers::begin(scene, scaling, delay, u32::try_from(from)?).await?;
        for number in 0..spikes {
            consumers.until("the replicas of rest", seconds(120), |replicas| replicas == from).await?;
            consumers.until_ready(from).await?;
            // At any moment of whatever has a rhythm.
            tokio::time::sleep(Duration::from_millis(1_500 + random.below(2_000))).await;
            let mark = audit::mark()?;
            // From zero the first message is one too many; from one, more than one replica may have, with the dead band and what it
            // serves meanwhile.
            consumers.send(if from == 0 { 1 } else { 2 * EACH }).await?;
            let accepted = Timestamp::now();
            if from > 0 {
                consumers.send(4 * EACH).await?;
            }
            let object = format!("{}/{WORK}", scene.namespace);
            let patched = async || audit::first_write_since(mark, &audit::operator_user(), "deployments/scale", &object);
            let (patched, _) = until("the patch of /scale", seconds(60), patched).await?;
            let reaction = Duration::try_from(patched.duration_since(accepted)).unwrap_or_default();
            took.push(reaction);
            println!("{case} {}/{spikes}: {reaction:?}", number + 1);
        }
        Ok(())
    })
    .await;
    took.sort();
    if !took.is_empty() {
        tell(report, case, &took);
        for (name, poll) in [("keda default", 30_000), ("keda tuned", 1_000)] {
            tell_baseline(report, &format!("{name} {case}"), poll, from, random);
        }
    }
    outcome.context(case)
}

fn tell(report: &mut Report, case: &str, sorted: &[Duration]) {
    let millis = |share: f64| rank(sorted, share).as_secs_f64() * 1_000.0;
    report.add(case, "p50_ms", "ms", millis(0.50), "<= 1000");
    report.add(case, "p95_ms", "ms", millis(0.95), "<= 2000");
    report.add(case, "max_ms", "ms", millis(1.0), "<= 4000");
}

/// The same spikes, of random phase, met by the exact algorithm.
fn tell_baseline(report: &mut Report, case: &str, poll: u64, from: i32, random: &mut Chance) {
    let mut took = Vec::new();
    for _ in 0..10_000 {
        // From zero KEDA itself writes the first replica. From one the HPA asks KEDA, which asks the broker.
        let period = if from == 0 { poll } else { HPA };
        took.push(Duration::from_millis(random.below(period)));
    }
    took.sort();
    let millis = |share: f64| rank(&took, share).as_secs_f64() * 1_000.0;
    report.add(case, "p50_ms", "ms", millis(0.50), "by algorithm");
    report.add(case, "p95_ms", "ms", millis(0.95), "by algorithm");
    report.add(case, "max_ms", "ms", millis(1.0), "by algorithm");
}
