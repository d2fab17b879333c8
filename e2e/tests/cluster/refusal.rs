//! What the operator does not do, and how it says so.

use anyhow::{Result, ensure};
use entente_crds::Broker;
use entente_e2e::amqp::send;
use entente_e2e::queue::condition;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use kube::api::{ListParams, PostParams};
use serde_json::json;

async fn message(scene: &Scene, name: &str, reason: &str) -> Result<String> {
    let queue = scene.refused(name, reason).await?;
    Ok(condition(&queue, "Ready").map(|seen| seen.message.clone()).unwrap_or_default())
}

#[tokio::test]
async fn i2_a_queue_of_that_name_with_other_arguments_is_left_alone() -> Result<()> {
    scene("conflict", async |scene| {
        scene.create_ready("other", json!({})).await?;
        let path = format!("queues/{}/taken", scene.namespace);
        scene.broker.put(&path, json!({"durable": true, "arguments": {"x-queue-type": "classic", "x-max-priority": 3}})).await?;
        send(&scene.broker, &scene.namespace, "taken", 2).await?;
        scene.create("taken", json!({})).await?;
        let words = message(scene, "taken", "Conflict").await?;
        println!("{words}");
        let seen = scene.broker.queue(&scene.namespace, "taken").await?.unwrap_or_default();
        ensure!(seen["type"] == "classic" && seen["arguments"]["x-max-priority"] == 3, "it was touched: {seen}");
        holds("its messages are there", seconds(10), async || Ok(scene.messages("taken").await? == Some(2))).await?;
        // The way out that the reason's description names.
        scene.broker.delete(&path).await?;
        scene.ready("taken", seconds(20)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i2_a_virtual_host_of_others_is_left_alone() -> Result<()> {
    scene("foreign", async |scene| {
        let host = &scene.namespace;
        scene.broker.put(&format!("vhosts/{host}"), json!({"description": "somebody's", "tags": ["theirs"]})).await?;
        let body = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
        scene.broker.put(&format!("queues/{host}/orders"), body).await?;
        let body = json!({"pattern": ".*", "apply-to": "all", "priority": 1, "definition": {"max-length": 11}});
        scene.broker.put(&format!("policies/{host}/theirs"), body).await?;
        let before = (
            scene.broker.definitions(host).await?,
            scene.broker.get(&format!("vhosts/{host}")).await?.unwrap_or_default()["tags"].clone(),
        );

        scene.create("orders", json!({"maxLength": 5, "deletionPolicy": "Delete"})).await?;
        let words = message(scene, "orders", "Conflict").await?;
        println!("{words}");
        scene.delete("orders").await?;
        scene.gone("orders", seconds(20)).await?;
        tokio::time::sleep(seconds(3)).await;
        let after = (
            scene.broker.definitions(host).await?,
            scene.broker.get(&format!("vhosts/{host}")).await?.unwrap_or_default()["tags"].clone(),
        );
        ensure!(before == after, "it was changed: before {before:?}, after {after:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i3_absent_and_forbidden_brokers_are_told_alike() -> Result<()> {
    scene("unusable", async |scene| {
        // It need not run: what counts is that it exists and admits its own namespace alone.
        let shut = Broker::new("shut", serde_json::from_value(json!({}))?);
        let apart = Scene::begin("shut").await?;
        let outcome = async {
            scene.cluster.brokers(&apart.namespace).create(&PostParams::default(), &shut).await?;
            scene.create("forbidden", json!({"brokerRef": {"name": "shut", "namespace": apart.namespace}})).await?;
            scene.create("absent", json!({"brokerRef": {"name": "none", "namespace": apart.namespace}})).await?;
            let forbidden = message(scene, "forbidden", "BrokerNotUsable").await?;
            let absent = message(scene, "absent", "BrokerNotUsable").await?;
            ensure!(forbidden.replace("shut", "none") == absent.replace("shut", "none"), "they differ: {forbidden} / {absent}");
            for name in ["forbidden", "absent"] {
                scene.delete(name).await?;
                scene.gone(name, seconds(10)).await?;
            }
            Ok(())
        }
        .await;
        let brokers = scene.cluster.brokers(&apart.namespace);
        brokers.delete_collection(&kube::api::DeleteParams::default(), &ListParams::default()).await?;
        apart.end().await?;
        outcome
    })
    .await
}
