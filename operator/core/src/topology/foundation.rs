//! What every virtual host of ours holds before its first queue.
//!
//! Settings that can change must be *policies*: RabbitMQ fixes queue arguments for life. But
//! a policy write makes RabbitMQ match every policy against every queue of the virtual host, so
//! one policy a queue costs queues × policies at each change. Queues with default settings
//! therefore share the policies made here; only a queue with other settings has its own.

use std::collections::BTreeSet;

use serde_json::json;

use super::model::{Arguments, ExchangeDeclaration, Policy, VirtualHost};
use super::observed::ObservedVirtualHost;
use super::plan::{Action, Plan};

/// Tag of every virtual host of ours, whichever Broker it is of.
pub const MANAGED_TAG: &str = "entente";
/// Beginning of the tag that says since when the namespace of a virtual host is gone, in seconds of Unix time.
pub const ORPHAN_TAG: &str = "entente-orphan-since-";
/// Direct exchange that dead letters of all queues pass; bindings decide where each queue's go.
pub const DEAD_LETTER_EXCHANGE: &str = "entente.dead-letters";
/// Exchange and queue of the probes that measure contracts' assurances, see [`crate::contract::assurances::path`].
pub const PROBE: &str = "entente.probe";
/// Exchange and queue that take messages of Topics with `unrouted: Discard`, and drop them.
pub const DISCARD: &str = "entente.discard";
/// Queues of Queues and Subscriptions, parts of Queues among them, without those for dead letters. See [`super::names`].
const QUEUES: &str = "^([^.]+|part\\.[^.]+\\.[0-9]+|subscription\\.[^.]+\\.[^.]+)$";
/// Queues for dead letters.
const DEAD_LETTER_QUEUES: &str = "^([^.]+|topic\\.[^.]+|subscription\\.[^.]+\\.[^.]+)\\.dead$";
/// Policy of quorum queues with default settings.
pub const DEFAULT_POLICY: &str = "entente.default";
/// Policy of classic queues with default settings.
pub const DEFAULT_CLASSIC_POLICY: &str = "entente.default-classic";
/// Policy of the own dead-letter queues.
pub const DEAD_LETTER_POLICY: &str = "entente.dead-letters";
/// Priority of an own policy: above the shared ones.
pub const OWN_POLICY_PRIORITY: i64 = 10;
/// How often a message is delivered before it is dead-lettered, by default.
pub const DEFAULT_DELIVERY_LIMIT: i64 = 20;

/// Tag that names the Broker a virtual host belongs to: the proof of ownership (invariant I2).
pub fn owner_tag(broker_uid: &str) -> String {
    format!("entente-broker-{broker_uid}")
}

/// The virtual host of a namespace.
pub fn virtual_host(namespace: &str, broker_uid: &str) -> VirtualHost {
    VirtualHost {
        name: namespace.to_owned(),
        description: format!("Kubernetes namespace {namespace}, kept by Entente"),
        tags: vec![MANAGED_TAG.to_owned(), owner_tag(broker_uid)],
    }
}

/// Settings of a quorum queue with `spec: {}`.
///
/// `at-least-once` dead lettering needs `reject-publish`: without either, a dead letter could be
/// lost on its way when a node fails (invariant I1).
pub fn default_settings() -> Arguments {
    Arguments::from([
        ("overflow".to_owned(), json!("reject-publish")),
        ("dead-letter-strategy".to_owned(), json!("at-least-once")),
        ("delivery-limit".to_owned(), json!(DEFAULT_DELIVERY_LIMIT)),
    ])
}

/// Settings of a classic queue that declares none.
pub fn default_classic_settings() -> Arguments {
    Arguments::from([("overflow".to_owned(), json!("reject-publish"))])
}

/// The policies that queues share.
pub fn shared_policies() -> [Policy; 3] {
    [
        Policy {
            name: DEFAULT_POLICY.to_owned(),
            pattern: QUEUES.to_owned(),
            apply_to: "quorum_queues".to_owned(),
            priority: 0,
            definition: default_settings(),
        },
        Policy {
            name: DEFAULT_CLASSIC_POLICY.to_owned(),
            pattern: QUEUES.to_owned(),
            apply_to: "classic_queues".to_owned(),
            priority: 0,
            definition: default_classic_settings(),
        },
        Policy {
            name: DEAD_LETTER_POLICY.to_owned(),
            pattern: DEAD_LETTER_QUEUES.to_owned(),
            apply_to: "quorum_queues".to_owned(),
            priority: 0,
            // A dead letter that its reader returns again and again must stay: there is no further place for it.
            definition: Arguments::from([
                ("overflow".to_owned(), json!("reject-publish")),
                ("delivery-limit".to_owned(), json!(-1)),
            ]),
        },
    ]
}

