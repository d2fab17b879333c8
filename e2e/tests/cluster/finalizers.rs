//! Who puts the finalizer on objects: the API server, by the chart's policy, and else the operator.

use anyhow::{Result, ensure};
use entente_crds::meta::FINALIZER;
use entente_crds::{Client, Queue, ServiceContract, Subscription, Topic};
use entente_e2e::audit;
use entente_e2e::object::{Kind, Objects};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::contracts;

/// What would be stored.
async fn tried<K: Kind>(scene: &Scene, finalizers: &Value, spec: Value) -> Result<Vec<String>> {
    let object: K = serde_json::from_value(json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": "tried", "finalizers": finalizers}, "spec": spec,
    }))?;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    Ok(Objects::<K>::of(&scene.cluster, &scene.namespace).api.create(&params, &object).await?.finalizers().to_vec())
}

#[tokio::test]
async fn an_object_has_its_finalizer_from_the_moment_it_is_made() -> Result<()> {
    scene("held", async |scene| {
        let none = Value::Null;
        let access = json!({"access": [{"name": "orders", "queueRef": {"name": "orders"}, "verbs": ["Send"]}]});
        ensure!(tried::<Queue>(scene, &none, json!({})).await? == [FINALIZER]);
        ensure!(tried::<Topic>(scene, &none, json!({})).await? == [FINALIZER]);
        ensure!(tried::<Subscription>(scene, &none, json!({"topicRef": {"name": "orders"}})).await? == [FINALIZER]);
        ensure!(tried::<Client>(scene, &none, access).await? == [FINALIZER]);
        // Large ones are left to the operator.
        let contract = contracts::spec(&contracts::two_versions());
        ensure!(tried::<ServiceContract>(scene, &none, contract).await?.is_empty());
        // Beside others', and not twice.
        ensure!(tried::<Queue>(scene, &json!(["a/b"]), json!({})).await? == ["a/b", FINALIZER]);
        ensure!(tried::<Queue>(scene, &json!([FINALIZER, "a/b"]), json!({})).await? == [FINALIZER, "a/b"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_queue_costs_the_operator_one_write_until_it_is_ready() -> Result<()> {
    scene("onewrite", async |scene| {
        // Its virtual host is there.
        scene.create_ready("first", json!({})).await?;
        let mark = audit::mark()?;
        scene.create_ready("orders", json!({})).await?;
        let object = format!("{}/orders", scene.namespace);
        let mut writes = audit::writes_since(mark, &audit::operator_user())?;
        writes.retain(|write| write.object == object);
        // Figures may follow.
        ensure!(!writes.is_empty() && writes.iter().all(|write| write.resource == "queues/status"), "{writes:?}");
        Ok(())
    })
    .await
}

/// Whoever applies an object anew does not name our finalizer.
#[tokio::test]
async fn the_finalizer_is_not_whose_apply_it_was() -> Result<()> {
    scene("applied", async |scene| {
        let params = PatchParams::apply("somebody");
        for length in [5, 6] {
            let queue = json!({
                "apiVersion": "entente.dev/v1alpha1", "kind": "Queue", "metadata": {"name": "orders"}, "spec": {"maxLength": length},
            });
            let applied = scene.queues().patch("orders", &params, &Patch::Apply(&queue)).await?;
            ensure!(applied.finalizers() == [FINALIZER], "{:?}", applied.finalizers());
        }
        Ok(())
    })
    .await
}

/// Where there is no such policy, or it leaves a namespace out.
#[tokio::test]
async fn i4_the_operator_adds_the_finalizer_that_is_missing() -> Result<()> {
    scene("unheld", async |scene| {
        let label = json!({"metadata": {"labels": {"entente.dev/admission": "ignore"}}});
        scene.cluster.namespaces().patch(&scene.namespace, &PatchParams::default(), &Patch::Merge(label)).await?;
        holds("the policy leaves the namespace out", seconds(20), async || {
            Ok(tried::<Queue>(scene, &Value::Null, json!({})).await?.is_empty())
        })
        .await?;
        let made = scene.create("orders", json!({})).await?;
        ensure!(made.finalizers().is_empty(), "{:?}", made.finalizers());
        let ready = scene.ready("orders", seconds(30)).await?;
        ensure!(ready.finalizers() == [FINALIZER], "{:?}", ready.finalizers());
        scene.delete("orders").await?;
        scene.gone("orders", seconds(20)).await?;
        ensure!(scene.broker.queue_names(&scene.namespace).await?.is_empty());
        Ok(())
    })
    .await
}
