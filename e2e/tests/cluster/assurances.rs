//! Assurances: measured by messages that no subscriber sees, and told in the status.

use anyhow::{Result, ensure};
use entente_crds::{ServiceContract, Subscription};
use entente_e2e::amqp::drain;
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::scene;
use entente_e2e::wait::{holds, seconds};
use serde_json::{Value, json};

const NAME: &str = "orders";

fn spec() -> Value {
    let message = json!({"operation": "placed", "format": "JsonSchema", "schema": "{\"type\": \"object\"}"});
    json!({
        "owner": "team orders",
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": [{"name": "v1", "desiredState": "Active", "messages": [message]}],
        // The last cannot be kept by anybody.
        "assurances": {"availability": "90", "rpo": "0s", "rto": "30s", "latencyP99": "0s"},
    })
}

#[tokio::test]
async fn assurances_are_measured_by_messages_that_nobody_sees() -> Result<()> {
    scene("assured", async |scene| {
        let contracts = Objects::<ServiceContract>::of(&scene.cluster, &scene.namespace);
        contracts.create_ready(NAME, spec()).await?;
        let reference = json!({"name": NAME, "version": "v1", "operation": "placed"});
        let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
        // Without a filter it gets whatever is sent under the version.
        subscriptions.create_ready("all", json!({"contractRef": reference, "deletionPolicy": "Delete"})).await?;

        let told = |contract: &ServiceContract| status(contract)["assurances"].clone();
        let contract = contracts.when(NAME, "is measured", seconds(20), |contract| told(contract).is_object()).await?;
        let seen = told(&contract);
        println!("{seen}");
        ensure!(seen["probes"].as_i64() >= Some(3) && seen["lost"] == 0, "{seen}");
        ensure!(seen["availability"]["target"] == "90" && seen["availability"]["met"] == true, "{seen}");
        ensure!(seen["rpo"]["met"] == true && seen["rto"]["met"] == true && seen["errorBudget"].is_string(), "{seen}");
        ensure!(seen["latencyP99"]["met"] == false && seen["latencyP99"]["observed"].is_string(), "{seen}");

        // Seen by nobody, and nobody's use.
        let version = status(&contract)["versions"][0].clone();
        ensure!(version["use"]["consumers"].as_i64().unwrap_or_default() == 0, "{version}");
        let found = drain(&scene.broker, &scene.namespace, &format!("subscription.{}.all", scene.namespace)).await?;
        ensure!(found.is_empty(), "a subscriber got {found:?}");
        let way = format!("exchanges/{}/entente.probe", scene.namespace);
        ensure!(scene.broker.get(&way).await?.is_some(), "there is no {way}");

        // No longer asked for, it is no longer told, and its way is gone.
        contracts.patch(NAME, json!({"spec": {"assurances": null}})).await?;
        contracts.when(NAME, "is measured no more", seconds(10), |contract| told(contract).is_null()).await?;
        holds("the way of the probes is gone", seconds(10), async || Ok(scene.broker.get(&way).await?.is_none())).await.map(drop)
    })
    .await
}
