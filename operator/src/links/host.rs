//! What was last observed of one virtual host, and our own writes since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use entente_broker::amqp::BrokerEvent;
use entente_core::topology::affected::{Affected, affected};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::Action;
use tokio::sync::Semaphore;

use super::news::{Echoes, is_news, is_there};

/// Writes that one namespace may have under way: fewer than a Broker allows in all, so that a
/// namespace with thousands of objects leaves room for the others (invariant I7).
const WRITES_AT_ONCE: usize = 6;

/// One virtual host.
#[derive(Debug)]
pub struct Host {
    /// Its name, which is its namespace's.
    pub name: String,
    /// Held while what all its queues stand on is made.
    pub foundation: tokio::sync::Mutex<()>,
    /// Held from the look at what is left of the namespace's bytes to the end of what takes of them.
    pub bytes: tokio::sync::Mutex<()>,
    /// Held while it is read. Of two reads at once the older could end last and bring back what is gone, and each would be
    /// amended by writes from before it began.
    reading: tokio::sync::Mutex<()>,
    /// Bounds this namespace's writes.
    pub writes: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether it was read.
    known: bool,
    /// Whether the operator's user was seen to have its rights here.
    granted: bool,
    /// `None` where it does not exist, or was not read.
    observed: Option<ObservedVirtualHost>,
    /// Actions that succeeded while a read was under way; `None` while none is.
    since_read_began: Option<Vec<Action>>,
    /// Number of the read that began last, and of the newest one that has finished.
    begun: u64,
    finished: u64,
    echoes: Echoes,
}

impl Host {
    /// A virtual host of which nothing is known.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            foundation: tokio::sync::Mutex::default(),
            bytes: tokio::sync::Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            writes: Semaphore::new(WRITES_AT_ONCE),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was read.
    pub fn is_known(&self) -> bool {
        self.state().known
    }

    /// Whether the operator's user was seen to have its rights here.
    pub fn is_granted(&self) -> bool {
        self.state().granted
    }

    /// Notes that it has.
    pub fn note_granted(&self) {
        self.state().granted = true;
    }

    /// Looks at the observation. `None` where the virtual host does not exist or was not read.
    pub fn look<T>(&self, look: impl FnOnce(Option<&ObservedVirtualHost>) -> T) -> T {
        look(self.state().observed.as_ref())
    }

    /// A copy of the observation.
    pub fn copy(&self) -> Option<ObservedVirtualHost> {
        self.state().observed.clone()
    }

    /// Notes an action that succeeded.
    pub fn note(&self, action: &Action) {
        let mut state = self.state();
        if let Some(since) = &mut state.since_read_began {
            since.push(action.clone());
        }
        if state.known && matches!(action, Action::CreateVirtualHost(_)) {
            state.observed.get_or_insert_default();
        }
        if matches!(action, Action::DeleteVirtualHost) {
            state.observed = None;
        }
        if let Some(observed) = &mut state.observed {
            observed.note(action);
        }
        if let Action::PutPolicy(policy) = action {
            state.echoes.expect(&policy.name, Instant::now());
        }
    }

    /// Whether an event can mean that something is not as observed.
    pub fn is_news(&self, event: &BrokerEvent) -> bool {
        let State { observed, echoes, .. } = &mut *self.state();
        is_news(event, observed.as_ref(), echoes, Instant::now())
    }

    /// Whether that is observed whose end an event tells of.
    pub fn contradicts(&self, event: &BrokerEvent) -> bool {
        self.look(|seen| seen.and_then(|seen| is_there(event, seen)).unwrap_or(false))
    }

    /// Number of the read that began last.
    pub fn reads_begun(&self) -> u64 {
        self.state().begun
    }

    /// Whether a read that began after that one has finished.
    pub fn was_read_since(&self, begun: u64) -> bool {
        self.state().finished > begun
    }

