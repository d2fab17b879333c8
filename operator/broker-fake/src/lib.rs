//! A broker in memory, for unit tests of what uses one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use entente_broker::admin::{AdminError, BrokerAdmin, Node, Overview};
use entente_broker::nodes::NodeAdmin;
use entente_broker::users::UserAdmin;
use entente_core::client::users::{ObservedUsers, UserAction};
use entente_core::cluster::work::{MemberChange, Members, Move};
use entente_core::contract::usage::Sender;
use entente_core::orphans::Listed;
use entente_core::scaling::deletion::Connected;
use entente_core::topology::observed::{Counts, ObservedQueue, ObservedVirtualHost};
use entente_core::topology::plan::Action;

/// Behaves as a broker does: keeps what it is told, refuses what it must.
#[derive(Debug, Default)]
pub struct FakeBroker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hosts: BTreeMap<String, ObservedVirtualHost>,
    users: ObservedUsers,
    senders: BTreeMap<String, Vec<Sender>>,
    connected: Vec<Connected>,
    failure: Option<AdminError>,
    calls: usize,
    written: Vec<String>,
}

impl FakeBroker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self) -> Result<MutexGuard<'_, State>, AdminError> {
        let mut state = self.state();
        state.calls += 1;
        state.failure.clone().map_or(Ok(state), Err)
    }

    /// From now on every call fails with this, or none does.
    pub fn fail_with(&self, failure: Option<AdminError>) {
        self.state().failure = failure;
    }

    /// Calls that arrived, failed ones among them.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Actions that were carried out since the last time this was asked.
    pub fn take_written(&self) -> Vec<String> {
        std::mem::take(&mut self.state().written)
    }

    /// Changes a virtual host behind everyone's back.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut ObservedVirtualHost)) {
        change(self.state().hosts.entry(name.to_owned()).or_default());
    }

    /// From now on these send in a virtual host.
    pub fn send(&self, virtual_host: &str, senders: Vec<Sender>) {
        self.state().senders.insert(virtual_host.to_owned(), senders);
    }

    /// From now on these are connected.
    pub fn connect(&self, connected: Vec<Connected>) {
        self.state().connected = connected;
    }

    /// Changes users behind everyone's back.
    pub fn tamper_users(&self, change: impl FnOnce(&mut ObservedUsers)) {
        change(&mut self.state().users);
    }
}

#[async_trait]
impl BrokerAdmin for FakeBroker {
    async fn overview(&self) -> Result<Overview, AdminError> {
        drop(self.called()?);
        Ok(Overview { version: "4.3.6".into(), cluster_name: "fake".into(), exchange_types: Vec::new() })
    }

    async fn nodes(&self) -> Result<Vec<Node>, AdminError> {
        drop(self.called()?);
        Ok(vec![Node { name: "rabbit@fake".into(), running: true, alarms: Vec::new(), plugins: Some(Vec::new()) }])
    }

    async fn own_tags(&self) -> Result<Vec<String>, AdminError> {
        drop(self.called()?);
        Ok(vec!["administrator".to_owned()])
    }

    async fn ensure_own_rights(&self, _: &str) -> Result<(), AdminError> {
        self.called().map(drop)
    }

    async fn virtual_hosts(&self) -> Result<Vec<Listed>, AdminError> {
        let listed = |(name, host): (&String, &ObservedVirtualHost)| Listed { name: name.clone(), tags: host.tags.clone() };
        Ok(self.called()?.hosts.iter().map(listed).collect())
    }

    async fn read_virtual_host(&self, name: &str) -> Result<Option<ObservedVirtualHost>, AdminError> {
        Ok(self.called()?.hosts.get(name).cloned())
    }

    async fn read_queues(&self, virtual_host: &str) -> Result<BTreeMap<String, ObservedQueue>, AdminError> {
        let state = self.called()?;
        state.hosts.get(virtual_host).map(|host| host.queues.clone()).ok_or_else(|| AdminError::NotFound(virtual_host.to_owned()))
    }

    async fn has_ready_message(&self, virtual_host: &str, queue: &str) -> Result<bool, AdminError> {
        let state = self.called()?;
        let seen = state.hosts.get(virtual_host).and_then(|host| host.queues.get(queue));
        Ok(seen.and_then(|queue| queue.counts).is_some_and(|counts| counts.ready > 0))
    }

    async fn read_senders(&self, virtual_host: &str) -> Result<Vec<Sender>, AdminError> {
        Ok(self.called()?.senders.get(virtual_host).cloned().unwrap_or_default())
    }

    async fn read_connected(&self, _: &str, hosts: &BTreeSet<IpAddr>) -> Result<Vec<Connected>, AdminError> {
        Ok(self.called()?.connected.iter().filter(|one| hosts.contains(&one.host)).cloned().collect())
    }

    async fn execute(&self, virtual_host: &str, action: &Action) -> Result<(), AdminError> {
        let mut state = self.called()?;
        state.written.push(action.to_string());
        if let Action::CreateVirtualHost(host) = action {
            state.hosts.entry(host.name.clone()).or_default().note(action);
            return Ok(());
        }
        let host = state.hosts.get_mut(virtual_host).ok_or_else(|| AdminError::NotFound(virtual_host.to_owned()))?;
        host.note(action);
        if let Action::DeclareQueue(queue) = action
            && let Some(seen) = host.queues.get_mut(&queue.name)
        {
            seen.counts.get_or_insert(Counts::default());
        }
        Ok(())
    }

    async fn open_event_queue(&self, _: &str, _: &[&str], _: Duration) -> Result<(), AdminError> {
        self.called().map(drop)
    }
}

#[async_trait]
impl UserAdmin for FakeBroker {
    async fn read_users(&self) -> Result<ObservedUsers, AdminError> {
        Ok(self.called()?.users.clone())
    }

    async fn execute_user(&self, action: &UserAction) -> Result<(), AdminError> {
        let mut state = self.called()?;
        state.written.push(action.to_string());
        if let UserAction::SetPermission { user, virtual_host, .. } = action
            && !(state.users.users.contains_key(user) && state.hosts.contains_key(virtual_host))
        {
            return Err(AdminError::Refused { status: 400, reason: "vhost_or_user_not_found".to_owned() });
        }
        state.users.note(action);
        Ok(())
    }
}

#[async_trait]
impl NodeAdmin for FakeBroker {
    async fn members(&self) -> Result<Option<Members>, AdminError> {
        Ok(None)
    }

    async fn move_leaders(&self, _: &[Move]) -> Result<Vec<String>, AdminError> {
        Ok(Vec::new())
    }

    async fn change_members(&self, _: &[MemberChange]) -> Result<Vec<String>, AdminError> {
        Ok(Vec::new())
    }

    async fn remove_node(&self, _: &str) -> Result<(), AdminError> {
        Ok(())
    }

    async fn close_connections(&self, _: &str, _: u32) -> Result<u32, AdminError> {
        Ok(0)
    }
}
