//! Attempts to use versions that end or have ended, and that the broker refused: how many, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::service_contract::{RefusedUser, VersionRefused, VersionState, VersionStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::client::identity::owner_of;
use crate::conditions::whole_second;
use crate::topology::names::offered;

/// Users that a version's status names: more would make it grow without an end.
const NAMED: usize = 16;
/// Who goes on trying is told again after so long.
const TELL_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Longest name of a user that is told: it comes from whoever made the user.
const LONGEST_NAME: usize = 255;

/// Something that the broker refused, some times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The broker user.
    pub user: String,
    /// What it was refused.
    pub what: Refused,
    /// How often.
    pub count: u64,
    /// When it was heard of.
    pub at: Timestamp,
}

/// What can be refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// To send to an exchange.
    Exchange(String),
    /// To receive from a queue.
    Queue(String),
    /// To connect: the user may do nothing at all in the virtual host.
    VirtualHost,
}

/// Those who depend on a contract, and the versions that they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// Versions by the queues of Subscriptions.
    pub queues: BTreeMap<String, String>,
    /// Versions by `<namespace>/<name>` of Clients.
    pub clients: BTreeMap<String, BTreeSet<String>>,
}

/// Somebody who was refused a version for the first time, or goes on for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The version.
    pub version: String,
    /// Who.
    pub client: String,
    /// How often now.
    pub count: i64,
}

/// The versions of a contract that something refused is of.
///
/// Whoever is refused the whole virtual host tells nothing of what it came for: that counts for each version that it names.
pub fn versions(contract: &str, refusal: &Refusal, dependents: &Dependents) -> BTreeSet<String> {
    match &refusal.what {
        Refused::Exchange(name) => {
            let offered = offered(name).filter(|offered| offered.contract == contract);
            offered.map(|offered| offered.version.to_owned()).into_iter().collect()
        }
        Refused::Queue(name) => dependents.queues.get(name).cloned().into_iter().collect(),
        Refused::VirtualHost => dependents.clients.get(&named(&refusal.user)).cloned().unwrap_or_default(),
    }
}

/// A user as people know it.
fn named(user: &str) -> String {
    match owner_of(user) {
        Some((namespace, client, _)) => format!("{namespace}/{client}"),
        None => user.chars().take(LONGEST_NAME / 4).collect(),
    }
}

/// Adds refusals to the versions that they are of, as far as those end or have ended: of others, that somebody lacks a right is
/// no news for their owner.
pub fn note(contract: &str, known: &mut [VersionStatus], refusals: &[Refusal], dependents: &Dependents) -> Vec<News> {
    let mut news = Vec::new();
    let mut in_order: Vec<&Refusal> = refusals.iter().collect();
    in_order.sort_by_key(|refusal| refusal.at);
    for refusal in in_order {
        let of = versions(contract, refusal, dependents);
        for status in known.iter_mut().filter(|status| of.contains(&status.name)) {
            if matches!(status.state, VersionState::Draft | VersionState::Active) {
                continue;
            }
            news.extend(add(status, refusal));
        }
    }
    news
}

fn add(status: &mut VersionStatus, refusal: &Refusal) -> Option<News> {
    let at = whole_second(refusal.at);
    let count = i64::try_from(refusal.count).unwrap_or(i64::MAX);
    let client = named(&refusal.user);
    let refused =
        status.refused.get_or_insert_with(|| VersionRefused { count: 0, since: Time(at), last_at: Time(at), by: Vec::new() });
    refused.count = refused.count.saturating_add(count);
    refused.last_at = Time(at);
    let known = refused.by.iter().position(|user| user.client == client).map(|place| refused.by.remove(place));
    let is_news = known.as_ref().is_none_or(|known| at.duration_since(known.last_at.0) >= TELL_AGAIN);
    let count = known.map_or(0, |known| known.count).saturating_add(count);
    refused.by.insert(0, RefusedUser { client: client.clone(), count, last_at: Time(at) });
    refused.by.truncate(NAMED);
    is_news.then(|| News { version: status.name.clone(), client, count })
}

#[cfg(test)]
mod tests {
    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(version: &str, state: State) -> VersionStatus {
        terms::recorded(version, &Record { state, ..Record::draft(at(0)) }, None)
    }

