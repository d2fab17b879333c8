//! Who uses a version, as the broker shows it: what is bound, who receives, what waits, who sends.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::service_contract::{Version, VersionUse};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::conditions::whole_second;
use crate::topology::model::DestinationKind;
use crate::topology::names::{contract_exchange, contract_outlet, exchange_address, is_check_queue};
use crate::topology::observed::{Counts, ObservedVirtualHost};

/// Somebody who may be sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The broker user.
    pub user: String,
    /// The AMQP 1.0 address of the link's target. Nothing where the broker does not tell, as of links without a target and of
    /// other protocols: whatever the user may send to.
    pub address: Option<String>,
}

/// Use of a version. Nothing where it cannot be told whole (invariant I5).
///
/// `senders` are those of the virtual host, where they were asked for; `may_send` says whether a user may send to an exchange.
pub fn observe(
    contract: &str,
    version: &Version,
    observed: &ObservedVirtualHost,
    senders: Option<&[Sender]>,
    may_send: impl Fn(&str, &str) -> bool,
    now: Timestamp,
) -> Option<VersionUse> {
    let queues = queues(contract, version, observed);
    let mut counts = Counts::default();
    for queue in &queues {
        counts = counts.plus(observed.queues.get(*queue)?.counts?);
    }
    let exchanges: BTreeSet<String> =
        version.messages.iter().map(|message| contract_exchange(contract, &version.name, &message.operation)).collect();
    let producers = senders.map(|senders| senders.iter().filter(|sender| sends(sender, &exchanges, &may_send)).count());
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    Some(VersionUse {
        consumers: counts.consumers,
        producers: producers.map(number),
        subscriptions: number(queues.len()),
        backlog: counts.messages(),
        last_seen: None,
        observed_at: Time(whole_second(now)),
        stale: false,
    })
}

/// The queues that are bound to a version.
fn queues<'a>(contract: &str, version: &Version, observed: &'a ObservedVirtualHost) -> BTreeSet<&'a str> {
    let outlets: Vec<String> =
        version.messages.iter().map(|message| contract_outlet(contract, &version.name, &message.operation)).collect();
    let mut queues = BTreeSet::new();
    for binding in &observed.bindings {
        let is_sample = is_check_queue(&binding.destination);
        if binding.destination_kind == DestinationKind::Queue && !is_sample && outlets.contains(&binding.source) {
            queues.insert(binding.destination.as_str());
        }
    }
    queues
}

fn sends(sender: &Sender, exchanges: &BTreeSet<String>, may_send: impl Fn(&str, &str) -> bool) -> bool {
    match &sender.address {
        Some(address) => exchanges.iter().any(|exchange| {
            let rest = address.strip_prefix(&exchange_address(exchange));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }),
        None => exchanges.iter().any(|exchange| may_send(&sender.user, exchange)),
    }
}

/// Dependents in words, for who wants to delete the contract, by version: those that nobody depends on are not in it. `None` where it
/// is not known of a queue how many messages wait.
pub fn in_the_way(contract: &str, versions: &[Version], observed: &ObservedVirtualHost) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for version in versions {
        let queues = queues(contract, version, observed);
        let seen = observe(contract, version, observed, None, |_, _| false, Timestamp::UNIX_EPOCH)?;
        if !queues.is_empty() {
            let names: Vec<&str> = queues.iter().copied().take(3).collect();
            let text = format!("{} Subscriptions with {} messages ({})", seen.subscriptions, seen.backlog, names.join(", "));
            found.insert(version.name.clone(), text);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{contract, version};
    use super::*;
    use crate::topology::model::{Arguments, Binding, QueueDeclaration, QueueKind};
    use crate::topology::plan::Action;

    fn v1() -> Version {
        contract(json!([version("v1", "Active", json!({}))])).spec.versions.remove(0)
    }

    fn observed(counts: Option<Counts>) -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        let name = "subscription.billing.mail".to_owned();
        seen.note(&Action::DeclareQueue(QueueDeclaration {
            name: name.clone(),
            kind: QueueKind::Quorum,
            arguments: Arguments::new(),
        }));
        seen.bindings.insert(Binding::new("contract.orders.v1.placed.out", &name, "a"));
        seen.bindings.insert(Binding::new("contract.orders.v1.placed.out", &name, "b"));
        seen.bindings.insert(Binding::to_exchange("contract.orders.v2.placed", "contract.orders.v1.placed.out", ""));
        seen.queues.values_mut().for_each(|queue| queue.counts = counts);
        seen
    }

    fn seen(observed: &ObservedVirtualHost, senders: Option<&[Sender]>) -> Option<VersionUse> {
        let may = |user: &str, exchange: &str| user == "shop.web.1" && exchange == "contract.orders.v1.placed";
        observe("orders", &v1(), observed, senders, may, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_queue_counts_once_and_another_version_not_at_all() {
        let counts = Counts { ready: 3, unacknowledged: 2, consumers: 4 };
        let seen = seen(&observed(Some(counts)), None).unwrap();
        assert_eq!((seen.subscriptions, seen.consumers, seen.backlog, seen.producers), (1, 4, 5, None));
    }

    #[test]
    fn a_sample_that_is_checked_is_nobodys_use() {
        let mut observed = observed(Some(Counts { ready: 3, ..Counts::default() }));
        let before = seen(&observed, None);
        let name = crate::topology::names::check_queue("orders", "placed");
        observed.note(&Action::DeclareQueue(QueueDeclaration {
            name: name.clone(),
            kind: QueueKind::Quorum,
            arguments: Arguments::new(),
        }));
        observed.note(&Action::Bind(Binding::new("contract.orders.v1.placed.out", &name, &name)));
        assert_eq!(seen(&observed, None), before);
    }

    #[test]
    fn i5_a_count_that_is_not_known_is_not_zero() {
        assert_eq!(seen(&observed(None), None), None);
        assert_eq!(in_the_way("orders", &[v1()], &observed(None)), None);
    }

    #[test]
    fn senders_are_known_by_their_address_or_by_what_they_may() {
        let sender = |user: &str, address: Option<&str>| Sender { user: user.into(), address: address.map(str::to_owned) };
        let nothing = ObservedVirtualHost::default();
        for (sender, counts) in [
            (sender("x", Some("/exchanges/contract.orders.v1.placed")), 1),
            (sender("x", Some("/exchanges/contract.orders.v1.placed/key")), 1),
            (sender("shop.web.1", Some("/exchanges/contract.orders.v1.placedx")), 0),
            (sender("shop.web.1", Some("/exchanges/contract.orders.v2.placed")), 0),
            (sender("shop.web.1", None), 1),
            (sender("x", None), 0),
        ] {
            let found = seen(&nothing, Some(std::slice::from_ref(&sender))).unwrap();
            assert_eq!(found.producers, Some(counts), "{sender:?}");
        }
    }

    #[test]
    fn what_is_bound_is_in_the_way() {
        let found = in_the_way("orders", &[v1()], &observed(Some(Counts { ready: 3, ..Counts::default() }))).unwrap();
        assert_eq!(found["v1"], "1 Subscriptions with 3 messages (subscription.billing.mail)");
        assert!(in_the_way("orders", &[v1()], &ObservedVirtualHost::default()).unwrap().is_empty());
    }
}
