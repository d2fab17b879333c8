//! Probes that measure the assurances of contracts: who makes them, and for whom.
//!
//! Expected flow: a visit to a contract that has assurances and an active version sees to it that its virtual host is probed
//! ([`prober`]), and puts what was seen into its status. One task serves all contracts of a virtual host.
//!
//! Guarantees: probes are made beside the contract's own exchanges, so that no subscriber sees them and nobody's use is counted by
//! them. They end when no contract of the namespace asks for them, or none was visited for some time.

mod prober;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_core::contract::assurances::canaries::Canaries;
use entente_core::contract::assurances::path;
use entente_core::contract::assurances::report::Seen;
use tokio::task::JoinHandle;

use crate::links::host::Host;
use crate::links::{Link, Links};
use crate::metrics::Metrics;
pub use prober::{Done, carry_out};
use prober::{Prober, Record};

/// Nobody asked for so long: whoever did is gone.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// The probes of this process.
#[derive(Default)]
pub struct Probes(Mutex<HashMap<Key, Running>>);

/// UID of the Broker, virtual host.
type Key = (String, String);

struct Running {
    /// A broker whose credentials changed has another link.
    link: Arc<Link>,
    record: Arc<Record>,
    task: JoinHandle<()>,
    asked_at: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probes {
    /// What was seen of a virtual host so far. From now on it is probed.
    pub fn seen(&self, links: &Arc<Links>, link: &Arc<Link>, host: &Arc<Host>, metrics: &Metrics) -> Seen {
        let mut all = self.lock();
        all.retain(|_, running| running.asked_at.elapsed() < FORGOTTEN);
        let key = key(link, host);
        let known = all.remove(&key);
        let mut running = match known {
            Some(running) if Arc::ptr_eq(&running.link, link) => running,
            // What was seen so far still counts.
            other => {
                let record = other.map(|other| Arc::clone(&other.record)).unwrap_or_default();
                let prober = Prober {
                    links: Arc::clone(links),
                    link: Arc::clone(link),
                    host: Arc::clone(host),
                    record: Arc::clone(&record),
                    metrics: metrics.clone(),
                };
                let task = tokio::spawn(async move { Box::pin(prober.run()).await });
                Running { link: Arc::clone(link), record, task, asked_at: Instant::now() }
            }
        };
        running.asked_at = Instant::now();
        let seen = running.record.look(Canaries::seen);
        all.insert(key, running);
        seen
    }

    /// Whether anything is left to be ended in a virtual host.
    pub fn concern(&self, link: &Link, host: &Host) -> bool {
        self.lock().contains_key(&key(link, host)) || host.look(|seen| seen.is_some_and(path::is_there))
    }

    /// Nobody in a virtual host asks for probes any more.
    pub async fn end(&self, link: &Link, host: &Host) {
        self.lock().remove(&key(link, host));
        // The next visit looks again if it could not be done.
        if host.look(|seen| seen.is_some_and(path::is_there)) {
            carry_out(link, host, &path::surplus()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(link: &Link, host: &Host) -> Key {
    (link.uid.clone(), host.name.clone())
}
