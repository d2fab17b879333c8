//! Rounds of failure while clients are at work, and the verdict over all of them.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use serde::Serialize;

use super::clients::Clients;
use super::clock;
use super::fault::Fault;
use super::figures::Figures;
use super::gaps::Window;
use super::heal::heal;
use super::history::Clock;
use super::judge::judge;
use super::nemesis::{Nemeses, Nemesis};
use super::plan::{Plan, Workload};
use super::redundancy::{self, BrokerNode, PATIENCE};
use crate::chance::Chance;
use crate::planned;
use crate::scene::Scene;
use crate::wait::{holds, seconds, until};

/// Steady traffic after redundancy is back, which belongs to the round.
const AFTER: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The kind of failure, or two at once.
    pub nemesis: Nemeses,
    /// Who is at work meanwhile.
    pub workloads: Vec<Workload>,
    /// How many failures.
    pub rounds: u32,
    /// Decides victims, lengths and moments.
    pub seed: u64,
    /// No round begins later than this.
    pub limit: Duration,
    /// Where histories and figures go.
    pub directory: PathBuf,
}

/// One failure, as it went.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Pod of the node; of two, separated by `+`.
    pub victim: String,
    /// Where it is, likewise.
    pub machine: String,
    /// How, where a failure has several ways.
    pub way: String,
    /// Milliseconds between strike and repair, the longer of two.
    pub lasts_ms: u64,
    /// Workloads that had a queue led by the victim.
    pub led: Vec<String>,
    /// The strike, in microseconds of the run's clock.
    pub from: u64,
    /// When every copy was there again.
    pub restored: u64,
    /// The end.
    pub to: u64,
}

