//! Brown-outs: a deprecated version is closed for a short while, as it was announced, and nothing is lost by it.

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outgoing, address};
use entente_crds::{Client, ServiceContract, Subscription};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, condition, is_ready, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client;

const NAME: &str = "orders";
/// Looks, writes and the way to the broker, on a machine that does other things as well.
const LATE: SignedDuration = SignedDuration::from_secs(5);

fn contracts(scene: &Scene) -> Objects<ServiceContract> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn version(name: &str, state: &str) -> Value {
    let message = json!({"operation": "placed", "format": "JsonSchema", "schema": "{\"type\": \"object\"}"});
    json!({"name": name, "desiredState": state, "messages": [message]})
}

fn spec() -> Value {
    json!({
        "owner": "team orders",
        "lifecycle": {
            "minimumDeprecationNotice": "20s",
            "quietPeriod": "2s",
            "brownouts": [{"beforeSunset": "12s", "lasts": "8s", "announcedBefore": "3s"}],
        },
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": [version("v1", "Active"), version("v2", "Active")],
    })
}

fn reference(version: &str) -> Value {
    json!({"name": NAME, "version": version, "operation": "placed"})
}

fn to(version: &str) -> String {
    address::exchange(&format!("contract.{NAME}.{version}.placed"), "")
}

/// The brown-out of v1, once it is in this state.
async fn brownout(scene: &Scene, state: &str) -> Result<(Timestamp, Timestamp)> {
    let found = |contract: &ServiceContract| {
        let told = status(contract);
        let v1 = told["versions"].as_array()?.iter().find(|version| version["name"] == "v1")?.clone();
        let known = v1["brownouts"].as_array()?.first()?.clone();
        (known["state"] == state).then_some(known)
    };
    let what = format!("has a brown-out that is {state}");
    let contract = contracts(scene).when(NAME, &what, seconds(20), |contract| found(contract).is_some()).await?;
    let known = found(&contract).context("it has none")?;
    let date = |field: &str| -> Result<Timestamp> { Ok(known[field].as_str().context("no date")?.parse()?) };
    Ok((date("startsAt")?, date("endsAt")?))
}

/// What an object is told: status and reason of its condition.
fn told(condition: Option<Value>, status: &str, reason: &str, word: &str) -> bool {
    let told = condition.unwrap_or_default();
    let message = told["message"].as_str().unwrap_or_default();
    told["status"] == status && told["reason"] == reason && message.contains(word) && message.contains("to v2")
}

#[tokio::test]
async fn a_brownout_is_announced_held_and_lifted_in_time() -> Result<()> {
    scene("brownout", async |scene| {
        contracts(scene).create_ready(NAME, spec()).await?;
        let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
        let clients = Objects::<Client>::of(&scene.cluster, &scene.namespace);
        let queue = format!("subscription.{}.mail", scene.namespace);
        subscriptions.create_ready("mail", json!({"contractRef": reference("v1"), "deletionPolicy": "Delete"})).await?;
        let access = json!([
            {"name": "old", "contractRef": reference("v1"), "verbs": ["Send"]},
            {"name": "new", "contractRef": reference("v2"), "verbs": ["Send"]},
            {"name": "mail", "subscriptionRef": {"name": "mail"}, "verbs": ["Receive"]},
        ]);
        client::create(scene, "shop", json!({"access": access})).await?;
        client::is_ready(scene, "shop").await?;
        let binding = client::binding(scene, "shop").await?;
        let connection = binding.connect().await?;
        client::send(&connection, &to("v1"), "m1").await?;

        // Announced with the deprecation, on the objects of those who depend on it.
        let mut v1 = version("v1", "Deprecated");
        let sunset = Timestamp::now().saturating_add(SignedDuration::from_secs(20))?;
        for (field, value) in [("successor", "v2"), ("reason", "v2 has amounts"), ("sunsetAt", format!("{sunset:.0}").as_str())] {
            v1[field] = json!(value);
        }
        contracts(scene).patch(NAME, json!({"spec": {"versions": [v1, version("v2", "Active")]}})).await?;
        let (starts, ends) = brownout(scene, "Announced").await?;
        ensure!(ends.duration_since(starts) == SignedDuration::from_secs(8), "from {starts} to {ends}");
        let word = format!("from {starts} to {ends}");
        let announced = |told_on: Option<Value>| told(told_on, "False", "BrownoutAnnounced", &word);
        subscriptions.when("mail", "is told", seconds(5), |object| announced(condition(object, "ContractBrownout"))).await?;
        clients.when("shop", "is told", seconds(5), |object| announced(condition(object, "ContractBrownout"))).await?;
        client::send(&connection, &to("v1"), "m2").await?;
        ensure!(Timestamp::now() < starts, "this machine is too slow for the dates of the test");

        // On: as at retirement, for those who use the version, and for them alone.
        brownout(scene, "Underway").await?;
        ensure!(Timestamp::now() >= starts, "it began before {starts}");
        let message = clients.refused("shop", "VersionBrownout").await?;
        ensure!(message.contains(&format!("closed until {ends}")), "{message}");
        tokio::time::timeout(seconds(3), connection.ended()).await.context("the connection is still open")?;
        client::must_be_refused(&binding, "send under v1", async |it| client::send(it, &to("v1"), "x").await).await?;
        client::must_be_refused(&binding, "receive", async |it| it.receiver(&address::queue(&queue), 1).await.map(drop)).await?;
        client::send(&binding.connect().await?, &to("v2"), "m3").await?;
        let on = |object: &Subscription| {
            is_ready(object) && told(condition(object, "ContractBrownout"), "True", "VersionBrownout", "is closed until")
        };
        subscriptions.when("mail", "is told that it is on", seconds(3), on).await?;
        ensure!(Timestamp::now() < ends, "this machine is too slow for the dates of the test");

        // Lifted in time, and nothing is lost of what was accepted meanwhile.
        let ready = clients.ready("shop", seconds(15)).await?;
        let late = Timestamp::now().duration_since(ends);
        ensure!(!late.is_negative() && late <= LATE, "lifted {late:#} after {ends}");
        ensure!(condition(&ready, "ContractDeprecated").is_some(), "it is not told of the deprecation any more");
        let sends = async || Ok(client::send(&binding.connect().await?, &to("v1"), "m4").await.is_ok());
        holds("v1 is open again", seconds(3), sends).await?;
        brownout(scene, "Over").await?;
        let found = drain(&scene.broker, &scene.namespace, &queue).await?;
        ensure!(found == ["m1", "m2", "m3", "m4"], "{found:?}");
        let untold = |object: &Subscription| condition(object, "ContractBrownout").is_none();
        subscriptions.when("mail", "is told no more", seconds(5), untold).await?;

        // Who was closed out for a while has not lost its place: a version in Sunset takes in nobody else.
        let over = |contract: &ServiceContract| status(contract)["versions"][0]["state"] == "Sunset";
        contracts(scene).when(NAME, "v1 is in Sunset", seconds(10), over).await?;
        clients.ready("shop", seconds(5)).await?;
        client::send(&binding.connect().await?, &to("v1"), "m5").await?;
        let outcome = send_to(&scene.broker, &scene.namespace, &to("v2"), vec![Outgoing::new("m6", "{}")]).await?;
        ensure!(outcome.iter().all(entente_broker::amqp::Outcome::is_accepted), "{outcome:?}");
        Ok(())
    })
    .await
}
