//! What each single queue says of the nodes that hold it, while these go and come back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outgoing, address};
use entente_crds::{Queue, Subscription, Topic};
use entente_e2e::chaos::redundancy::{self, BrokerNode};
use entente_e2e::chaos::{disk, drain, machine};
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::object::{Kind, Objects, condition, is_ready, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{seconds, until};
use entente_e2e::{amqp, planned};
use kube::api::DeleteParams;
use serde_json::json;

const MESSAGES: usize = 5;
/// The figures are read each 5 s, and each 20 s while others wait.
const TOLD: Duration = Duration::from_secs(40);

/// Ends a node of the Broker at once. Its pod stays away until the machine is opened again.
async fn lose(cluster: &Cluster, node: &BrokerNode) -> Result<()> {
    drain::cordon(cluster, &node.machine).await?;
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods(SYSTEM).delete(&node.pod, &at_once).await?;
    Ok(())
}

/// To a Topic; each is accepted.
async fn publish(scene: &Scene, topic: &str) -> Result<()> {
    let messages = (0..MESSAGES).map(|number| Outgoing::new(format!("{number}"), "{}")).collect();
    let address = address::exchange(&format!("topic.{topic}"), "");
    for outcome in amqp::send_to(&scene.broker, &scene.namespace, &address, messages).await? {
        outcome.accepted()?;
    }
    Ok(())
}

struct Kinds {
    queues: Objects<Queue>,
    subscriptions: Objects<Subscription>,
}

impl Kinds {
    /// Waits until each of them says this of how safe it is, and whether it is `Ready`.
    async fn say(&self, safe: (&str, &str), survived: u64, ready: (&str, &str)) -> Result<()> {
        let begun = Instant::now();
        for queue in ["work", "parts"] {
            say(&self.queues, queue, safe, survived, ready).await?;
        }
        say(&self.subscriptions, "s", safe, survived, ready).await?;
        println!("{safe:?}, Ready {ready:?}: told by all after {:?}", begun.elapsed());
        Ok(())
    }
}

async fn say<K: Kind>(objects: &Objects<K>, name: &str, safe: (&str, &str), survived: u64, ready: (&str, &str)) -> Result<()> {
    let says = |object: &K, type_: &str, (holds, reason): (&str, &str)| {
        condition(object, type_).is_some_and(|condition| condition["status"] == holds && condition["reason"] == reason)
    };
    let is = |object: &K| {
        let counted = status(object)["failuresSurvived"].as_u64() == Some(survived);
        counted && says(object, "QuorumSafe", safe) && says(object, "Ready", ready)
    };
    objects.when(name, &format!("is QuorumSafe {safe:?} and Ready {ready:?}"), TOLD, is).await.map(drop)
}

/// Two nodes go one after the other, that which leads as the last.
async fn lose_the_quorum(scene: &Scene, kinds: &Kinds) -> Result<()> {
    let leaders = redundancy::leaders(scene).await?;
    let leader = leaders.get("work").context("nobody leads")?;
    let (leads, follow): (Vec<_>, Vec<_>) =
        redundancy::nodes(&scene.cluster).await?.into_iter().partition(|node| node.is_called(leader));
    let (first, last) = (follow.first().context("no follower")?, leads.first().context("no leader")?);

    lose(&scene.cluster, first).await?;
    kinds.say(("False", "MembersMissing"), 0, ("True", "Ready")).await?;
    amqp::send(&scene.broker, &scene.namespace, "work", 1).await?;

    lose(&scene.cluster, last).await?;
    kinds.say(("False", "QuorumLost"), 0, ("False", "QuorumLost")).await?;
    let work = kinds.queues.api.get("work").await?;
    let told = status(&work);
    ensure!(told["leader"].is_null() && told["members"].as_array().map(Vec::len) == Some(3), "{told}");
    ensure!(told["backlog"]["ready"].as_u64().is_some_and(|ready| ready > 0), "unknown is not empty: {told}");
    let message = condition(&work, "Ready").unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.contains(&first.pod) && message.contains(&last.pod) && message.contains("entente-accept-loss"), "{message}");

    // What cannot be seen is not taken for gone (invariants I1, I4).
    for name in ["full", "doomed"] {
        kinds.queues.delete(name).await?;
    }
    tokio::time::sleep(seconds(10)).await;
    for name in ["full", "doomed"] {
        ensure!(kinds.queues.api.get_opt(name).await?.is_some(), "{name} was let go while nobody could delete it");
    }
    Ok(())
}

