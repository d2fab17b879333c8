//! What many scaled queues cost: processor time and memory of the operator that leads and of the broker's nodes, and how evenly the
//! autoscaler looks. At rest, and with one message a second to each of ten.
//!
//! The queues are Classic and without dead-letter queues: what is read of a queue, and so what a look costs, is the same for both types, and a
//! Quorum queue would take three times the broker's memory besides. Each has a Deployment of its own, with nobody in it but for the ten.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outgoing, address};
use entente_crds::Client;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::histogram::Histogram;
use entente_e2e::object::{Objects, status};
use entente_e2e::report::Report;
use entente_e2e::scaled::consumers;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::usage::Usage;
use entente_e2e::wait::{holds, seconds};
use entente_e2e::{audit, operator};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

/// How long each case is watched.
const WATCHED: u64 = 120;
/// Queues that get messages in the second case.
const BUSY: usize = 10;
/// Requests that run at once while things are made.
const AT_ONCE: usize = 16;
/// Making and removing so much takes long on a small machine.
const PATIENCE: Duration = Duration::from_mins(10);

const TICKS: &str = "entente_autoscaler_tick_seconds";
const AGES: &str = "entente_autoscaler_sample_age_seconds";

pub async fn measure(count: usize, report: &mut Report) -> Result<()> {
    scene("thousand", async |scene: &Scene| {
        let outcome = watch(scene, count, report).await;
        let removed = remove(scene).await;
        outcome.and(removed)
    })
    .await
}

async fn watch(scene: &Scene, count: usize, report: &mut Report) -> Result<()> {
    make(scene, count).await?;
    // Controllers of others than ours have work for a while, too.
    quiet(scene).await?;
    look(scene, &format!("{count} at rest"), report, async || {
        tokio::time::sleep(seconds(WATCHED)).await;
        Ok(())
    })
    .await?;
    let busy = count.min(BUSY);
    look(scene, &format!("{count} with a trickle"), report, async || trickle(scene, busy).await).await?;
    let woken = deployments(scene).list(&ListParams::default()).await?;
    let woken = woken.iter().filter(|one| one.spec.as_ref().and_then(|spec| spec.replicas) == Some(1)).count();
    ensure!(woken == busy, "{woken} of {busy} Deployments that got messages have a replica, and no other may have one");
    Ok(())
}

fn name(number: usize) -> String {
    format!("q{number}")
}

fn deployments(scene: &Scene) -> Api<Deployment> {
    Api::namespaced(scene.cluster.client.clone(), &scene.namespace)
}

async fn make(scene: &Scene, count: usize) -> Result<()> {
    operator::await_leader(&scene.cluster).await?;
    stream::iter(0..count)
        .map(|number| make_one(scene, number))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    println!("{count} Queues Ready in {:?} after the last was made", scene.all_ready(PATIENCE).await?);
    let access: Vec<Value> = (0..count.min(BUSY))
        .map(|number| json!({"name": name(number), "queueRef": {"name": name(number)}, "verbs": ["Receive"]}))
        .collect();
    let clients = Objects::<Client>::of(&scene.cluster, &scene.namespace);
    clients.create_ready("worker", json!({"access": access})).await?;
    Ok(())
}

async fn make_one(scene: &Scene, number: usize) -> Result<()> {
    let deployment: Deployment = serde_json::from_value(consumers(&name(number), "10ms", 0))?;
    deployments(scene).create(&PostParams::default(), &deployment).await?;
    let scaling = json!({"targetRef": {"name": name(number)}, "maxReplicas": 1, "messagesPerReplica": 10});
    let spec = json!({"type": "Classic", "deadLetter": {"discard": true}, "deletionPolicy": "Delete", "scaling": scaling});
    scene.create(&name(number), spec).await.map(drop)
}

/// Waits until every Queue's scaling is told and nobody writes any more.
async fn quiet(scene: &Scene) -> Result<()> {
    holds("every Queue tells of its scaling, and every Deployment is seen", PATIENCE, async || {
        tokio::time::sleep(seconds(2)).await;
        let queues = scene.queues().list(&ListParams::default()).await?;
        let silent = queues.iter().filter(|queue| status(*queue)["scaling"].is_null()).count();
        let all = deployments(scene).list(&ListParams::default()).await?;
        let unseen =
            all.iter().filter(|one| one.status.as_ref().is_none_or(|status| status.observed_generation.is_none())).count();
        ensure!(silent == 0 && unseen == 0, "{silent} Queues and {unseen} Deployments are not there yet");
        Ok(true)
    })
    .await?;
    holds("writes cease", PATIENCE, async || {
        let mark = audit::mark()?;
        tokio::time::sleep(seconds(10)).await;
        let writes = audit::writes_since(mark, &audit::operator_user())?;
        ensure!(writes.is_empty(), "{} writes, such as {}", writes.len(), writes[0]);
        Ok(true)
    })
    .await?;
    Ok(())
}

