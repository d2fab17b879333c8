//! Real consumers, scaled on the depth of a real queue.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::slice;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use entente_broker::admin::BrokerAdmin;
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::object::status;
use entente_e2e::process::BrokerProcess;
use entente_e2e::scaled::{Consumers, WORK};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds, until};
use entente_e2e::{amqp, operator};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// Checks again and again that the replicas do not fall below these.
async fn stays(consumers: &Consumers<'_>, least: i32, time: Duration) -> Result<()> {
    let begin = std::time::Instant::now();
    while begin.elapsed() < time {
        let replicas = consumers.replicas().await?;
        ensure!(replicas >= least, "{replicas} replicas, and there were {least}: {}", consumers.told().await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn from_zero_on_the_first_message_and_back() -> Result<()> {
    scene("scale", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 4, "messagesPerReplica": 10, "idleAfter": "3s"});
        let consumers = Consumers::begin(scene, scaling, "100ms", 0).await?;
        consumers.send(1).await?;
        let took = consumers.until("a consumer for the first message", seconds(15), |replicas| replicas == 1).await?;
        println!("0 to 1 after {took:?}");
        consumers.until_ready(1).await?;
        consumers.send(100).await?;
        let took = consumers.until("4 consumers for 100 messages", seconds(15), |replicas| replicas == 4).await?;
        println!("1 to 4 after {took:?}: {}", consumers.told().await?);
        let empty = async || {
            let queue = consumers.queues.api.get(WORK).await?;
            let backlog = status(&queue)["backlog"].clone();
            ensure!(backlog["ready"] == 0 && backlog["unacknowledged"] == 0, "{backlog}");
            Ok(true)
        };
        holds("every message is consumed", seconds(60), empty).await?;
        let took = consumers.until("nobody while nothing waits", seconds(60), |replicas| replicas == 0).await?;
        println!("back to 0 after {took:?}: {}", consumers.told().await?);
        Ok(())
    })
    .await
}

/// I5: whoever cannot be asked has not said zero. A leader that is stopped, a broker that is, a node whose counters begin again, an operator that is
/// restarted meanwhile.
#[tokio::test]
async fn i5_replicas_never_fall_while_the_broker_is_not_seen() -> Result<()> {
    scene("unseen", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 3, "messagesPerReplica": 5, "idleAfter": "0s",
            "behavior": {"scaleDownWindow": "0s", "scaleDownPercentPerMinute": 100}});
        // So slow that the queue is never drained.
        let consumers = Consumers::begin(scene, scaling, "20s", 0).await?;
        consumers.send(60).await?;
        consumers.until("3 consumers", seconds(20), |replicas| replicas == 3).await?;
        let led = async || {
            let queue = consumers.queues.api.get(WORK).await?;
            Ok(status(&queue)["leader"].as_str().map(str::to_owned))
        };
        let leader = until("the queue has a leader", seconds(20), led).await?.0;
        let pod = leader.split('@').next_back().and_then(|host| host.split('.').next()).unwrap_or_default().to_owned();
        let leader = BrokerProcess::of(&scene.cluster.pods(SYSTEM).get(&pod).await?)?;
        stopped(&consumers, slice::from_ref(&leader)).await?;
        let nodes = scene.cluster.broker_pods().await?;
        let nodes: Vec<_> = nodes.iter().map(BrokerProcess::of).collect::<Result<_>>()?;
        ensure!(nodes.len() == 3, "{nodes:?}");
        stopped(&consumers, &nodes).await?;
        leader.signal("KILL").await?;
        operator::restart(&scene.cluster).await?;
        stays(&consumers, 3, seconds(20)).await
    })
    .await
}

/// Stops nodes for a while in which the replicas stay.
async fn stopped(consumers: &Consumers<'_>, nodes: &[BrokerProcess]) -> Result<()> {
    for node in nodes {
        node.signal("STOP").await?;
    }
    let outcome = stays(consumers, 3, seconds(8)).await;
    for node in nodes {
        node.signal("CONT").await?;
    }
    outcome
}

