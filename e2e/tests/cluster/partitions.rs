//! Queues with partitions, by messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::redrive::{End, Redrive, redrive};
use entente_broker::amqp::{Outgoing, address};
use entente_crds::Queue;
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, condition, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::client;

/// Different values of the property.
const CUSTOMERS: usize = 40;

fn queues(scene: &Scene) -> Objects<Queue> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn part(number: usize) -> String {
    format!("part.orders.{number}")
}

fn spec(count: usize) -> Value {
    json!({"partitions": {"count": count, "by": "customer"}, "singleActiveConsumer": true})
}

fn grown(count: usize) -> Value {
    json!({"spec": {"partitions": {"count": count}}})
}

/// Messages `<prefix>.<customer>.<number>`, those of all customers mixed.
fn orders(prefix: &str, each: usize) -> Vec<Outgoing> {
    let ids = (0..each).flat_map(|number| (0..CUSTOMERS).map(move |customer| (customer, number)));
    ids.map(|(customer, number)| {
        Outgoing::new(format!("{prefix}.{customer}.{number}"), "x").property("customer", format!("c{customer}"))
    })
    .collect()
}

/// Sends to the front, without waiting for each, and returns when the broker has accepted all.
async fn send(scene: &Scene, messages: Vec<Outgoing>) -> Result<()> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut sender = connection.sender(&address::exchange("queue.orders", "")).await?;
    let mut pending = Vec::with_capacity(messages.len());
    for message in messages {
        pending.push(sender.post(message).await?);
    }
    for outcome in pending {
        outcome.outcome().await?.accepted()?;
    }
    connection.close().await?;
    Ok(())
}

/// What is in each part, in order.
async fn drain_parts(scene: &Scene, count: usize) -> Result<Vec<Vec<String>>> {
    let names: Vec<String> = (0..count).map(part).collect();
    try_join_all(names.iter().map(|name| drain(&scene.broker, &scene.namespace, name))).await
}

/// Checks that each customer is in one part alone and in order, and says in which. `each` are the messages of one customer.
fn placed(parts: &[Vec<String>], each: usize) -> Result<BTreeMap<String, usize>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for (number, ids) in parts.iter().enumerate() {
        for id in ids {
            let [_, customer, sequence] = id.split('.').collect::<Vec<_>>()[..] else { anyhow::bail!("{id}?") };
            let place = *places.entry(customer.to_owned()).or_insert(number);
            ensure!(place == number, "customer {customer} is in part {place} and in {number}");
            let due = next.entry(customer.to_owned()).or_default();
            ensure!(sequence == due.to_string(), "customer {customer}: {sequence} came in the place of {due}");
            *due += 1;
        }
    }
    ensure!(next.len() == CUSTOMERS && next.values().all(|count| *count == each), "messages are missing: {next:?}");
    Ok(places)
}

fn used(places: &BTreeMap<String, usize>) -> BTreeSet<usize> {
    places.values().copied().collect()
}

/// Queues that messages are sent to, as the broker has them.
async fn bound(scene: &Scene) -> Result<BTreeSet<String>> {
    let all = scene.broker.definitions(&scene.namespace).await?["bindings"].as_array().cloned().unwrap_or_default();
    let of_ring = all.iter().filter(|binding| binding["source"] == "part.orders");
    Ok(of_ring.filter_map(|binding| Some(binding["destination"].as_str()?.to_owned())).collect())
}

async fn is_bound(scene: &Scene, count: usize, limit: Duration) -> Result<Duration> {
    let wanted: BTreeSet<String> = (0..count).map(part).collect();
    holds(&format!("{count} parts get messages"), limit, async || Ok(bound(scene).await? == wanted)).await
}

