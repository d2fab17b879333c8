//! Topics that keep their past, and Subscriptions that begin in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outcome, Outgoing, address};
use entente_core::filter::{Field, Message, Value as Typed};
use entente_crds::{Subscription, Topic};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, condition, status};
use entente_e2e::operator;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds, until};
use futures::future::try_join_all;
use serde_json::{Value, json};

const PRODUCERS: usize = 3;
/// Messages of one producer on their way at once.
const WINDOW: usize = 20;

fn topics(scene: &Scene) -> Objects<Topic> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn subscriptions(scene: &Scene) -> Objects<Subscription> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn queue_of(scene: &Scene, name: &str) -> String {
    format!("subscription.{}.{name}", scene.namespace)
}

fn message(id: String, number: usize) -> Outgoing {
    Outgoing::new(id, "{}").subject("orders.new").property("n", i64::try_from(number).unwrap_or_default())
}

/// Sends as fast as the broker takes them, until told to stop. Returns the ids; each was accepted.
async fn produce(scene: &Scene, prefix: &str, stop: &AtomicBool) -> Result<Vec<String>> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut sender = connection.sender(&address::exchange("topic.orders", "")).await?;
    let mut ids = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut pending = Vec::new();
        for _ in 0..WINDOW {
            let id = format!("{prefix}-{}", ids.len());
            pending.push(sender.post(message(id.clone(), ids.len())).await?);
            ids.push(id);
        }
        for outcome in pending {
            let outcome = outcome.outcome().await?;
            ensure!(outcome == Outcome::Accepted, "{prefix}: {outcome:?}");
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    connection.close().await?;
    Ok(ids)
}

async fn flow(scene: &Scene, stop: &AtomicBool) -> Result<Vec<String>> {
    let prefixes: Vec<String> = (0..PRODUCERS).map(|producer| format!("flow{producer}")).collect();
    let sent = try_join_all(prefixes.iter().map(|prefix| produce(scene, prefix, stop))).await?;
    Ok(sent.into_iter().flatten().collect())
}

/// So many messages of the past, all accepted.
async fn send_past(scene: &Scene, count: usize) -> Result<Vec<String>> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut sender = connection.sender(&address::exchange("topic.orders", "")).await?;
    let ids: Vec<String> = (0..count).map(|number| format!("old-{number}")).collect();
    for (number, chunk) in ids.chunks(500).enumerate() {
        let mut pending = Vec::new();
        for (at, id) in chunk.iter().enumerate() {
            pending.push(sender.post(message(id.clone(), number * 500 + at)).await?);
        }
        for outcome in pending {
            outcome.outcome().await?.accepted()?;
        }
    }
    connection.close().await?;
    Ok(ids)
}

/// Each once: says what is not.
fn each_once(what: &str, got: &[String], expected: impl IntoIterator<Item = String>) -> Result<()> {
    let mut counts: BTreeMap<String, i64> = expected.into_iter().map(|id| (id, -1)).collect();
    let expected = counts.len();
    for id in got {
        *counts.entry(id.clone()).or_default() += 1;
    }
    let lost: Vec<_> = counts.iter().filter(|(_, count)| **count < 0).map(|(id, _)| id).collect();
    let surplus: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).map(|(id, _)| id).collect();
    println!("{what}: {} messages, {expected} expected, {} out of order", got.len(), out_of_order(got));
    ensure!(
        lost.is_empty() && surplus.is_empty(),
        "{what}: of {expected} messages {} are lost ({:?} …) and {} too many ({:?} …)",
        lost.len(),
        lost.iter().take(5).collect::<Vec<_>>(),
        surplus.len(),
        surplus.iter().take(5).collect::<Vec<_>>()
    );
    Ok(())
}

/// Messages that come behind a later one of the same sender.
fn out_of_order(ids: &[String]) -> usize {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut behind = 0;
    for (who, number) in ids.iter().filter_map(|id| id.rsplit_once('-')) {
        let Ok(number) = number.parse::<u64>() else { continue };
        let highest = highest.entry(who).or_default();
        behind += usize::from(number < *highest);
        *highest = number.max(*highest);
    }
    behind
}

