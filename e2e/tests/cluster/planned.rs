//! Planned work that is asked for by annotations. That nothing is lost meanwhile: `chaos.rs`, and `make chaos NEMESIS=switchover,rolling`.

use anyhow::{Result, ensure};
use entente_crds::broker::SwitchoverOutcome;
use entente_e2e::chaos::redundancy;
use entente_e2e::planned;
use entente_e2e::scene::scene;
use entente_e2e::wait::{holds, seconds};
use serde_json::json;

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
