//! Planned work that is asked for by annotations. That nothing is lost meanwhile: `chaos.rs`, and `make chaos NEMESIS=switchover,rolling`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use entente_crds::broker::SwitchoverOutcome;
use entente_e2e::chaos::redundancy;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use entente_e2e::{amqp, planned};
use serde_json::{Value, json};

/// By queue of the namespace, the nodes that have a member of it.
async fn members(scene: &Scene) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let answer = scene.broker.get("entente/members").await?.context("no members are told")?;
    let queues = answer["queues"].as_array().cloned().unwrap_or_default();
    let pod = |member: &Value| {
        let host = member["node"].as_str().and_then(|node| node.split_once('@')).map(|(_, host)| host);
        host.and_then(|host| host.split('.').next()).unwrap_or_default().to_owned()
    };
    let own = queues.iter().filter(|queue| queue["vhost"] == scene.namespace.as_str());
    Ok(own
        .map(|queue| {
            let members = queue["members"].as_array().into_iter().flatten();
            (queue["name"].as_str().unwrap_or_default().to_owned(), members.map(pod).collect())
        })
        .collect())
}

#[tokio::test]
async fn i1_nodes_come_and_go_and_queues_take_their_members_along() -> Result<()> {
    const QUEUES: usize = 4;
    scene("nodes", async |scene| {
        for number in 0..QUEUES {
            let name = format!("q{number}");
            scene.create_ready(&name, json!({"deletionPolicy": "Delete"})).await?;
            amqp::send(&scene.broker, &scene.namespace, &name, 20).await?;
        }
        let grown = grow_and_shrink(scene).await;
        let outcome = if grown.is_ok() { shrink_to_one_and_grow(scene).await } else { grown };
        // Others need it as it was.
        planned::resize(&scene.cluster, 3).await?;
        planned::resized(&scene.cluster, 3).await?;
        outcome?;
        for number in 0..QUEUES {
            let name = format!("q{number}");
            let received = amqp::receive(&scene.broker, &scene.namespace, &name, 20).await?;
            ensure!(received.len() == 20, "messages of {name} are missing: {received:?}");
        }
        Ok(())
    })
    .await
}

async fn grow_and_shrink(scene: &Scene) -> Result<()> {
    planned::resize(&scene.cluster, 5).await?;
    println!("from three to five nodes: {:?}", planned::resized(&scene.cluster, 5).await?);
    let spread = members(scene).await?;
    ensure!(spread.values().all(|nodes| nodes.len() == 3), "{spread:?}");
    let new = ["main-broker-3", "main-broker-4"];
    ensure!(spread.values().flatten().any(|node| new.contains(&node.as_str())), "no member came to the new nodes: {spread:?}");

    planned::resize(&scene.cluster, 3).await?;
    println!("from five to three nodes: {:?}", planned::resized(&scene.cluster, 3).await?);
    let back = members(scene).await?;
    ensure!(back.values().all(|nodes| nodes.len() == 3), "{back:?}");
    ensure!(!back.values().flatten().any(|node| new.contains(&node.as_str())), "a member is on a node that is gone: {back:?}");
    Ok(())
}

/// Nobody has a second copy meanwhile, and what was written before is there all the same.
async fn shrink_to_one_and_grow(scene: &Scene) -> Result<()> {
    planned::resize(&scene.cluster, 1).await?;
    println!("from three nodes to one: {:?}", planned::resized(&scene.cluster, 1).await?);
    let alone = members(scene).await?;
    ensure!(alone.values().all(|nodes| nodes.iter().eq(["main-broker-0"])), "{alone:?}");

    planned::resize(&scene.cluster, 3).await?;
    println!("from one node to three: {:?}", planned::resized(&scene.cluster, 3).await?);
    let took = holds("every queue has three members again", seconds(120), async || {
        let again = members(scene).await?;
        ensure!(again.values().all(|nodes| nodes.len() == 3), "{again:?}");
        Ok(true)
    })
    .await?;
    println!("members on all three: {took:?} later");
    Ok(())
}

#[tokio::test]
async fn a_switchover_moves_leaders_once_and_a_wrong_name_is_refused() -> Result<()> {
    scene("planned", async |scene| {
        scene.create_ready("q", json!({"deletionPolicy": "Delete"})).await?;
        let node = redundancy::nodes(&scene.cluster).await?.swap_remove(1);
        let leads = async || Ok(redundancy::leaders(scene).await?.get("q").is_some_and(|leader| node.is_called(leader)));
        redundancy::lead(scene, &node).await?;
        holds("the node leads", seconds(10), leads).await?;

        let asked = planned::ask_switchover(&scene.cluster, &node.pod).await?;
        let took = planned::switched(&scene.cluster, &asked).await?;
        println!("switchover: {took:?}");
        ensure!(!leads().await?, "it leads still");

        redundancy::lead(scene, &node).await?;
        holds("the node leads again", seconds(10), leads).await?;
        // A look without a change does nothing: what was asked was done.
        tokio::time::sleep(seconds(3)).await;
        ensure!(leads().await?, "a switchover that is over was done again");

        let asked = planned::ask_switchover(&scene.cluster, "main-broker-9").await?;
        let (switchover, _) = planned::switched_over(&scene.cluster, &asked).await?;
        ensure!(
            switchover.outcome == SwitchoverOutcome::Refused && switchover.message.contains("main-broker-2"),
            "{switchover:?}"
        );
        Ok(())
    })
    .await
}
