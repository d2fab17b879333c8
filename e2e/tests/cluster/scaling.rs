//! Real consumers, scaled on the depth of a real queue.

use std::time::Duration;

use anyhow::{Result, ensure};
use entente_e2e::cluster::SYSTEM;
use entente_e2e::object::status;
use entente_e2e::process::BrokerProcess;
use entente_e2e::scaled::{Consumers, WORK};
use entente_e2e::scene::scene;
use entente_e2e::wait::{holds, seconds};
use entente_e2e::{amqp, operator};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

/// Checks again and again that the replicas do not fall below these.
async fn stays(consumers: &Consumers<'_>, least: i32, time: Duration) -> Result<()> {
    let begin = std::time::Instant::now();
    while begin.elapsed() < time {
        let replicas = consumers.replicas().await?;
        ensure!(replicas >= least, "{replicas} replicas, and there were {least}: {}", consumers.told().await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn from_zero_on_the_first_message_and_back() -> Result<()> {
    scene("scale", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 4, "messagesPerReplica": 10, "idleAfter": "3s"});
        let consumers = Consumers::begin(scene, scaling, "100ms", 0).await?;
        consumers.send(1).await?;
        let took = consumers.until("a consumer for the first message", seconds(15), |replicas| replicas == 1).await?;
        println!("0 to 1 after {took:?}");
        consumers.until_ready(1).await?;
        consumers.send(100).await?;
        let took = consumers.until("4 consumers for 100 messages", seconds(15), |replicas| replicas == 4).await?;
        println!("1 to 4 after {took:?}: {}", consumers.told().await?);
        let empty = async || {
            let queue = consumers.queues.api.get(WORK).await?;
            let backlog = status(&queue)["backlog"].clone();
            ensure!(backlog["ready"] == 0 && backlog["unacknowledged"] == 0, "{backlog}");
            Ok(true)
        };
        holds("every message is consumed", seconds(60), empty).await?;
        let took = consumers.until("nobody while nothing waits", seconds(60), |replicas| replicas == 0).await?;
        println!("back to 0 after {took:?}: {}", consumers.told().await?);
        Ok(())
    })
    .await
}

/// I5: whoever cannot be asked has not said zero. A leader that is stopped, an operator that is restarted.
#[tokio::test]
async fn i5_replicas_never_fall_while_the_broker_is_not_seen() -> Result<()> {
    scene("unseen", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 3, "messagesPerReplica": 5, "idleAfter": "0s",
            "behavior": {"scaleDownWindow": "0s", "scaleDownPercentPerMinute": 100}});
        // So slow that the queue is never drained.
        let consumers = Consumers::begin(scene, scaling, "20s", 0).await?;
        consumers.send(60).await?;
        consumers.until("3 consumers", seconds(20), |replicas| replicas == 3).await?;
        let led = async || {
            let queue = consumers.queues.api.get(WORK).await?;
            Ok(status(&queue)["leader"].as_str().map(str::to_owned))
        };
        let leader = entente_e2e::wait::until("the queue has a leader", seconds(20), led).await?.0;
        let pod = leader.split('@').next_back().and_then(|host| host.split('.').next()).unwrap_or_default().to_owned();
        let process = BrokerProcess::of(&scene.cluster.pods(SYSTEM).get(&pod).await?)?;
        process.signal("STOP").await?;
        let outcome = stays(&consumers, 3, seconds(15)).await;
        process.signal("CONT").await?;
        outcome?;
        operator::restart(&scene.cluster).await?;
        stays(&consumers, 3, seconds(20)).await
    })
    .await
}

#[tokio::test]
async fn another_autoscaler_and_a_zero_by_hand_are_left_alone() -> Result<()> {
    scene("hands-off", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 3, "messagesPerReplica": 5});
        let consumers = Consumers::begin(scene, scaling, "20s", 1).await?;
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
        let hpa: HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": {"name": "other"},
            "spec": {"minReplicas": 1, "maxReplicas": 2,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORK},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 90}}}]}
        }))?;
        hpas.create(&PostParams::default(), &hpa).await?;
        println!("{}", consumers.held_back_by("ConflictingScaler").await?);
        consumers.send(60).await?;
        tokio::time::sleep(seconds(5)).await;
        ensure!(consumers.replicas().await? == 1, "scaled although another autoscaler acts");
        hpas.delete("other", &DeleteParams::default()).await?;
        consumers.until("it goes on when the other is gone", seconds(60), |replicas| replicas == 3).await?;

        consumers.set(0).await?;
        println!("{}", consumers.held_back_by("Paused").await?);
        ensure!(consumers.replicas().await? == 0, "scaled although zero was set by hand");
        consumers.set(1).await?;
        consumers.until("it goes on from any other number", seconds(30), |replicas| replicas == 3).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_target_that_is_not_there_is_told_and_found_later() -> Result<()> {
    scene("target", async |scene| {
        let scaling = json!({"minReplicas": 1, "maxReplicas": 3, "messagesPerReplica": 5});
        let consumers = Consumers::begin(scene, scaling, "1s", 0).await?;
        consumers.until("the minimum", seconds(20), |replicas| replicas == 1).await?;
        let patch = |name: &str| json!({"spec": {"scaling": {"targetRef": {"name": name}}}});
        consumers.queues.patch(WORK, patch("nobody")).await?;
        let told = consumers.held_back_by("TargetNotFound").await?;
        ensure!(told["lastDecision"]["message"].as_str().is_some_and(|text| text.contains("Deployment/nobody")), "{told}");
        consumers.queues.patch(WORK, patch(WORK)).await?;
        let back = async || Ok(consumers.told().await?["target"] == format!("Deployment/{WORK}"));
        holds("the target is found", seconds(30), back).await?;
        consumers.queues.patch(WORK, json!({"spec": {"scaling": null}})).await?;
        let gone = async || Ok(consumers.told().await?.is_null());
        holds("without spec.scaling nothing is told of it", seconds(20), gone).await?;
        amqp::send(&scene.broker, &scene.namespace, WORK, 30).await?;
        tokio::time::sleep(seconds(4)).await;
        ensure!(consumers.replicas().await? == 1, "scaled although nobody asks for it");
        Ok(())
    })
    .await
}
