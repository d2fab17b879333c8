//! Checks of contracts' messages: a sample is read from the broker, and counted by whether it is as its version's schema says.
//!
//! Expected flow: a visit to a contract with `spec.checks` reads the schemas of its offered versions, sees to it that there is a queue for
//! the sample of each operation that can be checked ([`entente_core::contract::checks::place`]), that each is read ([`reader`]), and puts
//! what was counted into the status. One connection serves all contracts of a virtual host ([`line`](mod@line)).
//!
//! Guarantees: nothing but the sample is touched, and its queues are nobody's use. Without a schema that can be read, or a way to the
//! broker, nothing is counted and no count is lost. Readers end when their contract asks for no checks, or was not visited for some time.

mod line;
mod reader;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_core::contract::checks::tally::{Tally, begun, settle};
use entente_core::contract::checks::{Key, Known, known, place};
use entente_core::contract::kept::places;
use entente_core::contract::terms::is_offered;
use entente_core::topology::names::check_queue;
use entente_crds::ServiceContract;
use entente_crds::service_contract::{Checks as Declared, LastViolation, VersionStatus};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::EventType;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::line::Lines;
use self::reader::{OUTCOMES, Reader};
use super::ContractContext;
use super::measured;
use super::probes::{Done, carry_out};
use crate::links::Link;
use crate::links::host::Host;
use crate::objects::{Shared, writes};
use crate::schemas::{Within, kept};

/// Nobody asked for so long: whoever did is gone.
const FORGOTTEN: Duration = Duration::from_mins(10);
/// Before another attempt of what failed. A change at the broker that fails wakes the contract all the same.
const PAUSE: Duration = Duration::from_secs(15);
/// How long the API server is given for a ConfigMap.
const PATIENCE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_mins(1);

/// The checks of this process.
pub struct Checks {
    running: Mutex<HashMap<String, Running>>,
    lines: Lines,
    /// Contracts whose schemas are read at once: what is in memory meanwhile is bounded.
    room: Semaphore,
}

impl Default for Checks {
    fn default() -> Self {
        Self { running: Mutex::default(), lines: Lines::default(), room: Semaphore::new(1) }
    }
}

/// Checks of one contract.
#[derive(Default)]
struct Running {
    /// What the schemas were read for, and when.
    read: Option<(String, Instant)>,
    known: Arc<Known>,
    tally: Arc<Mutex<Tally>>,
    /// A broker whose credentials changed has another link.
    link: Option<Arc<Link>>,
    /// Ended when it is dropped.
    readers: JoinSet<()>,
    failed_at: Option<Instant>,
    asked_at: Option<Instant>,
}

/// Puts into the versions' status what was counted. Where a contract has checks, its messages are looked at from now on.
pub async fn checked(contract: &ServiceContract, ctx: &ContractContext, versions: &mut [VersionStatus], now: Timestamp) {
    let Some(Declared { messages_per_minute }) = contract.spec.checks.clone().filter(|_| ctx.checking) else {
        for version in versions {
            version.checks = None;
        }
        forget(ctx, contract).await;
        return;
    };
    ctx.checks.begin(contract);
    let Some(known) = ctx.checks.know(contract, ctx, messages_per_minute).await else { return };
    let Some((link, host)) = measured::place(contract, ctx).await else { return };
    let Some(pause) = u32::try_from(messages_per_minute).ok().and_then(|most| MINUTE.checked_div(most)) else { return };
    if ctx.checks.make(contract, &link, &host, &known).await {
        ctx.checks.read(contract, ctx, (&link, &host), pause);
    }
    let Some(tally) = ctx.checks.lock().get(&uid(contract)).map(|running| Arc::clone(&running.tally)) else { return };
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    let is_checked = |name: &str| known.checkers.keys().any(|(version, _)| version == name);
    for version in versions.iter_mut().filter(|version| is_offered(version.state) && is_checked(&version.name)) {
        let new = tally.of(&version.name, now);
        version.checks = Some(settle(version.checks.as_ref(), new));
    }
}

/// Tells of violations that began, once what was counted is stored.
pub fn tell(shared: &Shared, contract: &ServiceContract, before: &[VersionStatus], now: &[VersionStatus]) {
    for VersionStatus { name, checks, .. } in now {
        let known = before.iter().find(|known| known.name == *name).and_then(|known| known.checks.as_ref());
        let Some(checks) = checks.as_ref().filter(|checks| begun(known, checks)) else { continue };
        let Some(LastViolation { at: _, operation, path, rule }) = &checks.last_violation else { continue };
        let place = if path.is_empty() { "the message" } else { path };
        let text =
            format!("messages under {name} are not as its schema says; the last one: operation {operation}, {place}: {rule}");
        writes::tell(shared, contract, EventType::Warning, "MessagesViolateSchema", &text);
    }
}

