//! Where a sample of a contract's messages is taken: at the outlets, by a queue of Entente's own for each operation.
//!
//! The queue is bound by the arguments of the Subscriptions' own bindings: what goes to none of them does not come into the sample
//! either, and is `released` as ever. What is sent under a newer version and goes to the outlets of several comes once.
//!
//! It is a quorum queue: a classic one whose node is gone rejects what others have accepted, and senders would be told so. It is small,
//! drops the oldest and what is older than a minute, has no dead letters, and goes by itself when nobody reads it.

use std::collections::BTreeSet;

use serde_json::json;

use super::Key;
use crate::topology::diff::{Claim, Desired, Scope};
use crate::topology::model::{Arguments, Binding, DestinationKind, QueueDeclaration, QueueKind};
use crate::topology::names::{check_queue, check_queues, contract_outlet, is_check_queue, offered};
use crate::topology::observed::ObservedVirtualHost;

/// More messages than these do not wait: as many as are looked at in a minute, at most.
const MOST_MESSAGES: u64 = 100;
/// Nor more bytes; a message that is larger does not come at all.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// What waits longer is dropped.
const TTL_MILLIS: u64 = 60_000;
/// A queue that nobody reads any more goes by itself.
const EXPIRES_MILLIS: u64 = 600_000;
/// Filters of Subscriptions to an outlet by which a sample is taken, at most: each costs something for every message.
const MOST_FILTERS: usize = 16;

/// What must be there to check these operations of these versions; and what was there of others is unbound.
pub fn desired(contract: &str, checked: &BTreeSet<&Key>, observed: &ObservedVirtualHost) -> Desired {
    let operations: BTreeSet<&String> = checked.iter().map(|(_, operation)| operation).collect();
    let mut desired = surplus(contract, observed);
    let wanted: BTreeSet<String> = operations.iter().map(|operation| check_queue(contract, operation)).collect();
    desired.claims.retain(|claim| !matches!(&claim.scope, Scope::To { destination } if wanted.contains(destination)));
    for operation in operations {
        let name = check_queue(contract, operation);
        let versions = checked.iter().filter(|(_, other)| other == operation).map(|(version, _)| version);
        let bindings = versions.flat_map(|version| sampled(&contract_outlet(contract, version, operation), &name, observed));
        desired.claims.push(Claim { scope: Scope::To { destination: name.clone() }, bindings: bindings.collect() });
        desired.queues.push(QueueDeclaration { name, kind: QueueKind::Quorum, arguments: arguments() });
    }
    desired
}

/// What takes the samples of a contract away. The queues go by themselves.
pub fn surplus(contract: &str, observed: &ObservedVirtualHost) -> Desired {
    let prefix = check_queues(contract);
    let queues = observed.queues.keys().filter(|name| name.starts_with(&prefix));
    let unbound = |name: &String| Claim { scope: Scope::To { destination: name.clone() }, bindings: Vec::new() };
    Desired { claims: queues.map(unbound).collect(), ..Desired::default() }
}

fn arguments() -> Arguments {
    let settings = [
        ("x-expires", EXPIRES_MILLIS),
        ("x-max-length", MOST_MESSAGES),
        ("x-max-length-bytes", MOST_BYTES),
        ("x-message-ttl", TTL_MILLIS),
    ];
    let mut arguments: Arguments = settings.map(|(name, value)| (name.to_owned(), json!(value))).into();
    arguments.insert("x-overflow".to_owned(), json!("drop-head"));
    arguments
}

/// Bindings that give a queue what Subscriptions get from an outlet, and nothing else.
fn sampled(outlet: &str, queue: &str, observed: &ObservedVirtualHost) -> Vec<Binding> {
    let of_others =
        |binding: &&Binding| binding.destination_kind == DestinationKind::Queue && !is_check_queue(&binding.destination);
    let filters: BTreeSet<_> = observed.bindings_from(outlet).filter(of_others).map(|binding| &binding.arguments).collect();
    // One without a filter takes all, and sorts first.
    let most = if filters.first().is_some_and(|first| first.is_empty()) { 1 } else { MOST_FILTERS };
    let bind = |arguments: &std::collections::BTreeMap<String, String>| Binding {
        arguments: arguments.clone(),
        ..Binding::new(outlet, queue, queue)
    };
    filters.into_iter().take(most).map(bind).collect()
}