#[tokio::test]
async fn i10_a_queue_says_how_many_failures_it_survives_and_when_it_stands_still() -> Result<()> {
    scene("quorum", async |scene| {
        let kinds = Kinds {
            queues: Objects::of(&scene.cluster, &scene.namespace),
            subscriptions: Objects::of(&scene.cluster, &scene.namespace),
        };
        for (name, spec) in [
            ("work", json!({})),
            ("parts", json!({"partitions": {"count": 2, "by": "k"}})),
            ("full", json!({})),
            ("doomed", json!({"deletionPolicy": "Delete"})),
        ] {
            kinds.queues.create_ready(name, spec).await?;
        }
        Objects::<Topic>::of(&scene.cluster, &scene.namespace).create_ready("t", json!({})).await?;
        kinds.subscriptions.create_ready("s", json!({"topicRef": {"name": "t"}})).await?;
        amqp::send(&scene.broker, &scene.namespace, "work", MESSAGES).await?;
        amqp::send(&scene.broker, &scene.namespace, "full", 1).await?;
        kinds.say(("True", "Ready"), 1, ("True", "Ready")).await?;

        let outcome = lose_the_quorum(scene, &kinds).await;
        drain::end(&scene.cluster).await?;
        println!("all nodes are back and leaders spread after {:?}", planned::settled(&scene.cluster).await?);
        outcome?;

        kinds.say(("True", "Ready"), 1, ("True", "Ready")).await?;
        kinds.queues.gone("doomed", seconds(60)).await?;
        let is_kept =
            |queue: &Queue| !is_ready(queue) && condition(queue, "Ready").is_some_and(|ready| ready["reason"] == "NotEmpty");
        kinds.queues.when("full", "waits until it is empty", seconds(60), is_kept).await?;
        for (name, count) in [("work", MESSAGES + 1), ("full", 1)] {
            amqp::receive(&scene.broker, &scene.namespace, name, count).await?;
        }
        kinds.queues.gone("full", seconds(60)).await?;
        let left = scene.broker.queue_names(&scene.namespace).await?;
        ensure!(!left.iter().any(|name| name.starts_with("full") || name.starts_with("doomed")), "left behind: {left:?}");
        Ok(())
    })
    .await
}

/// The data of two nodes of three is gone for good. What the third has is all there is, and only a person can know that.
#[tokio::test]
async fn a_person_can_have_the_third_node_go_on_where_the_data_of_two_is_gone() -> Result<()> {
    scene("loss", async |scene| {
        scene.is_alone().await?;
        let queues = Objects::<Queue>::of(&scene.cluster, &scene.namespace);
        let topics = Objects::<Topic>::of(&scene.cluster, &scene.namespace);
        topics.create_ready("kept", json!({"retention": {"maxAge": "1h"}})).await?;
        publish(scene, "kept").await?;
        queues.create_ready("work", json!({"deletionPolicy": "Delete"})).await?;
        amqp::send(&scene.broker, &scene.namespace, "work", MESSAGES).await?;
        say(&queues, "work", ("True", "Ready"), 1, ("True", "Ready")).await?;
        let nodes = redundancy::nodes(&scene.cluster).await?;
        let (kept, lost) = nodes.split_first().context("there are no nodes")?;
        let command: Vec<&str> =
            std::iter::once("entente-accept-loss").chain(lost.iter().map(|node| node.pod.as_str())).collect();
        let accept = async || machine::execute(SYSTEM, &kept.pod, &command).await;
        let refused = accept().await.err().context("the loss of nodes that run was accepted")?;
        ensure!(format!("{refused:#}").contains("refused: rabbit@main-broker-1"), "{refused:#}");

        for node in lost {
            disk::lose(&scene.cluster, node).await?;
        }
        say(&queues, "work", ("False", "QuorumLost"), 0, ("False", "QuorumLost")).await?;
        let (told, took) = until("the loss is accepted", seconds(120), async || accept().await.map(Some)).await?;
        println!("accepted after {took:?}: {told}");
        let begun = Instant::now();
        planned::resized(&scene.cluster, 3).await?;
        println!("three nodes run {:?} later", begun.elapsed());
        queues.ready("work", seconds(60)).await?;
        say(&queues, "work", ("True", "Ready"), 1, ("True", "Ready")).await?;
        println!("its members are back {:?} later", begun.elapsed());
        amqp::receive(&scene.broker, &scene.namespace, "work", MESSAGES).await?;
        // Streams are coordinated by a majority of their own.
        topics.create_ready("new", json!({"retention": {"maxAge": "1h"}})).await?;
        publish(scene, "new").await?;
        for topic in ["new", "kept"] {
            let past = json!({"topicRef": {"name": topic}, "from": "Earliest"});
            let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
            subscriptions.create(topic, past).await?;
            subscriptions.ready(topic, seconds(60)).await?;
            amqp::receive(&scene.broker, &scene.namespace, &format!("subscription.{}.{topic}", scene.namespace), MESSAGES)
                .await?;
        }
        planned::settled(&scene.cluster).await?;
        Ok(())
    })
    .await
}
