//! What a namespace may take of a Broker: `limits`, and what status says of it.

use anyhow::{Result, ensure};
use entente_crds::{Queue, Topic};
use entente_e2e::object::{Objects, status};
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

use super::external::{BROKER, broker_is, brokers, declare, main_login, main_uri, of, on, with_broker, write_secret};

/// I7: of a tenant that asks for all there is, no other is the worse.
#[tokio::test]
async fn i7_a_namespace_takes_no_more_than_its_limits() -> Result<()> {
    with_broker("limits", async |scene| {
        write_secret(&scene.cluster, main_login(scene).await?).await?;
        declare(scene, &main_uri()).await?;
        let limits = json!({"spec": {"limits": {"queues": 7, "bytes": "10Mi"}}});
        brokers(&scene.cluster).patch(BROKER, limits).await?;
        broker_is(scene, "is Ready", "Ready", ("True", "Ready")).await?;
        let (queues, topics): (Objects<Queue>, Objects<Topic>) = (of(scene), of(scene));
        queues.create("free", on(json!({"deletionPolicy": "Delete"}))).await?;
        let why = queues.refused("free", "QuotaExceeded").await?;
        ensure!(why.contains("set maxBytes"), "{why}");
        queues.patch("free", json!({"spec": {"maxBytes": "6Mi"}})).await?;
        queues.ready("free", seconds(20)).await?;
        topics.create("kept", on(json!({"retention": {"maxBytes": "5Mi"}}))).await?;
        let why = topics.refused("kept", "QuotaExceeded").await?;
        ensure!(why.contains(&format!("at most {}", 4 << 20)), "{why}");
        // What others give back goes to who waits, by itself.
        queues.patch("free", json!({"spec": {"maxBytes": "5Mi"}})).await?;
        topics.ready("kept", seconds(20)).await?;

        // Two queues each, with that for dead letters, and the Topic's stream: 7 of 7.
        for name in ["b", "c"] {
            queues.patch("free", json!({"spec": {"maxBytes": "1Mi"}})).await?;
            queues.create_ready(name, on(json!({"maxBytes": "1Mi", "deletionPolicy": "Delete"}))).await?;
        }
        // The last one for dead letters comes a moment after its Queue is Ready.
        let full = async || Ok(scene.broker.queue_names(&scene.namespace).await?.len() == 7);
        holds("the namespace is full", seconds(20), full).await?;
        queues.create("d", on(json!({"maxBytes": "1Mi", "deletionPolicy": "Delete"}))).await?;
        let why = queues.refused("d", "BrokerRefused").await?;
        ensure!(why.contains("limit"), "{why}");
        let told = |broker: &entente_crds::Broker| {
            let namespaces = status(broker)["namespaces"].clone();
            let ours =
                namespaces.as_array().and_then(|all| all.iter().find(|one| one["name"] == scene.namespace.as_str()).cloned());
            ours.is_some_and(|ours| ours["queues"] == 7 && ours["bytes"] == 8 << 20 && ours["unboundedQueues"] == 0)
        };
        brokers(&scene.cluster).when(BROKER, "says what the namespace takes", seconds(90), told).await?;
        Ok(())
    })
    .await
}