    /// Begins a read, when the one under way is over. What is written from now on is not in its answer, or perhaps is.
    pub async fn begin_read(&self) -> Read<'_> {
        let alone = self.reading.lock().await;
        let mut state = self.state();
        state.since_read_began = Some(Vec::new());
        state.begun += 1;
        Read { host: self, number: state.begun, _alone: alone }
    }
}

/// A read under way. Dropped without an answer, it changes nothing.
#[derive(Debug)]
pub struct Read<'a> {
    pub(super) host: &'a Host,
    number: u64,
    _alone: tokio::sync::MutexGuard<'a, ()>,
}

impl Read<'_> {
    /// The answer: replaces what was known, but for our own writes that it may have missed.
    ///
    /// Without this, a queue declared while the answer was on its way would look deleted.
    pub fn finish(self, answer: Option<ObservedVirtualHost>) -> Affected {
        let mut state = self.host.state();
        let mut new = answer;
        for action in state.since_read_began.iter().flatten() {
            match action {
                Action::CreateVirtualHost(_) => {
                    new.get_or_insert_default();
                }
                Action::DeleteVirtualHost => new = None,
                _ => {}
            }
            if let Some(new) = &mut new {
                new.note(action);
            }
        }
        let nothing = ObservedVirtualHost::default();
        let old = state.observed.as_ref().unwrap_or(&nothing);
        let found = affected(old, new.as_ref().unwrap_or(&nothing));
        state.known = true;
        state.finished = state.finished.max(self.number);
        state.observed = new;
        found
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        self.host.state().since_read_began = None;
    }
}

#[cfg(test)]
mod tests {
    use entente_core::topology::foundation::virtual_host;
    use entente_core::topology::model::{Arguments, QueueDeclaration, QueueKind};
    use entente_core::topology::names::Owner;

    use super::*;

    fn declare(name: &str) -> Action {
        let queue = QueueDeclaration { name: name.into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        Action::DeclareQueue(queue)
    }

    fn has(host: &Host, name: &str) -> bool {
        host.look(|seen| seen.is_some_and(|seen| seen.queues.contains_key(name)))
    }

    #[tokio::test]
    async fn a_write_during_a_read_is_not_forgotten() {
        let host = Host::new("shop");
        let read = host.begin_read().await;
        host.note(&Action::CreateVirtualHost(virtual_host("shop", "u")));
        host.note(&declare("q"));
        read.finish(None);
        assert!(has(&host, "q"));
    }

    #[tokio::test]
    async fn a_deletion_during_a_read_is_not_undone() {
        let host = Host::new("shop");
        let mut answer = ObservedVirtualHost::default();
        answer.note(&declare("q"));
        let read = host.begin_read().await;
        host.note(&Action::DeleteQueue { name: "q".into() });
        read.finish(Some(answer));
        assert!(!has(&host, "q"));
    }

    #[tokio::test]
    async fn writes_before_a_read_do_not_hide_what_it_finds() {
        let host = Host::new("shop");
        host.begin_read().await.finish(Some(ObservedVirtualHost::default()));
        host.note(&declare("q"));
        let found = host.begin_read().await.finish(Some(ObservedVirtualHost::default()));
        assert!(!has(&host, "q"));
        assert!(found.structure.contains(&Owner::Queue("q".into())));
    }

    /// Otherwise the one that began first could end last, with what is long gone.
    #[tokio::test]
    async fn reads_do_not_overlap() {
        let host = Host::new("shop");
        let first = host.begin_read().await;
        let mut second = std::pin::pin!(host.begin_read());
        assert!(futures::poll!(&mut second).is_pending());
        host.note(&declare("q"));
        first.finish(Some(ObservedVirtualHost::default()));
        // What was written before it began does not amend its answer.
        second.await.finish(Some(ObservedVirtualHost::default()));
        assert!(!has(&host, "q"));
    }

    #[tokio::test]
    async fn i5_a_read_that_failed_changes_nothing() {
        let host = Host::new("shop");
        host.begin_read().await.finish(Some(ObservedVirtualHost::default()));
        host.note(&declare("q"));
        drop(host.begin_read().await);
        assert!(has(&host, "q"));
    }
}