/// Limits of a virtual host by RabbitMQ's names; `None` means unlimited.
pub fn limits(spec: &entente_crds::broker::Limits) -> [(&'static str, Option<i64>); 2] {
    // `bytes` is not the broker's to enforce: see `quota`.
    let entente_crds::broker::Limits { queues, connections, bytes: _ } = spec;
    [("max-queues", *queues), ("max-connections", *connections)]
}

/// A virtual host of the wanted name that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the virtual host {name} exists in the broker and is not of this Broker (its tags are {tags:?}); it is left alone")]
pub struct NotOurs {
    /// Name of the virtual host.
    pub name: String,
    /// Its tags.
    pub tags: BTreeSet<String>,
}

/// The way from what was observed (`None`: no such virtual host) to a complete foundation.
///
/// Fails where the virtual host exists without the owner's tag: nothing in it may be touched.
pub fn diff(host: &VirtualHost, limits: &[(&str, Option<i64>)], observed: Option<&ObservedVirtualHost>) -> Result<Plan, NotOurs> {
    let absent = ObservedVirtualHost::default();
    let mut plan = Plan::default();
    let seen = match observed {
        None => {
            plan.step(vec![Action::CreateVirtualHost(host.clone())]);
            &absent
        }
        Some(seen) if host.tags.iter().all(|tag| seen.tags.contains(tag)) => {
            // Whoever makes something here has a namespace: what was an orphan is none any more.
            if seen.tags.iter().any(|tag| tag.starts_with(ORPHAN_TAG)) {
                plan.step(vec![Action::CreateVirtualHost(host.clone())]);
            }
            seen
        }
        Some(seen) => return Err(NotOurs { name: host.name.clone(), tags: seen.tags.clone() }),
    };
    let mut step = Vec::new();
    let exchange =
        ExchangeDeclaration { name: DEAD_LETTER_EXCHANGE.to_owned(), kind: "direct".to_owned(), arguments: Arguments::new() };
    if seen.exchanges.get(&exchange.name) != Some(&exchange) {
        step.push(Action::DeclareExchange(exchange));
    }
    for policy in shared_policies() {
        if seen.policies.get(&policy.name) != Some(&policy) {
            step.push(Action::PutPolicy(policy));
        }
    }
    for (name, value) in limits {
        if seen.limits.get(*name).copied() != *value {
            step.push(Action::SetLimit { name: (*name).to_owned(), value: *value });
        }
    }
    plan.step(step);
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: [(&str, Option<i64>); 2] = [("max-queues", None), ("max-connections", None)];

    fn complete(host: &VirtualHost) -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        for action in diff(host, &NO_LIMITS, None).unwrap().actions() {
            seen.note(action);
        }
        seen
    }

    #[test]
    fn a_complete_foundation_needs_nothing() {
        let host = virtual_host("shop", "u1");
        assert!(diff(&host, &NO_LIMITS, Some(&complete(&host))).unwrap().is_empty());
    }

    #[test]
    fn the_virtual_host_comes_before_what_is_in_it() {
        let plan = diff(&virtual_host("shop", "u1"), &NO_LIMITS, None).unwrap();
        assert!(matches!(plan.steps[0][..], [Action::CreateVirtualHost(_)]));
        assert_eq!(plan.steps.len(), 2);
    }

    #[test]
    fn i2_a_virtual_host_without_our_tag_is_not_touched() {
        let host = virtual_host("shop", "u1");
        let foreign = complete(&virtual_host("shop", "u2"));
        assert!(diff(&host, &NO_LIMITS, Some(&foreign)).is_err());
        assert!(diff(&host, &NO_LIMITS, Some(&ObservedVirtualHost::default())).is_err());
    }

    #[test]
    fn i1_what_is_used_again_is_no_orphan() {
        let host = virtual_host("shop", "u1");
        let mut seen = complete(&host);
        seen.tags.insert(format!("{ORPHAN_TAG}1800000000"));
        let plan = diff(&host, &NO_LIMITS, Some(&seen)).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        assert!(!seen.tags.iter().any(|tag| tag.starts_with(ORPHAN_TAG)), "{seen:?}");
        assert!(diff(&host, &NO_LIMITS, Some(&seen)).unwrap().is_empty());
    }

    #[test]
    fn drift_of_each_part_is_put_right() {
        let host = virtual_host("shop", "u1");
        let mut seen = complete(&host);
        seen.exchanges.clear();
        seen.policies.remove(DEAD_LETTER_POLICY);
        seen.limits.insert("max-queues".into(), 5);
        let plan = diff(&host, &NO_LIMITS, Some(&seen)).unwrap();
        let words: Vec<String> = plan.actions().map(ToString::to_string).collect();
        assert_eq!(words, ["declare exchange entente.dead-letters", "set policy entente.dead-letters", "clear limit max-queues"]);
    }
}
