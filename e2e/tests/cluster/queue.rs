//! A Queue from its declaration to its messages.

use anyhow::{Result, ensure};
use entente_e2e::amqp::{receive, send};
use entente_e2e::queue::condition;
use entente_e2e::scene::scene;
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

#[tokio::test]
async fn a_queue_end_to_end() -> Result<()> {
    scene("queue", async |scene| {
        let queue = scene.create_ready("orders", json!({})).await?;
        let status = queue.status.unwrap_or_default();
        ensure!(status.virtual_host.as_ref() == Some(&scene.namespace), "{status:?}");
        ensure!(status.address.as_deref() == Some("/queues/orders"), "{status:?}");
        ensure!(status.broker.as_deref() == Some("entente-system/main"), "{status:?}");

        holds("the broker has it and its dead-letter queue, three copies each", seconds(20), async || {
            for name in ["orders", "orders.dead"] {
                let seen = scene.broker.queue(&scene.namespace, name).await?.unwrap_or_default();
                ensure!(seen["type"] == "quorum" && seen["durable"] == true, "{seen}");
                ensure!(seen["members"].as_array().map(Vec::len) == Some(3), "members of {name}: {}", seen["members"]);
            }
            Ok(true)
        })
        .await?;
        scene
            .queue_when("orders", "tells its leader, members and dead-letter address", seconds(20), |queue| {
                let status = queue.status.clone().unwrap_or_default();
                let complete = status.members.len() == 3 && status.online.len() == 3;
                complete && status.leader.is_some() && status.dead_letter_address.as_deref() == Some("/queues/orders.dead")
            })
            .await?;

        send(&scene.broker, &scene.namespace, "orders", 50).await?;
        scene
            .queue_when("orders", "tells a backlog of 50", seconds(30), |queue| {
                queue.status.as_ref().and_then(|status| status.backlog.as_ref()).is_some_and(|backlog| backlog.ready == 50)
            })
            .await?;
        let ids = receive(&scene.broker, &scene.namespace, "orders", 50).await?;
        let expected: Vec<String> = (0..50).map(|number| format!("orders-{number}")).collect();
        ensure!(ids == expected, "messages came in another order or number: {ids:?}");
        scene
            .queue_when("orders", "tells that it is empty", seconds(30), |queue| {
                let backlog = queue.status.as_ref().and_then(|status| status.backlog.as_ref());
                backlog.is_some_and(|backlog| backlog.ready == 0 && backlog.unacknowledged == 0)
            })
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_mutable_field_reaches_the_broker() -> Result<()> {
    scene("mutable", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        for (field, value, key, expected) in [
            ("maxLength", json!(7), "max-length", json!(7)),
            ("maxLength", json!(9), "max-length", json!(9)),
            ("messageTTL", json!("90s"), "message-ttl", json!(90_000)),
            ("deliveryLimit", json!(3), "delivery-limit", json!(3)),
            ("overflow", json!("DropHead"), "overflow", json!("drop-head")),
        ] {
            scene.patch("orders", json!({"spec": {field: value}})).await?;
            let took = holds(&format!("{key} is {expected}"), seconds(10), async || {
                let seen = scene.broker.effective(&scene.namespace, "orders", key).await?;
                ensure!(seen.as_ref() == Some(&expected), "it is {seen:?}");
                Ok(true)
            })
            .await?;
            println!("{field} reached the broker in {took:?}");
            scene.ready("orders", seconds(10)).await?;
        }
        // Removing a field brings its default back.
        scene.patch("orders", json!({"spec": {"maxLength": null}})).await?;
        holds("max-length is gone", seconds(10), async || {
            Ok(scene.broker.effective(&scene.namespace, "orders", "max-length").await?.is_none())
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_immutable_field_is_refused_and_the_way_round_is_told() -> Result<()> {
    scene("immutable", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        for change in [json!({"type": "Classic"}), json!({"singleActiveConsumer": true}), json!({"brokerRef": {"name": "other"}})]
        {
            match scene.patch("orders", json!({"spec": change})).await {
                Ok(_) => anyhow::bail!("{change} was accepted"),
                Err(error) => {
                    let words = error.to_string();
                    ensure!(
                        words.contains("cannot be changed") && words.contains("create a Queue of another name"),
                        "{change}: {words}"
                    );
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_paused_queue_is_left_alone_until_it_is_resumed() -> Result<()> {
    scene("paused", async |scene| {
        scene.create_ready("orders", json!({"maxLength": 5})).await?;
        scene.patch("orders", json!({"metadata": {"annotations": {"entente.dev/paused": "true"}}})).await?;
        scene
            .queue_when("orders", "says that it is paused", seconds(10), |queue| {
                condition(queue, "Reconciling").is_some_and(|seen| seen.status == "False" && seen.reason == "Paused")
            })
            .await?;
        scene.patch("orders", json!({"spec": {"maxLength": 6}})).await?;
        scene.broker.delete(&format!("queues/{}/orders.dead", scene.namespace)).await?;
        tokio::time::sleep(seconds(4)).await;
        let seen = scene.broker.effective(&scene.namespace, "orders", "max-length").await?;
        ensure!(seen == Some(json!(5)), "a paused Queue was changed: max-length is {seen:?}");
        ensure!(scene.broker.queue(&scene.namespace, "orders.dead").await?.is_none(), "a paused Queue was repaired");

        scene.patch("orders", json!({"metadata": {"annotations": {"entente.dev/paused": null}}})).await?;
        scene.ready("orders", seconds(10)).await?;
        holds("what waited is done", seconds(10), async || {
            let length = scene.broker.effective(&scene.namespace, "orders", "max-length").await?;
            Ok(length == Some(json!(6)) && scene.broker.queue(&scene.namespace, "orders.dead").await?.is_some())
        })
        .await?;
        Ok(())
    })
    .await
}
