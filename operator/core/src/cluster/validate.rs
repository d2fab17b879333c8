//! What a Broker may ask for.
//!
//! Repeats every rule of the CRD: admission is courtesy, and an object can be older than a rule.

use std::fmt::Display;

use entente_crds::broker::{BrokerSpec, NamespacesFrom, TlsMode};
use entente_crds::condition::reasons;
use entente_crds::text::DurationText;
use entente_crds::{Broker, broker};
use k8s_openapi::api::apps::v1::StatefulSet;

use super::names::identity;
use super::{additional_config, config, quantity, stateful_set};

/// Why a Broker is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Reason of the condition.
    pub reason: &'static str,
    /// All that is wrong, and what to do.
    pub message: String,
}

const NAME_LIMIT: usize = 40;
const IMAGE_LIMIT: usize = 512;
const CONFIG_LIMIT: usize = 8192;
const STORAGE_SUFFIXES: [&str; 6] = ["Mi", "Gi", "Ti", "M", "G", "T"];

/// Checks a Broker by itself.
pub fn validate(broker: &Broker) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    let BrokerSpec {
        replicas,
        image,
        version,
        storage,
        resources: _,
        tls,
        channels: _,
        default: _,
        allowed_namespaces,
        placement,
        disruption,
        limits,
        orphan_retention,
        external: _,
        quorum_tick_interval,
        additional_config,
    } = &broker.spec;
    let name = broker.metadata.name.as_deref().unwrap_or_default();
    if !is_dns_label(name) || name.len() > NAME_LIMIT {
        problems
            .add("a Broker's name is a DNS label of at most 40 characters: the names of its Services and pods are made from it");
    }
    if ![1, 3, 5].contains(replicas) {
        problems.add("replicas must be 1, 3 or 5: a majority decides, so an even number adds cost and no safety");
    }
    if image.as_ref().is_some_and(|image| image.is_empty() || image.len() > IMAGE_LIMIT) {
        problems.add("image has 1 to 512 characters; leave it out for the operator's default");
    }
    if version.as_deref().is_some_and(|version| !is_version(version)) {
        problems.add("version is one to three numbers with dots, such as 4.3");
    }
    validate_storage(storage, &mut problems);
    if (tls.mode == TlsMode::Secret) != tls.secret_ref.is_some() {
        problems.add("tls: mode Secret needs secretRef, and the other modes take none");
    }
    if (allowed_namespaces.from == NamespacesFrom::Selector) != allowed_namespaces.selector.is_some() {
        problems.add("allowedNamespaces: from: Selector needs a selector, and the others take none");
    }
    if placement.tolerations.len() > 32 {
        problems.add("placement.tolerations has at most 32 entries");
    }
    if placement.priority_class_name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 253) {
        problems.add("placement.priorityClassName has 1 to 253 characters");
    }
    if !(0..=2).contains(&disruption.max_unavailable) {
        problems.add("disruption.maxUnavailable must be 0, 1 or 2");
    }
    validate_limits(limits, &mut problems);
    if let Err(error) = orphan_retention.as_millis() {
        problems.add(format!("orphanRetention: {error}"));
    }
    let is_tick = |tick: &DurationText| tick.as_millis().is_ok_and(|tick| config::TICKS.contains(&tick));
    if !quorum_tick_interval.as_ref().is_none_or(is_tick) {
        problems.add("quorumTickInterval is a duration from 500ms to 1m");
    }
    if additional_config.as_ref().is_some_and(|text| text.len() > CONFIG_LIMIT) {
        problems.add("additionalConfig has at most 8192 characters");
    } else if let Some(identity) = identity(broker) {
        for problem in additional_config::problems(broker, identity) {
            problems.add(problem);
        }
    }
    for problem in super::external::problems(&broker.spec) {
        problems.add(problem);
    }
    problems.into_result()
}

/// Checks a Broker against the nodes that are there.
pub fn validate_change(broker: &Broker, live: &StatefulSet) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    let spec = &broker.spec;
    // An absent class stands for the default one, which the API server may have filled in.
    let class = stateful_set::storage_class_of(live);
    if spec.storage.storage_class_name.is_some() && spec.storage.storage_class_name.as_deref() != class {
        problems.add(format!(
            "storage.storageClassName cannot be changed (the volumes are of {}): volumes do not move between classes; create another Broker",
            class.unwrap_or("the default class")
        ));
    }
    if let Some(size) = stateful_set::storage_of(live)
        && quantity::nanos(&spec.storage.size) < quantity::nanos(size)
    {
        problems.add(format!("storage.size can only grow (it is {size}): volumes do not shrink"));
    }
    problems.into_result()
}

fn validate_storage(storage: &broker::Storage, problems: &mut Problems) {
    let broker::Storage { size, storage_class_name } = storage;
    let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
    let sound = size.len() <= 20
        && !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        && STORAGE_SUFFIXES.contains(&&size[digits.len()..])
        && quantity::units(size).is_some_and(|bytes| bytes > 0);
    if !sound {
        problems.add(format!("storage.size {size:?} is not a size such as 512Mi or 10Gi"));
    }
    if storage_class_name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 253) {
        problems.add("storage.storageClassName has 1 to 253 characters; leave it out for the cluster's default");
    }
}

fn validate_limits(limits: &broker::Limits, problems: &mut Problems) {
    let broker::Limits { queues, connections, bytes } = limits;
    for (name, value) in [("queues", queues), ("connections", connections)] {
        if value.is_some_and(|value| !(0..=1_000_000).contains(&value)) {
            problems.add(format!("limits.{name} is between 0 and 1000000"));
        }
    }
    if let Some(Err(error)) = bytes.as_ref().map(entente_crds::text::ByteSize::as_bytes) {
        problems.add(format!("limits.bytes: {error}"));
    }
}

