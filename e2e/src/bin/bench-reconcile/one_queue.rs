//! One quorum Queue on an idle cluster: from just before it is created to the event that shows it Ready.

use std::time::{Duration, Instant};

use anyhow::Result;
use entente_e2e::ranks::rank;
use entente_e2e::report::Report;
use entente_e2e::scene::Scene;
use entente_e2e::wait::seconds;
use serde_json::json;

use crate::until_ready::ReadyWatch;

pub async fn measure(scene: &Scene, tries: usize, report: &mut Report) -> Result<()> {
    // The first one brings the virtual host into being.
    scene.create_ready("first", json!({})).await?;
    let mut took = Vec::with_capacity(tries);
    let mut watch = ReadyWatch::begin(scene).await?;
    for number in 0..tries {
        let name = format!("q{number}");
        let begin = Instant::now();
        scene.create(&name, json!({"deletionPolicy": "Delete"})).await?;
        took.push(watch.ready(&name, seconds(30)).await?.duration_since(begin));
        scene.delete(&name).await?;
        scene.gone(&name, seconds(30)).await?;
        // Idle again: its dead-letter queue and statistics are done with.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    took.sort();
    let millis = |share: f64| rank(&took, share).as_secs_f64() * 1_000.0;
    report.add("one queue", "ready_p50_ms", "ms", millis(0.50), "<= 34");
    report.add("one queue", "ready_p99_ms", "ms", millis(0.99), "<= 80");
    report.add("one queue", "ready_max_ms", "ms", millis(1.0), "");
    Ok(())
}
