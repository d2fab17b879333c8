//! Checks of messages: what is not as the schema says is counted and told without anything of it, and goes its way.

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outcome, address};
use entente_crds::{ServiceContract, Subscription};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::client;

const NAME: &str = "orders";
const SECRET: &str = "hunter2-4111111111111111";

fn spec() -> Value {
    let schema =
        json!({"type": "object", "properties": {"card": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}});
    let message = json!({"operation": "placed", "format": "JsonSchema", "schema": schema.to_string()});
    json!({
        "owner": "team orders",
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": [{"name": "v1", "desiredState": "Active", "messages": [message]}],
        "checks": {"messagesPerMinute": 100},
    })
}

fn version(contract: &ServiceContract) -> Value {
    status(contract)["versions"][0].clone()
}

async fn events(scene: &Scene) -> Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
    Ok(api.list(&ListParams::default()).await?.items)
}

#[tokio::test]
async fn messages_are_checked_and_go_their_way() -> Result<()> {
    scene("checks", async |scene| {
        let contracts = Objects::<ServiceContract>::of(&scene.cluster, &scene.namespace);
        contracts.create_ready(NAME, spec()).await?;
        let exchange = format!("contract.{NAME}.v1.placed");
        let to = address::exchange(&exchange, "");
        // Nobody subscribes, and nobody is told that somebody does.
        let sample = format!("queues/{}/entente.check.{NAME}.placed", scene.namespace);
        holds("the sample has its queue", seconds(10), async || Ok(scene.broker.get(&sample).await?.is_some())).await?;
        let outcomes =
            send_to(&scene.broker, &scene.namespace, &to, vec![entente_broker::amqp::Outgoing::new("lost", "{}")]).await?;
        ensure!(outcomes == [Outcome::Released], "{outcomes:?}");

        let reference = json!({"name": NAME, "version": "v1", "operation": "placed"});
        let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
        subscriptions.create_ready("all", json!({"contractRef": reference, "deletionPolicy": "Delete"})).await?;
        let access = json!([{"name": "orders", "contractRef": reference, "verbs": ["Send"]}]);
        client::create(scene, "shop", json!({"access": access})).await?;
        client::is_ready(scene, "shop").await?;
        let bindings = format!("queues/{}/entente.check.{NAME}.placed/bindings", scene.namespace);
        let is_bound = async || -> Result<bool> {
            let found = scene.broker.get(&bindings).await?.unwrap_or_default();
            Ok(found.as_array().is_some_and(|all| all.iter().any(|binding| binding["source"] == format!("{exchange}.out"))))
        };
        holds("the sample is taken", seconds(10), is_bound).await?;

        let connection = client::binding(scene, "shop").await?.connect().await?;
        let good = r#"{"card": 1}"#;
        let bad = format!(r#"{{"card": "{SECRET}"}}"#);
        let worse = format!(r#"{{"{SECRET}": "{SECRET}"}}"#);
        for message in [good, &bad, &worse] {
            client::send(&connection, &to, message).await?;
        }
        connection.close().await?;

        let told = |contract: &ServiceContract| version(contract)["checks"].clone();
        let contract =
            contracts.when(NAME, "tells of a violation", seconds(15), |it| told(it)["violations"].as_i64() >= Some(1)).await?;
        let checks = told(&contract);
        println!("{checks}");
        let last = &checks["lastViolation"];
        ensure!(last["operation"] == "placed" && last["rule"] == "type", "{checks}");
        ensure!(last["path"] == "/card" || last["path"] == "/*", "{checks}");
        let is_told = |event: &Event| event.reason.as_deref() == Some("MessagesViolateSchema");
        holds("an Event tells of it", seconds(10), async || Ok(events(scene).await?.iter().any(is_told))).await?;
        let written = format!("{}{}", status(&contract), serde_json::to_string(&events(scene).await?)?);
        ensure!(!written.contains("hunter2"), "something of a message is told: {written}");

        // They all came, as if nobody had looked; and a look is nobody's use.
        let queue = format!("subscription.{}.all", scene.namespace);
        let got = drain(&scene.broker, &scene.namespace, &queue).await?;
        ensure!(got == [good, &bad, &worse], "{got:?}");
        let used = contracts.when(NAME, "is used by one", seconds(15), |it| version(it)["use"]["subscriptions"] == 1).await?;
        let used = version(&used)["use"].clone();
        ensure!(used["consumers"] == 0, "{used}");

        // No longer asked for, they are no longer told, and no copy is made.
        contracts.patch(NAME, json!({"spec": {"checks": null}})).await?;
        contracts.when(NAME, "has no checks", seconds(10), |it| told(it).is_null()).await?;
        holds("no sample is taken", seconds(10), async || Ok(!is_bound().await?)).await.map(drop).context("checks are off")
    })
    .await
}