/// A contract has no checks any more, or is gone: nobody reads, and nothing comes to be read.
pub async fn forget(ctx: &ContractContext, contract: &ServiceContract) {
    ctx.checks.lock().remove(&uid(contract));
    let metrics = &ctx.objects.shared.metrics;
    for version in contract.status.iter().flat_map(|status| &status.versions) {
        for outcome in OUTCOMES {
            metrics.checked.remove(&reader::label(contract, &version.name, outcome));
        }
    }
    let Some((link, host)) = measured::place(contract, ctx).await else { return };
    let surplus = host.look(|seen| seen.map(|seen| place::surplus(&contract.name_any(), seen)));
    if let Some(surplus) = surplus.filter(|surplus| !surplus.claims.is_empty()) {
        // The next visit looks again if it could not be done; the queues go by themselves.
        carry_out(&link, &host, &surplus).await;
    }
}

impl Checks {
    fn begin(&self, contract: &ServiceContract) {
        let mut all = self.lock();
        all.retain(|_, running| running.asked_at.is_none_or(|at| at.elapsed() < FORGOTTEN));
        let running = all.entry(uid(contract)).or_insert_with(|| {
            let recorded = contract.status.as_ref().map(|status| status.versions.as_slice()).unwrap_or_default();
            Running { tally: Arc::new(Mutex::new(Tally::from_status(recorded))), ..Running::default() }
        });
        running.asked_at = Some(Instant::now());
    }

    /// The schemas of offered versions. They are fixed, and read once; those that cannot be read are tried again.
    async fn know(&self, contract: &ServiceContract, ctx: &ContractContext, rate: i32) -> Option<Arc<Known>> {
        let recorded = contract.status.as_ref().map(|status| status.versions.clone()).unwrap_or_default();
        let offered: BTreeSet<&String> =
            recorded.iter().filter(|known| is_offered(known.state)).map(|known| &known.name).collect();
        let what = format!("{:?} {rate} {offered:?}", contract.metadata.generation);
        let uid = uid(contract);
        if let Some(Running { read: Some((of, at)), known, .. }) = self.lock().get(&uid)
            && *of == what
            && (!known.is_partial || at.elapsed() < PAUSE)
        {
            return Some(Arc::clone(known));
        }
        let _room = self.room.acquire().await.ok()?;
        let maps = Within(ctx.objects.shared.client.clone(), PATIENCE);
        let versions = contract.spec.versions.iter().filter(|version| offered.contains(&version.name));
        let kept = kept(&maps, &contract.namespace().unwrap_or_default(), places(versions)).await;
        let spec = contract.spec.clone();
        let recorded = recorded.clone();
        let known = Arc::new(tokio::task::spawn_blocking(move || known(&spec, &recorded, &kept)).await.ok()?);
        if let Some(running) = self.lock().get_mut(&uid) {
            running.read = Some((what, Instant::now()));
            running.known = Arc::clone(&known);
            running.readers = JoinSet::new();
        }
        Some(known)
    }

    /// Makes the queues for the samples. Whether they are there.
    async fn make(&self, contract: &ServiceContract, link: &Link, host: &Host, known: &Known) -> bool {
        let uid = uid(contract);
        let failed_at = self.lock().get(&uid).and_then(|running| running.failed_at);
        if failed_at.is_some_and(|at| at.elapsed() < PAUSE) || link.know(host).await.is_err() {
            return false;
        }
        let keys: BTreeSet<&Key> = known.checkers.keys().collect();
        let desired = host.look(|seen| seen.map(|seen| place::desired(&contract.name_any(), &keys, seen)));
        let Some(desired) = desired else { return false };
        let done = !matches!(carry_out(link, host, &desired).await, Done::Not);
        if let Some(running) = self.lock().get_mut(&uid) {
            running.failed_at = (!done).then(Instant::now);
        }
        done
    }

    /// Sees to it that the samples are read, one message of each operation in every `pause`.
    fn read(&self, contract: &ServiceContract, ctx: &ContractContext, (link, host): (&Arc<Link>, &Arc<Host>), pause: Duration) {
        let mut all = self.lock();
        let Some(running) = all.get_mut(&uid(contract)) else { return };
        let is_same_link = running.link.as_ref().is_some_and(|known| Arc::ptr_eq(known, link));
        if is_same_link && !running.readers.is_empty() {
            return;
        }
        running.link = Some(Arc::clone(link));
        running.readers = JoinSet::new();
        let shared = &ctx.objects.shared;
        let shared_line = self.lines.of(&shared.links, link, host);
        let operations: BTreeSet<&String> = running.known.checkers.keys().map(|(_, operation)| operation).collect();
        for operation in operations {
            let reader = Reader {
                line: Arc::clone(&shared_line),
                queue: check_queue(&contract.name_any(), operation),
                namespace: contract.namespace().unwrap_or_default(),
                contract: contract.name_any(),
                known: Arc::clone(&running.known),
                tally: Arc::clone(&running.tally),
                metrics: shared.metrics.clone(),
                pause,
            };
            running.readers.spawn(async move { Box::pin(reader.run()).await });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid(contract: &ServiceContract) -> String {
    contract.uid().unwrap_or_default()
}
