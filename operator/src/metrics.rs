//! Figures for Prometheus. Labels come from closed sets: no object's name is one, but for versions of contracts that end, and of
//! contracts that ask for figures: there are few, and somebody must be told by name.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What was reconciled and what came of it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Visit {
    /// Kind of the object.
    pub kind: &'static str,
    /// `ok`, `waiting` or `error`.
    pub outcome: &'static str,
}

/// What was asked of a broker's administration and what came of it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Call {
    /// `read` or `write`.
    pub kind: &'static str,
    /// `ok`, `refused`, `outage` or `held back`.
    pub outcome: &'static str,
}

/// One kind of object.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    /// Kind of the object.
    pub kind: &'static str,
}

/// What was asked of the admission webhook and what came of it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Admission {
    /// Plural name of the kind.
    pub resource: &'static str,
    /// `admitted`, `refused` or `unchecked`.
    pub outcome: &'static str,
}

/// A change of a workload's replicas.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Scaled {
    /// `up` or `down`.
    pub direction: &'static str,
}

/// What KEDA asked and what came of it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct KedaCall {
    /// Name of the call.
    pub call: &'static str,
    /// `answered`, `refused` or `not seen`.
    pub outcome: &'static str,
}

/// A version of a contract that ends.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct EndingVersion {
    /// The contract's namespace.
    pub namespace: String,
    /// The contract.
    pub contract: String,
    /// The version.
    pub version: String,
}

/// What became of a probe.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ProbeOutcome {
    /// `back` or `failed`.
    pub outcome: &'static str,
}

/// What a contract is measured by.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Assured {
    /// The contract's namespace.
    pub namespace: String,
    /// The contract.
    pub contract: String,
    /// `availability`, `latencyP99`, `rpo` or `rto`.
    pub assurance: &'static str,
}

/// What came of checks of a version's messages.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Checked {
    /// The contract's namespace.
    pub namespace: String,
    /// The contract.
    pub contract: String,
    /// The version.
    pub version: String,
    /// `conforms`, `violates` or `unchecked`.
    pub outcome: &'static str,
}

/// All figures of the operator.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Visits to objects.
    pub visits: Family<Visit, Counter>,
    /// Time of a visit in seconds.
    pub visit_seconds: Family<Kind, Histogram>,
    /// Writes to the API server, by the kind of the object.
    pub api_writes: Family<Kind, Counter>,
    /// Calls to brokers.
    pub broker_calls: Family<Call, Counter>,
    /// Virtual hosts read whole.
    pub resyncs: Counter,
    /// Events that arrived from brokers.
    pub broker_events: Counter,
    /// Changes of workloads' replicas.
    pub scalings: Family<Scaled, Counter>,
    /// Time between two looks at one queue that is scaled on, in seconds.
    pub tick_seconds: Histogram,
    /// Age of what a decision is made on, in seconds.
    pub sample_age_seconds: Histogram,
    /// Calls of KEDA.
    pub keda_calls: Family<KedaCall, Counter>,
    /// Days until versions of contracts end; below zero once they did and are not retired.
    pub days_to_sunset: Family<EndingVersion, Gauge<f64, AtomicU64>>,
    /// 1 for versions of contracts that are in a brown-out.
    pub brownouts: Family<EndingVersion, Gauge>,
    /// Attempts to use a version that were refused.
    pub refused: Family<EndingVersion, Gauge>,
    /// Probes that measure the assurances of contracts.
    pub probes: Family<ProbeOutcome, Counter>,
    /// Time until a probe was back in seconds.
    pub probe_seconds: Histogram,
    /// Whether a contract keeps what it is measured by.
    pub assured: Family<Assured, Gauge>,
    /// Messages that were looked at, by contracts that ask for it.
    pub checked: Family<Checked, Counter>,
    /// Answers of the admission webhook.
    pub admissions: Family<Admission, Counter>,
    /// Time of an answer of the admission webhook in seconds.
    pub admission_seconds: Histogram,
    /// 1 while this replica leads.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("entente");
        let visits = Family::default();
        let visit_seconds = Family::<Kind, Histogram>::new_with_constructor(|| {
            Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
        });
        let api_writes = Family::default();
        let broker_calls = Family::default();
        let resyncs = Counter::default();
        let broker_events = Counter::default();
        let scalings = Family::default();
        let tick_seconds =
            Histogram::new([0.1, 0.25, 0.45, 0.5, 0.505, 0.51, 0.525, 0.55, 0.6, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0]);
        let sample_age_seconds = Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0]);
        let keda_calls = Family::default();
        let days_to_sunset = Family::default();
        let brownouts = Family::<EndingVersion, Gauge>::default();
        let refused = Family::<EndingVersion, Gauge>::default();
        let probes = Family::<ProbeOutcome, Counter>::default();
        let probe_seconds = Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        let assured = Family::<Assured, Gauge>::default();
        let checked = Family::<Checked, Counter>::default();
        let admissions = Family::default();
        let admission_seconds = Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]);
        let leader = Gauge::default();
        registry.register("reconciles", "Visits to objects", visits.clone());
        registry.register("reconcile_seconds", "Time of a visit in seconds", visit_seconds.clone());
        registry.register("api_writes", "Writes to the API server", api_writes.clone());
        registry.register("broker_calls", "Calls to brokers' administration", broker_calls.clone());
        registry.register("broker_resyncs", "Virtual hosts read whole", resyncs.clone());
        registry.register("broker_events", "Events that arrived from brokers", broker_events.clone());
        registry.register("autoscaler_decisions", "Changes of workloads' replicas", scalings.clone());
        registry.register(
            "autoscaler_tick_seconds",
            "Time between two looks at one queue that is scaled on",
            tick_seconds.clone(),
        );
        registry.register(
            "autoscaler_sample_age_seconds",
            "Age of what a decision of the autoscaler is made on",
            sample_age_seconds.clone(),
        );
        registry.register("keda_calls", "Calls of KEDA", keda_calls.clone());
        registry.register(
            "contract_days_to_sunset",
            "Days until a version of a contract ends; below zero once it did and is not retired",
            days_to_sunset.clone(),
        );
        registry.register(
            "contract_brownout",
            "1 while a version of a contract is closed as a rehearsal of its retirement",
            brownouts.clone(),
        );
        registry.register(
            "contract_refused",
            "Attempts to use a version of a contract that were refused since it began to end",
            refused.clone(),
        );
        registry.register("probes", "Probes that measure the assurances of contracts", probes.clone());
        registry.register("probe_seconds", "Time until a probe was back in seconds", probe_seconds.clone());
        registry.register("contract_assurance_met", "1 while a contract keeps what it is measured by", assured.clone());
        registry.register("contract_messages_checked", "Messages that were looked at, by contracts with checks", checked.clone());
        registry.register("admission_reviews", "Answers of the admission webhook", admissions.clone());
        registry.register(
            "admission_seconds",
            "Time of an answer of the admission webhook in seconds",
            admission_seconds.clone(),
        );
        registry.register("leader", "1 while this replica leads", leader.clone());
        Self {
            registry: Arc::new(registry),
            visits,
            visit_seconds,
            api_writes,
            broker_calls,
            resyncs,
            broker_events,
            scalings,
            tick_seconds,
            sample_age_seconds,
            keda_calls,
            days_to_sunset,
            brownouts,
            refused,
            probes,
            probe_seconds,
            assured,
            checked,
            admissions,
            admission_seconds,
            leader,
        }
    }
}

