//! Nothing changes, so nothing is written (invariant I6). Counted by the receivers: audit log and the broker's access log.

use std::time::Duration;

use anyhow::{Result, ensure};
use entente_crds::Broker;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use entente_e2e::{access_log, audit, operator};
use serde_json::json;

const QUEUES: usize = 200;

fn rest() -> Duration {
    seconds(std::env::var("ENTENTE_E2E_REST").ok().and_then(|text| text.parse().ok()).unwrap_or(180))
}

/// Waits until the Broker's status speaks of the namespaces that there are, and of this one as it is: it is told within a minute.
async fn uses_are_told(scene: &Scene) -> Result<()> {
    let brokers: Objects<Broker> = Objects::of(&scene.cluster, SYSTEM);
    holds("the Broker says what namespaces take", seconds(100), async || {
        // Those for dead letters come a moment after their Queues are Ready.
        let queues = scene.broker.queue_names(&scene.namespace).await?.len();
        let told = status(&brokers.api.get("main").await?)["namespaces"].clone();
        let told = told.as_array().cloned().unwrap_or_default();
        let mut all_there = true;
        for one in &told {
            let name = one["name"].as_str().unwrap_or_default();
            all_there &= scene.broker.get(&format!("vhosts/{name}")).await?.is_some();
        }
        let ours = |one: &serde_json::Value| one["name"] == scene.namespace.as_str() && one["queues"] == queues;
        Ok(queues == 2 * QUEUES && all_there && told.iter().any(ours))
    })
    .await
    .map(drop)
}

/// Waits until nobody has written for a while: the last statistics are in.
async fn settle(scene: &Scene) -> Result<()> {
    holds("writes cease", seconds(90), async || {
        let (api, broker) = (audit::mark()?, access_log::mark(&scene.cluster).await?);
        tokio::time::sleep(seconds(8)).await;
        let api = audit::writes_since(api, &audit::operator_user())?;
        let broker = access_log::writes_since(&scene.cluster, &broker).await?;
        ensure!(api.is_empty() && broker.declared.is_empty(), "to the API server {api:?}, to the broker {broker:?}");
        Ok(true)
    })
    .await
    .map(drop)
}

async fn nothing_written(scene: &Scene, what: &str, during: impl AsyncFn() -> Result<()>) -> Result<()> {
    for left in (0..3).rev() {
        let (api, broker) = (audit::mark()?, access_log::mark(&scene.cluster).await?);
        during().await?;
        let api = audit::writes_since(api, &audit::operator_user())?;
        // A node that did not answer for a moment, on a machine with other work, is a change: its pod's label says so.
        if left > 0 && api.iter().any(|write| write.resource == "pods") {
            println!("{what}: a node left the client Service meanwhile; once more");
            continue;
        }
        return judge(scene, what, &api, &broker).await;
    }
    Ok(())
}

async fn judge(scene: &Scene, what: &str, api: &[audit::Write], broker: &access_log::Mark) -> Result<()> {
    let broker = access_log::writes_since(&scene.cluster, broker).await?;
    let (declared, listening) = (broker.declared, broker.listening.len());
    println!(
        "{what}: {} writes to the API server (leases aside), {} to the broker, {listening} to listen to its events",
        api.len(),
        declared.len()
    );
    let words: Vec<String> = api.iter().take(10).map(ToString::to_string).collect();
    ensure!(
        api.is_empty() && declared.is_empty(),
        "{what}: API server {words:?}, broker {:?}",
        &declared[..declared.len().min(10)]
    );
    Ok(())
}

#[tokio::test]
async fn i6_nothing_is_written_at_rest_nor_by_a_restart() -> Result<()> {
    scene("rest", async |scene| {
        scene.is_alone().await?;
        scene.create_many("q", QUEUES / 2, &json!({"deletionPolicy": "Delete"})).await?;
        scene.create_many("p", QUEUES / 2, &json!({"deletionPolicy": "Delete", "maxLength": 100})).await?;
        println!("{QUEUES} Queues Ready in {:?}", scene.all_ready(seconds(120)).await?);
        uses_are_told(scene).await?;
        settle(scene).await?;
        let outcome = async {
            nothing_written(scene, &format!("{QUEUES} Queues at rest for {:?}", rest()), async || {
                tokio::time::sleep(rest()).await;
                Ok(())
            })
            .await?;
            nothing_written(scene, &format!("restart with {QUEUES} unchanged Queues"), async || {
                operator::restart(&scene.cluster).await?;
                tokio::time::sleep(seconds(20)).await;
                Ok(())
            })
            .await
        }
        .await;
        scene.delete_all(seconds(120)).await?;
        outcome
    })
    .await
}
