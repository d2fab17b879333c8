//! What was last observed of a Broker's users, and our own writes since. One read serves all Clients.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_broker::users::UserAdmin;
use entente_core::client::identity::owner_of;
use entente_core::client::users::{ObservedUsers, UserAction};

use super::link::{Link, LinkError};

/// A permission is known to a node a moment after it was set at another. Who connects in that moment would be judged by the
/// old one, and the session remembers it: connections are closed after that moment.
const SETTLE: Duration = Duration::from_millis(300);

/// The users of one Broker.
#[derive(Debug, Default)]
pub struct Users {
    /// Held while they are read.
    reading: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    observed: Option<(ObservedUsers, Instant)>,
    /// Actions that succeeded while a read was under way.
    since_read_began: Vec<UserAction>,
    reads: usize,
}

/// A read under way. Dropped without an answer, it changes nothing.
struct Read<'a>(&'a Users);

impl Users {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether they were read at all: somebody needs them.
    pub fn are_known(&self) -> bool {
        self.state().observed.is_some()
    }

    fn age(&self) -> Option<Duration> {
        self.state().observed.as_ref().map(|(_, at)| at.elapsed())
    }

    /// Looks at the observation; at nothing where they were not read.
    pub fn look<T>(&self, look: impl FnOnce(&ObservedUsers) -> T) -> T {
        match &self.state().observed {
            Some((observed, _)) => look(observed),
            None => look(&ObservedUsers::default()),
        }
    }

    fn note(&self, action: &UserAction) {
        let mut state = self.state();
        if state.reads > 0 {
            state.since_read_began.push(action.clone());
        }
        if let Some((observed, _)) = &mut state.observed {
            observed.note(action);
        }
    }

    fn begin_read(&self) -> Read<'_> {
        self.state().reads += 1;
        Read(self)
    }
}

impl Read<'_> {
    /// The answer: replaces what was known, but for our own writes that it may have missed. Returns the users that differ; none where nothing
    /// was known, and so nothing decided on.
    fn finish(self, mut new: ObservedUsers) -> BTreeSet<String> {
        let mut state = self.0.state();
        state.since_read_began.iter().for_each(|action| new.note(action));
        let differ = |old: &ObservedUsers| {
            let names = old.users.keys().chain(new.users.keys());
            names.filter(|name| old.users.get(*name) != new.users.get(*name)).cloned().collect()
        };
        let changed = state.observed.as_ref().map(|(old, _)| differ(old)).unwrap_or_default();
        state.observed = Some((new, Instant::now()));
        changed
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reads = state.reads.saturating_sub(1);
        if state.reads == 0 {
            state.since_read_began.clear();
        }
    }
}

impl Link {
    /// Reads the users unless that was done within `age`. Many callers cause one read.
    pub async fn know_users(&self, age: Duration) -> Result<(), LinkError> {
        let fresh = || self.users.age().is_some_and(|known| known <= age);
        if fresh() {
            return Ok(());
        }
        let _one_at_a_time = self.users.reading.lock().await;
        if fresh() {
            return Ok(());
        }
        self.read_users_now().await
    }

    /// Reads the users now.
    pub async fn refresh_users(&self) -> Result<(), LinkError> {
        let _one_at_a_time = self.users.reading.lock().await;
        self.read_users_now().await
    }

    /// Wakes the Clients whose users are not as they were last known: the next read finds this known.
    async fn read_users_now(&self) -> Result<(), LinkError> {
        let read = self.users.begin_read();
        let answer = self.read(UserAdmin::read_users).await?;
        let changed = read.finish(answer);
        let owners: BTreeSet<_> =
            changed.iter().filter_map(|user| owner_of(user)).map(|(owner, name, _)| (owner, name)).collect();
        for (namespace, name) in owners {
            self.wakers.wake_client(namespace, name);
        }
        Ok(())
    }

