//! What a contract promises holds while clocks jump, operators are away or two at once, and old backups are put back.

use anyhow::{Context, Result, ensure};
use entente_crds::ServiceContract;
use entente_e2e::chaos::machine::{processes, signal};
use entente_e2e::chaos::without_operator;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::object::status;
use entente_e2e::operator;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{seconds, until};
use jiff::{SignedDuration, Timestamp};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::contracts::{NAME, change, contracts, deprecated, got, of_version, sends, spec, subscribe, two_versions, version_is};

/// The operator's process, as the kernel cuts its name off.
const PROCESS: &str = "entente-operato";
const NOTICE: SignedDuration = SignedDuration::from_secs(6);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn with_notice() -> Value {
    let mut spec = spec(&two_versions());
    spec["lifecycle"] = json!({"minimumDeprecationNotice": "6s", "quietPeriod": "2s"});
    spec
}

async fn v1(scene: &Scene) -> Result<Value> {
    Ok(of_version(&status(&contracts(scene).api.get(NAME).await?), "v1").clone())
}

fn time(version: &Value, field: &str) -> Result<Timestamp> {
    let text = version[field].as_str().with_context(|| format!("v1 has no {field}: {version}"))?;
    Ok(text.parse()?)
}

/// As if the clock had gone on by an hour while nobody looked: all that was recorded is an hour earlier.
async fn an_hour_passes(scene: &Scene) -> Result<()> {
    let mut told = status(&contracts(scene).api.get(NAME).await?);
    let versions = told["versions"].as_array_mut().context("no versions")?;
    for version in versions {
        for field in ["since", "activatedAt", "deprecatedAt", "sunsetAt", "watchedAt", "watchedSince"] {
            if version[field].is_string() {
                version[field] = json!(format!("{:.0}", time(version, field)?.saturating_sub(HOUR)?));
            }
        }
    }
    let patch = Patch::Merge(json!({"status": {"versions": told["versions"]}}));
    contracts(scene).api.patch_status(NAME, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The notice is over by the clock, and nobody has watched it: it is not over.
#[tokio::test]
async fn i9_a_clock_that_jumps_while_no_operator_runs_shortens_no_notice() -> Result<()> {
    scene("jump", async |scene| {
        contracts(scene).create_ready(NAME, with_notice()).await?;
        subscribe(scene, "mail", "v1").await?;
        change(scene, "v1", &deprecated(NOTICE + SignedDuration::from_secs(2))).await?;
        version_is(scene, "v1", "is deprecated", |version| version["state"] == "Deprecated").await?;
        without_operator::during(&scene.cluster, async || {
            an_hour_passes(scene).await?;
            sends(scene, "v1", "m1").await
        })
        .await?;
        let back = Timestamp::now();
        let deprecated = time(&v1(scene).await?, "deprecatedAt")?;
        ensure!(back.duration_since(deprecated) > HOUR, "the clock did not jump");
        version_is(scene, "v1", "is in Sunset", |version| version["state"] == "Sunset").await?;
        let ended = v1(scene).await?;
        println!("{back}: an operator is back; in Sunset since {}, noticed {}", ended["since"], ended["noticed"]);
        let noticed: SignedDuration = ended["noticed"].as_str().context("nothing was watched")?.parse()?;
        ensure!(noticed >= NOTICE, "watched for {noticed:#} only");
        ensure!(time(&ended, "since")?.duration_since(back) >= SignedDuration::ZERO, "it ended before anybody was back");
        got(scene, "mail", &["m1"]).await
    })
    .await
}

/// An old spec over what is there: no version goes back, and none that is offered vanishes.
async fn nothing_goes_back(scene: &Scene, old: &ServiceContract) -> Result<()> {
    let mut back = contracts(scene).api.get(NAME).await?;
    back.spec = old.spec.clone();
    let Err(told) = contracts(scene).api.replace(NAME, &PostParams::default(), &back).await else {
        anyhow::bail!("v1 went back to Active")
    };
    ensure!(told.to_string().contains("never back"), "{told}");
    back.spec.versions.retain(|version| version.name == "v1");
    ensure!(contracts(scene).api.replace(NAME, &PostParams::default(), &back).await.is_err(), "v2 vanished");
    Ok(())
}

/// A backup brings a contract back without its status, and with dates that are over.
#[tokio::test]
async fn i1_a_backup_that_is_put_back_starts_the_notice_anew_and_takes_nothing_away() -> Result<()> {
    scene("backup", async |scene| {
        contracts(scene).create_ready(NAME, with_notice()).await?;
        let old = contracts(scene).api.get(NAME).await?;
        subscribe(scene, "mail", "v1").await?;
        change(scene, "v1", &deprecated(NOTICE + SignedDuration::from_secs(1))).await?;
        version_is(scene, "v1", "is deprecated", |version| version["state"] == "Deprecated").await?;

        Box::pin(nothing_goes_back(scene, &old)).await?;

        // In place of what was lost.
        let lost = contracts(scene).api.get(NAME).await?;
        let before = v1(scene).await?;
        without_operator::during(&scene.cluster, async || {
            contracts(scene).patch(NAME, json!({"metadata": {"finalizers": null}})).await?;
            contracts(scene).delete(NAME).await?;
            contracts(scene).gone(NAME, seconds(10)).await?;
            let metadata = ObjectMeta { name: lost.metadata.name.clone(), ..ObjectMeta::default() };
            let kept = ServiceContract { metadata, spec: lost.spec.clone(), status: None };
            contracts(scene).api.create(&PostParams::default(), &kept).await?;
            sends(scene, "v2", "m1").await
        })
        .await?;
        let back = Timestamp::now();
        version_is(scene, "v1", "is deprecated again", |version| version["state"] == "Deprecated").await?;
        sends(scene, "v2", "m2").await?;
        sends(scene, "v1", "m3").await?;
        let anew = v1(scene).await?;
        ensure!(time(&anew, "deprecatedAt")? > time(&before, "deprecatedAt")?, "its notice did not begin anew: {anew}");
        version_is(scene, "v1", "is in Sunset", |version| version["state"] == "Sunset").await?;
        let ended = v1(scene).await?;
        println!("{back}: an operator is back; deprecated {}, in Sunset {}", ended["deprecatedAt"], ended["since"]);
        ensure!(
            time(&ended, "since")?.duration_since(time(&ended, "deprecatedAt")?) >= NOTICE,
            "the notice was shortened: {ended}"
        );
        got(scene, "mail", &["m1", "m2", "m3"]).await
    })
    .await
}

/// A leader that stood still does not know that it leads no more.
#[tokio::test]
async fn i9_two_leaders_for_a_moment_shorten_no_notice() -> Result<()> {
    scene("two-leaders", async |scene| {
        contracts(scene).create_ready(NAME, with_notice()).await?;
        subscribe(scene, "mail", "v1").await?;
        let first = operator::await_leader(&scene.cluster).await?;
        let uid = scene.cluster.pods(SYSTEM).get(&first).await?.metadata.uid.context("the pod has no uid")?;
        let stopped = processes(&uid, PROCESS)?;
        signal("STOP", &stopped).await?;
        let outcome: Result<Value> = async {
            let other = async || Ok(operator::leader(&scene.cluster).await?.filter(|leader| *leader != first));
            until("another leads", seconds(60), other).await?;
            change(scene, "v1", &deprecated(NOTICE + SignedDuration::from_secs(1))).await?;
            version_is(scene, "v1", "is deprecated", |version| version["state"] == "Deprecated").await?;
            v1(scene).await
        }
        .await;
        // The kubelet may have ended it meanwhile: then there are no two.
        let resumed = signal("CONT", &stopped).await;
        let before = outcome?;
        resumed.context("the leader that stood still did not live to see another")?;
        version_is(scene, "v1", "is in Sunset", |version| version["state"] == "Sunset").await?;
        let ended = v1(scene).await?;
        println!("deprecated {}, in Sunset {}", ended["deprecatedAt"], ended["since"]);
        ensure!(ended["deprecatedAt"] == before["deprecatedAt"], "it was deprecated twice: {before}, {ended}");
        ensure!(
            time(&ended, "since")?.duration_since(time(&ended, "deprecatedAt")?) >= NOTICE,
            "the notice was shortened: {ended}"
        );
        sends(scene, "v2", "m1").await?;
        got(scene, "mail", &["m1"]).await?;
        operator::rolled_out(&scene.cluster).await
    })
    .await
}
