//! The clients of a campaign: begun together, ended in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::consumer::consume;
use super::history::{Clock, Recorder};
use super::plan::{Destination, Plan};
use super::producer::{produce, settings};
use crate::scene::Scene;
use crate::wait::{holds, seconds};

/// How long nothing may come until all has come.
const SILENCE: Duration = Duration::from_secs(3);
/// The same where there are dead letters: how many are on their way is told up to 5 s late.
const SILENCE_OF_DEAD: Duration = Duration::from_secs(8);
/// How long it may take until all has come. A dead letter that did not reach its queue is sent once more after 3 minutes
/// (RabbitMQ's `dead_letter_worker_publisher_confirm_timeout`).
const DRAIN: Duration = Duration::from_mins(5);

/// Producers and consumers at work.
pub struct Clients {
    plans: Vec<Plan>,
    directory: PathBuf,
    clock: Clock,
    producers: JoinSet<Result<u64>>,
    consumers: JoinSet<Result<u64>>,
    producing: watch::Sender<bool>,
    consuming: watch::Sender<bool>,
    deliveries: Arc<AtomicU64>,
}

/// File of a producer's history.
pub fn producer_file(directory: &Path, producer: u32) -> PathBuf {
    directory.join(format!("producer-{producer}.jsonl"))
}

/// File of a consumer's history.
pub fn consumer_file(directory: &Path, destination: &Destination, consumer: u32) -> PathBuf {
    directory.join(format!("consumer-{}-{consumer}.jsonl", destination.queue))
}

impl Clients {
    /// Begins. Histories go to this directory.
    pub fn start(scene: &Scene, plans: &[Plan], directory: &Path, clock: Clock) -> Result<Self> {
        let mut clients = Self {
            plans: plans.to_vec(),
            directory: directory.to_owned(),
            clock,
            producers: JoinSet::new(),
            consumers: JoinSet::new(),
            producing: watch::Sender::new(false),
            consuming: watch::Sender::new(false),
            deliveries: Arc::default(),
        };
        let source = settings(scene.broker.options(&scene.namespace)?);
        for plan in plans {
            if !plan.late {
                clients.start_consumers(scene, plan)?;
            }
            for producer in &plan.producers {
                let recorder = Recorder::create(&producer_file(directory, *producer), clock)?;
                let stop = clients.producing.subscribe();
                clients.producers.spawn(produce(plan.clone(), *producer, Arc::clone(&source), recorder, stop));
            }
        }
        Ok(clients)
    }

    fn start_consumers(&mut self, scene: &Scene, plan: &Plan) -> Result<()> {
        let source = settings(scene.broker.options(&scene.namespace)?);
        for destination in &plan.destinations {
            for consumer in 0..destination.consumers {
                let recorder = Recorder::create(&consumer_file(&self.directory, destination, consumer), self.clock)?;
                self.consumers.spawn(consume(
                    destination.queue.clone(),
                    plan.bytes,
                    destination.settle,
                    Arc::clone(&source),
                    recorder,
                    Arc::clone(&self.deliveries),
                    self.consuming.subscribe(),
                ));
            }
        }
        Ok(())
    }

    /// Ends: producers first, consumers when nothing is left. Returns how often clients reconnected.
    pub async fn finish(mut self, scene: &Scene) -> Result<u64> {
        self.producing.send_replace(true);
        let mut reconnections = all(&mut self.producers).await.context("producers")?;
        for plan in self.plans.clone().iter().filter(|plan| plan.late) {
            self.start_consumers(scene, plan)?;
        }
        self.drain(scene).await?;
        self.consuming.send_replace(true);
        reconnections += all(&mut self.consumers).await.context("consumers")?;
        Ok(reconnections)
    }

    /// Waits until everything that is there has been received: what waits would count as lost.
    async fn drain(&self, scene: &Scene) -> Result<()> {
        let has_dead = self.plans.iter().any(|plan| plan.dead_letters_of.is_some());
        let silence = if has_dead { SILENCE_OF_DEAD } else { SILENCE };
        let mut last = (self.deliveries.load(Ordering::Relaxed), Instant::now());
        holds("everything is received", DRAIN, async || {
            let now = self.deliveries.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            }
            ensure!(last.1.elapsed() >= silence, "messages still come");
            for queue in self.plans.iter().flat_map(Plan::queues) {
                let left = scene.messages(queue).await?;
                ensure!(left == Some(0), "{queue} has {left:?}");
            }
            for queue in self.plans.iter().filter_map(|plan| plan.dead_letters_of) {
                let told = scene.broker.get(&format!("queues/{}/{queue}", scene.namespace)).await?.unwrap_or_default();
                // Neither ready nor unacknowledged: on their way to the dead-letter queue.
                let on_their_way = told["messages_dlx"].as_u64();
                ensure!(on_their_way == Some(0), "{queue}: {on_their_way:?} dead letters are on their way");
            }
            Ok(true)
        })
        .await
        .map(drop)
    }
}

async fn all(tasks: &mut JoinSet<Result<u64>>) -> Result<u64> {
    let join = async {
        let mut sum = 0;
        while let Some(ended) = tasks.join_next().await {
            sum += ended??;
        }
        anyhow::Ok(sum)
    };
    timeout(seconds(90), join).await.context("a client did not end within 90 s")?
}