/// Nothing that a replay has made is left, but its queue.
async fn nothing_is_left(scene: &Scene) -> Result<()> {
    holds("what replays have made is gone", seconds(20), async || {
        let exchanges = scene.broker.get(&format!("exchanges/{}", scene.namespace)).await?.unwrap_or_default();
        let names = exchanges.as_array().cloned().unwrap_or_default();
        let names = names.iter().filter_map(|exchange| exchange["name"].as_str());
        let temporary = |name: &str| matches!(name.rsplit_once('.'), Some((_, "past" | "seam")));
        let queues = scene.broker.queue_names(&scene.namespace).await?;
        Ok(!names.map(str::to_owned).chain(queues).any(|name| temporary(&name)))
    })
    .await
    .map(drop)
}

async fn exchange_is_there(scene: &Scene, name: &str) -> Result<bool> {
    Ok(scene.broker.get(&format!("exchanges/{}/{name}", scene.namespace)).await?.is_some())
}

async fn ready(scene: &Scene, name: &str, since: Instant) -> Result<Value> {
    let object = subscriptions(scene).ready(name, seconds(120)).await?;
    let told = status(&object);
    println!("{name} is Ready after {:.1} s, {} messages replayed", since.elapsed().as_secs_f64(), told["replayed"]);
    Ok(told)
}

/// I1: whoever begins in the past gets each message once, however many are sent while it is replayed.
#[tokio::test]
async fn i1_the_past_and_what_is_sent_meanwhile_come_once() -> Result<()> {
    scene("retention", async |scene| {
        topics(scene).create_ready("orders", json!({"retention": {"maxAge": "1h", "maxBytes": "200Mi"}})).await?;
        // Nobody subscribes yet.
        let past = send_past(scene, 3_000).await?;
        tokio::time::sleep(seconds(2)).await;
        let noon = jiff::Timestamp::now();
        tokio::time::sleep(seconds(2)).await;
        let stop = AtomicBool::new(false);
        let subscribe = async {
            tokio::time::sleep(seconds(3)).await;
            let begun = Instant::now();
            let of = |from: Value, filter: Value| json!({"topicRef": {"name": "orders"}, "from": from, "filter": filter});
            subscriptions(scene).create("all", of(json!("Earliest"), json!(null))).await?;
            subscriptions(scene).create("even", of(json!("Earliest"), json!({"sql": "n % 2 = 0"}))).await?;
            subscriptions(scene).create("since", of(json!(noon.to_string()), json!({"subject": "orders.*"}))).await?;
            let latest = subscriptions(scene).create_ready("latest", of(json!("Latest"), json!(null))).await?;
            ensure!(status(&latest)["replayed"].is_null(), "{}", status(&latest));
            let wait = subscriptions(scene).refused("all", "Replaying").await?;
            println!("while it is replayed: {wait}");
            let all = ready(scene, "all", begun).await?;
            ensure!(all["replayed"].as_u64() > Some(3_000), "{all}");
            ready(scene, "even", begun).await?;
            ready(scene, "since", begun).await?;
            tokio::time::sleep(seconds(2)).await;
            anyhow::Ok(())
        };
        let subscribe = async {
            let done = subscribe.await;
            stop.store(true, Ordering::Relaxed);
            done
        };
        let (sent, subscribed) = tokio::join!(flow(scene, &stop), subscribe);
        subscribed?;
        let sent = sent?;
        println!("{} messages were sent meanwhile by {PRODUCERS} producers", sent.len());
        ensure!(sent.len() > 500, "too few for a test");
        let got = async |name: &str| drain(&scene.broker, &scene.namespace, &queue_of(scene, name)).await;
        let even =
            |id: &&String| id.rsplit_once('-').is_some_and(|(_, number)| number.parse().is_ok_and(|n: u64| n.is_multiple_of(2)));
        each_once("all", &got("all").await?, past.iter().chain(&sent).cloned())?;
        each_once("even", &got("even").await?, past.iter().chain(&sent).filter(even).cloned())?;
        each_once("since", &got("since").await?, sent.iter().cloned())?;
        let latest = got("latest").await?;
        ensure!(!latest.is_empty() && latest.len() < sent.len(), "latest has {} of {}", latest.len(), sent.len());
        ensure!(latest.iter().all(|id| id.starts_with("flow")), "latest has some of the past");
        nothing_is_left(scene).await
    })
    .await
}

