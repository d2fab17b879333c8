//! `make bench-topic`: what a Topic costs its senders, with 1, 10, 100 and 1,000 Subscriptions.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use entente_broker::amqp::{Connection, Outgoing, address};
use entente_crds::{Queue, Subscription, Topic};
use entente_e2e::object::{Objects, is_ready};
use entente_e2e::ranks::rank;
use entente_e2e::report::Report;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
/// One at a time.
const SINGLE: usize = 300;
/// On their way at once, and all of them.
const WINDOW: usize = 200;
const PIPELINED: usize = 6_000;
/// Subscriptions that are made at once.
const AT_ONCE: usize = 16;

/// What a Topic costs its senders, with 1, 10, 100 and 1,000 Subscriptions.
///
/// Needs the chart installed on an otherwise idle cluster. Each Subscription has a filter of its own, and each message matches one of them, so that
/// what grows is the number of filters that are tried and not the number of copies. Latency is from before a send until the broker has
/// accepted the message, one at a time; throughput is of 200 messages on their way at once; arrival is from before a send until a
/// consumer of the Subscription that matches has the message. Everything that is made is removed afterwards.
#[derive(Parser)]
struct Options {}

#[tokio::main]
async fn main() -> Result<()> {
    let Options {} = Options::parse();
    let mut report = Report::new("topic");
    let outcome = scene("topic", async |scene| {
        let topics: Objects<Topic> = Objects::of(&scene.cluster, &scene.namespace);
        topics.create_ready("orders", json!({"unrouted": "Discard"})).await?;
        // One for all: a Subscription is then one queue, and none has settings of its own.
        Objects::<Queue>::of(&scene.cluster, &scene.namespace)
            .create_ready("undeliverable", json!({"deletionPolicy": "Delete"}))
            .await?;
        let mut made = 0;
        for size in SIZES {
            subscribe(scene, made, size, &mut report).await?;
            made = size;
            measure(scene, size, &mut report).await?;
        }
        unsubscribe(scene).await
    })
    .await;
    // What was measured before a failure is worth telling.
    report.write()?;
    outcome
}

fn subscriptions(scene: &Scene) -> Objects<Subscription> {
    Objects::of(&scene.cluster, &scene.namespace)
}

async fn subscribe(scene: &Scene, from: usize, to: usize, report: &mut Report) -> Result<()> {
    let objects = &subscriptions(scene);
    let begun = Instant::now();
    let make = |number: usize| async move {
        let filter = json!({"sql": format!("shard = {number} AND kind IN ('new', 'changed')")});
        let spec = json!({"topicRef": {"name": "orders"}, "filter": filter, "deadLetter": {"queueRef": {"name": "undeliverable"}}, "deletionPolicy": "Delete"});
        objects.create(&format!("s{number}"), spec).await.map(drop)
    };
    stream::iter(from..to).map(make).buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
    holds("all Subscriptions are Ready", seconds(600), async || {
        rest(to).await;
        let all = objects.api.list(&ListParams::default()).await?;
        Ok(all.items.len() == to && all.iter().all(is_ready))
    })
    .await?;
    let took = begun.elapsed();
    report.add(&format!("{to} subscriptions"), "made_per_s", "1/s", ratio(to - from, took), "");
    Ok(())
}

async fn measure(scene: &Scene, size: usize, report: &mut Report) -> Result<()> {
    let case = format!("{size} subscriptions");
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut sender = connection.sender(&address::exchange("topic.orders", "")).await?;
    let mut took = Vec::with_capacity(SINGLE);
    for number in 0..SINGLE {
        let begun = Instant::now();
        sender.send(message(number, size)).await?.accepted()?;
        took.push(begun.elapsed());
    }
    took.sort();
    report.add(&case, "accepted_p50", "ms", millis(rank(&took, 0.5)), "");
    report.add(&case, "accepted_p99", "ms", millis(rank(&took, 0.99)), "");

    let begun = Instant::now();
    for chunk in 0..PIPELINED / WINDOW {
        let mut pending = Vec::with_capacity(WINDOW);
        for number in 0..WINDOW {
            pending.push(sender.post(message(chunk * WINDOW + number, size)).await?);
        }
        for outcome in pending {
            outcome.outcome().await?.accepted()?;
        }
    }
    report.add(&case, "throughput", "1/s", ratio(PIPELINED, begun.elapsed()), "");
    sender.close().await?;
    arrival(scene, &connection, size, &case, report).await?;
    connection.close().await?;
    Ok(())
}

/// By way of the last Subscription that was made.
async fn arrival(scene: &Scene, connection: &Connection, size: usize, case: &str, report: &mut Report) -> Result<()> {
    let queue = format!("subscription.{}.s{}", scene.namespace, size - 1);
    let mut receiver = connection.receiver(&address::queue(&queue), 200).await?;
    while let Ok(delivery) = receiver.recv_timeout(seconds(2)).await {
        receiver.accept(&delivery).await?;
    }
    let mut sender = connection.sender(&address::exchange("topic.orders", "")).await?;
    let mut took = Vec::with_capacity(SINGLE);
    for _ in 0..SINGLE {
        let begun = Instant::now();
        let pending = sender.post(message(size - 1, size)).await?;
        let delivery = receiver.recv_timeout(seconds(10)).await.context("no copy came")?;
        took.push(begun.elapsed());
        receiver.accept(&delivery).await?;
        pending.outcome().await?.accepted()?;
    }
    took.sort();
    report.add(case, "arrival_p50", "ms", millis(rank(&took, 0.5)), "");
    report.add(case, "arrival_p99", "ms", millis(rank(&took, 0.99)), "");
    receiver.close().await?;
    sender.close().await?;
    Ok(())
}

/// So many take longer to go than a namespace may.
async fn unsubscribe(scene: &Scene) -> Result<()> {
    let objects = subscriptions(scene);
    let begun = Instant::now();
    objects.api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    holds("all Subscriptions are gone", seconds(600), async || {
        rest(1_000).await;
        Ok(objects.api.list(&ListParams::default()).await?.items.is_empty())
    })
    .await?;
    println!("all gone after {:.0} s", begun.elapsed().as_secs_f64());
    let left = scene.broker.queue_names(&scene.namespace).await?;
    ensure!(left.iter().all(|name| !name.starts_with("subscription.")), "queues are left: {left:?}");
    Ok(())
}

/// To list a thousand objects twenty times a second would be what is measured.
async fn rest(objects: usize) {
    tokio::time::sleep(Duration::from_millis(u64::try_from(objects).unwrap_or_default())).await;
}

fn message(number: usize, size: usize) -> Outgoing {
    let shard = i64::try_from(number % size).unwrap_or_default();
    Outgoing::new(format!("m{number}"), "{}").property("shard", shard).property("kind", "new")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss)]
fn ratio(count: usize, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64()
}
