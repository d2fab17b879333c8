//! What somebody changes at the broker behind the operator's back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use entente_e2e::operator;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

/// Deletes a queue and its policy at the broker. Returns how long it took until both were back.
async fn deleted_and_back(scene: &Scene, limit: Duration) -> Result<Duration> {
    let begin = Instant::now();
    scene.broker.delete(&format!("queues/{}/orders", scene.namespace)).await?;
    scene.broker.delete(&format!("policies/{}/entente.queue.orders", scene.namespace)).await?;
    holds("the queue is back with its settings", limit, async || {
        let seen = scene.broker.queue(&scene.namespace, "orders").await?.unwrap_or_default();
        let settings = &seen["effective_policy_definition"];
        ensure!(seen["type"] == "quorum" && settings["max-length"] == 7 && settings["delivery-limit"] == 3, "{seen}");
        ensure!(seen["arguments"]["x-single-active-consumer"] == true, "{seen}");
        Ok(true)
    })
    .await?;
    Ok(begin.elapsed())
}

fn spec() -> serde_json::Value {
    json!({"maxLength": 7, "deliveryLimit": 3, "singleActiveConsumer": true, "deletionPolicy": "Delete"})
}

#[tokio::test]
async fn a_queue_deleted_at_the_broker_is_back_within_2s_by_events() -> Result<()> {
    scene("events", async |scene| {
        scene.create_ready("orders", spec()).await?;
        for _ in 0..5 {
            let took = deleted_and_back(scene, seconds(10)).await?;
            println!("back in {took:?}");
            ensure!(took < seconds(2), "it took {took:?}");
            scene.ready("orders", seconds(10)).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dead_letter_queue_deleted_at_the_broker_is_back_within_2s() -> Result<()> {
    scene("dead", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        let there = async || Ok(scene.broker.queue(&scene.namespace, "orders.dead").await?.is_some());
        holds("the dead-letter queue is there", seconds(10), there).await?;
        scene.broker.delete(&format!("queues/{}/orders.dead", scene.namespace)).await?;
        let took = holds("the dead-letter queue is back", seconds(10), there).await?;
        ensure!(took < seconds(2), "it took {took:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_events_a_deleted_queue_is_back_within_the_resync() -> Result<()> {
    scene("resync", async |scene| {
        scene.create_ready("orders", spec()).await?;
        let resync = operator::env(&scene.cluster, "ENTENTE_RESYNC").await?;
        operator::set_env(&scene.cluster, &[("ENTENTE_BROKER_EVENTS", Some("false")), ("ENTENTE_RESYNC", Some("5s"))]).await?;
        let took = async {
            // Two tries: the first may meet the first look of a new leader.
            deleted_and_back(scene, seconds(30)).await?;
            deleted_and_back(scene, seconds(30)).await
        }
        .await;
        operator::set_env(&scene.cluster, &[("ENTENTE_BROKER_EVENTS", None), ("ENTENTE_RESYNC", resync.as_deref())]).await?;
        let took = took?;
        println!("back in {took:?} with a resync of 5 s and no events");
        // Two resyncs, since one may come between the deletion of the queue and that of its policy; and up to 2 s to read the
        // broker and to declare.
        ensure!(took < seconds(12), "it took {took:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn changed_settings_are_put_right() -> Result<()> {
    scene("drift", async |scene| {
        scene.create_ready("orders", spec()).await?;
        let policy = format!("policies/{}/entente.queue.orders", scene.namespace);
        let body =
            json!({"pattern": "^orders$", "apply-to": "quorum_queues", "priority": 10, "definition": {"max-length": 1_000_000}});
        scene.broker.put(&policy, body).await?;
        let took = holds("max-length is as declared again", seconds(10), async || {
            Ok(scene.broker.effective(&scene.namespace, "orders", "max-length").await? == Some(json!(7)))
        })
        .await?;
        println!("put right in {took:?}");
        ensure!(took < seconds(2), "it took {took:?}");
        Ok(())
    })
    .await
}
