//! Many quorum Queues at once: from the first creation to the event that shows the last of them Ready.

use std::time::Instant;

use anyhow::Result;
use entente_e2e::scene::Scene;
use entente_e2e::wait::seconds;
use futures::try_join;
use serde_json::json;

use crate::until_ready::ReadyWatch;
use entente_e2e::report::Report;

pub async fn measure(scene: &Scene, count: usize, report: &mut Report) -> Result<()> {
    scene.create_ready("first", json!({})).await?;
    let mut watch = ReadyWatch::begin(scene).await?;
    let begin = Instant::now();
    let spec = json!({"deletionPolicy": "Delete"});
    let last = async {
        let mut last = begin;
        for number in 0..count {
            last = last.max(watch.ready(&format!("q{number}"), seconds(120)).await?);
        }
        Ok(last)
    };
    let ((), last) = try_join!(scene.create_many("q", count, &spec), last)?;
    #[allow(clippy::cast_precision_loss)]
    let rate = count as f64 / last.duration_since(begin).as_secs_f64();
    report.add(&format!("create {count} quorum"), "objects_per_s", "1/s", rate, ">= 83");
    scene.delete_all(seconds(300)).await
}
