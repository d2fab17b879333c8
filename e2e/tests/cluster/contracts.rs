//! `ServiceContract`s: versions by real messages, what may be changed, and the end of a version.

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outcome, Outgoing, address};
use entente_crds::{Client, ServiceContract, Subscription};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, condition, is_ready, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::client;

pub(super) const NAME: &str = "orders";

pub(super) fn contracts(scene: &Scene) -> Objects<ServiceContract> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn subscriptions(scene: &Scene) -> Objects<Subscription> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn clients(scene: &Scene) -> Objects<Client> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn version(name: &str, state: &str, properties: &Value) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": ["id"]});
    let message = json!({"operation": "placed", "format": "JsonSchema", "schema": schema.to_string()});
    json!({"name": name, "desiredState": state, "messages": [message]})
}

pub(super) fn spec(versions: &Value) -> Value {
    json!({
        "owner": "team orders",
        "lifecycle": {"minimumDeprecationNotice": "3s", "quietPeriod": "2s"},
        "operations": [{"name": "placed", "action": "Send"}],
        "versions": versions,
    })
}

pub(super) fn two_versions() -> Value {
    json!([
        version("v1", "Active", &json!({"id": {"type": "string"}})),
        version("v2", "Active", &json!({"id": {"type": "string"}, "amount": {"type": "integer"}})),
    ])
}

fn to(version: &str) -> String {
    address::exchange(&format!("contract.{NAME}.{version}.placed"), "")
}

fn reference(version: &str) -> Value {
    json!({"name": NAME, "version": version, "operation": "placed"})
}

fn queue_of(scene: &Scene, name: &str) -> String {
    format!("subscription.{}.{name}", scene.namespace)
}

pub(super) async fn subscribe(scene: &Scene, name: &str, version: &str) -> Result<()> {
    let spec = json!({"contractRef": reference(version), "deletionPolicy": "Delete"});
    subscriptions(scene).create_ready(name, spec).await.map(drop)
}

/// One version changed, the others as they are: lists are replaced whole by a merge patch.
pub(super) async fn change(scene: &Scene, name: &str, change: &Value) -> Result<()> {
    let contract = contracts(scene).api.get(NAME).await?;
    let mut versions = serde_json::to_value(&contract.spec.versions)?;
    let all = versions.as_array_mut().context("no versions")?;
    let version = all.iter_mut().find(|version| version["name"] == name).context("no such version")?;
    for (field, value) in change.as_object().context("no change")? {
        version[field] = value.clone();
    }
    contracts(scene).patch(NAME, json!({"spec": {"versions": versions}})).await.map(drop)
}

pub(super) fn deprecated(after: SignedDuration) -> Value {
    let at = Timestamp::now().saturating_add(after).unwrap_or(Timestamp::MAX);
    json!({"desiredState": "Deprecated", "successor": "v2", "reason": "v2 has amounts", "sunsetAt": format!("{at:.0}")})
}

/// The API server refuses a change, and says why.
async fn is_refused(scene: &Scene, name: &str, wanted: &Value, word: &str) -> Result<()> {
    let Err(error) = change(scene, name, wanted).await else { anyhow::bail!("{wanted} was taken") };
    ensure!(format!("{error:#}").contains(word), "{wanted} was refused by other words: {error:#}");
    Ok(())
}

pub(super) fn of_version<'a>(told: &'a Value, name: &str) -> &'a Value {
    told["versions"].as_array().and_then(|all| all.iter().find(|version| version["name"] == name)).unwrap_or(&Value::Null)
}

pub(super) async fn version_is(scene: &Scene, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
    let told = |contract: &ServiceContract| is(of_version(&status(contract), name));
    contracts(scene).when(NAME, &format!("{name} {what}"), seconds(25), told).await.map(drop)
}

pub(super) async fn sends(scene: &Scene, version: &str, name: &str) -> Result<()> {
    let outcomes = send_to(&scene.broker, &scene.namespace, &to(version), vec![Outgoing::new(name.to_owned(), "{}")]).await?;
    ensure!(outcomes == [Outcome::Accepted], "{version}: {outcomes:?}");
    Ok(())
}

