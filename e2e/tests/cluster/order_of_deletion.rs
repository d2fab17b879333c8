//! No order of deletions wedges anything (invariant I4).

use anyhow::{Result, ensure};
use entente_crds::Broker;
use entente_e2e::amqp::send;
use entente_e2e::broker::BrokerAccess;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

/// A Broker of one node, in the one namespace where the chart lets Brokers run.
async fn small_broker(scene: &Scene, name: &str) -> Result<()> {
    let spec = json!({"replicas": 1, "storage": {"size": "1Gi"}, "allowedNamespaces": {"from": "All"}});
    let broker = Broker::new(name, serde_json::from_value(spec)?);
    scene.cluster.brokers(SYSTEM).create(&PostParams::default(), &broker).await?;
    let brokers = scene.cluster.brokers(SYSTEM);
    let took = holds(&format!("Broker {name} is Ready"), seconds(180), async || {
        let status = brokers.get(name).await?.status.unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        ensure!(ready.is_some_and(|ready| ready.status == "True"), "{:?}", status.conditions);
        Ok(true)
    })
    .await?;
    println!("a Broker of one node is Ready in {took:?}");
    Ok(())
}

async fn remove_broker(scene: &Scene, name: &str) -> Result<()> {
    let brokers = scene.cluster.brokers(SYSTEM);
    if brokers.get_opt(name).await?.is_some() {
        brokers.delete(name, &DeleteParams::default()).await?;
    }
    holds(&format!("Broker {name} is gone"), seconds(60), async || Ok(brokers.get_opt(name).await?.is_none())).await?;
    // Volume claims stay by design; those of a test must not.
    let claims: kube::Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
        kube::Api::namespaced(scene.cluster.client.clone(), SYSTEM);
    claims
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels(&format!("entente.dev/broker={name}")))
        .await?;
    Ok(())
}

#[tokio::test]
async fn i4_a_broker_deleted_first_holds_no_queue() -> Result<()> {
    scene("broker-first", async |scene| {
        let name = "e2e-small";
        remove_broker(scene, name).await?;
        let outcome = async {
            small_broker(scene, name).await?;
            let spec = json!({"brokerRef": {"name": name, "namespace": SYSTEM}});
            scene.create_ready("orders", spec.clone()).await?;
            let small = BrokerAccess::of(&scene.cluster, SYSTEM, name).await?;
            send(&small, &scene.namespace, "orders", 3).await?;
            scene.cluster.brokers(SYSTEM).delete(name, &DeleteParams::default()).await?;
            let brokers = scene.cluster.brokers(SYSTEM);
            holds("the Broker is gone", seconds(60), async || Ok(brokers.get_opt(name).await?.is_none())).await?;
            scene.delete("orders").await?;
            let took = scene.gone("orders", seconds(20)).await?;
            println!("the Queue of a deleted Broker was gone in {took:?}");
            Ok(())
        }
        .await;
        remove_broker(scene, name).await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn i4_a_namespace_goes_although_its_queue_holds_messages() -> Result<()> {
    scene("namespace", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        send(&scene.broker, &scene.namespace, "orders", 3).await?;
        scene.cluster.namespaces().delete(&scene.namespace, &DeleteParams::default()).await?;
        let took = scene.namespace_gone(seconds(60)).await?;
        println!("the namespace was gone in {took:?}");
        // spec.orphanRetention: whoever deleted the namespace by mistake has its messages still.
        ensure!(scene.messages("orders").await? == Some(3), "the messages went with the namespace");
        Ok(())
    })
    .await
}