/// I1: an operator killed in the middle of a replay, and one killed at the seam, leave nothing lost and nothing doubled.
#[tokio::test]
async fn i1_an_operator_killed_in_the_middle_of_a_replay() -> Result<()> {
    scene("replay", async |scene| {
        topics(scene).create_ready("orders", json!({"retention": {"maxAge": "1h"}})).await?;
        let past = send_past(scene, 30_000).await?;
        let stop = AtomicBool::new(false);
        let queue = queue_of(scene, "all");
        let (mark, seam) = (format!("{queue}.past"), format!("{queue}.seam"));
        let kills = async {
            let begun = Instant::now();
            subscriptions(scene).create("all", json!({"topicRef": {"name": "orders"}, "from": "Earliest"})).await?;
            subscriptions(scene)
                .when("all", "is being replayed", seconds(60), |seen| status(seen)["replayed"].as_u64() > Some(0))
                .await?;
            ensure!(exchange_is_there(scene, &mark).await?, "the past was over before anybody was killed");
            let killed = operator::kill_leader(&scene.cluster).await?.context("nobody leads")?;
            println!("{killed} killed in the middle after {:.1} s", begun.elapsed().as_secs_f64());
            operator::await_leader(&scene.cluster).await?;
            until("the seam is reached", seconds(120), async || {
                let reached = exchange_is_there(scene, &seam).await? && !exchange_is_there(scene, &mark).await?;
                Ok(reached.then_some(()))
            })
            .await?;
            let killed = operator::kill_leader(&scene.cluster).await?.context("nobody leads")?;
            println!("{killed} killed at the seam after {:.1} s", begun.elapsed().as_secs_f64());
            operator::await_leader(&scene.cluster).await?;
            ready(scene, "all", begun).await?;
            tokio::time::sleep(seconds(2)).await;
            anyhow::Ok(())
        };
        let kills = async {
            let done = kills.await;
            stop.store(true, Ordering::Relaxed);
            done
        };
        let (sent, killed) = tokio::join!(flow(scene, &stop), kills);
        killed?;
        let got = drain(&scene.broker, &scene.namespace, &queue).await?;
        each_once("all", &got, past.into_iter().chain(sent?))?;
        nothing_is_left(scene).await
    })
    .await
}

#[tokio::test]
async fn bounds_of_retention_reach_the_broker_and_change() -> Result<()> {
    scene("bounds", async |scene| {
        let topics = topics(scene);
        let both = json!({"retention": {"maxAge": "1h"}, "unrouted": "Discard"});
        ensure!(topics.create("orders", both).await.is_err(), "the API server takes what contradicts itself");
        topics.create_ready("orders", json!({"retention": {"maxAge": "1h"}})).await?;
        let stream = "topic.orders.retained";
        let is = async |key: &str, value: Value| {
            let ask = async || Ok(scene.broker.effective(&scene.namespace, stream, key).await? == Some(value.clone()));
            holds(&format!("{key} is {value}"), seconds(20), ask).await.map(drop)
        };
        is("max-age", json!("3600s")).await?;
        topics.patch("orders", json!({"spec": {"retention": {"maxAge": "2h", "maxBytes": "10Mi"}}})).await?;
        is("max-age", json!("7200s")).await?;
        is("max-length-bytes", json!(10 << 20)).await?;
        // With retention nothing is unrouted.
        let to = address::exchange("topic.orders", "");
        let outcomes = send_to(&scene.broker, &scene.namespace, &to, vec![message("m1".into(), 1)]).await?;
        ensure!(outcomes == [Outcome::Accepted], "{outcomes:?}");

        let spec = json!({"topicRef": {"name": "orders"}, "from": "Earliest"});
        subscriptions(scene).create_ready("first", spec.clone()).await?;
        ensure!(drain(&scene.broker, &scene.namespace, &queue_of(scene, "first")).await? == ["m1"]);
        let moved = subscriptions(scene).patch("first", json!({"spec": {"from": "Latest"}})).await;
        ensure!(moved.is_err_and(|error| error.to_string().contains("from cannot be changed")), "from can be changed");
        subscriptions(scene).delete("first").await?;
        subscriptions(scene).gone("first", seconds(30)).await?;

        topics.patch("orders", json!({"spec": {"retention": null}})).await?;
        topics.ready("orders", seconds(20)).await?;
        holds("it takes no more", seconds(20), async || {
            let outcomes = send_to(&scene.broker, &scene.namespace, &to, vec![message("m2".into(), 2)]).await?;
            Ok(outcomes == [Outcome::Released])
        })
        .await?;
        ensure!(scene.broker.queue(&scene.namespace, stream).await?.is_some(), "what was kept is gone by an edit");
        subscriptions(scene).create("second", spec).await?;
        let message = subscriptions(scene).refused("second", "NotRetained").await?;
        ensure!(message.contains("spec.retention"), "{message}");
        ensure!(scene.broker.queue(&scene.namespace, &queue_of(scene, "second")).await?.is_none(), "it has a queue all the same");
        subscriptions(scene).delete("second").await?;
        topics.delete("orders").await?;
        topics.gone("orders", seconds(30)).await?;
        ensure!(scene.broker.queue_names(&scene.namespace).await?.is_empty(), "something is left");
        Ok(())
    })
    .await
}

