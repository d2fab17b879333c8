//! What becomes of messages when a Queue is deleted.

use anyhow::{Result, ensure};
use entente_e2e::amqp::{receive, send};
use entente_e2e::scene::scene;
use entente_e2e::wait::{holds, seconds};
use kube::api::ListParams;
use serde_json::json;

#[tokio::test]
async fn i1_delete_if_empty_waits_and_says_how_many() -> Result<()> {
    scene("if-empty", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        send(&scene.broker, &scene.namespace, "orders", 3).await?;
        scene.delete("orders").await?;
        let queue = scene.refused("orders", "NotEmpty").await?;
        let message = entente_e2e::queue::condition(&queue, "Ready").map(|seen| seen.message.clone()).unwrap_or_default();
        ensure!(message.contains('3'), "the condition does not say how many: {message}");
        let events = scene.cluster.events(&scene.namespace);
        holds("an Event says how many", seconds(10), async || {
            let all = events.list(&ListParams::default()).await?;
            Ok(all.iter().any(|event| {
                event.reason.as_deref() == Some("NotEmpty") && event.message.as_deref().unwrap_or_default().contains('3')
            }))
        })
        .await?;

        // Not even a second look changes that.
        tokio::time::sleep(seconds(6)).await;
        ensure!(scene.messages("orders").await? == Some(3), "messages are missing");
        let ids = receive(&scene.broker, &scene.namespace, "orders", 3).await?;
        ensure!(ids.len() == 3);
        let took = scene.gone("orders", seconds(30)).await?;
        println!("gone {took:?} after it was emptied");
        for name in ["orders", "orders.dead"] {
            ensure!(scene.broker.queue(&scene.namespace, name).await?.is_none(), "{name} is left over");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i1_delete_if_empty_waits_for_dead_letters_too() -> Result<()> {
    scene("if-dead", async |scene| {
        scene.create_ready("orders", json!({"messageTTL": "1s"})).await?;
        send(&scene.broker, &scene.namespace, "orders", 2).await?;
        holds("both are dead letters", seconds(20), async || Ok(scene.messages("orders.dead").await? == Some(2))).await?;
        scene.delete("orders").await?;
        scene.refused("orders", "NotEmpty").await?;
        receive(&scene.broker, &scene.namespace, "orders.dead", 2).await?;
        scene.gone("orders", seconds(30)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_empty_queue_goes_by_itself() -> Result<()> {
    scene("empty", async |scene| {
        scene.create_ready("orders", json!({"maxLength": 5})).await?;
        scene.delete("orders").await?;
        let took = scene.gone("orders", seconds(10)).await?;
        println!("gone in {took:?}");
        let names = scene.broker.queue_names(&scene.namespace).await?;
        ensure!(names.is_empty(), "left over: {names:?}");
        let policy = scene.broker.get(&format!("policies/{}/entente.queue.orders", scene.namespace)).await?;
        ensure!(policy.is_none(), "its policy is left over");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn delete_takes_the_messages_with_it() -> Result<()> {
    scene("delete", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        send(&scene.broker, &scene.namespace, "orders", 3).await?;
        scene.delete("orders").await?;
        scene.gone("orders", seconds(10)).await?;
        ensure!(scene.broker.queue_names(&scene.namespace).await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i1_retain_leaves_the_messages_to_a_queue_of_the_same_name() -> Result<()> {
    scene("retain", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Retain"})).await?;
        send(&scene.broker, &scene.namespace, "orders", 3).await?;
        scene.delete("orders").await?;
        scene.gone("orders", seconds(10)).await?;
        tokio::time::sleep(seconds(3)).await;
        // The counters may lag; three they can only be if none was lost.
        holds("the messages are still there", seconds(10), async || Ok(scene.messages("orders").await? == Some(3))).await?;
        scene.create_ready("orders", json!({})).await?;
        receive(&scene.broker, &scene.namespace, "orders", 3).await?;
        Ok(())
    })
    .await
}

/// The API server removes an object that is deleted just as its finalizer is added, finalizer or not.
#[tokio::test]
async fn i9_queues_deleted_as_they_are_made_leave_nothing() -> Result<()> {
    scene("hasty", async |scene| {
        // Its virtual host is there, so that the others are made at once.
        scene.create_ready("kept", json!({"deletionPolicy": "Delete"})).await?;
        for number in 0..100_u64 {
            let name = format!("q{number}");
            scene.create(&name, json!({"deletionPolicy": "Delete"})).await?;
            // The race is won by deletions after 0 to 9 ms.
            tokio::time::sleep(std::time::Duration::from_millis(number % 10)).await;
            scene.delete(&name).await?;
        }
        let queues = scene.queues();
        holds("the Queues are gone", seconds(60), async || Ok(queues.list(&ListParams::default()).await?.items.len() == 1))
            .await?;
        holds("nothing of them is left in the broker", seconds(30), async || {
            let mut names = scene.broker.queue_names(&scene.namespace).await?;
            names.retain(|name| !name.starts_with("kept"));
            ensure!(names.is_empty(), "left over: {names:?}");
            Ok(true)
        })
        .await?;
        Ok(())
    })
    .await
}
