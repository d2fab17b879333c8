//! The broker objects that a valid Subscription stands for: a queue as any other, and a binding to it.

use super::validate::Settings;
use crate::object::Stages;
use crate::queue;
use crate::topology::diff::{Claim, Scope};
use crate::topology::model::Binding;
use crate::topology::names::topic_exchange;

/// Translates settings.
///
/// A filter is an argument of the binding. When it changes, the new binding is made before the old one is removed; a
/// message that matches both arrives once, as it is one queue.
pub fn desired(settings: &Settings) -> Stages {
    // Where it begins is done once, before any of this: see `replay`.
    let Settings { topic: _, exchange, arguments, start: _, queue } = settings;
    let mut stages = queue::desired::desired(queue);
    stages.usable.claims.push(Claim {
        // Whatever else leads to the queue was not declared.
        scope: Scope::To { destination: queue.name.clone() },
        bindings: vec![binding_from(exchange, queue, arguments)],
    });
    stages
}

/// The binding of a Subscription's queue.
pub fn binding(
    topic: &str,
    queue: &queue::validate::Settings,
    arguments: &std::collections::BTreeMap<String, String>,
) -> Binding {
    binding_from(&topic_exchange(topic), queue, arguments)
}

/// The binding of a Subscription's queue to an exchange, whatever that is of.
fn binding_from(
    exchange: &str,
    queue: &queue::validate::Settings,
    arguments: &std::collections::BTreeMap<String, String>,
) -> Binding {
    Binding { arguments: arguments.clone(), ..Binding::new(exchange, &queue.name, &queue.name) }
}

#[cfg(test)]
mod tests {
    use entente_crds::Subscription;
    use serde_json::json;

    use super::super::validate::validate;
    use super::*;
    use crate::topology::diff::diff;
    use crate::topology::model::{Arguments, ExchangeDeclaration};
    use crate::topology::observed::ObservedVirtualHost;
    use crate::topology::plan::Action;

    fn stages(filter: &str) -> Stages {
        let spec = json!({"topicRef": {"name": "orders"}, "filter": {"sql": filter}});
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("shop".into());
        desired(&validate(&subscription).unwrap())
    }

    #[test]
    fn i1_a_version_changes_without_a_gap() {
        let stages = |version: &str| {
            let spec = json!({"contractRef": {"name": "orders", "version": version, "operation": "placed"}});
            let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
            subscription.metadata.namespace = Some("shop".into());
            desired(&validate(&subscription).unwrap())
        };
        let mut seen = ObservedVirtualHost::default();
        for version in ["v1", "v2"] {
            let name = format!("contract.orders.{version}.placed.out");
            seen.note(&Action::DeclareExchange(ExchangeDeclaration { name, kind: "x-sql".into(), arguments: Arguments::new() }));
        }
        diff(&stages("v1").usable, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        let words: Vec<String> = diff(&stages("v2").usable, &seen).unwrap().actions().map(ToString::to_string).collect();
        let (queue, key) = ("subscription.shop.mail", "\"subscription.shop.mail\"");
        assert_eq!(
            words,
            [
                format!("bind contract.orders.v2.placed.out to {queue} by {key}"),
                format!("unbind contract.orders.v1.placed.out from {queue} by {key}"),
            ]
        );
    }

    #[test]
    fn i1_a_filter_changes_without_a_gap() {
        let mut seen = ObservedVirtualHost::default();
        let exchange = ExchangeDeclaration { name: "topic.orders".into(), kind: "x-sql".into(), arguments: Arguments::new() };
        seen.note(&Action::DeclareExchange(exchange));
        diff(&stages("a = 1").usable, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        let words: Vec<String> = diff(&stages("a = 2").usable, &seen).unwrap().actions().map(ToString::to_string).collect();
        let (queue, key) = ("subscription.shop.mail", "\"subscription.shop.mail\"");
        assert_eq!(
            words,
            [
                format!("bind topic.orders to {queue} by {key} x-sql-filter=\"a = 2\""),
                format!("unbind topic.orders from {queue} by {key} x-sql-filter=\"a = 1\""),
            ]
        );
    }
}
