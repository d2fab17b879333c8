//! Which Broker serves an object, and whether it may.

use std::collections::BTreeMap;

use entente_crds::Broker;
use entente_crds::broker::NamespacesFrom;
use entente_crds::condition::reasons;
use entente_crds::queue::BrokerRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// No Broker serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unresolved {
    /// A reason of [`reasons`].
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// The namespace of the object that asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Its name.
    pub namespace: &'a str,
    /// Its labels; `None` where they are not known, which then match nothing.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// Finds the Broker.
///
/// `current` is the Broker that has served so far (`namespace/name`, from status): among several
/// allowed defaults it stays, so that marking a second default moves nobody. It never allows anything.
pub fn resolve<'a, B>(
    reference: Option<&BrokerRef>,
    current: Option<&str>,
    asker: Asker<'_>,
    brokers: &'a [B],
) -> Result<&'a Broker, Unresolved>
where
    B: AsRef<Broker>,
{
    let all = || brokers.iter().map(AsRef::as_ref);
    if let Some(BrokerRef { name, namespace }) = reference {
        let namespace = namespace.as_deref().unwrap_or(asker.namespace);
        return all().find(|broker| is_named(broker, namespace, name)).filter(|broker| admits(broker, asker)).ok_or_else(|| Unresolved {
            reason: reasons::BROKER_NOT_USABLE,
            // One answer for absent and forbidden: names of other namespaces are not for everyone to try (invariant I3).
            message: format!(
                "the Broker {namespace}/{name} does not exist or does not admit this namespace; check brokerRef, or ask its owner to add this namespace to spec.allowedNamespaces"
            ),
        });
    }
    let defaults: Vec<&Broker> = all().filter(|broker| broker.spec.default && admits(broker, asker)).collect();
    let near = || {
        let mut here = defaults.iter().filter(|broker| broker.metadata.namespace.as_deref() == Some(asker.namespace));
        here.next().filter(|_| here.next().is_none())
    };
    let kept = current.and_then(|key| defaults.iter().find(|broker| crate::object::broker_key(broker) == key));
    match (kept.or_else(near), defaults.as_slice()) {
        (Some(broker), _) => Ok(broker),
        (None, [only]) => Ok(only),
        (None, []) => Err(Unresolved {
            reason: reasons::NO_DEFAULT_BROKER,
            message: "no brokerRef, and no Broker that is marked as the default admits this namespace; set spec.brokerRef, or mark a Broker with spec.default: true".to_owned(),
        }),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|broker| crate::object::broker_key(broker)).collect();
            Err(Unresolved {
                reason: reasons::SEVERAL_DEFAULT_BROKERS,
                message: format!("several Brokers are marked as the default ({}); set spec.brokerRef, or leave one default", names.join(", ")),
            })
        }
    }
}

fn is_named(broker: &Broker, namespace: &str, name: &str) -> bool {
    broker.metadata.namespace.as_deref() == Some(namespace) && broker.metadata.name.as_deref() == Some(name)
}

/// Whether a Broker serves a namespace: always its own, others as `allowedNamespaces` says.
pub fn admits(broker: &Broker, asker: Asker<'_>) -> bool {
    let allowed = &broker.spec.allowed_namespaces;
    if broker.metadata.namespace.as_deref() == Some(asker.namespace) {
        return true;
    }
    match allowed.from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => match (&allowed.selector, asker.labels) {
            (Some(selector), Some(labels)) => selects(selector, labels),
            _ => false,
        },
    }
}

/// Label selection as Kubernetes defines it. An unknown operator selects nothing.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let LabelSelector { match_labels, match_expressions } = selector;
    let equal = match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let LabelSelectorRequirement { key, operator, values } = requirement;
    let value = labels.get(key);
    let listed = value.is_some_and(|value| values.iter().flatten().any(|known| known == value));
    match operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn broker(namespace: &str, name: &str, spec: Value) -> Arc<Broker> {
        let mut broker = Broker::new(name, serde_json::from_value(spec).unwrap());
        broker.metadata.namespace = Some(namespace.into());
        Arc::new(broker)
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn asked(reference: Option<(&str, &str)>, current: Option<&str>, brokers: &[Arc<Broker>]) -> Result<String, &'static str> {
        let reference = reference.map(|(namespace, name)| BrokerRef { name: name.into(), namespace: Some(namespace.into()) });
        let team = labels(&[("team", "shop")]);
        resolve(reference.as_ref(), current, Asker { namespace: "shop", labels: Some(&team) }, brokers)
            .map(crate::object::broker_key)
            .map_err(|unresolved| unresolved.reason)
    }

    #[test]
    fn one_allowed_default_serves() {
        let all = json!({"default": true, "allowedNamespaces": {"from": "All"}});
        let closed = broker("b", "closed", json!({"default": true}));
        let open = broker("a", "main", all);
        assert_eq!(asked(None, None, &[closed.clone(), open]), Ok("a/main".into()));
        assert_eq!(asked(None, None, &[closed]), Err(reasons::NO_DEFAULT_BROKER));
        assert_eq!(asked(None, None, &[]), Err(reasons::NO_DEFAULT_BROKER));
    }

    #[test]
    fn a_second_default_moves_nobody_and_is_asked_about() {
        let all = json!({"default": true, "allowedNamespaces": {"from": "All"}});
        let two = [broker("a", "main", all.clone()), broker("b", "main", all.clone())];
        assert_eq!(asked(None, None, &two), Err(reasons::SEVERAL_DEFAULT_BROKERS));
        assert_eq!(asked(None, Some("b/main"), &two), Ok("b/main".into()));
        let own = [two[0].clone(), broker("shop", "own", all)];
        assert_eq!(asked(None, None, &own), Ok("shop/own".into()));
    }

    #[test]
    fn i3_absent_and_forbidden_sound_alike() {
        let closed = [broker("a", "main", json!({}))];
        let team = labels(&[]);
        let message = |name: &str, brokers: &[Arc<Broker>]| {
            let reference = BrokerRef { name: name.into(), namespace: Some("a".into()) };
            resolve(Some(&reference), None, Asker { namespace: "shop", labels: Some(&team) }, brokers).unwrap_err().message
        };
        assert_eq!(message("main", &closed), message("main", &[]));
    }

    #[test]
    fn i3_status_never_allows() {
        let closed = [broker("a", "main", json!({"default": true}))];
        assert_eq!(asked(None, Some("a/main"), &closed), Err(reasons::NO_DEFAULT_BROKER));
    }

    #[test]
    fn a_selector_is_evaluated_as_kubernetes_does() {
        for (selector, admitted) in [
            (json!({"matchLabels": {"team": "shop"}}), true),
            (json!({"matchLabels": {"team": "other"}}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["shop", "x"]}]}), true),
            (json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}), false),
            (json!({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["x"]}]}), true),
            (json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "Gt", "values": ["1"]}]}), false),
            (json!({}), true),
        ] {
            let brokers = [broker("a", "main", json!({"allowedNamespaces": {"from": "Selector", "selector": selector}}))];
            assert_eq!(asked(Some(("a", "main")), None, &brokers).is_ok(), admitted, "{selector}");
        }
    }

    #[test]
    fn the_own_namespace_is_always_admitted() {
        let brokers = [broker("shop", "main", json!({}))];
        assert_eq!(asked(Some(("shop", "main")), None, &brokers), Ok("shop/main".into()));
    }
}
