//! Dead letters back to where they came from, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::redrive::{End, Failed, Progress, Redrive, Report, Target, redrive};
use entente_broker::amqp::{Delivery, Error, Outgoing, address};
use entente_core::filter::parse;
use entente_e2e::amqp::drain;
use entente_e2e::chance::{Chance, seed};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

/// Messages that can be on their way at once, and so be there twice after a kill.
const WINDOW: usize = 100;

#[tokio::test]
async fn dead_letters_go_back_whole() -> Result<()> {
    scene("redrive", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        die_by_rejection(scene, "orders", 500).await?;
        let report = run(scene, &Redrive::new("orders.dead")).await??;
        ensure!(report == Report { progress: Progress { moved: 500, ..Progress::default() }, end: End::Through }, "{report}");
        ensure!(scene.messages("orders.dead").await? == Some(0), "dead letters are left");

        let received = take(scene, "orders").await?;
        ensure!(ids(&received) == (0..500).collect::<Vec<_>>(), "other messages: {:?}", ids(&received));
        for delivery in &received {
            let content = delivery.content.as_ref().map_err(|why| anyhow::anyhow!("unreadable: {why}"))?;
            let number = delivery.message_id().unwrap_or_default();
            ensure!(delivery.delivery_count() == 0, "{content:?}");
            ensure!(content.header.as_ref().is_some_and(|header| header.durable), "{content:?}");
            let properties = content.properties.as_ref().context("no properties")?;
            ensure!(properties.subject.as_deref() == Some("orders.new"), "{content:?}");
            ensure!(
                delivery.property("country").is_some() && delivery.body_len() == format!("body {number}").len(),
                "{content:?}"
            );
            let annotations = format!("{:?}", content.message_annotations);
            ensure!(
                !annotations.contains("death") && !annotations.contains("-count"),
                "what the broker noted is left: {annotations}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_does_not_match_stays_as_it_was() -> Result<()> {
    scene("redrive-filter", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        die_by_rejection(scene, "orders", 500).await?;
        let mut plan = Redrive::new("orders.dead");
        plan.filter = Some(parse("country = 'NL' AND amount >= 100")?);
        let report = run(scene, &plan).await??;
        // Half of 100 to 499 is from NL.
        ensure!(report.progress == Progress { moved: 200, not_matched: 300, ..Progress::default() }, "{report}");
        ensure!(ids(&take(scene, "orders").await?) == (100..500).filter(|number| number % 2 == 0).collect::<Vec<_>>());
        ensure!(scene.messages("orders.dead").await? == Some(300));

        // No more is held than was said, and no more is moved.
        plan.filter = Some(parse("amount > 499")?);
        plan.max_held = 40;
        let report = run(scene, &plan).await??;
        ensure!(report.end == End::TooManyHeld && report.progress.not_matched == 40, "{report}");
        plan = Redrive::new("orders.dead");
        plan.limit = Some(7);
        plan.to = Target::Address(address::queue("orders"));
        let report = run(scene, &plan).await??;
        ensure!(report.end == End::Limit && report.progress.moved == 7, "{report}");

        holds("all that stays is there", seconds(10), async || Ok(scene.messages("orders.dead").await? == Some(293))).await?;
        let left = take(scene, "orders.dead").await?;
        ensure!(left.len() == 293, "{} are left", left.len());
        // Once: by the rejection of which they died.
        ensure!(left.iter().all(|delivery| delivery.delivery_count() == 1), "staying was counted as a failed delivery");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rate_is_kept() -> Result<()> {
    scene("redrive-rate", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        die_by_rejection(scene, "orders", 500).await?;
        let mut plan = Redrive::new("orders.dead");
        plan.rate = Some(100.0);
        let begin = Instant::now();
        let mut last = begin;
        let report = redrive(&scene.broker.options(&scene.namespace)?, &plan, |_| last = Instant::now()).await?;
        let took = last - begin;
        println!("redrive: 500 messages at 100/s took {took:?}");
        ensure!(report.progress.moved == 500, "{report}");
        ensure!(took >= Duration::from_millis(4_900), "500 messages at 100/s took {took:?}");
        Ok(())
    })
    .await
}

/// I1: the task is ended at random points, again and again.
#[tokio::test]
async fn i1_a_killed_redrive_loses_nothing() -> Result<()> {
    let seed = seed()?;
    let mut random = Chance::of(seed);
    scene("redrive-killed", async |scene| {
        // They die by age; then age is no reason any more.
        scene.create_ready("orders", json!({"messageTTL": "1s"})).await?;
        post(scene, "orders", 500).await?;
        holds("all are dead", seconds(60), async || Ok(scene.messages("orders.dead").await? == Some(500))).await?;
        scene.patch("orders", json!({"spec": {"messageTTL": null}})).await?;
        holds("messages do not age", seconds(10), async || {
            Ok(scene.broker.effective(&scene.namespace, "orders", "message-ttl").await?.is_none())
        })
        .await?;

        let mut kills = 0;
        for _ in 0..5 {
            let until = random.below(120);
            let moved = Arc::new(AtomicU64::new(0));
            let task = tokio::spawn({
                let (options, moved) = (scene.broker.options(&scene.namespace)?, Arc::clone(&moved));
                async move {
                    redrive(&options, &Redrive::new("orders.dead"), |now| moved.store(now.moved, Ordering::SeqCst))
                        .await
                        .map(drop)
                }
            });
            while !task.is_finished() && moved.load(Ordering::SeqCst) < until {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            tokio::time::sleep(Duration::from_micros(random.below(3_000))).await;
            task.abort();
            let killed = task.await.is_err_and(|error| error.is_cancelled());
            kills += usize::from(killed);
            println!("redrive: killed after {} messages: {killed}", moved.load(Ordering::SeqCst));
        }
        ensure!(kills > 0, "no run was killed");
        holds("all are moved", seconds(60), async || {
            let report = run(scene, &Redrive::new("orders.dead")).await??;
            println!("redrive: {report}");
            Ok(scene.messages("orders.dead").await? == Some(0))
        })
        .await?;

        let mut copies = BTreeMap::<String, usize>::new();
        for id in drain(&scene.broker, &scene.namespace, "orders").await? {
            *copies.entry(id).or_default() += 1;
        }
        let twice: usize = copies.values().map(|count| count - 1).sum();
        println!("redrive: {kills} kills, {twice} of 500 messages more than once");
        let lost: Vec<_> = (0..500).filter(|number| !copies.contains_key(&number.to_string())).collect();
        ensure!(lost.is_empty(), "seed {seed}: lost: {lost:?}");
        ensure!(twice <= kills * WINDOW, "seed {seed}: {twice} doubled by {kills} kills");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_full_target_ends_it_and_nothing_is_lost() -> Result<()> {
    scene("redrive-full", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        die_by_rejection(scene, "orders", 400).await?;
        scene.patch("orders", json!({"spec": {"maxLength": 100}})).await?;
        holds("the queue is bounded", seconds(10), async || {
            Ok(scene.broker.effective(&scene.namespace, "orders", "max-length").await? == Some(json!(100)))
        })
        .await?;
        let failed = match run(scene, &Redrive::new("orders.dead")).await? {
            Ok(report) => anyhow::bail!("a full queue took all: {report}"),
            Err(failed) => failed,
        };
        println!("redrive: {failed}");
        ensure!(matches!(failed.error, Error::Rejected { .. }), "{failed:?}");
        let moved = i64::try_from(failed.progress.moved)?;
        ensure!((1..400).contains(&moved), "{failed}");
        holds("each message is in one queue", seconds(10), async || {
            let (target, dead) = (scene.messages("orders").await?, scene.messages("orders.dead").await?);
            ensure!(target == Some(moved) && dead == Some(400 - moved), "{target:?} and {dead:?} after {moved}");
            Ok(true)
        })
        .await?;

        scene.patch("orders", json!({"spec": {"maxLength": null}})).await?;
        holds("the queue has no bound", seconds(10), async || {
            Ok(scene.broker.effective(&scene.namespace, "orders", "max-length").await?.is_none())
        })
        .await?;
        let report = run(scene, &Redrive::new("orders.dead")).await??;
        ensure!(report.progress.moved == 400 - failed.progress.moved, "{report}");
        let mut all = ids(&take(scene, "orders").await?);
        all.sort_unstable();
        ensure!(all == (0..400).collect::<Vec<_>>(), "lost or doubled: {all:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn messages_that_die_again_are_sent_once() -> Result<()> {
    scene("redrive-poison", async |scene| {
        scene.create_ready("orders", json!({"messageTTL": "100ms"})).await?;
        post(scene, "orders", 50).await?;
        holds("all are dead", seconds(60), async || Ok(scene.messages("orders.dead").await? == Some(50))).await?;
        let report = tokio::time::timeout(seconds(60), run(scene, &Redrive::new("orders.dead"))).await???;
        let expected = Progress { moved: 50, returned: 50, ..Progress::default() };
        ensure!(report == Report { progress: expected, end: End::Through }, "{report}");
        // Another run takes them for dead letters like others.
        let report = tokio::time::timeout(seconds(60), run(scene, &Redrive::new("orders.dead"))).await???;
        ensure!(report.progress == expected, "{report}");
        ensure!(take(scene, "orders.dead").await?.len() == 50);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_letter_goes_to_its_own_queue() -> Result<()> {
    scene("redrive-source", async |scene| {
        scene.create_ready("graves", json!({})).await?;
        for queue in ["bills", "orders"] {
            scene
                .create_ready(queue, json!({"deadLetter": {"queueRef": {"name": "graves"}}, "deletionPolicy": "Delete"}))
                .await?;
            holds("dead letters have a way", seconds(10), async || {
                let bound = scene.broker.get(&format!("bindings/{}/e/entente.dead-letters/q/graves", scene.namespace)).await?;
                Ok(bound.is_some_and(|bound| bound.to_string().contains(&format!("\"routing_key\":\"{queue}\""))))
            })
            .await?;
            post(scene, queue, 20).await?;
            reject_all(scene, queue, 20).await?;
        }
        holds("all are dead", seconds(60), async || Ok(scene.messages("graves").await? == Some(40))).await?;
        scene.delete("bills").await?;
        scene.gone("bills", seconds(30)).await?;
        let report = run(scene, &Redrive::new("graves")).await??;
        ensure!(report.progress == Progress { moved: 20, homeless: 20, ..Progress::default() }, "{report}");
        ensure!(ids(&take(scene, "orders").await?) == (0..20).collect::<Vec<_>>());
        // A queue that is not there is told before anything is touched.
        let mut plan = Redrive::new("graves");
        plan.to = Target::Address(address::queue("nowhere"));
        let failed = run(scene, &plan).await?.err().context("there is no such queue")?;
        ensure!(matches!(failed.error, Error::Refused { .. }) && failed.progress == Progress::default(), "{failed:?}");
        plan.to = Target::Address(address::queue("orders"));
        let report = run(scene, &plan).await??;
        ensure!(report.progress.moved == 20, "{report}");
        Ok(())
    })
    .await
}

async fn run(scene: &Scene, plan: &Redrive) -> Result<Result<Report, Failed>> {
    Ok(redrive(&scene.broker.options(&scene.namespace)?, plan, |_| ()).await)
}

/// Sends messages with the ids 0, 1, …; every other one is from NL.
async fn post(scene: &Scene, queue: &str, count: usize) -> Result<()> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut sender = connection.sender(&address::queue(queue)).await?;
    let mut pending = Vec::with_capacity(count);
    for number in 0..count {
        let country = if number % 2 == 0 { "NL" } else { "BE" };
        let message = Outgoing::new(number.to_string(), format!("body {number}")).subject("orders.new");
        let message = message.property("country", country).property("amount", i64::try_from(number)?);
        pending.push(sender.post(message).await?);
    }
    for outcome in pending {
        outcome.outcome().await?.accepted()?;
    }
    sender.close().await?;
    Ok(connection.close().await?)
}

async fn reject_all(scene: &Scene, queue: &str, count: usize) -> Result<()> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut receiver = connection.receiver(&address::queue(queue), 200).await?;
    for _ in 0..count {
        let delivery = receiver.recv_timeout(seconds(10)).await?;
        receiver.reject(&delivery, "a test").await?;
    }
    receiver.close().await?;
    Ok(connection.close().await?)
}

async fn die_by_rejection(scene: &Scene, queue: &str, count: usize) -> Result<()> {
    let dead = format!("{queue}.dead");
    holds("dead letters have a queue", seconds(20), async || Ok(scene.broker.queue(&scene.namespace, &dead).await?.is_some()))
        .await?;
    post(scene, queue, count).await?;
    reject_all(scene, queue, count).await?;
    let expected = i64::try_from(count)?;
    holds("all are dead", seconds(60), async || Ok(scene.messages(&dead).await? == Some(expected))).await.map(drop)
}

/// Receives and accepts whatever is in a queue.
async fn take(scene: &Scene, queue: &str) -> Result<Vec<Delivery>> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut receiver = connection.receiver(&address::queue(queue), 200).await?;
    let mut all = Vec::new();
    while let Ok(delivery) = receiver.recv_timeout(seconds(1)).await {
        receiver.accept(&delivery).await?;
        all.push(delivery);
    }
    receiver.close().await?;
    connection.close().await?;
    Ok(all)
}

/// In order of the ids: at-least-once dead lettering keeps every message, but not their order.
fn ids(received: &[Delivery]) -> Vec<usize> {
    let mut ids: Vec<usize> = received.iter().filter_map(|delivery| delivery.message_id()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}