/// What is counted at one moment.
struct Moment {
    operator: Usage,
    broker: Usage,
    ticks: Histogram,
    ages: Histogram,
}

impl Moment {
    async fn now(scene: &Scene, leader: &str) -> Result<Self> {
        let pods = scene.cluster.pods(SYSTEM);
        let text = metrics_of_the_leader(scene).await?;
        Ok(Self {
            operator: Usage::of(&[pods.get(leader).await?], "entente-operator")?,
            broker: Usage::of(&scene.cluster.broker_pods().await?, "beam.smp")?,
            ticks: Histogram::read(&text, TICKS),
            ages: Histogram::read(&text, AGES),
        })
    }
}

async fn metrics_of_the_leader(scene: &Scene) -> Result<String> {
    let all = operator::metrics(&scene.cluster).await?;
    all.into_iter().find(|text| text.lines().any(|line| line == "entente_leader 1")).context("no replica says that it leads")
}

async fn look(scene: &Scene, case: &str, report: &mut Report, during: impl AsyncFn() -> Result<()>) -> Result<()> {
    let leader = operator::await_leader(&scene.cluster).await?;
    let (before, mark) = (Moment::now(scene, &leader).await?, audit::mark()?);
    let begin = std::time::Instant::now();
    during().await?;
    let (after, took) = (Moment::now(scene, &leader).await?, begin.elapsed().as_secs_f64());
    let writes = audit::writes_since(mark, &audit::operator_user())?.len();
    ensure!(operator::leader(&scene.cluster).await?.as_ref() == Some(&leader), "another replica leads by now");
    let (ticks, ages) = (after.ticks.since(&before.ticks), after.ages.since(&before.ages));
    let millis = |histogram: &Histogram, share: f64| {
        let bound = histogram.at_most(share).unwrap_or_default() * 1_000.0;
        // JSON has no infinity; more than a minute is as bad.
        bound.min(60_000.0)
    };
    report.add(
        case,
        "operator_cpu_percent",
        "%",
        after.operator.cpu_seconds_since(before.operator) / took * 100.0,
        "of one processor",
    );
    report.add(case, "operator_rss_mib", "MiB", after.operator.resident_mib, "");
    report.add(
        case,
        "broker_cpu_percent",
        "%",
        after.broker.cpu_seconds_since(before.broker) / took * 100.0,
        "of one processor, all nodes",
    );
    report.add(case, "broker_rss_mib", "MiB", after.broker.resident_mib, "all nodes");
    for (name, histogram, bar) in [("tick", &ticks, "at most; 500 between two looks"), ("sample_age", &ages, "at most")] {
        for (rank, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            report.add(case, &format!("{name}_{rank}_ms"), "ms", millis(histogram, share), bar);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    {
        report.add(case, "ticks_per_s", "1/s", ticks.count() as f64 / took, "");
        report.add(case, "api_writes", "", writes as f64, if case.ends_with("rest") { "0" } else { "" });
    }
    ensure!(ticks.count() > 0, "the operator counts no ticks: is it an older one?");
    Ok(())
}

/// One message a second to each of the first, which wake their consumers.
async fn trickle(scene: &Scene, busy: usize) -> Result<()> {
    let connection = scene.broker.connect(&scene.namespace).await?;
    let mut senders = Vec::with_capacity(busy);
    for number in 0..busy {
        senders.push(connection.sender(&address::queue(&name(number))).await?);
    }
    let mut clock = tokio::time::interval(seconds(1));
    for second in 0..WATCHED {
        clock.tick().await;
        for sender in &mut senders {
            sender.send(Outgoing::new(format!("m{second}"), format!("message {second}"))).await?.accepted()?;
        }
    }
    connection.close().await?;
    Ok(())
}

async fn remove(scene: &Scene) -> Result<()> {
    deployments(scene).delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    scene.delete_all(PATIENCE).await?;
    let sets: Api<ReplicaSet> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
    holds("all Deployments are gone", PATIENCE, async || {
        tokio::time::sleep(seconds(1)).await;
        let left = deployments(scene).list(&ListParams::default()).await?.items.len()
            + sets.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} Deployments and ReplicaSets are left");
        Ok(true)
    })
    .await
    .map(drop)
}
