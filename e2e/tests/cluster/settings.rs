//! What each setting of a Queue means to those who send to it and receive from it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Connection, Incoming, Outcome, Outgoing, address};
use entente_crds::Queue;
use entente_e2e::amqp::{drain, send, send_to};
use entente_e2e::object::Objects;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use fe2o3_amqp_types::messaging::{Body, Header, MessageId, Priority, Properties};
use fe2o3_amqp_types::primitives::{Binary, Value};
use serde_json::json;

/// A second receiver gets nothing for so long: enough for what is on its way.
const SILENCE: Duration = Duration::from_millis(700);

async fn connect(scene: &Scene) -> Result<Connection> {
    scene.broker.connect(&scene.namespace).await
}

#[tokio::test]
async fn settings_are_felt_by_senders_and_receivers() -> Result<()> {
    scene("settings", async |scene| {
        Box::pin(bounds(scene)).await.context("maxBytes, maxLength, overflow")?;
        Box::pin(retries(scene)).await.context("deliveryLimit, retryDelay")?;
        Box::pin(age(scene)).await.context("messageTTL")?;
        Box::pin(one_at_a_time(scene)).await.context("singleActiveConsumer")?;
        Box::pin(priorities(scene)).await.context("priorities")?;
        Box::pin(taken_back(scene)).await.context("consumerTimeout")
    })
    .await
}

async fn bounds(scene: &Scene) -> Result<()> {
    scene.create_ready("bytes", json!({"maxBytes": "4Ki"})).await?;
    let kilobyte = |number: usize| Outgoing::new(format!("m{number}"), vec![b'x'; 1_024]);
    let outcomes = send_to(&scene.broker, &scene.namespace, &address::queue("bytes"), (0..30).map(kilobyte).collect()).await?;
    let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    ensure!((4..30).contains(&taken), "{taken} messages of 1 KiB were taken");
    ensure!(drain(&scene.broker, &scene.namespace, "bytes").await?.len() == taken, "what was taken is there");

    scene.create_ready("newest", json!({"maxLength": 3, "overflow": "DropHead"})).await?;
    send(&scene.broker, &scene.namespace, "newest", 6).await?;
    let kept = drain(&scene.broker, &scene.namespace, "newest").await?;
    ensure!(kept == ["newest-3", "newest-4", "newest-5"], "{kept:?}");
    let pushed_out = drain(&scene.broker, &scene.namespace, "newest.dead").await?;
    ensure!(pushed_out == ["newest-0", "newest-1", "newest-2"], "{pushed_out:?}");
    Ok(())
}

async fn retries(scene: &Scene) -> Result<()> {
    scene.create_ready("retried", json!({"deliveryLimit": 2, "retryDelay": "2s"})).await?;
    send(&scene.broker, &scene.namespace, "retried", 1).await?;
    let connection = connect(scene).await?;
    let mut receiver = connection.receiver(&address::queue("retried"), 1).await?;
    let mut seen = Vec::new();
    while let Ok(delivery) = receiver.recv_timeout(seconds(8)).await {
        seen.push(Instant::now());
        receiver.modify(&delivery, true, false).await?;
    }
    ensure!(seen.len() == 3, "delivered {} times: once, and twice more", seen.len());
    let waits: Vec<Duration> = seen.windows(2).filter_map(|pair| Some(pair.get(1)?.duration_since(*pair.first()?))).collect();
    println!("delivered again after {waits:?}");
    ensure!(waits.iter().all(|wait| *wait >= Duration::from_millis(1_800)), "{waits:?}");
    receiver.close().await?;
    connection.close().await?;
    holds("it is a dead letter", seconds(10), async || {
        Ok(drain(&scene.broker, &scene.namespace, "retried.dead").await? == ["retried-0"])
    })
    .await
    .map(drop)
}

async fn age(scene: &Scene) -> Result<()> {
    scene.create_ready("aged", json!({"messageTTL": "1s"})).await?;
    send(&scene.broker, &scene.namespace, "aged", 1).await?;
    let begun = Instant::now();
    holds("it is a dead letter", seconds(20), async || {
        Ok(drain(&scene.broker, &scene.namespace, "aged.dead").await? == ["aged-0"])
    })
    .await?;
    println!("dead {:?} after it was sent", begun.elapsed());
    ensure!(drain(&scene.broker, &scene.namespace, "aged").await?.is_empty());
    Ok(())
}