#[tokio::test]
async fn each_value_is_in_one_part_and_in_order() -> Result<()> {
    scene("parts", async |scene| {
        queues(scene).create_ready("audit", json!({})).await?;
        let mut tapped = spec(4);
        tapped["taps"] = json!([{"name": "audit", "queueRef": {"name": "audit"}}]);
        queues(scene).create_ready("orders", tapped).await?;
        is_bound(scene, 4, seconds(20)).await?;
        let told = status(&queues(scene).ready("orders", seconds(20)).await?);
        ensure!(told["sendAddress"] == "/exchanges/queue.orders" && told["address"].is_null(), "{told}");
        let addresses: Vec<&str> =
            told["partitions"].as_array().into_iter().flatten().filter_map(|it| it["address"].as_str()).collect();
        ensure!(
            addresses == ["/queues/part.orders.0", "/queues/part.orders.1", "/queues/part.orders.2", "/queues/part.orders.3"]
        );

        // Two consumers for each part, at work while messages come.
        let mut consumers = Vec::new();
        for number in 0..4 {
            for _ in 0..2 {
                let connection = scene.broker.connect(&scene.namespace).await?;
                let mut receiver = connection.receiver(&address::queue(&part(number)), 20).await?;
                consumers.push(async move {
                    let mut ids = Vec::new();
                    while let Ok(delivery) = receiver.recv_timeout(seconds(5)).await {
                        receiver.accept(&delivery).await?;
                        ids.push(delivery.message_id().unwrap_or_default());
                    }
                    receiver.close().await?;
                    connection.close().await?;
                    anyhow::Ok((number, ids))
                });
            }
        }
        let (received, ()) = tokio::try_join!(try_join_all(consumers), send(scene, orders("a", 50)))?;
        let mut parts = vec![Vec::new(); 4];
        for (number, ids) in received {
            parts[number].extend(ids);
        }
        let places = placed(&parts, 50)?;
        ensure!(used(&places).len() == 4, "{places:?}");
        println!(
            "customers in each part: {:?}",
            (0..4).map(|number| places.values().filter(|it| **it == number).count()).collect::<Vec<_>>()
        );
        ensure!(drain(&scene.broker, &scene.namespace, "audit").await?.len() == 50 * CUSTOMERS, "the tap lacks copies");
        Ok(())
    })
    .await
}