    fn refusal(user: &str, what: Refused, count: u64, second: i64) -> Refusal {
        Refusal { user: user.into(), what, count, at: at(second) }
    }

    fn exchange(name: &str) -> Refused {
        Refused::Exchange(name.into())
    }

    fn dependents() -> Dependents {
        Dependents {
            queues: [("subscription.billing.mail".to_owned(), "v1".to_owned())].into(),
            clients: [("billing/web".to_owned(), BTreeSet::from(["v1".to_owned(), "v2".to_owned()]))].into(),
        }
    }

    #[test]
    fn what_was_refused_tells_the_versions() {
        for (user, what, expected) in [
            ("billing.web.1", exchange("contract.orders.v1.placed"), vec!["v1"]),
            ("billing.web.1", exchange("contract.orders.v2.placed.out"), vec!["v2"]),
            ("billing.web.1", exchange("contract.other.v1.placed"), vec![]),
            ("billing.web.1", exchange("topic.orders"), vec![]),
            ("billing.web.1", exchange("contract.orders"), vec![]),
            ("billing.web.1", Refused::Queue("subscription.billing.mail".into()), vec!["v1"]),
            ("billing.web.1", Refused::Queue("subscription.billing.other".into()), vec![]),
            ("billing.web.7", Refused::VirtualHost, vec!["v1", "v2"]),
            ("billing.other.1", Refused::VirtualHost, vec![]),
            ("guest", Refused::VirtualHost, vec![]),
        ] {
            let found = versions("orders", &refusal(user, what.clone(), 1, 0), &dependents());
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{user} {what:?}");
        }
    }

    #[test]
    fn only_versions_that_end_count() {
        for (state, counts) in [
            (State::Draft, false),
            (State::Active, false),
            (State::Deprecated, true),
            (State::Sunset, true),
            (State::Retired, true),
        ] {
            let mut known = [status("v1", state)];
            let tried = [refusal("billing.web.1", exchange("contract.orders.v1.placed"), 3, 5)];
            let news = note("orders", &mut known, &tried, &Dependents::default());
            assert_eq!(known[0].refused.as_ref().map(|refused| refused.count), counts.then_some(3), "{state:?}");
            assert_eq!(news.len(), usize::from(counts));
        }
    }

    /// A new password is a new user of the same Client.
    #[test]
    fn a_client_is_counted_under_one_name() {
        let mut known = [status("v1", State::Retired)];
        let tried = |user: &str, second| [refusal(user, exchange("contract.orders.v1.placed"), 2, second)];
        let first = note("orders", &mut known, &tried("billing.web.1", 5), &Dependents::default());
        assert_eq!(first, [News { version: "v1".into(), client: "billing/web".into(), count: 2 }]);
        assert_eq!(note("orders", &mut known, &tried("billing.web.2", 9), &Dependents::default()), []);
        let refused = known[0].refused.clone().unwrap();
        let by = RefusedUser { client: "billing/web".into(), count: 4, last_at: Time(at(9)) };
        assert_eq!(refused, VersionRefused { count: 4, since: Time(at(5)), last_at: Time(at(9)), by: vec![by] });
        let later = note("orders", &mut known, &tried("billing.web.2", 9 + 3_600), &Dependents::default());
        assert_eq!(later, [News { version: "v1".into(), client: "billing/web".into(), count: 6 }]);
    }

    #[test]
    fn those_that_tried_last_are_named_and_all_are_counted() {
        let mut known = [status("v1", State::Retired)];
        let tried: Vec<Refusal> =
            (0..20).rev().map(|n| refusal(&format!("ns.c{n}.1"), exchange("contract.orders.v1.placed"), 1, n)).collect();
        note("orders", &mut known, &tried, &Dependents::default());
        let refused = known[0].refused.clone().unwrap();
        assert_eq!((refused.count, refused.by.len()), (20, NAMED));
        assert_eq!((refused.since.0, refused.last_at.0), (at(0), at(19)));
        assert_eq!((refused.by[0].client.as_str(), refused.by[NAMED - 1].client.as_str()), ("ns/c19", "ns/c4"));
    }
}