/// Everything that is wrong, so that a person corrects it in one go.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: impl Display) {
        self.0.push(problem.to_string());
    }

    fn into_result(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Refusal { reason: reasons::INVALID, message: self.0.join("; ") })
    }
}

fn is_dns_label(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(sound) && !name.starts_with('-') && !name.ends_with('-')
}

fn is_version(version: &str) -> bool {
    let parts: Vec<&str> = version.split('.').collect();
    version.len() <= 16
        && parts.len() <= 3
        && parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::names::identity;
    use crate::cluster::testing::{broker, inputs};
    use entente_crds::queue::LocalRef;
    use entente_crds::text::ByteSize;
    use k8s_openapi::api::core::v1::Toleration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

    fn check(change: impl FnOnce(&mut BrokerSpec)) -> Result<(), Refusal> {
        validate(&broker("main", "messaging", change))
    }

    fn refused(part: &str, change: impl FnOnce(&mut BrokerSpec)) {
        let refusal = check(change).unwrap_err();
        assert_eq!(refusal.reason, reasons::INVALID, "{part}");
        assert!(refusal.message.contains(part), "{part}: {}", refusal.message);
    }

    #[test]
    fn an_empty_spec_is_sound() {
        assert_eq!(check(|_| {}), Ok(()));
    }

    #[test]
    fn each_rule_of_the_crd_is_repeated() {
        for replicas in [0, 2, 4, 6, -1] {
            refused("replicas", |spec| spec.replicas = replicas);
        }
        for size in ["", "10", "Gi", "0Gi", "-1Gi", "1.5Gi", "10gi", "10Ki", "1e3", "99999999999999999999Gi"] {
            refused("storage.size", |spec| spec.storage.size = size.into());
        }
        refused("storageClassName", |spec| spec.storage.storage_class_name = Some(String::new()));
        refused("secretRef", |spec| spec.tls.mode = TlsMode::Secret);
        refused("secretRef", |spec| spec.tls.secret_ref = Some(LocalRef { name: "mine".into() }));
        refused("selector", |spec| spec.allowed_namespaces.from = NamespacesFrom::Selector);
        refused("selector", |spec| spec.allowed_namespaces.selector = Some(LabelSelector::default()));
        refused("maxUnavailable", |spec| spec.disruption.max_unavailable = 3);
        refused("limits.queues", |spec| spec.limits.queues = Some(-1));
        refused("limits.connections", |spec| spec.limits.connections = Some(1_000_001));
        refused("limits.bytes", |spec| spec.limits.bytes = Some(ByteSize("x".into())));
        for tick in ["soon", "499ms", "61s"] {
            refused("quorumTickInterval", |spec| spec.quorum_tick_interval = Some(DurationText(tick.into())));
        }
        refused("orphanRetention", |spec| spec.orphan_retention = DurationText("soon".into()));
        refused("additionalConfig", |spec| spec.additional_config = Some("listeners.tcp = 1".into()));
        refused("8192", |spec| spec.additional_config = Some("#".repeat(8193)));
        refused("image", |spec| spec.image = Some(String::new()));
        refused("priorityClassName", |spec| spec.placement.priority_class_name = Some(String::new()));
        refused("tolerations", |spec| spec.placement.tolerations = vec![Toleration::default(); 33]);
        for version in ["", "four", "4.", "4.3.6.1", "4.3-rc"] {
            refused("version", |spec| spec.version = Some(version.into()));
        }
    }

    #[test]
    fn names_make_names() {
        for name in ["", "-a", "a-", "A", "a.b", "ä", &"a".repeat(41)] {
            assert!(validate(&broker(name, "messaging", |_| {})).is_err(), "{name}");
        }
        assert_eq!(validate(&broker(&"a".repeat(40), "messaging", |_| {})), Ok(()));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let message = check(|spec| {
            spec.replicas = 2;
            spec.storage.size = "big".into();
        })
        .unwrap_err()
        .message;
        assert!(message.contains("replicas") && message.contains("storage.size"), "{message}");
    }

    #[test]
    fn what_cannot_be_changed_is_checked_against_what_runs() {
        let build = |broker: &Broker| stateful_set::build(broker, identity(broker).unwrap(), &inputs());
        let before = build(&broker("main", "messaging", |spec| {
            spec.replicas = 5;
            spec.storage.storage_class_name = Some("fast".into());
        }));
        let change = |change: fn(&mut BrokerSpec)| {
            let after = broker("main", "messaging", |spec| {
                spec.replicas = 5;
                spec.storage.storage_class_name = Some("fast".into());
                change(spec);
            });
            validate_change(&after, &before).map_err(|refusal| refusal.message)
        };
        assert_eq!(change(|_| {}), Ok(()));
        assert_eq!(change(|spec| spec.storage.size = "20Gi".into()), Ok(()));
        assert_eq!(change(|spec| spec.storage.size = "10240Mi".into()), Ok(()), "the same size");
        assert_eq!(change(|spec| spec.replicas = 3), Ok(()), "planned work removes the nodes");
        assert!(change(|spec| spec.storage.size = "5Gi".into()).unwrap_err().contains("storage.size"));
        assert!(change(|spec| spec.storage.storage_class_name = Some("slow".into())).unwrap_err().contains("fast"));
    }
}
