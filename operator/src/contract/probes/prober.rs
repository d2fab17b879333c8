//! Probes of one virtual host, one after another: each a small message that goes the way of a contract's, and is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_broker::amqp::{ConnectOptions, Connection, Error, Outgoing, Receiver, Sender, Timeouts, address};
use entente_core::contract::assurances::canaries::Canaries;
use entente_core::contract::assurances::path;
use entente_core::topology::diff::{Desired, diff};
use entente_core::topology::foundation::{PROBE, owner_tag};
use tokio::time::timeout;

use crate::links::host::Host;
use crate::links::{Link, Links};
use crate::metrics::{Metrics, ProbeOutcome};

/// A message that is not back after this is late, whatever becomes of it.
const DEADLINE: Duration = Duration::from_secs(5);
/// Before another attempt to make what probes need.
const PAUSE: Duration = Duration::from_secs(5);
/// Messages under way to us: those of a failure come all at once.
const CREDIT: u32 = 50;

/// What probes saw, and since when.
#[derive(Debug)]
pub struct Record {
    canaries: Mutex<Canaries>,
    begun: Instant,
}

impl Default for Record {
    fn default() -> Self {
        Self { canaries: Mutex::default(), begun: Instant::now() }
    }
}

impl Record {
    /// What was seen, for now.
    pub fn look<T>(&self, look: impl FnOnce(&Canaries, Duration) -> T) -> T {
        look(&self.lock(), self.begun.elapsed())
    }

    fn note(&self, note: impl FnOnce(&mut Canaries, Duration)) -> Duration {
        let at = self.begun.elapsed();
        note(&mut self.lock(), at);
        at
    }

    fn lock(&self) -> MutexGuard<'_, Canaries> {
        self.canaries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes probes until it is dropped.
pub struct Prober {
    /// Ways to brokers.
    pub links: Arc<Links>,
    /// The broker.
    pub link: Arc<Link>,
    /// The virtual host.
    pub host: Arc<Host>,
    /// What it sees.
    pub record: Arc<Record>,
    /// Its figures.
    pub metrics: Metrics,
}

impl Prober {
    /// Probes.
    pub async fn run(self) {
        // Messages of an earlier one are counted anew.
        self.record.note(|canaries, _| canaries.forget());
        let run = rand::random::<u64>();
        let mut line: Option<Line> = None;
        let mut is_made = false;
        for number in 1.. {
            if line.is_none() {
                // Without an answer of the administration messages may pass all the same.
                is_made |= self.make().await;
            }
            if !is_made {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let began = self.record.note(Canaries::begin);
            // The whole way counts: who has no connection has no service.
            let result = match timeout(DEADLINE, Box::pin(self.probe(&mut line, run, number))).await {
                Ok(result) => result,
                Err(_) => Err(Error::Timeout { what: "a probe", after: DEADLINE }),
            };
            let latency = result.as_ref().ok().copied();
            self.record.note(|canaries, at| canaries.end(number, began, at, latency));
            let outcome = if result.is_ok() { "back" } else { "failed" };
            self.metrics.probes.get_or_create(&ProbeOutcome { outcome }).inc();
            match result {
                Ok(latency) => self.metrics.probe_seconds.observe(latency.as_secs_f64()),
                Err(error) => {
                    tracing::debug!(%error, broker = self.link.key, virtual_host = self.host.name, "a probe failed");
                    line = None;
                }
            }
            tokio::time::sleep(self.record.look(|canaries, _| canaries.pause(number))).await;
        }
    }

    async fn probe(&self, line: &mut Option<Line>, run: u64, number: u64) -> Result<Duration, Error> {
        let line = match line {
            Some(line) => line,
            None => line.insert(self.connect().await?),
        };
        let id = |number: u64| format!("{run:016x}-{number}");
        let sent = Instant::now();
        line.sender.send(Outgoing::new(id(number), Vec::new())).await?.accepted()?;
        self.record.note(|canaries, at| canaries.accepted(number, at));
        loop {
            let delivery = line.receiver.recv().await?;
            line.receiver.accept(&delivery).await?;
            // Others are late, or of an operator before this one.
            let text = delivery.message_id().unwrap_or_default();
            let Some(came) = text.rsplit_once('-').and_then(|(_, came)| came.parse().ok()).filter(|came| id(*came) == text)
            else {
                continue;
            };
            self.record.note(|canaries, _| canaries.came(came));
            if came == number {
                return Ok(sent.elapsed());
            }
        }
    }

    async fn connect(&self) -> Result<Line, Error> {
        let gone = || Error::Closed { reason: "there is no way to the broker at the moment".to_owned() };
        let access = self.links.access_to(&self.link.uid).await.ok_or_else(gone)?;
        let limit = |limit: Duration| limit.min(DEADLINE);
        let mut options: ConnectOptions = access.options(&self.host.name)?;
        let Timeouts { connect, attach, send, settle, close } = options.timeouts;
        options.timeouts = Timeouts {
            connect: limit(connect),
            attach: limit(attach),
            send: limit(send),
            settle: limit(settle),
            close: limit(close),
        };
        let connection = Connection::connect(&options).await?;
        let receiver = connection.receiver(&address::queue(PROBE), CREDIT).await?;
        let sender = connection.sender(&address::exchange(PROBE, "")).await?;
        Ok(Line { connection, sender, receiver })
    }

    /// Makes what probes need, where it is missing. Whether it is there, as far as is known.
    async fn make(&self) -> bool {
        if let Err(error) = self.link.know(&self.host).await {
            tracing::debug!(%error, "what probes need cannot be looked at");
            return false;
        }
        match carry_out(&self.link, &self.host, &path::desired()).await {
            Done::Nothing => true,
            Done::Changed => {
                self.record.note(|canaries, _| canaries.forget());
                true
            }
            Done::Not => false,
        }
    }
}

/// What came of a change.
pub enum Done {
    /// All was as it should be.
    Nothing,
    /// Something was made or taken away.
    Changed,
    /// It could not be done.
    Not,
}

/// Makes a virtual host as it should be. One that is not ours is left alone (invariant I2).
pub async fn carry_out(link: &Link, host: &Host, wanted: &Desired) -> Done {
    let owner = owner_tag(&link.uid);
    let plan = host.look(|seen| seen.filter(|seen| seen.tags.contains(&owner)).map(|seen| diff(wanted, seen)));
    let Some(Ok(plan)) = plan else { return Done::Not };
    if plan.is_empty() {
        return Done::Nothing;
    }
    match link.run(host, &plan).await {
        Ok(()) => Done::Changed,
        Err(error) => {
            tracing::debug!(%error, broker = link.key, virtual_host = host.name, "what probes need cannot be made");
            Done::Not
        }
    }
}

/// A connection with both ends of the way.
struct Line {
    connection: Connection,
    sender: Sender,
    receiver: Receiver,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
