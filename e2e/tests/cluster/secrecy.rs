//! Credentials are in Secrets alone (invariant I8).

use anyhow::{Result, ensure};
use entente_e2e::cluster::SYSTEM;
use entente_e2e::operator;
use entente_e2e::scene::scene;
use entente_e2e::wait::{seconds, until};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;
use serde_json::json;

use super::client;

fn text(what: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(what)?)
}

#[tokio::test]
async fn i8_no_credential_is_anywhere_but_in_secrets() -> Result<()> {
    scene("secrecy", async |scene| {
        let cluster = &scene.cluster;
        scene.without_admission().await?;
        // Something that works, something that is refused, and a broker that refuses: each has its own words to say.
        scene.create_ready("orders", json!({"maxLength": 5})).await?;
        scene
            .create("scaled", json!({"type": "Stream", "scaling": {"targetRef": {"name": "w"}, "messagesPerReplica": 5}}))
            .await?;
        scene.refused("scaled", "Invalid").await?;
        let access = json!([{"name": "orders", "queueRef": {"name": "orders"}, "verbs": ["Send"]}]);
        client::create(scene, "web", json!({"access": access, "rotation": {"overlap": "30s"}})).await?;
        client::is_ready(scene, "web").await?;
        let mut credentials = vec![client::binding(scene, "web").await?.get("password")?];
        client::patch(scene, "web", json!({"metadata": {"annotations": {"entente.dev/rotate": "now"}}})).await?;
        until("the Client has another password", seconds(20), async || {
            let other = client::binding(scene, "web").await?.get("password")?;
            Ok((!credentials.contains(&other)).then(|| credentials.push(other)))
        })
        .await?;
        operator::kill_leader(cluster).await?;
        operator::rolled_out(cluster).await?;
        scene.patch("orders", json!({"spec": {"maxLength": 6}})).await?;
        scene.ready("orders", seconds(60)).await?;

        for secret in ["main-admin", "main-cookie"] {
            let data = cluster.secrets(SYSTEM).get(secret).await?.data.unwrap_or_default();
            for key in ["password", "cookie"] {
                credentials.extend(data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()));
            }
        }
        ensure!(credentials.len() == 4 && credentials.iter().all(|text| text.len() >= 16), "the Secrets are not as expected");

        let all = ListParams::default();
        let kubernetes = || cluster.client.clone();
        let mut places = vec![
            ("operator's logs", operator::logs(cluster).await?),
            ("Events", text(&Api::<Event>::all(kubernetes()).list(&all).await?.items)?),
            ("Queues", text(&Api::<entente_crds::Queue>::all(kubernetes()).list(&all).await?.items)?),
            ("Clients", text(&Api::<entente_crds::Client>::all(kubernetes()).list(&all).await?.items)?),
            ("Brokers", text(&Api::<entente_crds::Broker>::all(kubernetes()).list(&all).await?.items)?),
            ("ConfigMaps", text(&Api::<ConfigMap>::all(kubernetes()).list(&all).await?.items)?),
            ("pods", text(&cluster.pods(SYSTEM).list(&all).await?.items)?),
        ];
        places.extend(operator::metrics(cluster).await?.into_iter().map(|text| ("metrics", text)));
        for pod in cluster.broker_pods().await? {
            let name = pod.metadata.name.unwrap_or_default();
            places.push(("broker's log", cluster.pods(SYSTEM).logs(&name, &kube::api::LogParams::default()).await?));
        }
        for (place, text) in &places {
            ensure!(!text.is_empty(), "nothing was read of {place}");
            ensure!(!credentials.iter().any(|credential| text.contains(credential.as_str())), "a credential is in {place}");
        }
        Ok(())
    })
    .await
}
