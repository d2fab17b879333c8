//! Clients that depend on a contract.

use entente_core::subscription::validate::is_under;
use entente_crds::{Client, ServiceContract, Subscription};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

/// Whether a Client names a contract, or a Subscription to it.
pub fn depends(client: &Client, contract: &ObjectRef<ServiceContract>, subscriptions: &Store<Subscription>) -> bool {
    let own = client.namespace().unwrap_or_default();
    let namespace = contract.namespace.as_deref().unwrap_or_default();
    client.spec.access.iter().any(|access| {
        if let Some(reference) = &access.contract_ref {
            return reference.name == contract.name && reference.namespace.as_ref().unwrap_or(&own) == namespace;
        }
        let subscription = access.subscription_ref.as_ref().and_then(|subscription| {
            let reference = ObjectRef::new(&subscription.name).within(&own);
            subscriptions.get(&reference)
        });
        subscription.is_some_and(|subscription| is_under(&subscription, namespace, &contract.name))
    })
}

/// Clients whose users may send under a contract, as `namespace/name`.
pub fn senders(clients: &Store<Client>, namespace: &str, contract: &str) -> Vec<String> {
    let prefix = format!("{namespace}/{contract}/");
    let clients = clients.state();
    let may = |client: &Client| {
        let contracts = client.status.as_ref().map(|status| status.contracts.as_slice()).unwrap_or_default();
        contracts.iter().any(|key| key.starts_with(&prefix)) && client.metadata.deletion_timestamp.is_none()
    };
    let found = clients.iter().filter(|client| may(client));
    found.map(|client| format!("{}/{}", client.namespace().unwrap_or_default(), client.name_any())).collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    fn subscriptions() -> Store<Subscription> {
        let (reader, mut writer) = reflector::store();
        let spec = json!({"contractRef": {"name": "orders", "namespace": "shop", "version": "v1", "operation": "placed"}});
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("billing".into());
        writer.apply_watcher_event(&Event::Apply(subscription));
        reader
    }

    fn client(access: &serde_json::Value) -> Client {
        let mut client = Client::new("web", serde_json::from_value(json!({"access": [access]})).unwrap());
        client.metadata.namespace = Some("billing".into());
        client
    }

    #[test]
    fn whoever_names_a_contract_or_a_subscription_to_it_depends_on_it() {
        let contract = |namespace: &str| ObjectRef::<ServiceContract>::new("orders").within(namespace);
        let direct = json!({"name": "orders", "version": "v1", "operation": "cancel"});
        let mut elsewhere = direct.clone();
        elsewhere["namespace"] = json!("shop");
        for (access, namespace, expected) in [
            (json!({"name": "a", "contractRef": direct, "verbs": ["Send"]}), "billing", true),
            (json!({"name": "a", "contractRef": direct, "verbs": ["Send"]}), "shop", false),
            (json!({"name": "a", "contractRef": elsewhere, "verbs": ["Send"]}), "shop", true),
            (json!({"name": "a", "subscriptionRef": {"name": "mail"}, "verbs": ["Receive"]}), "shop", true),
            (json!({"name": "a", "subscriptionRef": {"name": "mail"}, "verbs": ["Receive"]}), "billing", false),
            (json!({"name": "a", "subscriptionRef": {"name": "other"}, "verbs": ["Receive"]}), "shop", false),
        ] {
            assert_eq!(depends(&client(&access), &contract(namespace), &subscriptions()), expected, "{access} {namespace}");
        }
    }

    #[test]
    fn clients_that_may_send_are_named() {
        let (reader, mut writer) = reflector::store();
        let mut client = client(&json!({"name": "q", "queueRef": {"name": "q"}, "verbs": ["Send"]}));
        client.status = Some(serde_json::from_value(json!({"contracts": ["shop/orders/v1/cancel"]})).unwrap());
        writer.apply_watcher_event(&Event::Apply(client));
        assert_eq!(senders(&reader, "shop", "orders"), ["billing/web"]);
        assert!(senders(&reader, "shop", "order").is_empty());
    }
}
