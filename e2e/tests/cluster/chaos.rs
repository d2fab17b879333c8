//! A few rounds of `make chaos`, with what it must find and what it must not.

use std::future::pending;
use std::time::Duration;

use anyhow::{Result, ensure};
use entente_e2e::chance::seed;
use entente_e2e::chaos::campaign::{self, Campaign, Outcome};
use entente_e2e::chaos::figures::Figures;
use entente_e2e::chaos::heal::heal;
use entente_e2e::chaos::nemesis::Nemesis;
use entente_e2e::chaos::plan::Workload;
use entente_e2e::scene::scene;

async fn strike(nemesis: Nemesis, workloads: &[Workload], rounds: u32) -> Result<Figures> {
    let seed = seed()?;
    let mut figures = Figures::default();
    scene("chaos", async |scene| {
        scene.is_alone().await?;
        let campaign = Campaign {
            nemesis: nemesis.into(),
            workloads: workloads.to_vec(),
            rounds,
            seed,
            limit: Duration::from_secs(100),
            directory: std::env::temp_dir().join(format!("entente-chaos-{}", scene.namespace)),
        };
        let outcome = campaign::run(scene, &campaign, pending()).await;
        let healed = heal(&scene.cluster).await;
        let Outcome { figures: found, ended } = outcome?;
        figures = found;
        ended?;
        std::fs::remove_dir_all(&campaign.directory)?;
        healed
    })
    .await?;
    println!("{}", figures.table());
    Ok(figures)
}

#[tokio::test]
async fn i1_nothing_acknowledged_is_lost_when_the_leader_is_killed() -> Result<()> {
    let figures = strike(Nemesis::Kill, &[Workload::Quorum, Workload::Topic], 4).await?;
    ensure!(figures.broken().is_empty(), "{:?}", figures.broken());
    for (name, case) in &figures.cases {
        ensure!(
            case.rounds > 0 && case.counts.acked > 100,
            "{name}: only {} acknowledged in {} rounds",
            case.counts.acked,
            case.rounds
        );
        ensure!(!case.send_gaps.is_empty(), "{name}: no leader was killed");
    }
    Ok(())
}

/// Planned work is no failure: leaders are handed over, and clients stay where they are.
#[tokio::test]
async fn i1_a_switchover_loses_nothing_and_is_hardly_felt() -> Result<()> {
    let figures = strike(Nemesis::Switchover, &[Workload::Quorum], 3).await?;
    ensure!(figures.broken().is_empty(), "{:?}", figures.broken());
    for (name, case) in &figures.cases {
        ensure!(case.counts.acked > 100 && !case.send_gaps.is_empty(), "{name}: nothing was seen");
        // Half a second by design; this machine's cores are shared with all that the test runs.
        let longest = case.send_gaps.iter().max().copied().unwrap_or_default();
        ensure!(longest < 3_000_000, "{name}: a gap of {longest} µs");
    }
    Ok(())
}

/// What proves nothing by itself: that the checker finds no loss. Here it must find some, on the same parts.
#[tokio::test]
async fn i1_loss_is_seen_where_messages_are_not_kept() -> Result<()> {
    let figures = strike(Nemesis::Kill, &[Workload::Classic], 1).await?;
    ensure!(figures.cases.values().all(|case| case.counts.lost > 0), "no loss is seen");
    Ok(())
}
