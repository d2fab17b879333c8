//! The admission webhook: what it refuses, and that nothing depends on it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use entente_broker::tls::client_config;
use entente_crds::Subscription;
use entente_e2e::chaos::without_operator;
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::object::Objects;
use entente_e2e::operator;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds, until};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

const NAME: &str = "entente-operator-admission";

/// A filter with a mistake in its second line. Nothing is stored.
async fn try_wrong_filter(scene: &Scene) -> Result<Option<String>> {
    let wrong: Subscription = serde_json::from_value(json!({
        "apiVersion": "entente.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": "wrong"},
        "spec": {"topicRef": {"name": "orders"}, "filter": {"sql": "country = 'NL'\nAND amount == 5"}},
    }))?;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match Objects::<Subscription>::of(&scene.cluster, &scene.namespace).api.create(&params, &wrong).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.message.contains("admission webhook") => Ok(Some(status.message)),
        Err(error) => bail!(error),
    }
}

/// Right after an installation the API server has yet to hear of the authority.
async fn webhook_answers(scene: &Scene) -> Result<String> {
    Ok(until("the webhook refuses", seconds(60), async || try_wrong_filter(scene).await).await?.0)
}

/// What kubectl says when it cannot apply a manifest.
async fn kubectl_refuses(namespace: &str, manifest: &str) -> Result<String> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["-n", namespace, "apply", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = kubectl.spawn().context("kubectl is not on the PATH")?;
    child.stdin.take().context("no standard input")?.write_all(manifest.as_bytes()).await?;
    let ended = child.wait_with_output().await?;
    ensure!(!ended.status.success(), "kubectl applied it");
    Ok(String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test]
async fn a_wrong_filter_is_shown_to_whoever_applies_it() -> Result<()> {
    scene("caret", async |scene| {
        let message = webhook_answers(scene).await?;
        ensure!(message.contains("line 2, column 13") && message.contains("\n  AND amount == 5\n              ^\nhint: equality is one ="), "{message}");
        // As kubectl shows it.
        let manifest = "apiVersion: entente.dev/v1alpha1\nkind: Subscription\nmetadata: {name: mail}\nspec: {topicRef: {name: orders}, filter: {sql: 'a = = 1'}}\n";
        let shown = kubectl_refuses(&scene.namespace, manifest).await?;
        println!("{shown}");
        ensure!(shown.lines().any(|line| line.trim() == "^"), "{shown}");
        // Fine ones pass, and so does what is stored already, whatever it says.
        let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
        subscriptions.create("fine", json!({"topicRef": {"name": "orders"}, "filter": {"sql": "a = 1"}})).await?;
        Ok(())
    })
    .await
}

/// I9: what nobody answers for is admitted, and told by its status when somebody is back.
#[tokio::test]
async fn i9_without_an_operator_nothing_is_held_up() -> Result<()> {
    scene("unserved-hook", async |scene| {
        webhook_answers(scene).await?;
        without_operator::during(&scene.cluster, async || {
            let subscriptions = Objects::<Subscription>::of(&scene.cluster, &scene.namespace);
            // The API server may still have a connection to one that has ended.
            let wrong = || json!({"topicRef": {"name": "orders"}, "filter": {"sql": "a =="}});
            holds("nobody judges", seconds(30), async || Ok(subscriptions.create("mail", wrong()).await.is_ok())).await?;
            let begin = Instant::now();
            subscriptions.patch("mail", json!({"spec": {"filter": {"sql": "b =="}}})).await?;
            subscriptions.create("gone", json!({"topicRef": {"name": "orders"}, "filter": {"sql": "a =="}})).await?;
            subscriptions.delete("gone").await?;
            subscriptions.gone("gone", seconds(5)).await?;
            println!("a creation, a change and a deletion without an operator: {:?}", begin.elapsed());
            Ok(())
        })
        .await?;
        let message = Objects::<Subscription>::of(&scene.cluster, &scene.namespace).refused("mail", "Invalid").await?;
        ensure!(message.contains("filter.sql") && message.contains('^'), "{message}");
        Ok(())
    })
    .await
}

fn pem<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|value| value.0.as_slice()).filter(|value| !value.is_empty())
}

/// The certificates that the pods show to somebody who trusts the Secret's authority.
async fn shown(cluster: &Cluster, secret: &Secret) -> Result<Vec<CertificateDer<'static>>> {
    let config = client_config(Some(pem(secret, "ca.crt").context("no authority")?))?;
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(format!("{NAME}.{SYSTEM}.svc"))?;
    let mut all = Vec::new();
    for pod in operator::pods(cluster).await? {
        let address = pod.status.and_then(|status| status.pod_ip).context("a pod without an address")?;
        let stream = connector.connect(name.clone(), TcpStream::connect((address.as_str(), 8443)).await?).await?;
        let certificates = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
        all.push(certificates.clone());
    }
    Ok(all)
}

#[tokio::test]
async fn the_certificate_changes_while_the_webhook_serves() -> Result<()> {
    scene("rotated", async |scene| {
        webhook_answers(scene).await?;
        let secrets = scene.cluster.secrets(SYSTEM);
        let before = secrets.get(NAME).await?;
        // As if it were due: the leader issues another by the same authority.
        let patch = Patch::Merge(json!({"data": {"tls.crt": null}}));
        secrets.patch(NAME, &PatchParams::default(), &patch).await?;
        let begin = Instant::now();
        let mut asked = 0;
        loop {
            ensure!(try_wrong_filter(scene).await?.is_some(), "a wrong filter was admitted after {:?}", begin.elapsed());
            asked += 1;
            let now = secrets.get(NAME).await?;
            if let Some(fresh) = pem(&now, "tls.crt").filter(|fresh| Some(*fresh) != pem(&before, "tls.crt")) {
                ensure!(pem(&now, "ca.crt") == pem(&before, "ca.crt"), "the authority changed");
                let fresh = CertificateDer::from_pem_slice(fresh)?;
                if shown(&scene.cluster, &now).await?.iter().all(|shown| *shown == fresh) {
                    break;
                }
            }
            ensure!(begin.elapsed() < seconds(40), "the certificate is not renewed");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("renewed and taken up by every replica in {:?}, {asked} wrong filters refused meanwhile", begin.elapsed());
        Ok(())
    })
    .await
}