impl Metrics {
    /// The exposition text (OpenMetrics).
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# encoding failed");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_exposed_with_their_names() {
        let metrics = Metrics::default();
        metrics.visits.get_or_create(&Visit { kind: "Queue", outcome: "ok" }).inc();
        metrics.leader.set(1);
        let text = metrics.text();
        assert!(text.contains(r#"entente_reconciles_total{kind="Queue",outcome="ok"} 1"#), "{text}");
        assert!(text.contains("entente_leader 1"), "{text}");
    }

    #[test]
    fn the_dashboard_asks_for_figures_that_there_are() {
        let metrics = Metrics::default();
        let (kind, outcome) = ("Queue", "ok");
        let of = || ("shop".to_owned(), "orders".to_owned(), "v1".to_owned());
        let (namespace, contract, version) = of();
        let ending = EndingVersion { namespace, contract, version };
        // A family without a member is not told.
        metrics.visits.get_or_create(&Visit { kind, outcome }).inc();
        metrics.visit_seconds.get_or_create(&Kind { kind }).observe(0.1);
        metrics.api_writes.get_or_create(&Kind { kind }).inc();
        metrics.broker_calls.get_or_create(&Call { kind, outcome }).inc();
        metrics.scalings.get_or_create(&Scaled { direction: "up" }).inc();
        metrics.keda_calls.get_or_create(&KedaCall { call: "IsActive", outcome: "answered" }).inc();
        metrics.days_to_sunset.get_or_create(&ending).set(1.0);
        metrics.brownouts.get_or_create(&ending).set(0);
        metrics.refused.get_or_create(&ending).set(0);
        metrics.probes.get_or_create(&ProbeOutcome { outcome: "back" }).inc();
        let (namespace, contract, version) = of();
        metrics.assured.get_or_create(&Assured { namespace, contract, assurance: "availability" }).set(1);
        let (namespace, contract, _) = of();
        metrics.checked.get_or_create(&Checked { namespace, contract, version, outcome: "conforms" }).inc();
        metrics.admissions.get_or_create(&Admission { resource: "queues", outcome: "admitted" }).inc();
        let (text, dashboard) = (metrics.text(), include_str!("../../charts/entente/dashboards/entente.json"));
        let words = dashboard.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let asked: Vec<&str> = words.filter(|word| word.starts_with("entente_")).collect();
        assert!(asked.len() > 20, "{asked:?}");
        for word in asked {
            assert!(text.lines().any(|line| line.starts_with(word)), "{word} is not among\n{text}");
        }
    }
}
