//! What is left of an entry of a Client's `access` while the version that it depends on is in a brown-out.

use entente_crds::ServiceContract;
use jiff::Timestamp;

use super::access::{Found, Granted, Unusable};
use super::rights::Rights;
use super::validate::{Entry, Target};
use crate::contract::brownouts::told::refusal;
use crate::contract::reference::Reference;
use crate::object::Refusal;

/// The same entry without rights, as at retirement, where its version is in a brown-out.
///
/// Its addresses stay in the Secret: a workload reads that later than it is written, and would go without them for longer than the
/// brown-out lasts. Bindings and queues stay too: what is sent under a newer version waits, and nothing is lost.
pub fn closed(mut granted: Granted, entry: &Entry, found: Found<'_>, own: &str, now: Timestamp) -> Granted {
    let Some((reference, contract)) = version(entry, found, own) else { return granted };
    if let Some((Refusal { reason, message }, until)) = refusal(&reference, contract, now) {
        granted.rights = Rights::default();
        granted.closed = Some((Unusable { reason, message }, until));
    }
    granted
}

/// The version of a contract that an entry depends on.
fn version<'a>(entry: &Entry, found: Found<'a>, own: &str) -> Option<(Reference, &'a ServiceContract)> {
    match (&entry.target, found) {
        (Target::Contract(reference), Found::Contract(contract, _)) => Some((reference.clone(), contract)),
        (Target::Subscription { .. }, Found::Subscribed(subscription, Some(contract))) => {
            let reference = subscription.spec.contract_ref.as_ref()?;
            Some((Reference::of(reference, own), contract))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use entente_crds::Subscription;
    use entente_crds::condition::reasons;
    use entente_crds::grant::Verb;
    use serde_json::json;

    use super::super::access::{grant, sum};
    use super::*;
    use crate::resolve::Asker;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A contract whose version v1 is in a brown-out from second 0 to 60.
    fn orders() -> ServiceContract {
        let message = json!([{"operation": "placed", "format": "Opaque", "schema": "x"}]);
        let (begin, end) = (at(0).to_string(), at(60).to_string());
        let brownout =
            json!({"startsAt": begin, "endsAt": end, "state": "Underway", "announcedAt": begin, "announcedBefore": "1d"});
        let seen = json!({"name": "v1", "state": "Deprecated", "since": begin, "watchedAt": begin, "brownouts": [brownout]});
        serde_json::from_value(json!({
            "apiVersion": "entente.dev/v1alpha1", "kind": "ServiceContract",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {
                "owner": "orders", "operations": [{"name": "placed", "action": "Send"}],
                "versions": [{"name": "v1", "desiredState": "Deprecated", "messages": message}],
            },
            "status": {"versions": [seen]},
        }))
        .unwrap()
    }

    fn entry(target: Target, verb: Verb) -> Entry {
        Entry { name: "a".into(), target, verbs: BTreeSet::from([verb]) }
    }

    #[test]
    fn a_sender_keeps_its_address_and_its_place_and_loses_its_rights_until_the_end() {
        let contract = orders();
        let to = json!({"name": "orders", "version": "v1", "operation": "placed"});
        let reference = Reference::of(&serde_json::from_value(to).unwrap(), "shop");
        let entry = entry(Target::Contract(reference), Verb::Send);
        let (found, asker) = (Found::Contract(&contract, true), Asker { namespace: "shop", labels: None });
        let after = |second: i64| {
            let granted = grant(&entry, found, true, asker).map(|granted| closed(granted, &entry, found, "shop", at(second)));
            sum(&[(&entry, granted)], None)
        };
        let (during, later) = (after(59), after(60));
        assert!(during.rights.is_empty() && !later.rights.is_empty());
        assert_eq!((&during.addresses, &during.contracts), (&later.addresses, &later.contracts));
        assert_eq!((during.unusable[0].reason, during.opens_at), (reasons::VERSION_BROWNOUT, Some(at(60))));
        assert_eq!((later.unusable.len(), later.opens_at), (0, None));
    }

    #[test]
    fn whoever_reads_from_a_subscription_to_the_version_is_closed_out_and_others_are_not() {
        let contract = orders();
        let closed_out = |version: &str| {
            let to = json!({"name": "orders", "namespace": "shop", "version": version, "operation": "placed"});
            let mut subscription = Subscription::new("mail", serde_json::from_value(json!({"contractRef": to})).unwrap());
            subscription.metadata.namespace = Some("shop".into());
            let entry = entry(Target::Subscription { name: "mail".into() }, Verb::Receive);
            let mut granted = Granted::default();
            granted.rights.read.insert("subscription.shop.mail".into());
            closed(granted, &entry, Found::Subscribed(&subscription, Some(&contract)), "shop", at(1)).rights.is_empty()
        };
        assert!(closed_out("v1"));
        assert!(!closed_out("v2"));
    }
}