impl Round {
    /// When gaps count.
    pub fn window(&self) -> Window {
        Window { from: self.from, to: self.to }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of the rounds that were done.
    pub figures: Figures,
    /// Why there are no more, if there should have been.
    pub ended: Result<()>,
}

/// Runs it, until it is done or `interrupted`. What was seen until then is judged and kept, also after a failure of the run itself.
pub async fn run(scene: &Scene, campaign: &Campaign, interrupted: impl Future<Output = Result<()>>) -> Result<Outcome> {
    fs::create_dir_all(&campaign.directory).with_context(|| campaign.directory.display().to_string())?;
    if campaign.nemesis.all().contains(&Nemesis::ClockSkew) {
        clock::prepare(&scene.cluster).await?;
    }
    let clock = Clock::start();
    let mut plans = Vec::new();
    for (number, workload) in (0..).zip(&campaign.workloads) {
        plans.push(Plan::declare(scene, *workload, number * Plan::MOST_PRODUCERS).await?);
    }
    let clients = Clients::start(scene, &plans, &campaign.directory, clock)?;
    let mut rounds = Vec::new();
    let ended = tokio::select! {
        ended = strike_on(scene, campaign, &plans, clock, &mut rounds) => ended,
        interrupted = interrupted => interrupted.and(Err(anyhow!("interrupted"))),
    };
    if let Err(error) = &ended {
        println!("{}: {error:#}; repairing what is broken, and judging the rounds that were done", campaign.nemesis);
        heal(&scene.cluster).await?;
    }
    let reconnections = clients.finish(scene).await?;
    fs::write(campaign.directory.join("rounds.json"), serde_json::to_string_pretty(&rounds)? + "\n")?;
    let figures = judge(campaign, &plans, &rounds, reconnections)?;
    fs::write(campaign.directory.join("figures.json"), serde_json::to_string_pretty(&figures)? + "\n")?;
    Ok(Outcome { figures, ended })
}

async fn strike_on(scene: &Scene, campaign: &Campaign, plans: &[Plan], clock: Clock, rounds: &mut Vec<Round>) -> Result<()> {
    let mut chance = Chance::of(campaign.seed);
    let begin = Instant::now();
    // Clients connect.
    tokio::time::sleep(seconds(2)).await;
    for number in 1..=campaign.rounds {
        if begin.elapsed() > campaign.limit {
            println!("{}: the time is up after {} of {} rounds", campaign.nemesis, rounds.len(), campaign.rounds);
            break;
        }
        let round =
            round(scene, &campaign.nemesis, plans, clock, &mut chance).await.with_context(|| format!("round {number}"))?;
        let took = |from: u64, to: u64| Duration::from_micros(to - from).as_secs_f64();
        println!(
            "{} {number}/{}: {} on {}, {}{}{} ms; all copies back after {:.1} s",
            campaign.nemesis,
            campaign.rounds,
            round.victim,
            round.machine,
            round.way,
            if round.way.is_empty() { "" } else { ", " },
            round.lasts_ms,
            took(round.from, round.restored),
        );
        rounds.push(round);
    }
    Ok(())
}

async fn round(scene: &Scene, nemesis: &Nemeses, plans: &[Plan], clock: Clock, chance: &mut Chance) -> Result<Round> {
    whole(scene, plans, seconds(120)).await?;
    planned::settled(&scene.cluster).await?;
    let mut faults: Vec<Fault> = Vec::new();
    for kind in nemesis.all() {
        let struck: Vec<&str> = faults.iter().map(|fault| fault.victim.pod.as_str()).collect();
        let victim = choose(scene, *kind, plans, &struck, chance).await?;
        if faults.is_empty() {
            make_leader(scene, &victim).await?;
        }
        faults.push(kind.plan(victim, chance)?);
    }
    chance.pause(1_000, 3_000).await;
    for fault in &faults {
        fault.prepare(&scene.cluster).await?;
    }
    let leaders = redundancy::leaders(scene).await?;
    let victim = &faults.first().context("no nemesis")?.victim;
    let leads = |plan: &&Plan| plan.queues().any(|queue| leaders.get(queue).is_some_and(|node| victim.is_called(node)));
    let led = plans.iter().filter(leads).map(|plan| plan.workload.to_string()).collect();

    let from = clock.now();
    strike(scene, &faults).await?;
    whole(scene, plans, PATIENCE).await?;
    let restored = clock.now();
    tokio::time::sleep(AFTER).await;
    let joined = |of: fn(&Fault) -> &str| faults.iter().map(of).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("+");
    let lasts = faults.iter().map(|fault| fault.lasts).max().unwrap_or_default();
    Ok(Round {
        victim: joined(|fault| &fault.victim.pod),
        machine: joined(|fault| &fault.victim.machine),
        way: joined(|fault| fault.way),
        lasts_ms: u64::try_from(lasts.as_millis())?,
        led,
        from,
        restored,
        to: clock.now(),
    })
}

/// Strikes with all at once, and repairs each after its time.
async fn strike(scene: &Scene, faults: &[Fault]) -> Result<()> {
    let begin = Instant::now();
    let asked = try_join_all(faults.iter().map(|fault| fault.strike(&scene.cluster))).await.context("strike")?;
    // What was struck by several is repaired one after another: the scripts of the cluster take turns anyway.
    let mut struck: Vec<_> = faults.iter().zip(asked).collect();
    struck.sort_by_key(|(fault, _)| fault.lasts);
    let struck_at = Instant::now();
    for (fault, asked) in struck {
        tokio::time::sleep(fault.lasts.saturating_sub(struck_at.elapsed())).await;
        fault.repair(scene, asked.as_deref()).await.with_context(|| format!("repair, {:?} after the strike", begin.elapsed()))?;
    }
    Ok(())
}

/// Waits until quorum queues have all of their copies, and a classic queue runs.
async fn whole(scene: &Scene, plans: &[Plan], limit: Duration) -> Result<()> {
    let queues = |safe: bool| {
        let plans = plans.iter().filter(move |plan| plan.workload.is_safe() == safe);
        plans.flat_map(Plan::queues).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    redundancy::whole(scene, &queues(true), limit).await?;
    for queue in queues(false) {
        let ask = async || {
            anyhow::Ok(scene.broker.queue(&scene.namespace, &queue).await?.is_some_and(|queue| queue["state"] == "running"))
        };
        holds(&format!("{queue} runs"), limit, ask).await?;
    }
    Ok(())
}

/// The seed's choice among the nodes that can be struck and are not yet; with a classic queue the one that has it comes first.
async fn choose(scene: &Scene, nemesis: Nemesis, plans: &[Plan], struck: &[&str], chance: &mut Chance) -> Result<BrokerNode> {
    // After a failure that lasted, Kubernetes may be about to replace a pod: it is waited for.
    let (mut nodes, _) = until("a node of the Broker that can be struck", PATIENCE, async || {
        let mut nodes = redundancy::nodes(&scene.cluster).await?;
        nodes.retain(|node| nemesis.can_strike(node) && !struck.contains(&node.pod.as_str()));
        anyhow::Ok((!nodes.is_empty()).then_some(nodes))
    })
    .await?;
    if let (Some(plan), true) = (plans.iter().find(|plan| !plan.workload.is_safe()), struck.is_empty()) {
        let leaders = redundancy::leaders(scene).await?;
        let queue = &plan.destinations.first().context("no destination")?.queue;
        let holder = leaders.get(queue).with_context(|| format!("{queue} is nowhere"))?;
        nodes.retain(|node| node.is_called(holder));
        ensure!(!nodes.is_empty(), "{nemesis} cannot strike {holder}, which has the classic queue");
    }
    let index = chance.index(nodes.len())?;
    nodes.get(index).cloned().context("a node")
}

/// So that every workload feels the failure. A queue that does not follow is left out of the gaps.
async fn make_leader(scene: &Scene, node: &BrokerNode) -> Result<()> {
    let leads = async || {
        let leaders = redundancy::leaders(scene).await?;
        anyhow::Ok(leaders.values().all(|leader| node.is_called(leader)).then_some(()))
    };
    if leads().await?.is_none() {
        redundancy::lead(scene, node).await?;
        // Not an error: what leads is asked once more before the strike.
        let _ = until("the victim leads", seconds(5), leads).await;
    }
    Ok(())
}
