//! What a deleted namespace leaves in the broker: kept, told, taken up again, and deleted in time.

use anyhow::{Result, ensure};
use entente_crds::Broker;
use entente_e2e::amqp::{drain, send};
use entente_e2e::cluster::SYSTEM;
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

async fn orphan(scene: &Scene) -> Result<Option<Value>> {
    let broker = Objects::<Broker>::of(&scene.cluster, SYSTEM).api.get("main").await?;
    let orphans = status(&broker)["orphans"].as_array().cloned().unwrap_or_default();
    Ok(orphans.into_iter().find(|orphan| orphan["virtualHost"] == scene.namespace))
}

async fn delete_namespace(scene: &Scene) -> Result<()> {
    scene.cluster.namespaces().delete(&scene.namespace, &DeleteParams::default()).await?;
    let took = scene.namespace_gone(seconds(60)).await?;
    println!("the namespace was gone in {took:?}");
    Ok(())
}

/// I1, I4: a namespace goes at once, and its messages stay.
#[tokio::test]
async fn i1_a_namespace_that_comes_back_has_its_messages() -> Result<()> {
    scene("orphan", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        send(&scene.broker, &scene.namespace, "orders", 3).await?;
        delete_namespace(scene).await?;
        holds("the Broker tells of the orphan", seconds(30), async || {
            let told = orphan(scene).await?.unwrap_or_default();
            ensure!(told["queues"] == 2 && told["messages"] == 3, "{told}");
            Ok(true)
        })
        .await?;

        let object: Namespace = serde_json::from_value(json!({"metadata": {"name": scene.namespace}}))?;
        scene.cluster.namespaces().create(&PostParams::default(), &object).await?;
        scene.create_ready("orders", json!({})).await?;
        holds("it is no orphan any more", seconds(30), async || Ok(orphan(scene).await?.is_none())).await?;
        let got = drain(&scene.broker, &scene.namespace, "orders").await?;
        ensure!(got == ["orders-0", "orders-1", "orders-2"], "{got:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_orphan_is_deleted_when_its_time_is_over() -> Result<()> {
    scene("expired", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        let brokers = Objects::<Broker>::of(&scene.cluster, SYSTEM);
        let before = brokers.api.get("main").await?.spec.orphan_retention.0;
        brokers.patch("main", json!({"spec": {"orphanRetention": "3s"}})).await?;
        let outcome = async {
            delete_namespace(scene).await?;
            let path = format!("vhosts/{}", scene.namespace);
            let gone = holds("the virtual host is gone", seconds(60), async || Ok(scene.broker.get(&path).await?.is_none()));
            println!("the virtual host was gone {:?} after its namespace", gone.await?);
            holds("nothing is told of it", seconds(30), async || Ok(orphan(scene).await?.is_none())).await.map(drop)
        };
        let outcome = outcome.await;
        brokers.patch("main", json!({"spec": {"orphanRetention": before}})).await?;
        outcome
    })
    .await
}
