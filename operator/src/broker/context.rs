//! What the Broker controller works with.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::Recorder;

use super::probe::BrokerProbe;

/// Namespaces in which Brokers may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Namespaces {
    /// From a list as the command line has it: `*` among them stands for every one; of none at all,
    /// it is the operator's own.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>, operator_namespace: &str) -> Self {
        let mut names: BTreeSet<String> =
            names.into_iter().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.contains("*") {
            return Self::All;
        }
        if names.is_empty() {
            names.insert(operator_namespace.to_owned());
        }
        Self::Only(names)
    }

    /// Whether Brokers may run there.
    pub fn serve(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }
}

/// What an installation brings.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Image of Brokers that name none.
    pub image: String,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// Namespaces in which Brokers may run.
    pub namespaces: Namespaces,
}

/// Everything the controller works with.
pub struct BrokerContext {
    /// The Kubernetes API.
    pub client: Client,
    /// What the installation brings.
    pub settings: BrokerSettings,
    /// How brokers are asked.
    pub probe: Arc<dyn BrokerProbe>,
    /// Where Events go.
    pub recorder: Recorder,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one Broker between two looks. Losing it costs nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// Answers that did not come, in a row.
    pub silences: u32,
    /// Why an external one did not answer the last time that it was asked.
    pub silent_why: Option<String>,
    /// The generation at which it was said that its namespace is not served.
    pub not_served: Option<i64>,
    /// The last time its volumes refused to grow: the generation, when, and why.
    pub growth_refused: Option<(Option<i64>, Timestamp, String)>,
}

impl BrokerContext {
    /// A context without memories.
    pub fn new(client: Client, settings: BrokerSettings, probe: Arc<dyn BrokerProbe>, recorder: Recorder) -> Self {
        Self { client, settings, probe, recorder, memory: Mutex::default() }
    }

    pub(super) fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        change(memory.entry(uid.to_owned()).or_default())
    }

    pub(super) fn forget(&self, uid: &str) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_all_some_or_our_own() {
        let parse = |names: &[&str]| Namespaces::parse(names.iter().copied(), "entente-system");
        assert!(parse(&["*"]).serve("anything"));
        let some = parse(&["a", " b ", ""]);
        assert!(some.serve("a") && some.serve("b") && !some.serve("entente-system"));
        let own = parse(&[]);
        assert!(own.serve("entente-system") && !own.serve("a"));
        assert_eq!(parse(&[""]), own);
    }
}
