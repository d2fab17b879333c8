//! KEDA's questions, by a gRPC client of others that reads the protocol's own file, through the Service.

use anyhow::{Context, Result, ensure};
use entente_e2e::amqp;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::foreign::{Binding, Clients, Program};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use serde_json::{Value, json};

const SERVICE: &str = "entente-operator-keda";
const INVALID_ARGUMENT: i64 = 3;
const NOT_FOUND: i64 = 5;

/// What KEDA has to know: whom to trust, and where to ask.
async fn binding(scene: &Scene) -> Result<Binding> {
    let secret = scene.cluster.secrets(SYSTEM).get(SERVICE).await?;
    let authority = secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("the Secret has no ca.crt")?;
    let host = format!("{SERVICE}.{SYSTEM}.svc");
    let service = scene.cluster.services(SYSTEM).get(SERVICE).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
    Binding::of([("ca.crt", authority.0.as_slice()), ("host", host.as_bytes())], address)
}

#[tokio::test]
async fn keda_is_told_the_depth_and_woken_by_the_first_message() -> Result<()> {
    let programs = Clients::installed().await?;
    scene("keda", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        let binding = binding(scene).await?;
        let metadata = |name: &str| json!({"kind": "Queue", "name": name, "messagesPerReplica": "20"}).to_string();
        let ask = async |call: &str, namespace: &str, metadata: &str| -> Result<Value> {
            programs.run(Program::Keda, &binding, &[call, namespace, metadata], None).await
        };
        let begin = std::time::Instant::now();
        let spec = ask("GetMetricSpec", &scene.namespace, &metadata("orders")).await?;
        println!("keda: the leader was found after {:?}", begin.elapsed());
        ensure!(spec["metricSpecs"] == json!([{"metricName": "messages", "targetSize": 20, "targetSizeFloat": 20}]), "{spec}");
        let idle = ask("IsActive", &scene.namespace, &metadata("orders")).await?;
        ensure!(idle["result"] == false, "{idle}");

        // Two answers: nothing waits, and then, without being asked again, something does.
        let known = metadata("orders");
        let arguments = ["StreamIsActive", scene.namespace.as_str(), known.as_str(), "2"];
        let told = programs.run::<Value>(Program::Keda, &binding, &arguments, None);
        let sent = async {
            // How long the client takes to find the leader is chance: sent too early, the first answer would be the last.
            holds("the first answer came", seconds(25), async || Ok(binding.field("answered").is_ok())).await?;
            amqp::send(&scene.broker, &scene.namespace, "orders", 30).await
        };
        let (told, sent) = tokio::join!(told, sent);
        sent?;
        let told = told?;
        ensure!(told == json!([{"result": false}, {"result": true}]), "{told}");
        let depth = async || {
            let depth = ask("GetMetrics", &scene.namespace, &metadata("orders")).await?;
            ensure!(
                depth["metricValues"][0]["metricValue"] == 30 && depth["metricValues"][0]["metricValueFloat"] == 30,
                "{depth}"
            );
            Ok(true)
        };
        holds("the depth is told", seconds(10), depth).await?;

        // I3: a trigger of another namespace reaches nothing of this one.
        let elsewhere = json!({"namespace": scene.namespace, "name": "orders", "messagesPerReplica": "20"}).to_string();
        let refused = ask("GetMetrics", "default", &elsewhere).await?;
        ensure!(refused["code"] == INVALID_ARGUMENT, "{refused}");
        let refused = ask("GetMetrics", "default", &metadata("orders")).await?;
        ensure!(refused["code"] == NOT_FOUND, "{refused}");
        Ok(())
    })
    .await
}