/// The version and operation that an exchange of a contract is for.
pub fn sent_to(contract: &str, exchange: &str) -> Option<Key> {
    let offered = offered(exchange).filter(|offered| offered.contract == contract && !offered.outlet)?;
    Some((offered.version.to_owned(), offered.operation.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::topology::diff::diff;
    use crate::topology::model::{ExchangeDeclaration, SQL_EXCHANGE};
    use crate::topology::plan::Action;

    fn key(version: &str, operation: &str) -> Key {
        (version.to_owned(), operation.to_owned())
    }

    fn observed(subscriptions: &[(&str, &str, &str)]) -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        for version in ["v1", "v2"] {
            for operation in ["placed", "cancel"] {
                let name = contract_outlet("orders", version, operation);
                let kind = SQL_EXCHANGE.to_owned();
                seen.note(&Action::DeclareExchange(ExchangeDeclaration { name, kind, arguments: Arguments::new() }));
            }
        }
        for (version, name, filter) in subscriptions {
            let queue = format!("subscription.billing.{name}");
            let declared = QueueDeclaration { name: queue.clone(), kind: QueueKind::Quorum, arguments: Arguments::new() };
            seen.note(&Action::DeclareQueue(declared));
            seen.note(&Action::Bind(filtered(&contract_outlet("orders", version, "placed"), &queue, filter)));
        }
        seen
    }

    fn filtered(outlet: &str, queue: &str, filter: &str) -> Binding {
        let arguments = [("x-sql-filter".to_owned(), filter.to_owned())].into_iter().filter(|(_, filter)| !filter.is_empty());
        Binding { arguments: arguments.collect::<BTreeMap<_, _>>(), ..Binding::new(outlet, queue, queue) }
    }

    fn carried_out(seen: &mut ObservedVirtualHost, keys: &[Key]) -> Vec<String> {
        let plan = diff(&desired("orders", &keys.iter().collect(), seen), seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        plan.actions().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sample_is_taken_of_what_a_subscription_gets_and_of_nothing_else() {
        let queue = "entente.check.orders.placed";
        let mut seen =
            observed(&[("v1", "a", "x = 1"), ("v1", "b", "x = 1"), ("v1", "c", "x = 2"), ("v2", "d", "x = 1"), ("v2", "e", "")]);
        let v1 = key("v1", "placed");
        let words = carried_out(&mut seen, &[v1.clone(), key("v2", "placed"), key("v1", "cancel")]);
        let bind =
            |version: &str, filter: &str| format!("bind contract.orders.{version}.placed.out to {queue} by {queue:?}{filter}");
        assert_eq!(words[..2], ["declare quorum queue entente.check.orders.cancel", &format!("declare quorum queue {queue}")]);
        let bindings: BTreeSet<&String> = words[2..].iter().collect();
        let expected = [bind("v1", " x-sql-filter=\"x = 1\""), bind("v1", " x-sql-filter=\"x = 2\""), bind("v2", "")];
        assert_eq!(bindings, expected.iter().collect());
        assert!(carried_out(&mut seen, &[v1.clone(), key("v2", "placed"), key("v1", "cancel")]).is_empty(), "i6");
        // The Subscriptions go, and what nobody gets is released again.
        seen.bindings.retain(|binding| !binding.destination.starts_with("subscription."));
        assert_eq!(carried_out(&mut seen, &[v1]).len(), 3);
        assert!(seen.bindings.is_empty(), "{:?}", seen.bindings);
    }

    #[test]
    fn a_sample_that_is_no_longer_wanted_is_unbound_and_that_of_another_contract_is_not() {
        let mut seen = observed(&[("v1", "a", "")]);
        carried_out(&mut seen, &[key("v1", "placed")]);
        let other = "entente.check.orders-2.placed".to_owned();
        seen.note(&Action::DeclareQueue(QueueDeclaration {
            name: other.clone(),
            kind: QueueKind::Quorum,
            arguments: arguments(),
        }));
        seen.note(&Action::Bind(Binding::new("contract.orders-2.v1.placed.out", &other, &other)));
        let plan = diff(&surplus("orders", &seen), &seen).unwrap();
        let words: Vec<String> = plan.actions().map(ToString::to_string).collect();
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].starts_with("unbind contract.orders.v1.placed.out from entente.check.orders.placed"), "{words:?}");
        plan.actions().for_each(|action| seen.note(action));
        assert!(diff(&surplus("orders", &seen), &seen).unwrap().is_empty());
    }

    #[test]
    fn many_filters_do_not_make_many_bindings() {
        let names: Vec<(String, String)> = (0..100).map(|number| (format!("s{number}"), format!("x = {number}"))).collect();
        let subscriptions: Vec<_> = names.iter().map(|(name, filter)| ("v1", name.as_str(), filter.as_str())).collect();
        let mut seen = observed(&subscriptions);
        assert_eq!(carried_out(&mut seen, &[key("v1", "placed")]).len(), 1 + MOST_FILTERS);
    }

    #[test]
    fn an_exchange_tells_version_and_operation() {
        assert_eq!(sent_to("orders", "contract.orders.v1.placed"), Some(key("v1", "placed")));
        for other in ["contract.order.v1.placed", "contract.orders.v1.placed.out", "topic.orders", ""] {
            assert_eq!(sent_to("orders", other), None, "{other}");
        }
    }
}