pub(super) async fn got(scene: &Scene, subscription: &str, expected: &[&str]) -> Result<()> {
    let found = drain(&scene.broker, &scene.namespace, &queue_of(scene, subscription)).await?;
    ensure!(found == expected, "{subscription} got {found:?}, not {expected:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_version_feeds_the_subscribers_of_the_old_one() -> Result<()> {
    scene("contract", async |scene| {
        contracts(scene).create_ready(NAME, spec(&two_versions())).await?;
        subscribe(scene, "old", "v1").await?;
        subscribe(scene, "new", "v2").await?;
        sends(scene, "v1", "m1").await?;
        sends(scene, "v2", "m2").await?;
        got(scene, "old", &["m1", "m2"]).await?;
        got(scene, "new", &["m2"]).await?;

        // One that cannot be read by the old ones' readers is not offered, and disturbs nobody.
        let mut three = two_versions();
        let incompatible = version("v3", "Active", &json!({"id": {"type": "integer"}}));
        three.as_array_mut().context("no list")?.push(incompatible);
        let Err(told) = contracts(scene).patch(NAME, json!({"spec": {"versions": three}})).await else {
            anyhow::bail!("what v1's readers cannot read was taken");
        };
        let told = format!("{told:#}");
        ensure!(told.contains("v3 does not honour v1") && told.contains("/properties/id"), "{told}");
        sends(scene, "v2", "m3").await?;
        got(scene, "old", &["m3"]).await?;

        // What somebody takes away behind our back comes again.
        scene.broker.delete(&format!("exchanges/{}/contract.{NAME}.v1.placed.out", scene.namespace)).await?;
        let comes = async || {
            sends(scene, "v2", "m4").await?;
            Ok(drain(&scene.broker, &scene.namespace, &queue_of(scene, "old")).await? == ["m4"])
        };
        holds("v1's subscriber is fed again", seconds(20), comes).await.map(drop)
    })
    .await
}

/// What was stored while nobody judged must not be stuck: its messages are fixed, but it was never offered and can be taken back.
#[tokio::test]
async fn without_admission_the_status_tells_of_a_break_and_it_can_be_mended() -> Result<()> {
    scene("contract-unseen", async |scene| {
        let label = Patch::Merge(json!({"metadata": {"labels": {"entente.dev/admission": "ignore"}}}));
        scene.cluster.namespaces().patch(&scene.namespace, &PatchParams::default(), &label).await?;
        contracts(scene).create_ready(NAME, spec(&two_versions())).await?;
        let with_v3 = |properties: Value| -> Result<Value> {
            let mut three = two_versions();
            three.as_array_mut().context("no list")?.push(version("v3", "Active", &properties));
            Ok(json!({"spec": {"versions": three}}))
        };
        let broken = with_v3(json!({"id": {"type": "integer"}}))?;
        // The API server may ask the webhook for a moment longer.
        let stored = async || Ok(contracts(scene).patch(NAME, broken.clone()).await.is_ok());
        holds("it is stored", seconds(20), stored).await?;
        version_is(scene, "v3", "is refused", |version| {
            let words = version["message"].as_str().unwrap_or_default();
            version["state"] == "Draft" && words.contains("v3 does not honour v1") && words.contains("mend: ")
        })
        .await?;
        contracts(scene).refused(NAME, "VersionRefused").await?;
        is_refused(scene, "v3", &json!({"messages": version("v3", "Active", &json!({}))["messages"]}), "fixed once").await?;
        contracts(scene).patch(NAME, json!({"spec": {"versions": two_versions()}})).await?;
        contracts(scene).patch(NAME, with_v3(json!({"id": {"type": "string"}, "weight": {"type": "integer"}}))?).await?;
        version_is(scene, "v3", "is offered", |version| version["state"] == "Active").await?;
        // What is offered stays.
        let Err(told) = contracts(scene).patch(NAME, json!({"spec": {"versions": two_versions()}})).await else {
            anyhow::bail!("an offered version was removed");
        };
        ensure!(format!("{told:#}").contains("deprecate it first"), "{told:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_version_ends_with_notice_and_not_while_it_is_used() -> Result<()> {
    scene("sunset", async |scene| {
        contracts(scene).create_ready(NAME, spec(&two_versions())).await?;
        subscribe(scene, "mail", "v1").await?;
        let access = json!({"name": "orders", "contractRef": reference("v1"), "verbs": ["Send"]});
        client::create(scene, "shop", json!({"access": [access]})).await?;
        client::is_ready(scene, "shop").await?;
        let connection = client::binding(scene, "shop").await?.connect().await?;
        let mut sender = connection.sender(&to("v1")).await?;
        sender.send(Outgoing::new("m1", "{}")).await?.accepted()?;

        for (wanted, word) in [
            (json!({"desiredState": "Draft"}), "never back"),
            (json!({"desiredState": "Retired"}), "one after the other"),
            (json!({"desiredState": "Deprecated"}), "needs a successor"),
            (json!({"messages": version("v1", "Active", &json!({}))["messages"]}), "fixed once"),
        ] {
            is_refused(scene, "v1", &wanted, word).await?;
        }
        change(scene, "v1", &deprecated(SignedDuration::from_secs(6))).await?;
        let at = Timestamp::now();
        let word = |told: Option<Value>| told.map(|told| format!("{} {}", told["reason"], told["message"])).unwrap_or_default();
        let is_told =
            |text: String| ["VersionDeprecated", "v2 has amounts", "to v2", "team orders"].iter().all(|part| text.contains(part));
        let told = |object: &Subscription| is_told(word(condition(object, "ContractDeprecated")));
        subscriptions(scene).when("mail", "is told", seconds(10), told).await?;
        let told = |object: &Client| is_told(word(condition(object, "ContractDeprecated")));
        clients(scene).when("shop", "is told", seconds(10), told).await?;
        is_refused(scene, "v1", &deprecated(SignedDuration::from_secs(-60)), "never moves earlier").await?;

        version_is(scene, "v1", "is in Sunset", |version| version["state"] == "Sunset").await?;
        ensure!(Timestamp::now().duration_since(at) >= SignedDuration::from_secs(3), "the notice was shortened");
        let late = json!({"contractRef": reference("v1"), "deletionPolicy": "Delete"});
        let Err(told) = subscriptions(scene).create("late", late).await else { anyhow::bail!("v1 takes in one more") };
        ensure!(format!("{told:#}").contains("takes no new bindings"), "{told:#}");
        sender.send(Outgoing::new("m2", "{}")).await?.accepted()?;
        got(scene, "mail", &["m1", "m2"]).await?;
        is_refused(scene, "v1", &json!({"desiredState": "Retired"}), "retirable").await?;

        // The subscriber moves, without loss; who sends still holds the version.
        subscriptions(scene).patch("mail", json!({"spec": {"contractRef": {"version": "v2"}}})).await?;
        let moved = |object: &Subscription| is_ready(object) && condition(object, "ContractDeprecated").is_none();
        subscriptions(scene).when("mail", "is no longer told", seconds(10), moved).await?;
        version_is(scene, "v1", "is used by who sends", |version| {
            version["use"]["producers"] == 1 && version["use"]["subscriptions"] == 0 && version["retirable"] != true
        })
        .await?;
        connection.close().await?;
        version_is(scene, "v1", "may be retired", |version| version["retirable"] == true).await?;
        change(scene, "v1", &json!({"desiredState": "Retired"})).await?;
        version_is(scene, "v1", "is retired", |version| version["state"] == "Retired").await?;
        clients(scene)
            .when("shop", "may no longer send", seconds(10), |client| {
                condition(client, "Ready").is_some_and(|ready| ready["reason"] == "VersionRetired")
            })
            .await?;
        let closed =
            async || Ok(send_to(&scene.broker, &scene.namespace, &to("v1"), vec![Outgoing::new("m3", "{}")]).await.is_err());
        holds("v1 is closed", seconds(10), closed).await?;

        // The contract itself does not go while somebody depends on it, unless that is meant; and then not before they are gone.
        version_is(scene, "v2", "is used", |version| version["use"]["subscriptions"] == 1).await?;
        let Err(told) = contracts(scene).delete(NAME).await else { anyhow::bail!("it went while it was in use") };
        ensure!(format!("{told:#}").contains("1 durable subscription"), "{told:#}");
        let meant = json!({"metadata": {"annotations": {"entente.dev/delete-in-use": "orders is no more"}}});
        contracts(scene).patch(NAME, meant).await?;
        contracts(scene).delete(NAME).await?;
        let waits = |contract: &ServiceContract| word(condition(contract, "Ready")).contains("v2 is used by 1 Subscriptions");
        contracts(scene).when(NAME, "waits", seconds(10), waits).await?;
        sends(scene, "v2", "m4").await?;
        subscriptions(scene).delete("mail").await?;
        contracts(scene).gone(NAME, seconds(15)).await.map(drop)
    })
    .await
}

/// Who tries to use v1 after its end is named in its status: who may do something else, and who may not even connect any more.
async fn refused_are_counted(scene: &Scene, moved: &client::Binding, stays: &client::Binding) -> Result<()> {
    for name in ["stays", "moved"] {
        clients(scene).refused(name, "VersionRetired").await?;
    }
    client::must_be_refused(moved, "send under v1", async |it| client::send(it, &to("v1"), "x").await).await?;
    client::send(&moved.connect().await?, &to("v2"), "m2").await?;
    ensure!(stays.connect().await.is_err(), "a Client that may do nothing connects");
    let client = |name: &str| format!("{}/{name}", scene.namespace);
    let counted = |version: &Value| {
        let by = version["refused"]["by"].as_array().cloned().unwrap_or_default();
        ["stays", "moved"]
            .iter()
            .all(|name| by.iter().any(|user| user["client"] == client(name) && user["count"].as_i64() > Some(0)))
    };
    version_is(scene, "v1", "tells who was refused", counted).await?;
    let contract = contracts(scene).api.get(NAME).await?;
    let told = status(&contract);
    println!("refused: {}", of_version(&told, "v1")["refused"]);
    ensure!(of_version(&told, "v2")["refused"].is_null(), "nobody was refused v2: {told}");
    let text = |name: &str| format!("{} was refused v1, which is Retired", client(name));
    let is_told = async || {
        let events = scene.cluster.events(&scene.namespace).list(&ListParams::default()).await?;
        let notes: Vec<String> = events.into_iter().filter_map(|event| event.message).collect();
        Ok(["stays", "moved"].iter().all(|name| notes.iter().any(|note| note.starts_with(&text(name)))))
    };
    holds("Events name them", seconds(20), is_told).await.map(drop)
}

/// Somebody who never moves does not hold a version for ever; and he has had his notice.
#[tokio::test]
async fn a_version_in_use_is_retired_with_a_reason_after_its_notice() -> Result<()> {
    scene("abandoned", async |scene| {
        contracts(scene).create_ready(NAME, spec(&two_versions())).await?;
        subscribe(scene, "mail", "v1").await?;
        subscribe(scene, "other", "v2").await?;
        let access = |name: &str, version: &str| json!({"name": name, "contractRef": reference(version), "verbs": ["Send"]});
        client::create(scene, "stays", json!({"access": [access("old", "v1")]})).await?;
        client::create(scene, "moved", json!({"access": [access("old", "v1"), access("new", "v2")]})).await?;
        client::is_ready(scene, "stays").await?;
        client::is_ready(scene, "moved").await?;
        let (stays, moved) = (client::binding(scene, "stays").await?, client::binding(scene, "moved").await?);
        let mut ended = deprecated(SignedDuration::from_secs(5));
        ended["retireInUse"] = json!("nobody answers for mail any more");
        change(scene, "v1", &ended).await?;
        is_refused(scene, "v1", &json!({"desiredState": "Retired"}), "retirable").await?;
        version_is(scene, "v1", "is in Sunset", |version| version["state"] == "Sunset").await?;
        sends(scene, "v1", "m1").await?;
        change(scene, "v1", &json!({"desiredState": "Retired"})).await?;
        let told = |object: &Subscription| condition(object, "Ready").is_some_and(|ready| ready["reason"] == "VersionRetired");
        subscriptions(scene).when("mail", "is cut off", seconds(10), told).await?;
        got(scene, "mail", &["m1"]).await?;
        refused_are_counted(scene, &moved, &stays).await?;
        let reason = |text: &str| text.contains("to Retired, whoever uses it: nobody answers for mail");
        // Events wait while there is other work.
        let told = async || {
            let events = scene.cluster.events(&scene.namespace).list(&ListParams::default()).await?;
            Ok(events.iter().any(|event| event.message.as_deref().is_some_and(reason)))
        };
        holds("an Event has the reason", seconds(20), told).await.map(drop)
    })
    .await
}
