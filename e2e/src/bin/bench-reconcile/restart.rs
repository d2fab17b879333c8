//! A restart of the operator while nothing has changed: it must read everything and write nothing.

use anyhow::Result;
use entente_e2e::scene::Scene;
use entente_e2e::wait::{holds, seconds};
use entente_e2e::{access_log, audit, operator};
use serde_json::json;

use entente_e2e::report::Report;

pub async fn measure(scene: &Scene, count: usize, report: &mut Report) -> Result<()> {
    scene.create_many("q", count, &json!({"deletionPolicy": "Delete"})).await?;
    println!("{count} Queues Ready in {:?}", scene.all_ready(seconds(300)).await?);
    holds("writes cease", seconds(120), async || {
        let mark = audit::mark()?;
        tokio::time::sleep(seconds(8)).await;
        Ok(audit::writes_since(mark, &audit::operator_user())?.is_empty())
    })
    .await?;
    let (api, broker) = (audit::mark()?, access_log::mark(&scene.cluster).await?);
    operator::restart(&scene.cluster).await?;
    tokio::time::sleep(seconds(30)).await;
    let api = audit::writes_since(api, &audit::operator_user())?;
    let broker = access_log::writes_since(&scene.cluster, &broker).await?;
    for write in api.iter().take(5) {
        println!("  written: {write}");
    }
    for line in broker.declared.iter().take(5) {
        println!("  written: {line}");
    }
    let case = format!("restart {count}");
    #[allow(clippy::cast_precision_loss)]
    {
        report.add(&case, "api_writes", "", api.len() as f64, "0");
        report.add(&case, "broker_writes", "", broker.declared.len() as f64, "0");
        // What the new leader needs to hear the broker's events: one temporary queue and its bindings, whatever the number of Queues.
        report.add(&case, "listening_writes", "", broker.listening.len() as f64, "");
    }
    scene.delete_all(seconds(300)).await
}
