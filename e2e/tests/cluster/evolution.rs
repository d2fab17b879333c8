//! The example of a contract's versions, by kubectl, as people apply it.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use entente_crds::{ServiceContract, Subscription};
use entente_e2e::manifest::{Manifest, read_file};
use entente_e2e::object::{Objects, condition, status};
use entente_e2e::wait::seconds;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::example::{Stage, example, stage};

const FOLDER: &str = "contract-evolution";
/// From deprecation to sunset: time for what has to be seen of it.
const LEFT: SignedDuration = SignedDuration::from_secs(7);

/// What kubectl did.
struct Applied {
    well: bool,
    /// What it said of it, warnings and errors alike.
    said: String,
}

/// Applies a part of the example as it stands, but for the date of the sunset, which nobody can write beforehand.
async fn kubectl(part: &str, sunset: Option<&str>, options: &[&str]) -> Result<Applied> {
    let path = example(FOLDER).join(part);
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("apply").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match sunset {
        None => kubectl.arg("-f").arg(&path),
        Some(_) => kubectl.args(["-f", "-"]),
    };
    let mut child = kubectl.spawn().context("kubectl is not on the PATH")?;
    if let (Some(sunset), Some(mut input)) = (sunset, child.stdin.take()) {
        let text = fs::read_to_string(&path).with_context(|| part.to_owned())?;
        input.write_all(text.replace("SUNSET_AT", sunset).as_bytes()).await?;
    }
    let ended = child.wait_with_output().await?;
    let said = [ended.stderr, ended.stdout].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    println!("{part} {}:\n{said}", options.join(" "));
    Ok(Applied { well: ended.status.success(), said })
}

async fn taken(part: &str, sunset: Option<&str>) -> Result<()> {
    let Applied { well, said } = kubectl(part, sunset, &[]).await?;
    ensure!(well && !said.contains("Warning"), "{part}: {said}");
    Ok(())
}

async fn refused(part: &str, sunset: Option<&str>, options: &[&str], words: &[&str]) -> Result<()> {
    let Applied { well, said } = kubectl(part, sunset, options).await?;
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(!well && missing.is_empty(), "{part} without {missing:?}: {said}");
    Ok(())
}

fn manifests(part: &str) -> Result<Vec<Manifest>> {
    read_file(&example(FOLDER).join(part))
}

/// Applies Jobs, and waits for the last in the file.
async fn sent(stage: &Stage, part: &str) -> Result<()> {
    taken(part, None).await?;
    stage.complete(manifests(part)?.last().context("no Job")?).await
}

async fn version_is(stage: &Stage, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
    let of = |contract: &ServiceContract| {
        let told = status(contract);
        let mut versions = told["versions"].as_array().into_iter().flatten();
        versions.find(|version| version["name"] == name).is_some_and(&is)
    };
    let contracts = Objects::<ServiceContract>::of(&stage.cluster, "parcels");
    contracts.when("parcels", &format!("{name} {what}"), seconds(25), of).await.map(drop)
}

fn is_told(subscription: &Subscription) -> bool {
    let told = condition(subscription, "ContractDeprecated").unwrap_or_default().to_string();
    ["VersionDeprecated", "v2 has weights", "to v2", "parcels@example.com"].iter().all(|part| told.contains(part))
}

#[tokio::test]
async fn a_contract_evolves_as_its_example_says() -> Result<()> {
    stage(FOLDER, &["parcels", "tracking"], async |stage| {
        taken("", None).await?;
        stage.all_ready(&stage.objects()).await?;
        sent(stage, "steps/04-live.yaml").await?;

        let words = ["v2 does not honour v1", "/properties/id", "/properties/street", "mend:", "a message that shows it"];
        refused("steps/05-incompatible.yaml", None, &[], &words).await?;
        taken("steps/06-v2.yaml", None).await?;
        stage.all_ready(&manifests("steps/06-v2.yaml")?.iter().collect::<Vec<_>>()).await?;
        version_is(stage, "v2", "is active", |version| version["state"] == "Active").await?;
        sent(stage, "steps/07-live-v2.yaml").await?;

        let subscriptions = Objects::<Subscription>::of(&stage.cluster, "tracking");
        let sunset = Timestamp::now().saturating_add(LEFT)?;
        let date = format!("{sunset:.0}");
        taken("steps/08-deprecate.yaml", Some(&date)).await?;
        subscriptions.when("deliveries", "is told", seconds(5), is_told).await?;
        let Applied { well, said } = kubectl("steps/09-newcomer.yaml", None, &["--dry-run=server"]).await?;
        ensure!(well && said.contains("Warning: parcels/v1 is deprecated") && said.contains("move to v2"), "{said}");
        version_is(stage, "v1", "is used", |version| version["use"]["subscriptions"] == 1).await?;
        refused("steps/11-retire.yaml", Some(&date), &[], &["retirable"]).await?;
        taken("steps/10-move.yaml", None).await?;
        let moved = |subscription: &Subscription| condition(subscription, "ContractDeprecated").is_none();
        subscriptions.when("deliveries", "has moved", seconds(5), moved).await?;

        version_is(stage, "v1", "may be retired", |version| version["retirable"] == true).await?;
        let early = sunset.duration_since(Timestamp::now());
        ensure!(early <= SignedDuration::from_secs(1), "{early:#} of its notice were left");
        refused("steps/09-newcomer.yaml", None, &["--dry-run=server"], &["takes no new bindings", "move to v2"]).await?;
        taken("steps/11-retire.yaml", Some(&date)).await?;
        version_is(stage, "v1", "is retired", |version| version["state"] == "Retired").await?;
        sent(stage, "steps/12-live-again.yaml").await?;
        // None is missing of what was sent under either version, before and after the subscriber moved.
        stage.complete(&manifests("steps/04-live.yaml")?[0]).await
    })
    .await
}
