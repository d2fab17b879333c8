//! The operator killed while much changes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use entente_e2e::amqp::{receive, send};
use entente_e2e::chance::{Chance, seed};
use entente_e2e::operator;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use futures::try_join;
use kube::api::ListParams;
use serde_json::json;

const QUEUES: u64 = 100;
const KILLS: usize = 4;
const MESSAGES: usize = 20;

/// Creates, changes and deletes. Returns what is declared in the end: each Queue's `maxLength`.
async fn churn(scene: &Scene, chance: &mut Chance) -> Result<BTreeMap<String, i64>> {
    let mut declared = BTreeMap::new();
    for number in 0..QUEUES {
        let name = format!("q{number}");
        let length = 1 + i64::try_from(chance.below(1_000))?;
        scene.create(&name, json!({"maxLength": length, "deletionPolicy": "Delete"})).await?;
        declared.insert(name, length);
        // One of those that are there: changed or deleted, perhaps before it was ever Ready.
        let index = chance.index(declared.len())?;
        let Some(other) = declared.keys().nth(index).cloned() else { continue };
        match chance.below(3) {
            0 => {
                let length = 1 + i64::try_from(chance.below(1_000))?;
                scene.patch(&other, json!({"spec": {"maxLength": length}})).await?;
                declared.insert(other, length);
            }
            1 => {
                scene.delete(&other).await?;
                declared.remove(&other);
            }
            _ => {}
        }
        chance.pause(50, 350).await;
    }
    Ok(declared)
}

async fn kills(scene: &Scene, chance: &mut Chance) -> Result<()> {
    let mut done = 0;
    while done < KILLS {
        chance.pause(300, 4_000).await;
        if let Some(name) = operator::kill_leader(&scene.cluster).await? {
            done += 1;
            println!("kill {done}: {name}");
        }
        operator::await_leader(&scene.cluster).await?;
    }
    Ok(())
}

#[tokio::test]
async fn i1_i9_killed_at_random_points_it_converges_and_loses_nothing() -> Result<()> {
    scene("crash", async |scene| {
        let seed = seed()?;
        scene.create_ready("kept", json!({"maxLength": 100_000})).await?;
        send(&scene.broker, &scene.namespace, "kept", MESSAGES).await?;

        let (mut first, mut second) = (Chance::of(seed), Chance::of(seed.rotate_left(32)));
        let (mut declared, ()) = try_join!(churn(scene, &mut first), kills(scene, &mut second))?;
        declared.insert("kept".to_owned(), 100_000);

        let queues = scene.queues();
        let took = holds("only what is declared is left", seconds(120), async || {
            let left: BTreeSet<String> =
                queues.list(&ListParams::default()).await?.into_iter().filter_map(|queue| queue.metadata.name).collect();
            ensure!(left.iter().eq(declared.keys()), "{} Queues, {} declared", left.len(), declared.len());
            Ok(true)
        })
        .await?;
        println!("deletions done {took:?} after the last change, all Ready {:?} later", scene.all_ready(seconds(120)).await?);

        let expected: BTreeSet<String> = declared.keys().flat_map(|name| [name.clone(), format!("{name}.dead")]).collect();
        holds("the broker holds exactly what is declared", seconds(30), async || {
            let names: BTreeSet<String> = scene.broker.queue_names(&scene.namespace).await?.into_iter().collect();
            let (missing, surplus): (Vec<_>, Vec<_>) =
                (expected.difference(&names).collect(), names.difference(&expected).collect());
            ensure!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, left over {surplus:?}");
            let policies = scene.broker.get(&format!("policies/{}", scene.namespace)).await?.unwrap_or_default();
            let lengths: BTreeMap<String, i64> = policies
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|policy| {
                    let name = policy["name"].as_str()?.strip_prefix("entente.queue.")?.to_owned();
                    Some((name, policy["definition"]["max-length"].as_i64()?))
                })
                .collect();
            ensure!(lengths == declared, "settings differ");
            Ok(true)
        })
        .await?;
        receive(&scene.broker, &scene.namespace, "kept", MESSAGES).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i9_a_leader_that_loses_its_lease_stands_by_and_is_not_restarted() -> Result<()> {
    scene("deposed", async |scene| {
        let leader = operator::await_leader(&scene.cluster).await?;
        let restarts = operator::restarts(&scene.cluster).await?;
        operator::give_lease_to(&scene.cluster, "nobody").await?;
        let took =
            holds("a replica leads again", seconds(60), async || Ok(operator::leader(&scene.cluster).await?.is_some())).await?;
        println!("{leader} lost its lease; a replica leads again after {took:?}");
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        ensure!(operator::restarts(&scene.cluster).await? == restarts, "a container was restarted");
        Ok(())
    })
    .await
}