    /// Carries out actions one after another; stops at the first that fails. What succeeded is noted.
    pub async fn run_users(&self, actions: &[UserAction]) -> Result<(), LinkError> {
        for action in actions {
            if matches!(action, UserAction::CloseConnections { .. }) {
                tokio::time::sleep(SETTLE).await;
            }
            self.write_user(action).await?;
            self.users.note(action);
            tracing::info!(broker = self.key, %action, "done");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use entente_broker::admin::BrokerAdmin;
    use entente_broker_fake::FakeBroker;
    use entente_core::client::password::{Password, PasswordHash};
    use futures::future::join_all;

    use kube::runtime::reflector::ObjectRef;

    use super::*;
    use crate::links::wakers::{Wakers, Woken};
    use crate::metrics::Metrics;

    const MINUTE: Duration = Duration::from_mins(1);

    fn link() -> (Arc<FakeBroker>, Link) {
        let (broker, link, _) = woken_link();
        (broker, link)
    }

    fn woken_link() -> (Arc<FakeBroker>, Link, Woken) {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let (wakers, woken) = Wakers::new();
        (broker, Link::new("a/main".into(), "u".into(), admin, wakers, Metrics::default()), woken)
    }

    fn put(user: &str) -> UserAction {
        let password_hash = PasswordHash::of(user, &Password::new("x".into()));
        UserAction::Put { user: user.into(), password_hash, tags: BTreeSet::new() }
    }

    fn has(link: &Link, user: &str) -> bool {
        link.users.look(|seen| seen.users.contains_key(user))
    }

    #[tokio::test]
    async fn a_thousand_clients_cause_one_read() {
        let (broker, link) = link();
        join_all((0..1_000).map(|_| link.know_users(MINUTE))).await.into_iter().collect::<Result<(), _>>().unwrap();
        assert_eq!(broker.calls(), 1);
        link.know_users(Duration::ZERO).await.unwrap();
        assert_eq!(broker.calls(), 2, "what is too old is read again");
    }

    #[tokio::test]
    async fn own_writes_are_known_and_no_news() {
        let (_, link, mut woken) = woken_link();
        link.know_users(MINUTE).await.unwrap();
        link.run_users(&[put("shop.web.1")]).await.unwrap();
        assert!(has(&link, "shop.web.1"));
        link.refresh_users().await.unwrap();
        assert!(woken.clients.try_recv().is_err());
    }

    #[tokio::test]
    async fn what_somebody_else_changed_wakes_its_client() {
        let (broker, link, mut woken) = woken_link();
        link.run_users(&[put("shop.web.1"), put("shop.web.2"), put("guest")]).await.unwrap();
        link.know_users(MINUTE).await.unwrap();
        broker.tamper_users(|seen| drop(seen.users.remove("shop.web.2")));
        broker.tamper_users(|seen| drop(seen.users.remove("guest")));
        assert!(woken.clients.try_recv().is_err(), "nobody has decided on anything yet");
        // Whoever looks: a Client that is deleted does as well as the observer.
        link.know_users(Duration::ZERO).await.unwrap();
        assert_eq!(woken.clients.try_recv().unwrap(), ObjectRef::new("web").within("shop"));
        assert!(woken.clients.try_recv().is_err());
        assert!(!has(&link, "shop.web.2"));
    }

    #[tokio::test]
    async fn a_write_during_a_read_is_not_forgotten() {
        let (_, link) = link();
        let read = link.users.begin_read();
        link.run_users(&[put("shop.web.1")]).await.unwrap();
        read.finish(ObservedUsers::default());
        assert!(has(&link, "shop.web.1"));
        link.users.begin_read().finish(ObservedUsers::default());
        assert!(!has(&link, "shop.web.1"), "the next answer counts");
    }

    #[tokio::test]
    async fn i5_a_read_that_failed_changes_nothing() {
        let (broker, link) = link();
        link.run_users(&[put("shop.web.1")]).await.unwrap();
        link.know_users(MINUTE).await.unwrap();
        broker.fail_with(Some(entente_broker::admin::AdminError::Refused { status: 400, reason: "no".into() }));
        assert!(link.refresh_users().await.is_err());
        assert!(has(&link, "shop.web.1"));
    }
}