#[tokio::test]
async fn another_autoscaler_and_a_zero_by_hand_are_left_alone() -> Result<()> {
    scene("hands-off", async |scene| {
        let scaling = json!({"minReplicas": 0, "maxReplicas": 3, "messagesPerReplica": 5});
        let consumers = Consumers::begin(scene, scaling, "20s", 1).await?;
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
        let hpa: HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": {"name": "other"},
            "spec": {"minReplicas": 1, "maxReplicas": 2,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORK},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 90}}}]}
        }))?;
        hpas.create(&PostParams::default(), &hpa).await?;
        println!("{}", consumers.held_back_by("ConflictingScaler").await?);
        consumers.send(60).await?;
        tokio::time::sleep(seconds(5)).await;
        ensure!(consumers.replicas().await? == 1, "scaled although another autoscaler acts");
        hpas.delete("other", &DeleteParams::default()).await?;
        consumers.until("it goes on when the other is gone", seconds(60), |replicas| replicas == 3).await?;

        consumers.set(0).await?;
        println!("{}", consumers.held_back_by("Paused").await?);
        ensure!(consumers.replicas().await? == 0, "scaled although zero was set by hand");
        consumers.set(1).await?;
        consumers.until("it goes on from any other number", seconds(30), |replicas| replicas == 3).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_target_that_is_not_there_is_told_and_found_later() -> Result<()> {
    scene("target", async |scene| {
        let scaling = json!({"minReplicas": 1, "maxReplicas": 3, "messagesPerReplica": 5});
        let consumers = Consumers::begin(scene, scaling, "1s", 0).await?;
        consumers.until("the minimum", seconds(20), |replicas| replicas == 1).await?;
        let job = json!({"spec": {"scaling": {"targetRef": {"apiVersion": "batch/v1", "kind": "Job", "name": WORK}}}});
        let refused = consumers.queues.patch(WORK, job).await.err().context("a Job was admitted")?.to_string();
        ensure!(refused.contains("name a Deployment"), "{refused}");
        let patch = |name: &str| json!({"spec": {"scaling": {"targetRef": {"name": name}}}});
        consumers.queues.patch(WORK, patch("nobody")).await?;
        let told = consumers.held_back_by("TargetNotFound").await?;
        ensure!(told["lastDecision"]["message"].as_str().is_some_and(|text| text.contains("Deployment/nobody")), "{told}");
        consumers.queues.patch(WORK, patch(WORK)).await?;
        let back = async || Ok(consumers.told().await?["target"] == format!("Deployment/{WORK}"));
        holds("the target is found", seconds(30), back).await?;
        consumers.queues.patch(WORK, json!({"spec": {"scaling": null}})).await?;
        let gone = async || Ok(consumers.told().await?.is_null());
        holds("without spec.scaling nothing is told of it", seconds(20), gone).await?;
        amqp::send(&scene.broker, &scene.namespace, WORK, 30).await?;
        tokio::time::sleep(seconds(4)).await;
        ensure!(consumers.replicas().await? == 1, "scaled although nobody asks for it");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_schedule_raises_the_fewest_while_it_is_on() -> Result<()> {
    scene("schedule", async |scene| {
        let far = (Timestamp::now().to_zoned(TimeZone::UTC).hour() + 12) % 24;
        let now = json!({"name": "now", "cron": "* * * * *", "timeZone": "Europe/Berlin", "duration": "1h", "minReplicas": 2});
        let later = json!({"name": "later", "cron": format!("30 {far} * * *"), "duration": "1h", "minReplicas": 4});
        let scaling = json!({"minReplicas": 0, "maxReplicas": 4, "messagesPerReplica": 10, "idleAfter": "0s",
            "behavior": {"scaleDownWindow": "0s", "scaleDownPercentPerMinute": 100}, "schedules": [now, later]});
        let consumers = Consumers::begin(scene, scaling, "100ms", 0).await?;
        let took = consumers.until("as many as the schedule asks for", seconds(15), |replicas| replicas == 2).await?;
        println!("0 to 2 after {took:?}");
        let told = async || {
            let told = consumers.told().await?;
            ensure!(told["schedule"] == "now" && told["lastDecision"]["objective"] == "Schedule", "{told}");
            Ok(true)
        };
        holds("the schedule is told", seconds(15), told).await?;
        // The queue is idle all the time, and the other schedule is half a day away.
        tokio::time::sleep(seconds(3)).await;
        ensure!(consumers.replicas().await? == 2, "{}", consumers.told().await?);
        consumers.queues.patch(WORK, json!({"spec": {"scaling": {"schedules": null}}})).await?;
        let took = consumers.until("nobody without it", seconds(15), |replicas| replicas == 0).await?;
        println!("2 to 0 after {took:?}: {}", consumers.told().await?);
        let gone = async || {
            let told = consumers.told().await?;
            ensure!(told["desiredReplicas"] == 0 && told.get("schedule").is_none(), "{told}");
            Ok(true)
        };
        holds("no schedule is told any more", seconds(15), gone).await?;

        let wrong = json!([{"name": "mars", "cron": "0 25 * * *", "timeZone": "Mars/Base", "duration": "1h", "minReplicas": 2}]);
        let patch = json!({"spec": {"scaling": {"schedules": wrong}}});
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        holds("the webhook refuses it", seconds(20), async || {
            let told = consumers.queues.api.patch(WORK, &dry, &Patch::Merge(&patch)).await.err().context("admitted")?.to_string();
            ensure!(told.contains("\"25\" is no hour") && told.contains("Mars/Base"), "{told}");
            Ok(true)
        })
        .await?;
        scene.without_admission().await?;
        consumers.queues.patch(WORK, patch).await?;
        let told = consumers.queues.refused(WORK, "Invalid").await?;
        ensure!(told.contains("\"25\" is no hour") && told.contains("Mars/Base"), "{told}");
        Ok(())
    })
    .await
}

/// Messages that a pod holds, by the broker's word.
async fn held(scene: &Scene, pod: &Pod) -> Result<Option<u64>> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no address yet")?;
    let hosts = BTreeSet::from([ip.parse::<IpAddr>()?]);
    let connected = scene.broker.admin.read_connected(&scene.namespace, &hosts).await?;
    Ok(connected.first().and_then(|one| one.unsettled))
}

/// The younger one works, which Kubernetes by itself would let go first.
#[tokio::test]
async fn who_holds_a_message_stays_when_replicas_are_lowered() -> Result<()> {
    scene("busy", async |scene| {
        let scaling = json!({"minReplicas": 1, "maxReplicas": 2, "messagesPerReplica": 100,
            "behavior": {"scaleDownWindow": "0s", "scaleDownPercentPerMinute": 100}});
        let consumers = Consumers::begin(scene, scaling, "10s", 1).await?;
        let fewest =
            async |number: i32| consumers.queues.patch(WORK, json!({"spec": {"scaling": {"minReplicas": number}}})).await;
        let receives = async |index: usize, count: Option<u64>, limit: Duration| {
            holds(&format!("consumer {index} holds {count:?}"), limit, async || {
                let pods = consumers.pods().await?;
                let pod = pods.get(index).context("there is no such pod yet")?;
                Ok(held(scene, pod).await? == count)
            })
            .await
        };
        receives(0, Some(0), seconds(30)).await?;
        consumers.send(1).await?;
        receives(0, Some(1), seconds(5)).await?;
        // The second comes while the first works, gets the next message, and still works when the first is done. Where it was slow to come,
        // the first gets that one, too, and the second the one after it.
        fewest(2).await?;
        receives(1, Some(0), seconds(30)).await?;
        for last in [false, true] {
            consumers.send(1).await?;
            match receives(1, Some(1), seconds(4)).await {
                Ok(_) => break,
                Err(error) if last => return Err(error),
                Err(_) => {}
            }
        }
        receives(0, Some(0), seconds(15)).await?;
        let pods = consumers.pods().await?;
        ensure!(held(scene, &pods[1]).await? == Some(1), "the test was too slow: the second is done, too");
        fewest(1).await?;
        consumers.until("one replica", seconds(5), |replicas| replicas == 1).await?;
        let left = async || {
            let left: Vec<String> = consumers.pods().await?.iter().map(ResourceExt::name_any).collect();
            ensure!(left.len() == 1, "{left:?}");
            Ok(Some(left))
        };
        let left = until("one pod", seconds(10), left).await?.0;
        ensure!(left == [pods[1].name_any()], "the one that worked went");
        refused_to_the_operator(scene, &left[0]).await
    })
    .await
}

/// The right to annotate pods is the right to patch them; a policy leaves the annotation and nothing else of it.
async fn refused_to_the_operator(scene: &Scene, pod: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(Cluster::connect_as_operator().await?, &scene.namespace);
    let patch = async |patch: Value| pods.patch(pod, &PatchParams::default(), &Patch::Merge(patch)).await;
    for refused in [
        json!({"spec": {"activeDeadlineSeconds": 5}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"a": "b"}}}),
        json!({"metadata": {"finalizers": ["entente.dev/test"]}}),
    ] {
        let told = patch(refused.clone()).await.err().with_context(|| format!("{refused} was allowed"))?.to_string();
        ensure!(told.contains("the operator changes") || told.contains("the operator does not"), "{told}");
    }
    patch(json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "1"}}})).await?;
    Ok(())
}