/// A message keeps its sender's name, which the broker takes from nobody else.
#[tokio::test]
async fn a_replayed_message_is_as_its_sender_sent_it() -> Result<()> {
    scene("replayed", async |scene| {
        topics(scene).create_ready("orders", json!({"retention": {"maxBytes": "10Mi"}})).await?;
        let user = format!("{}-somebody", scene.namespace);
        scene.broker.put(&format!("users/{user}"), json!({"password": "e2e-somebody", "tags": ""})).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        scene.broker.put(&format!("permissions/{}/{user}", scene.namespace), all).await?;
        let sent = Message {
            properties: BTreeMap::from([
                (Field::UserId, Typed::Binary(user.clone().into_bytes())),
                (Field::MessageId, Typed::Ulong(u64::MAX)),
                (Field::ContentType, Typed::Symbol("text/plain".to_owned())),
            ]),
            application: BTreeMap::from([("small".to_owned(), Typed::Ubyte(7))]),
            ..Message::default()
        };
        let to = address::exchange("topic.orders", "");
        let mut sender = scene.broker.typed_sender(&scene.namespace, (&user, "e2e-somebody"), &to).await?;
        let outcome = sender.post(&sent, "body").await?.await?;
        ensure!(matches!(outcome, fe2o3_amqp_types::messaging::Outcome::Accepted(_)), "{outcome:?}");
        sender.close().await?;
        scene.broker.delete(&format!("users/{user}")).await?;
        subscriptions(scene).create_ready("all", json!({"topicRef": {"name": "orders"}, "from": "Earliest"})).await?;
        let connection = scene.broker.connect(&scene.namespace).await?;
        let mut receiver = connection.receiver(&address::queue(&queue_of(scene, "all")), 1).await?;
        let delivery = receiver.recv_timeout(seconds(10)).await?;
        receiver.accept(&delivery).await?;
        let got = delivery.content.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let properties = got.properties.as_ref().context("it has no properties")?;
        ensure!(properties.user_id.as_ref().is_some_and(|id| id.as_slice() == user.as_bytes()), "{properties:?}");
        ensure!(delivery.message_id() == Some(u64::MAX.to_string()), "{properties:?}");
        ensure!(properties.content_type.as_ref().is_some_and(|text| text.0 == "text/plain"), "{properties:?}");
        ensure!(delivery.property("small") == Some(&7_u8.into()), "{got:?}");
        ensure!(delivery.body_len() == 4, "{got:?}");
        let annotations = format!("{:?}", got.message_annotations);
        ensure!(annotations.contains("x-opt-entente-offset") && !annotations.contains("x-stream-offset"), "{annotations}");
        receiver.close().await?;
        connection.close().await?;
        let told = subscriptions(scene).ready("all", seconds(10)).await?;
        ensure!(condition(&told, "Ready").is_some() && status(&told)["replayed"] == 1, "{}", status(&told));
        Ok(())
    })
    .await
}
