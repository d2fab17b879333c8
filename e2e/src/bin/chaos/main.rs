//! `make chaos`: failover under load, proven by histories.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use entente_e2e::chaos::campaign::{self, Campaign, Outcome};
use entente_e2e::chaos::figures::Figures;
use entente_e2e::chaos::heal::heal;
use entente_e2e::chaos::nemesis::{Nemeses, Nemesis};
use entente_e2e::chaos::plan::Workload;
use entente_e2e::chaos::summary;
use entente_e2e::cluster::Cluster;
use entente_e2e::interrupt::interrupted;
use entente_e2e::scene::scene;
use tracing_subscriber::EnvFilter;

const FILE: &str = "target/bench/chaos.json";

const ABOUT: &str = "\
Kills, stops and cuts off the node that leads, while producers and consumers write down what they see; then checks what they wrote.

Needs the test cluster with the chart installed (make cluster-up images install), on this machine, as root. Each run makes a namespace
of its own, and in the end repairs everything and removes the namespace: also after a failure, Ctrl-C or SIGTERM, of which a second one
gives up the verdict over the rounds that were done.

Nemeses:
  kill        kill -9 of RabbitMQ's process
  kill-two    the same of two nodes at once
  kill-all    the same of all nodes at once
  disk-alarm  the node says that its disk is full, for 5 to 15 s: no messages are taken
  slow-disk   the node's disk takes 4 writes a second, for 10 to 20 s
  corrupt-disk  kill, and the log of the quorum queues is damaged before the node starts again
  disk-loss   the pod dies, and its volume with it
  pod-delete  the pod is deleted, with its grace period
  stop        the process is stopped (SIGSTOP) for 1, 5, 30 or 60 s
  partition   the Kubernetes node is cut off for 10 to 20 s
  partition-one-way  nothing leaves it, or nothing arrives at it, for 10 to 20 s
  node-kill   the Kubernetes node loses power, and starts again after 10 to 20 s
  apiserver   kill, while the API server is down
  operator    kill, while the operator is scaled to 0
  operator-cut  kill, while the operator cannot reach the Broker
  drain       planned: kubectl drain of the Kubernetes node, which is given back 5 s after it is empty
  clock-skew  kill, and the node comes back with a clock that is wrong by 10 min to a day, for 20 to 30 s
  scale       planned: the Broker gets five nodes, then three again
  scale-operator  the same, and the operator is killed 1 to 20 s after each of the two
  switchover  planned: leaders are moved away from a node
  rolling     planned: every node is restarted, one by one
  rolling-operator  the same, and the operator is killed 1 to 20 s after it began
  stop-plain, node-kill-plain  stop and node-kill, with the operator scaled to 0
  A+B         two at once, of different nodes: kill+partition

Workloads:
  quorum         a queue: two producers with 100 messages/s each, one consumer
  topic          a Topic, three Subscriptions: no filter, SQL, subject
  single-active  a queue with a single active consumer, and one that stands by
  large          a queue with messages of 256 KiB
  priorities     a queue with messages of priority 0 to 31
  dead-letter    a queue from which one message of 16 is rejected and one fails each time;
                 both kinds must end in its dead-letter queue
  ttl            a queue from which nobody receives: all messages must end in its dead-letter queue, not before 3 s
  classic        a classic queue, messages that are not durable: it must lose some, which shows that the checker sees it

RUST_LOG=entente_broker=warn tells why clients reconnected. It fails if an acknowledged message is lost (with classic: if none is), or one is received that was not sent.";

