//! Reads the sample of one operation, a message after another, no faster than asked for: what is not read the broker drops.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entente_broker::amqp::content::{exchange, payload};
use entente_broker::amqp::{Delivery, Error, address};
use entente_core::contract::checks::place::sent_to;
use entente_core::contract::checks::tally::Tally;
use entente_core::contract::checks::{Key, Known, Verdict};
use entente_core::topology::names::Owner;
use entente_crds::ServiceContract;
use jiff::Timestamp;
use kube::ResourceExt;

use super::line::Line;
use crate::metrics::{Checked, Metrics};

/// Before another attempt to read.
const PAUSE: Duration = Duration::from_secs(5);
/// Messages under way to us. The rest waits at the broker, where the newest displace the oldest.
const CREDIT: u32 = 2;

/// What may come of a check, as figures name it.
pub const OUTCOMES: [&str; 3] = ["conforms", "violates", "unchecked"];

/// Reads until it is dropped.
pub struct Reader {
    /// The connection.
    pub line: Arc<Line>,
    /// The queue with the sample.
    pub queue: String,
    /// The contract's namespace.
    pub namespace: String,
    /// The contract.
    pub contract: String,
    /// What messages are checked by.
    pub known: Arc<Known>,
    /// What was counted.
    pub tally: Arc<Mutex<Tally>>,
    /// Figures.
    pub metrics: Metrics,
    /// From one message to the next.
    pub pause: Duration,
}

impl Reader {
    /// Reads.
    pub async fn run(self) {
        loop {
            let Err(error) = self.read().await;
            tracing::debug!(%error, queue = self.queue, virtual_host = self.line.host.name, "a sample cannot be read");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn read(&self) -> Result<std::convert::Infallible, Error> {
        let connection = self.line.connection().await?;
        let mut receiver = connection.receiver(&address::queue(&self.queue), CREDIT).await?;
        loop {
            let delivery = receiver.recv().await?;
            self.look(&delivery).await;
            receiver.accept(&delivery).await?;
            tokio::time::sleep(self.pause).await;
        }
    }

    async fn look(&self, delivery: &Delivery) {
        let Ok(message) = &delivery.content else { return };
        let Some(key) = exchange(message).and_then(|exchange| sent_to(&self.contract, exchange)) else { return };
        if !self.known.checkers.contains_key(&key) {
            return;
        }
        let verdict = match payload(message) {
            // It takes milliseconds, and more where somebody means it to; other work goes on.
            Some(payload) => {
                let (known, key) = (Arc::clone(&self.known), key.clone());
                let check = move || known.checkers.get(&key).map(|checker| checker.check(&payload));
                tokio::task::spawn_blocking(check).await.ok().flatten().unwrap_or(Verdict::Unchecked)
            }
            None => Verdict::Unchecked,
        };
        self.note(&key, verdict);
    }

    fn note(&self, key: &Key, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Conforms => OUTCOMES[0],
            Verdict::Violates(_) => OUTCOMES[1],
            Verdict::Unchecked => OUTCOMES[2],
        };
        let label =
            Checked { namespace: self.namespace.clone(), contract: self.contract.clone(), version: key.0.clone(), outcome };
        self.metrics.checked.get_or_create(&label).inc();
        let begins = self.tally.lock().unwrap_or_else(PoisonError::into_inner).note(key, verdict, Timestamp::now());
        if begins {
            self.line.link.wake(&self.line.host, &Owner::Contract(self.contract.clone()));
        }
    }
}

/// The figures of a version.
pub fn label(contract: &ServiceContract, version: &str, outcome: &'static str) -> Checked {
    Checked {
        namespace: contract.namespace().unwrap_or_default(),
        contract: contract.name_any(),
        version: version.to_owned(),
        outcome,
    }
}