async fn one_at_a_time(scene: &Scene) -> Result<()> {
    scene.create_ready("single", json!({"singleActiveConsumer": true})).await?;
    let connection = connect(scene).await?;
    let mut active = connection.receiver(&address::queue("single"), 10).await?;
    let mut standby = connection.receiver(&address::queue("single"), 10).await?;
    send(&scene.broker, &scene.namespace, "single", 4).await?;
    for number in 0..4 {
        let delivery = active.recv_timeout(seconds(10)).await?;
        ensure!(delivery.message_id() == Some(format!("single-{number}")));
        active.accept(&delivery).await?;
    }
    ensure!(standby.recv_timeout(SILENCE).await.is_err(), "the one that stands by got a message");
    active.close().await?;
    send(&scene.broker, &scene.namespace, "single", 1).await?;
    let delivery = standby.recv_timeout(seconds(10)).await.context("nobody took over")?;
    standby.accept(&delivery).await?;
    standby.close().await?;
    connection.close().await?;
    Ok(())
}

async fn priorities(scene: &Scene) -> Result<()> {
    scene.create_ready("urgent", json!({"type": "Classic", "priorities": 10})).await?;
    scene.create_ready("strict", json!({})).await?;
    let connection = connect(scene).await?;
    // A quorum queue knows priorities without a setting.
    for queue in ["urgent", "strict"] {
        let mut sender = connection.sender(&address::queue(queue)).await?;
        for (id, priority) in [("low-0", 1), ("low-1", 1), ("high", 9)] {
            sender.forward(message(id, priority)).await?.outcome().await?.accepted()?;
        }
        sender.close().await?;
        let order = drain(&scene.broker, &scene.namespace, queue).await?;
        ensure!(order == ["high", "low-0", "low-1"], "{queue}: {order:?}");
    }
    connection.close().await?;
    Ok(())
}

fn message(id: &str, priority: u8) -> Incoming {
    Incoming {
        header: Some(Header { durable: true, priority: Priority(priority), ..Header::default() }),
        delivery_annotations: None,
        message_annotations: None,
        properties: Some(Properties::builder().message_id(MessageId::String(id.to_owned())).build()),
        application_properties: None,
        body: Body::Value(fe2o3_amqp_types::messaging::AmqpValue(Value::Binary(Binary::from(b"{}".to_vec())))),
        footer: None,
    }
}

/// Who holds a message for too long loses it to others.
async fn taken_back(scene: &Scene) -> Result<()> {
    scene.create_ready("held", json!({"consumerTimeout": "3s"})).await?;
    send(&scene.broker, &scene.namespace, "held", 1).await?;
    let connection = connect(scene).await?;
    let mut holder = connection.receiver(&address::queue("held"), 1).await?;
    holder.recv_timeout(seconds(10)).await?;
    let begun = Instant::now();
    let other = connect(scene).await?;
    let mut receiver = other.receiver(&address::queue("held"), 1).await?;
    let delivery = receiver.recv_timeout(seconds(60)).await.context("it was not taken back")?;
    println!("taken back from who held it after {:?}", begun.elapsed());
    receiver.accept(&delivery).await?;
    receiver.close().await?;
    other.close().await?;
    Ok(())
}

/// Somebody's queue that is there already: taken as it is where it is alike, and left alone where it is not.
#[tokio::test]
async fn i2_a_queue_that_is_there_is_adopted_only_if_it_is_alike() -> Result<()> {
    scene("adopted", async |scene| {
        // Brings the virtual host.
        scene.create_ready("first", json!({})).await?;
        let host = &scene.namespace;
        let arguments = |name: &str| {
            json!({"x-queue-type": "quorum", "x-dead-letter-exchange": "entente.dead-letters", "x-dead-letter-routing-key": name})
        };
        scene.broker.put(&format!("queues/{host}/alike"), json!({"durable": true, "arguments": arguments("alike")})).await?;
        let other = json!({"x-queue-type": "quorum"});
        scene.broker.put(&format!("queues/{host}/unlike"), json!({"durable": true, "arguments": other})).await?;
        for queue in ["alike", "unlike"] {
            send(&scene.broker, host, queue, 2).await?;
        }
        let queues: Objects<Queue> = Objects::of(&scene.cluster, host);
        scene.create_ready("alike", json!({"maxLength": 100})).await?;
        ensure!(drain(&scene.broker, host, "alike").await? == ["alike-0", "alike-1"]);
        queues.create("unlike", json!({})).await?;
        let message = queues.refused("unlike", "Conflict").await?;
        ensure!(message.contains("x-dead-letter-exchange"), "{message}");
        // It stays as it is, with what is in it, also when the Queue goes: whatever its policy, it was never that queue's.
        queues.delete("unlike").await?;
        queues.gone("unlike", seconds(20)).await?;
        queues.create("unlike", json!({"deletionPolicy": "Delete"})).await?;
        queues.refused("unlike", "Conflict").await?;
        queues.delete("unlike").await?;
        queues.gone("unlike", seconds(20)).await?;
        ensure!(drain(&scene.broker, host, "unlike").await? == ["unlike-0", "unlike-1"]);
        Ok(())
    })
    .await
}
