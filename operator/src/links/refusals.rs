//! What a Broker refused to whom, as its events tell it, until contracts have counted it.
//!
//! What is not counted yet is lost with the process, and what the broker counted, with its node: this is a figure for the owner of a version, not
//! a protocol of every attempt.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use entente_broker::amqp::BrokerEvent;
use entente_core::contract::refusals::{Refusal, Refused};
use entente_core::topology::names::Owner;
use jiff::Timestamp;

/// Kind of the event of the broker image's plugin.
pub const EVENT: &str = "permission.refused";
/// Users and things of one virtual host that are kept. Beyond it only those that are kept already go on counting.
const MOST: usize = 1_000;

/// By user and what it was refused.
type OfHost = BTreeMap<(String, Refused), (u64, Timestamp)>;

/// What was refused, by virtual host.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<String, OfHost>>);

impl Refusals {
    fn of_hosts(&self) -> MutexGuard<'_, BTreeMap<String, OfHost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears an event; whether it may concern a contract. Then the virtual host's contracts are to count it.
    pub fn hear(&self, event: &BrokerEvent, now: Timestamp) -> bool {
        let Some((host, user, what, count)) = read(event) else { return false };
        let mut hosts = self.of_hosts();
        let kept = hosts.entry(host).or_default();
        let room = kept.len() < MOST;
        let key = (user, what);
        if !room && !kept.contains_key(&key) {
            return false;
        }
        let known = kept.entry(key).or_insert((0, now));
        *known = (known.0.saturating_add(count), now);
        true
    }

    /// Virtual hosts of which something is kept.
    pub fn hosts(&self) -> Vec<String> {
        self.of_hosts().keys().cloned().collect()
    }

    /// Takes what is kept of a virtual host.
    pub fn take(&self, host: &str) -> Vec<Refusal> {
        let kept = self.of_hosts().remove(host).unwrap_or_default();
        kept.into_iter().map(|((user, what), (count, at))| Refusal { user, what, count, at }).collect()
    }
}

/// What an event says, where it can be of a contract.
fn read(event: &BrokerEvent) -> Option<(String, String, Refused, u64)> {
    let detail = |key: &str| event.details.get(key).map(String::as_str);
    let name = event.name.clone()?;
    let what = match (detail("kind")?, detail("permission")?) {
        ("exchange", "write") if matches!(Owner::of_exchange(&name), Some(Owner::Contract(_))) => Refused::Exchange(name),
        ("queue", "read") if matches!(Owner::of_queue(&name), Some(Owner::Subscription { .. })) => Refused::Queue(name),
        ("vhost", _) => Refused::VirtualHost,
        _ => return None,
    };
    Some((event.virtual_host.clone()?, detail("user")?.to_owned(), what, detail("count")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, kind: &str, permission: &str, name: &str, count: &str) -> BrokerEvent {
        let details = [("user", user), ("kind", kind), ("permission", permission), ("count", count)];
        BrokerEvent {
            kind: EVENT.into(),
            virtual_host: Some("shop".into()),
            name: Some(name.into()),
            at: None,
            details: details.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_can_be_of_a_contract_is_kept_and_the_rest_is_not() {
        for (kind, permission, name, kept) in [
            ("exchange", "write", "contract.orders.v1.placed", true),
            ("exchange", "configure", "contract.orders.v1.placed", false),
            ("exchange", "write", "topic.orders", false),
            ("queue", "read", "subscription.billing.mail", true),
            ("queue", "read", "work", false),
            ("vhost", "connect", "shop", true),
            ("topic", "write", "x", false),
        ] {
            let refusals = Refusals::default();
            assert_eq!(refusals.hear(&event("a.b.1", kind, permission, name, "1"), at(1)), kept, "{kind} {name}");
            assert_eq!(refusals.take("shop").len(), usize::from(kept));
        }
    }

    #[test]
    fn each_is_counted_once() {
        let refusals = Refusals::default();
        for (count, second) in [("2", 5), ("3", 9)] {
            assert!(refusals.hear(&event("a.b.1", "vhost", "connect", "shop", count), at(second)));
        }
        assert_eq!(refusals.hosts(), ["shop"]);
        let expected = Refusal { user: "a.b.1".into(), what: Refused::VirtualHost, count: 5, at: at(9) };
        assert_eq!(refusals.take("shop"), [expected]);
        assert!(refusals.hosts().is_empty() && refusals.take("shop").is_empty());
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_an_event_without_a_number_is_none() {
        let refusals = Refusals::default();
        for user in 0..2 * MOST {
            refusals.hear(&event(&user.to_string(), "vhost", "connect", "shop", "1"), at(1));
        }
        assert!(refusals.hear(&event("7", "vhost", "connect", "shop", "1"), at(1)));
        assert_eq!(refusals.take("shop").len(), MOST);
        assert!(!refusals.hear(&event("a.b.1", "vhost", "connect", "shop", "many"), at(1)));
    }
}