/// I1: whatever its property is, a message has a place, and the same one each time.
#[tokio::test]
async fn i1_a_message_without_the_property_has_a_place() -> Result<()> {
    scene("no-property", async |scene| {
        queues(scene).create_ready("orders", spec(4)).await?;
        let odd = |round: usize| {
            let message = |name: &str| Outgoing::new(format!("{name}-{round}"), "x");
            vec![
                message("none"),
                message("other").property("k", "v"),
                message("text").property("customer", "5"),
                message("int").property("customer", 5_i32),
                message("ulong").property("customer", 5_u64),
                message("double").property("customer", 5.0_f64),
                message("nan").property("customer", f64::NAN),
                message("true").property("customer", true),
                message("empty").property("customer", ""),
            ]
        };
        for round in 0..3 {
            let outcomes = send_to(&scene.broker, &scene.namespace, "/exchanges/queue.orders", odd(round)).await?;
            for outcome in outcomes {
                outcome.accepted()?;
            }
        }
        let parts = drain_parts(scene, 4).await?;
        ensure!(parts.iter().map(Vec::len).sum::<usize>() == 27, "{parts:?}");
        let place = |id: &str| parts.iter().position(|ids| ids.iter().any(|seen| seen == id));
        for name in ["none", "other", "text", "int", "ulong", "double", "nan", "true", "empty"] {
            let places: BTreeSet<_> = (0..3).map(|round| place(&format!("{name}-{round}"))).collect();
            ensure!(places.len() == 1, "{name} is not always in the same part: {parts:?}");
        }
        ensure!(place("none-0") == place("other-0") && place("none-0") == place("nan-0"), "{parts:?}");
        ensure!(place("int-0") == place("ulong-0"), "numbers of one value: {parts:?}");
        println!("{parts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i1_it_grows_when_all_parts_are_empty() -> Result<()> {
    scene("grow", async |scene| {
        let orders_queue = queues(scene);
        orders_queue.create_ready("orders", spec(2)).await?;
        send(scene, orders("a", 3)).await?;
        orders_queue.patch("orders", grown(4)).await?;
        let waits = |queue: &Queue| {
            let seen = condition(queue, "PartitionsReady").unwrap_or_default();
            let message = seen["message"].as_str().unwrap_or_default();
            seen["reason"] == "PartsNotEmpty" && message.contains(&format!("{} messages are left", 3 * CUSTOMERS))
        };
        let queue = orders_queue.when("orders", "says what it waits for", seconds(30), waits).await?;
        ensure!(condition(&queue, "Ready").unwrap_or_default()["status"] == "True", "it can be used meanwhile");
        // The further parts are there for consumers, and get nothing yet.
        for number in 2..4 {
            ensure!(scene.broker.queue(&scene.namespace, &part(number)).await?.is_some());
        }
        tokio::time::sleep(seconds(8)).await;
        ensure!(bound(scene).await?.len() == 2, "it grew with messages waiting");
        let before = placed(&drain_parts(scene, 4).await?, 3)?;
        ensure!(used(&before) == [0, 1].into());

        let took = is_bound(scene, 4, seconds(40)).await?;
        println!("grown {took:?} after it was empty");
        orders_queue
            .when("orders", "has all parts", seconds(20), |queue| {
                condition(queue, "PartitionsReady").is_some_and(|seen| seen["status"] == "True")
            })
            .await?;
        send(scene, orders("b", 3)).await?;
        let after = placed(&drain_parts(scene, 4).await?, 3)?;
        ensure!(used(&after).len() == 4, "{after:?}");
        let stayed = after.iter().filter(|(customer, place)| before[*customer] == **place).count();
        println!("{stayed} of {CUSTOMERS} customers stayed where they were");

        let refused = orders_queue.patch("orders", grown(3)).await.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("partitions can only grow"), "a smaller count: {refused}");

        // Order is not kept if that is what somebody wants.
        send(scene, orders("c", 1)).await?;
        orders_queue.patch("orders", json!({"spec": {"partitions": {"count": 5, "grow": "AtOnce"}}})).await?;
        let took = is_bound(scene, 5, seconds(20)).await?;
        println!("grown at once in {took:?}");
        placed(&drain_parts(scene, 5).await?, 1)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_deleted_of_it_at_the_broker_is_put_back() -> Result<()> {
    scene("parts-drift", async |scene| {
        queues(scene).create_ready("orders", spec(3)).await?;
        is_bound(scene, 3, seconds(20)).await?;
        let host = &scene.namespace;
        send(scene, orders("a", 1)).await?;
        let before = placed(&drain_parts(scene, 3).await?, 1)?;

        // With the exchange back, each value is where it was.
        scene.broker.delete(&format!("exchanges/{host}/part.orders")).await?;
        let took = is_bound(scene, 3, seconds(20)).await?;
        println!("the exchange is back in {took:?}");
        let front = async || {
            let all = scene.broker.definitions(host).await?["bindings"].as_array().cloned().unwrap_or_default();
            Ok(all.iter().any(|it| it["source"] == "queue.orders" && it["destination"] == "part.orders"))
        };
        holds("the front leads to it", seconds(10), front).await?;
        send(scene, orders("b", 1)).await?;
        ensure!(placed(&drain_parts(scene, 3).await?, 1)? == before, "values have moved");

        scene.broker.delete(&format!("exchanges/{host}/queue.orders")).await?;
        let took = holds("the front is back", seconds(20), front).await?;
        println!("the front is back in {took:?}");

        // What was in the other parts must be consumed first.
        scene.broker.delete(&format!("queues/{host}/part.orders.1")).await?;
        let took = is_bound(scene, 3, seconds(40)).await?;
        println!("a part is back in {took:?}");

        // Somebody else's queue in the ring would take messages away.
        queues(scene).create_ready("other", json!({})).await?;
        let (status, answer) =
            scene.broker.post(&format!("bindings/{host}/e/part.orders/q/other"), json!({"routing_key": "1"})).await?;
        ensure!(status.is_success(), "{answer}");
        // And one that is there already is forgotten by the broker with its second binding.
        let (status, answer) =
            scene.broker.post(&format!("bindings/{host}/e/part.orders/q/part.orders.0"), json!({"routing_key": "2"})).await?;
        ensure!(status.is_success(), "{answer}");
        // The broker's events of what others add are not listened to: the next look at the whole virtual host finds it, each 60 s.
        holds("the strays are gone", seconds(90), async || {
            let all = scene.broker.definitions(host).await?["bindings"].as_array().cloned().unwrap_or_default();
            let mut of_ring: Vec<_> = all.iter().filter(|it| it["source"] == "part.orders").collect();
            of_ring.retain(|it| it["routing_key"] == "1" && it["destination"] != "other");
            Ok(of_ring.len() == 3 && all.iter().filter(|it| it["source"] == "part.orders").count() == 3)
        })
        .await?;
        send(scene, orders("c", 1)).await?;
        let after = placed(&drain_parts(scene, 3).await?, 1)?;
        ensure!(used(&after).len() == 3, "{after:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i1_all_parts_must_be_empty_before_it_goes() -> Result<()> {
    scene("parts-delete", async |scene| {
        queues(scene).create_ready("orders", json!({"partitions": {"count": 3, "by": "customer"}, "maxLength": 1_000})).await?;
        is_bound(scene, 3, seconds(20)).await?;
        send(scene, orders("a", 1)).await?;
        queues(scene).delete("orders").await?;
        let message = queues(scene).refused("orders", "NotEmpty").await?;
        ensure!(message.contains(&CUSTOMERS.to_string()), "{message}");
        placed(&drain_parts(scene, 3).await?, 1)?;
        let took = queues(scene).gone("orders", seconds(40)).await?;
        println!("gone {took:?} after it was emptied");
        let left = scene.broker.definitions(&scene.namespace).await?;
        ensure!(left["queues"] == json!([]) && left["bindings"] == json!([]), "{left}");
        let text = left.to_string();
        ensure!(!text.contains("part.orders") && !text.contains("queue.orders"), "{text}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i1_fewer_parts_than_the_broker_has_are_refused() -> Result<()> {
    scene("parts-retain", async |scene| {
        let mut retained = spec(3);
        retained["deletionPolicy"] = json!("Retain");
        queues(scene).create_ready("orders", retained).await?;
        is_bound(scene, 3, seconds(20)).await?;
        send(scene, orders("a", 1)).await?;
        queues(scene).delete("orders").await?;
        queues(scene).gone("orders", seconds(20)).await?;
        for fewer in [spec(2), json!({})] {
            queues(scene).create("orders", fewer).await?;
            let message = queues(scene).refused("orders", "Conflict").await?;
            ensure!(message.contains("part.orders."), "{message}");
            queues(scene).patch("orders", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
            queues(scene).delete("orders").await?;
            queues(scene).gone("orders", seconds(20)).await?;
        }
        queues(scene).create_ready("orders", spec(3)).await?;
        placed(&drain_parts(scene, 3).await?, 1)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i3_a_client_has_rights_to_all_parts_and_to_no_others() -> Result<()> {
    scene("parts-client", async |scene| {
        queues(scene).create_ready("orders", spec(2)).await?;
        queues(scene).create_ready("others", spec(2)).await?;
        let access = json!({"name": "orders", "queueRef": {"name": "orders"}, "verbs": ["Send", "Receive"]});
        client::create(scene, "web", json!({"access": [access]})).await?;
        client::is_ready(scene, "web").await?;
        let binding = client::binding(scene, "web").await?;
        ensure!(binding.get("address.orders")? == "/exchanges/queue.orders");
        ensure!(binding.get("address.orders.parts")? == "/queues/part.orders.0,/queues/part.orders.1");
        let connection = binding.connect().await?;
        client::send(&connection, &binding.get("address.orders.send")?, "one").await?;
        let parts = binding.get("address.orders.parts")?;
        let mut got = Vec::new();
        for address in parts.split(',') {
            let mut receiver = connection.receiver(address, 1).await?;
            if let Ok(delivery) = receiver.recv_timeout(seconds(2)).await {
                receiver.accept(&delivery).await?;
                got.extend(delivery.message_id());
            }
            receiver.close().await?;
        }
        ensure!(got == ["one"], "{got:?}");
        client::must_be_refused(&binding, "a part of another Queue", async |it| {
            it.receiver("/queues/part.others.0", 1).await.map(drop)
        })
        .await?;
        client::must_be_refused(&binding, "past the front", async |it| client::send(it, "/exchanges/part.orders", "x").await)
            .await?;
        client::must_be_refused(&binding, "into a part", async |it| client::send(it, "/queues/part.orders.0", "x").await).await?;

        // More parts are within the same right: nobody's connection is closed.
        queues(scene).patch("orders", grown(3)).await?;
        is_bound(scene, 3, seconds(40)).await?;
        holds("the Secret names the third part", seconds(20), async || {
            Ok(client::binding(scene, "web").await?.get("address.orders.parts")?.ends_with(",/queues/part.orders.2"))
        })
        .await?;
        connection.receiver("/queues/part.orders.2", 1).await?.close().await?;
        connection.close().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn dead_letters_of_all_parts_are_in_one_queue_and_go_back() -> Result<()> {
    scene("parts-dead", async |scene| {
        let told = status(&queues(scene).create_ready("orders", spec(3)).await?);
        is_bound(scene, 3, seconds(20)).await?;
        ensure!(told["partitions"].as_array().is_some_and(|parts| parts.len() == 3), "{told}");
        send(scene, orders("a", 1)).await?;
        // Not only there, but bound: what dies before that is kept by its part, and tried again after minutes.
        let bound = |queue: &Queue| condition(queue, "DeadLetterReady").is_some_and(|condition| condition["status"] == "True");
        queues(scene).when("orders", "has a place for dead letters", seconds(30), bound).await?;
        let mut before = vec![BTreeSet::new(); 3];
        for (number, ids) in before.iter_mut().enumerate() {
            let connection = scene.broker.connect(&scene.namespace).await?;
            let mut receiver = connection.receiver(&address::queue(&part(number)), 50).await?;
            while let Ok(delivery) = receiver.recv_timeout(seconds(1)).await {
                receiver.reject(&delivery, "to be a dead letter").await?;
                ids.extend(delivery.message_id());
            }
            receiver.close().await?;
            connection.close().await?;
        }
        let rejected: usize = before.iter().map(BTreeSet::len).sum();
        ensure!(rejected == CUSTOMERS, "only {rejected} were received");
        holds("all are dead letters", seconds(20), async || {
            let dead = scene.messages("orders.dead").await?;
            ensure!(dead == Some(i64::try_from(CUSTOMERS)?), "there are {dead:?}");
            Ok(true)
        })
        .await?;
        let options = scene.broker.options(&scene.namespace)?;
        let report = redrive(&options, &Redrive::new("orders.dead"), |_| {}).await?;
        ensure!(report.end == End::Through && report.progress.moved == CUSTOMERS as u64, "{report}");
        let after: Vec<BTreeSet<String>> =
            drain_parts(scene, 3).await?.into_iter().map(|ids| ids.into_iter().collect()).collect();
        ensure!(after == before, "they went elsewhere");
        queues(scene).ready("orders", seconds(10)).await.context("it is as it was")?;
        Ok(())
    })
    .await
}
