//! Topics and Subscriptions, by messages.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outcome, Outgoing, address};
use entente_crds::{Queue, Subscription, Topic};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::object::{Objects, condition, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

fn topics(scene: &Scene) -> Objects<Topic> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn subscriptions(scene: &Scene) -> Objects<Subscription> {
    Objects::of(&scene.cluster, &scene.namespace)
}

fn queues(scene: &Scene) -> Objects<Queue> {
    Objects::of(&scene.cluster, &scene.namespace)
}

/// Queue of a Subscription of the test's namespace.
fn queue_of(scene: &Scene, name: &str) -> String {
    format!("subscription.{}.{name}", scene.namespace)
}

fn order(number: i64, country: &str, amount: i64) -> Outgoing {
    Outgoing::new(format!("m{number}"), "{}")
        .subject(format!("orders.{}.created", country.to_lowercase()))
        .property("country", country)
        .property("amount", amount)
}

#[tokio::test]
async fn each_subscription_gets_what_its_filter_matches() -> Result<()> {
    scene("topic", async |scene| {
        queues(scene).create_ready("audit", json!({})).await?;
        let tap = json!({"name": "audit", "queueRef": {"name": "audit"}, "filter": "amount >= 100"});
        topics(scene).create_ready("orders", json!({"taps": [tap]})).await?;
        for (name, filter) in [
            ("all", json!(null)),
            ("dear", json!({"sql": "amount > 50 AND country IN ('NL', 'BE')"})),
            ("dutch", json!({"subject": "orders.nl.#"})),
            ("ten", json!({"properties": {"country": "NL", "amount": 10}})),
        ] {
            let mut spec = json!({"topicRef": {"name": "orders"}});
            if !filter.is_null() {
                spec["filter"] = filter;
            }
            let made = subscriptions(scene).create_ready(name, spec).await?;
            let told = status(&made);
            ensure!(told["address"] == format!("/queues/{}", queue_of(scene, name)), "{told}");
            ensure!(told["virtualHost"] == scene.namespace, "{told}");
        }
        topics(scene)
            .when("orders", "counts its Subscriptions", seconds(20), |topic| status(topic)["subscriptions"] == 4)
            .await?;
        let messages = [order(1, "NL", 10), order(2, "NL", 100), order(3, "BE", 60), order(4, "DE", 1_000), order(5, "DE", 1)];
        let outcomes = send_to(&scene.broker, &scene.namespace, &address::exchange("topic.orders", ""), messages.into()).await?;
        ensure!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted), "{outcomes:?}");
        for (queue, expected) in [
            (queue_of(scene, "all"), vec!["m1", "m2", "m3", "m4", "m5"]),
            (queue_of(scene, "dear"), vec!["m2", "m3"]),
            (queue_of(scene, "dutch"), vec!["m1", "m2"]),
            (queue_of(scene, "ten"), vec!["m1"]),
            ("audit".to_owned(), vec!["m2", "m4"]),
        ] {
            let got = drain(&scene.broker, &scene.namespace, &queue).await?;
            ensure!(got == expected, "{queue} got {got:?}, not {expected:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_nobody_subscribes_to_is_released_dropped_or_kept() -> Result<()> {
    scene("unrouted", async |scene| {
        let topics = topics(scene);
        topics.create_ready("news", json!({})).await?;
        let to = address::exchange("topic.news", "");
        for (unrouted, expected) in
            [("Release", Outcome::Released), ("Discard", Outcome::Accepted), ("DeadLetter", Outcome::Accepted)]
        {
            topics.patch("news", json!({"spec": {"unrouted": unrouted}})).await?;
            topics.ready("news", seconds(20)).await?;
            let outcomes = send_to(&scene.broker, &scene.namespace, &to, vec![order(1, "NL", 1)]).await?;
            ensure!(outcomes == [expected.clone()], "{unrouted}: {outcomes:?}");
        }
        let told = status(&topics.ready("news", seconds(20)).await?);
        ensure!(told["deadLetterAddress"] == "/queues/topic.news.dead", "{told}");
        ensure!(drain(&scene.broker, &scene.namespace, "topic.news.dead").await? == ["m1"]);
        ensure!(drain(&scene.broker, &scene.namespace, "entente.discard").await?.is_empty(), "what is discarded is kept");
        Ok(())
    })
    .await
}

/// I1: while a filter changes, a message that matches both is neither lost nor doubled.
#[tokio::test]
async fn i1_a_filter_changes_while_messages_flow() -> Result<()> {
    scene("flow", async |scene| {
        topics(scene).create_ready("orders", json!({})).await?;
        let spec = |sql: &str| json!({"topicRef": {"name": "orders"}, "filter": {"sql": sql}});
        subscriptions(scene).create_ready("mail", spec("amount > 0")).await?;
        let to = address::exchange("topic.orders", "");
        let change = async {
            for number in 1..=20 {
                let sql = format!("amount > 0 AND amount < {}", 1_000 + number);
                subscriptions(scene).patch("mail", json!({"spec": {"filter": {"sql": sql}}})).await?;
                subscriptions(scene).ready("mail", seconds(20)).await?;
            }
            anyhow::Ok(())
        };
        let (done, stop) = tokio::sync::watch::channel(false);
        let flow = async {
            let connection = scene.broker.connect(&scene.namespace).await?;
            let mut sender = connection.sender(&to).await?;
            let mut sent = 0;
            while !*stop.borrow() {
                sent += 1;
                let outcome = sender.send(order(sent, "NL", 10)).await?;
                ensure!(outcome == Outcome::Accepted, "message {sent}: {outcome:?}");
            }
            connection.close().await?;
            Ok(sent)
        };
        let change = async {
            let changed = change.await;
            let _ = done.send(true);
            changed
        };
        let (changed, sent) = tokio::join!(change, flow);
        changed?;
        let sent = sent?;
        let got = drain(&scene.broker, &scene.namespace, &queue_of(scene, "mail")).await?;
        let expected: Vec<String> = (1..=sent).map(|number| format!("m{number}")).collect();
        println!("{sent} messages while the filter changed 20 times");
        ensure!(sent > 100, "only {sent} messages flowed: this shows nothing");
        ensure!(got == expected, "{} came of {sent}, {} of them different", got.len(), got.iter().collect::<BTreeSet<_>>().len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_filter_that_is_wrong_is_refused_with_its_place() -> Result<()> {
    scene("filter", async |scene| {
        scene.without_admission().await?;
        topics(scene).create_ready("orders", json!({})).await?;
        let spec = |sql: &str| json!({"topicRef": {"name": "orders"}, "filter": {"sql": sql}});
        subscriptions(scene).create("mail", spec("amount == 5")).await?;
        let message = subscriptions(scene).refused("mail", "Invalid").await?;
        ensure!(message.contains("filter.sql") && message.contains('^'), "{message}");
        subscriptions(scene).patch("mail", json!({"spec": {"filter": {"sql": "amount = 5"}}})).await?;
        subscriptions(scene).ready("mail", seconds(20)).await?;
        Ok(())
    })
    .await
}

/// I3: another namespace's Topic may be used only where its owner grants it, and nothing tells whether it exists.
#[tokio::test]
async fn i3_a_topic_of_another_namespace_needs_a_grant() -> Result<()> {
    scene("owner", async |owner| {
        topics(owner).create_ready("orders", json!({})).await?;
        scene("asker", async |asker| {
            let of = |name: &str| json!({"topicRef": {"name": name, "namespace": owner.namespace}});
            subscriptions(asker).create("mail", of("orders")).await?;
            subscriptions(asker).create("none", of("absent")).await?;
            let forbidden = subscriptions(asker).refused("mail", "TopicNotUsable").await?;
            let absent = subscriptions(asker).refused("none", "TopicNotUsable").await?;
            ensure!(forbidden.replace("orders", "absent") == absent, "they differ:\n{forbidden}\n{absent}");
            ensure!(owner.broker.queue_names(&owner.namespace).await?.is_empty(), "something was made without a grant");

            let grant = json!({"spec": {"grants": [{"namespace": asker.namespace, "verbs": ["Receive"]}]}});
            topics(owner).patch("orders", grant).await?;
            let told = status(&subscriptions(asker).ready("mail", seconds(20)).await?);
            ensure!(told["virtualHost"] == owner.namespace, "{told}");
            let to = address::exchange("topic.orders", "");
            send_to(&owner.broker, &owner.namespace, &to, vec![order(1, "NL", 1)]).await?;
            let queue = format!("subscription.{}.mail", asker.namespace);
            ensure!(drain(&owner.broker, &owner.namespace, &queue).await? == ["m1"]);

            // Without the grant nothing more comes.
            topics(owner).patch("orders", json!({"spec": {"grants": []}})).await?;
            subscriptions(asker).refused("mail", "TopicNotUsable").await?;
            holds("the binding is gone", seconds(20), async || {
                let outcomes = send_to(&owner.broker, &owner.namespace, &to, vec![order(2, "NL", 1)]).await?;
                Ok(outcomes == [Outcome::Released])
            })
            .await?;
            subscriptions(asker).delete("none").await?;
            subscriptions(asker).patch("mail", json!({"spec": {"deletionPolicy": "Delete"}})).await?;
            subscriptions(asker).delete("mail").await?;
            subscriptions(asker).gone("mail", seconds(30)).await?;
            ensure!(owner.broker.queue(&owner.namespace, &queue).await?.is_none(), "its queue is left");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_is_taken_away_at_the_broker_is_put_back() -> Result<()> {
    scene("taken", async |scene| {
        topics(scene).create_ready("orders", json!({"unrouted": "DeadLetter"})).await?;
        subscriptions(scene)
            .create_ready("mail", json!({"topicRef": {"name": "orders"}, "filter": {"sql": "amount > 5"}}))
            .await?;
        let mail = queue_of(scene, "mail");
        let host = &scene.namespace;
        let complete = async || {
            let all = scene.broker.get(&format!("bindings/{host}")).await?.unwrap_or_default();
            let all = all.as_array().cloned().unwrap_or_default();
            let bound = all.iter().any(|binding| {
                binding["source"] == "topic.orders"
                    && binding["destination"] == mail
                    && binding["arguments"]["x-sql-filter"] == "amount > 5"
            });
            let exchange = scene.broker.get(&format!("exchanges/{host}/topic.orders")).await?;
            let routed = exchange.is_some_and(|exchange| exchange["policy"] == "entente.topic.orders");
            Ok(bound && routed && scene.broker.queue(host, &mail).await?.is_some())
        };
        holds("everything is there", seconds(20), complete).await?;
        let key = scene.broker.get(&format!("bindings/{host}/e/topic.orders/q/{mail}")).await?.unwrap_or_default();
        let key = key[0]["properties_key"].as_str().context("the binding has no key")?.to_owned();
        for path in [
            format!("bindings/{host}/e/topic.orders/q/{mail}/{key}"),
            format!("exchanges/{host}/topic.orders"),
            format!("policies/{host}/entente.topic.orders"),
            format!("queues/{host}/{mail}"),
        ] {
            scene.broker.delete(&path).await?;
            let took = holds(&format!("it is put back: {path}"), seconds(10), complete).await?;
            println!("{path} was back in {took:?}");
            ensure!(took < seconds(2), "{path} took {took:?}: the broker's events were not heard");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_topic_waits_for_its_subscriptions_to_go() -> Result<()> {
    scene("waits", async |scene| {
        topics(scene).create_ready("orders", json!({})).await?;
        subscriptions(scene).create_ready("mail", json!({"topicRef": {"name": "orders"}})).await?;
        topics(scene).delete("orders").await?;
        let message = topics(scene).refused("orders", "NotEmpty").await?;
        ensure!(message.contains("1 Subscription"), "{message}");
        // It works as long as it waits.
        let outcomes =
            send_to(&scene.broker, &scene.namespace, &address::exchange("topic.orders", ""), vec![order(1, "NL", 1)]).await?;
        ensure!(outcomes == [Outcome::Accepted], "{outcomes:?}");
        subscriptions(scene).delete("mail").await?;
        let message = subscriptions(scene).refused("mail", "NotEmpty").await?;
        ensure!(message.contains("1 messages"), "{message}");
        ensure!(drain(&scene.broker, &scene.namespace, &queue_of(scene, "mail")).await? == ["m1"]);
        subscriptions(scene).gone("mail", seconds(30)).await?;
        topics(scene).gone("orders", seconds(30)).await?;
        ensure!(scene.broker.queue_names(&scene.namespace).await?.is_empty());
        ensure!(scene.broker.get(&format!("exchanges/{}/topic.orders", scene.namespace)).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn taps_of_a_queue_get_copies() -> Result<()> {
    scene("taps", async |scene| {
        let tap = |name: &str| json!({"name": name, "queueRef": {"name": name}});
        queues(scene).create("orders", json!({"taps": [tap("audit")]})).await?;
        let told = queues(scene).ready("orders", seconds(20)).await?;
        let taps = condition(&told, "TapsReady").unwrap_or_default();
        ensure!(taps["reason"] == "TapQueueMissing", "{taps}");
        queues(scene).create_ready("audit", json!({})).await?;
        let told = queues(scene)
            .when("orders", "has its tap", seconds(20), |queue| {
                condition(queue, "TapsReady").is_some_and(|taps| taps["status"] == "True")
            })
            .await?;
        ensure!(status(&told)["sendAddress"] == "/exchanges/queue.orders", "{}", status(&told));
        send_to(&scene.broker, &scene.namespace, "/exchanges/queue.orders", vec![order(1, "NL", 1)]).await?;
        ensure!(drain(&scene.broker, &scene.namespace, "orders").await? == ["m1"]);
        ensure!(drain(&scene.broker, &scene.namespace, "audit").await? == ["m1"]);
        // Without the tap the same address works, and there is no copy. A node of the broker may hear a moment later than
        // the one that was asked that the binding is gone.
        queues(scene).patch("orders", json!({"spec": {"taps": null}})).await?;
        queues(scene).ready("orders", seconds(20)).await?;
        holds("there is no copy any more", seconds(10), async || {
            send_to(&scene.broker, &scene.namespace, "/exchanges/queue.orders", vec![order(2, "NL", 1)]).await?;
            ensure!(drain(&scene.broker, &scene.namespace, "orders").await? == ["m2"]);
            let copies = drain(&scene.broker, &scene.namespace, "audit").await?;
            ensure!(copies.is_empty(), "a copy was made without a tap: {copies:?}");
            Ok(true)
        })
        .await?;
        Ok(())
    })
    .await
}
