//! Who was refused the versions of a contract, for its status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use entente_core::contract::reference::Reference;
use entente_core::contract::refusals::{self, Dependents, News, Refusal};
use entente_core::topology::names::subscription_queue;
use entente_crds::service_contract::VersionStatus;
use entente_crds::{Client, ServiceContract, Subscription};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use super::ContractContext;
use crate::objects::Kind;

/// Refusals that wait for a contract's next visit, at most.
const WAITING: usize = 1_000;

/// What was refused in the virtual host of some contracts, and was not counted by them yet.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeMap<String, Vec<Refusal>>>);

impl Waiting {
    /// For each of these contracts, by UID.
    fn add(&self, contracts: impl IntoIterator<Item = String>, refused: &[Refusal]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for uid in contracts {
            let known = waiting.entry(uid).or_default();
            known.extend(refused.iter().take(WAITING.saturating_sub(known.len())).cloned());
        }
    }

    fn take(&self, uid: &str) -> Vec<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid).unwrap_or_default()
    }

    /// A contract is gone.
    pub fn forget(&self, uid: &str) {
        drop(self.take(uid));
    }
}

/// Adds what was refused since the last visit to the versions' status. What is returned as news is to be told, and what was
/// counted is put back where the status cannot be written.
pub async fn count(
    contract: &ServiceContract,
    ctx: &ContractContext,
    versions: &mut [VersionStatus],
) -> (Vec<News>, Vec<Refusal>) {
    gather(contract, ctx).await;
    let refused = ctx.refused.take(&contract.uid().unwrap_or_default());
    if refused.is_empty() {
        return (Vec::new(), refused);
    }
    let dependents = dependents(contract, &ctx.clients, &ctx.subscriptions);
    (refusals::note(&contract.name_any(), versions, &refused, &dependents), refused)
}

/// Puts back what was counted and not stored.
pub fn put_back(contract: &ServiceContract, ctx: &ContractContext, refused: &[Refusal]) {
    ctx.refused.add(contract.uid(), refused);
}

/// One event may be of several contracts: a Client that may no longer connect names versions of more than one. So whatever
/// was refused in a virtual host is laid before each of its contracts.
async fn gather(contract: &ServiceContract, ctx: &ContractContext) {
    let shared = &ctx.objects.shared;
    let Ok(home) = contract.home(shared) else { return };
    let Ok(link) = shared.links.get(&home.broker).await else { return };
    let refused = link.refusals.take(&home.virtual_host);
    if refused.is_empty() {
        return;
    }
    let namespace = contract.namespace();
    let contracts = shared.contracts.state();
    let here = contracts.iter().filter(|other| other.namespace() == namespace && other.metadata.deletion_timestamp.is_none());
    ctx.refused.add(here.filter_map(|other| other.uid()), &refused);
}

fn dependents(contract: &ServiceContract, clients: &Store<Client>, subscriptions: &Store<Subscription>) -> Dependents {
    let (namespace, name) = (contract.namespace().unwrap_or_default(), contract.name_any());
    let version_of = |subscription: &Subscription| {
        let own = subscription.namespace().unwrap_or_default();
        let reference = Reference::of(subscription.spec.contract_ref.as_ref()?, &own);
        reference.is_to(&namespace, &name).then_some(reference.version)
    };
    let mut found = Dependents::default();
    for subscription in subscriptions.state() {
        if let Some(version) = version_of(&subscription) {
            let queue = subscription_queue(&subscription.namespace().unwrap_or_default(), &subscription.name_any());
            found.queues.insert(queue, version);
        }
    }
    for client in clients.state() {
        let own = client.namespace().unwrap_or_default();
        let direct = client.spec.access.iter().filter_map(|access| access.contract_ref.as_ref());
        let direct =
            direct.map(|reference| Reference::of(reference, &own)).filter(|reference| reference.is_to(&namespace, &name));
        let received = client.spec.access.iter().filter_map(|access| {
            let subscription = ObjectRef::new(&access.subscription_ref.as_ref()?.name).within(&own);
            version_of(subscriptions.get(&subscription)?.as_ref())
        });
        let versions: BTreeSet<String> = direct.map(|reference| reference.version).chain(received).collect();
        if !versions.is_empty() {
            found.clients.insert(format!("{own}/{}", client.name_any()), versions);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use entente_core::contract::refusals::Refused;
    use jiff::Timestamp;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    fn store<K>(objects: Vec<K>) -> Store<K>
    where
        K: kube::Resource<DynamicType = ()> + Clone + 'static,
    {
        let (reader, mut writer) = reflector::store();
        for object in objects {
            writer.apply_watcher_event(&Event::Apply(object));
        }
        reader
    }

    fn client(name: &str, access: &Value) -> Client {
        let mut client = Client::new(name, serde_json::from_value(json!({"access": access})).unwrap());
        client.metadata.namespace = Some("billing".into());
        client
    }

    #[test]
    fn dependents_are_known_by_what_they_name() {
        let mut contract: ServiceContract = serde_json::from_value(json!({
            "apiVersion": "entente.dev/v1alpha1", "kind": "ServiceContract", "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"owner": "o", "operations": [], "versions": []},
        }))
        .unwrap();
        let reference = |version: &str| json!({"name": "orders", "namespace": "shop", "version": version, "operation": "placed"});
        let mut mail = Subscription::new("mail", serde_json::from_value(json!({"contractRef": reference("v1")})).unwrap());
        mail.metadata.namespace = Some("billing".into());
        let clients = store(vec![
            client("web", &json!([{"name": "a", "contractRef": reference("v2"), "verbs": ["Send"]}])),
            client("mailer", &json!([{"name": "a", "subscriptionRef": {"name": "mail"}, "verbs": ["Receive"]}])),
            client("other", &json!([{"name": "a", "queueRef": {"name": "q"}, "verbs": ["Send"]}])),
        ]);
        let subscriptions = store(vec![mail]);
        let versions = |version: &str| BTreeSet::from([version.to_owned()]);
        let expected = Dependents {
            queues: [("subscription.billing.mail".to_owned(), "v1".to_owned())].into(),
            clients: [("billing/web".to_owned(), versions("v2")), ("billing/mailer".to_owned(), versions("v1"))].into(),
        };
        assert_eq!(dependents(&contract, &clients, &subscriptions), expected);
        contract.metadata.namespace = Some("elsewhere".into());
        assert_eq!(dependents(&contract, &clients, &subscriptions), Dependents::default());
    }

    #[test]
    fn each_contract_counts_what_was_refused_once() {
        let waiting = Waiting::default();
        let refused = [Refusal { user: "a.b.1".into(), what: Refused::VirtualHost, count: 1, at: Timestamp::UNIX_EPOCH }];
        waiting.add(["one".to_owned(), "two".to_owned()], &refused);
        assert_eq!((waiting.take("one").len(), waiting.take("one").len(), waiting.take("two").len()), (1, 0, 1));
        waiting.add(["one".to_owned()], &vec![refused[0].clone(); 2 * WAITING]);
        assert_eq!(waiting.take("one").len(), WAITING);
    }
}