#[derive(Parser)]
#[command(about = ABOUT, verbatim_doc_comment)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Adds up what earlier runs have written, and runs nothing.
    Report {
        /// Their files: target/chaos/*/figures.json
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct Options {
    /// Failures of each nemesis.
    #[arg(long, env = "ROUNDS", default_value_t = 5)]
    rounds: u32,
    /// Which, separated by commas; one after another. `all` for every one.
    #[arg(long, env = "NEMESIS", default_value = "kill")]
    nemesis: String,
    /// Which, separated by commas; all at once.
    #[arg(long, env = "WORKLOAD", default_value = "quorum,topic,single-active,large")]
    workload: String,
    /// Repeats the choices of a run: victims, lengths, moments. Without it, a new one.
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// No round of a nemesis begins later than so many minutes after its first.
    #[arg(long, env = "MINUTES", default_value_t = 60)]
    minutes: u64,
    /// Where histories (tens of megabytes a run) and figures go, in a directory for each run.
    #[arg(long, default_value = "target/chaos")]
    directory: PathBuf,
}

fn parsed<T: std::str::FromStr<Err = anyhow::Error>>(list: &str) -> Result<Vec<T>> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let Cli { options, command } = Cli::parse();
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    if let Some(Command::Report { files }) = command {
        let mut figures = Figures::default();
        for file in files {
            figures.add(Figures::read(&file)?);
        }
        println!("\n{}", summary::by_nemesis(&figures));
        return tell(&figures);
    }
    let nemeses = if options.nemesis == "all" { Nemesis::ALL.map(Nemeses::from).to_vec() } else { parsed(&options.nemesis)? };
    let workloads = parsed(&options.workload)?;
    ensure!(!nemeses.is_empty() && !workloads.is_empty(), "there is nothing to do: name a nemesis and a workload");
    let cluster = Cluster::connect().await?;
    // What a run that was itself killed has left.
    heal(&cluster).await.context("the cluster cannot be repaired before the start")?;
    let mut figures = Figures::default();
    let mut outcome = Ok(());
    for nemesis in nemeses {
        match run(&cluster, &options, &nemesis, &workloads).await {
            Ok(Outcome { figures: found, ended }) => {
                figures.add(found);
                outcome = ended;
            }
            Err(error) => outcome = Err(error),
        }
        if outcome.is_err() {
            outcome = outcome.context(nemesis);
            break;
        }
    }
    // What was measured before a failure is worth telling.
    let told = tell(&figures);
    outcome.and(told)
}

async fn run(cluster: &Cluster, options: &Options, nemesis: &Nemeses, workloads: &[Workload]) -> Result<Outcome> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(u64::from(now.subsec_nanos()));
    println!("NEMESIS={nemesis} SEED={seed} ROUNDS={}", options.rounds);
    let campaign = Campaign {
        nemesis: nemesis.clone(),
        workloads: workloads.to_vec(),
        rounds: options.rounds,
        seed,
        limit: Duration::from_secs(60 * options.minutes),
        directory: options.directory.join(format!("{}-{nemesis}-{seed}", now.as_secs())),
    };
    let mut outcome = None;
    let left = scene("chaos", async |scene| {
        let ran = tokio::select! {
            ran = campaign::run(scene, &campaign, interrupted(1)) => ran,
            again = interrupted(2) => again.and_then(|()| bail!("interrupted twice")),
        };
        // Before the namespace goes: that takes a cluster that works.
        let healed = heal(cluster).await;
        outcome = Some(ran?);
        healed
    })
    .await;
    match (outcome, left) {
        // The verdict stands, also where the namespace does not go.
        (Some(outcome), left) => {
            if let Err(error) = left {
                println!("after the run: {error:#}");
            }
            Ok(outcome)
        }
        (None, left) => left.and_then(|()| bail!("nothing was seen")),
    }
}

fn tell(figures: &Figures) -> Result<()> {
    if figures.cases.is_empty() {
        return Ok(());
    }
    println!("\n{}", figures.table());
    println!("gaps: p50/p95/p99/max");
    if let Some(directory) = Path::new(FILE).parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(FILE, serde_json::to_string_pretty(&figures.json())? + "\n")
        .with_context(|| format!("{FILE} cannot be written"))?;
    println!("{FILE}");
    let broken = figures.broken();
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(parsed::<Workload>("quorum, topic").unwrap(), [Workload::Quorum, Workload::Topic]);
        assert_eq!(parsed::<Nemeses>("kill, kill+stop").unwrap().len(), 2);
        assert!(parsed::<Nemeses>("kill,nothing").is_err());
    }
}
