//! What a Subscription may ask for.

use std::collections::BTreeMap;

use entente_crds::Subscription;
use entente_crds::queue::{DeadLetter, QueueSpec, QueueType};
use entente_crds::subscription::{ContractRef, SubscriptionSpec, TopicRef};

use super::filter;
use super::start::Start;
use crate::object::{Refusal, check_name};
use crate::queue;
use crate::topology::names::{contract_outlet, subscription_queue, topic_exchange};

/// A Subscription whose rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of its Topic or ServiceContract.
    pub topic: String,
    /// The exchange that its queue is bound to.
    pub exchange: String,
    /// The filter, as arguments of the binding.
    pub arguments: BTreeMap<String, String>,
    /// Where it begins.
    pub start: Start,
    /// Its queue.
    pub queue: queue::validate::Settings,
}

/// The namespace of the Topic or ServiceContract, whose virtual host the Subscription is in.
pub fn topic_namespace(subscription: &Subscription) -> String {
    let SubscriptionSpec { topic_ref, contract_ref, .. } = &subscription.spec;
    let of_topic = topic_ref.as_ref().map(|topic| &topic.namespace);
    let named = of_topic.or_else(|| contract_ref.as_ref().map(|contract| &contract.namespace));
    named.cloned().flatten().unwrap_or_else(|| subscription.metadata.namespace.clone().unwrap_or_default())
}

/// Whether it is a Subscription to this Topic.
pub fn is_to(subscription: &Subscription, namespace: &str, topic: &str) -> bool {
    let named = subscription.spec.topic_ref.as_ref().is_some_and(|reference| reference.name == topic);
    named && topic_namespace(subscription) == namespace
}

/// Whether it is a Subscription to a version of this ServiceContract.
pub fn is_under(subscription: &Subscription, namespace: &str, contract: &str) -> bool {
    let named = subscription.spec.contract_ref.as_ref().is_some_and(|reference| reference.name == contract);
    named && topic_namespace(subscription) == namespace
}

/// What it is to: a name, and the exchange that its queue is bound to.
fn source(topic: Option<&TopicRef>, contract: Option<&ContractRef>, problems: &mut Vec<String>) -> (String, String) {
    match (topic, contract) {
        (Some(TopicRef { name, namespace: _ }), None) => (name.clone(), topic_exchange(name)),
        (None, Some(ContractRef { name, namespace: _, version, operation })) => {
            for label in [name, version, operation] {
                check_name("ServiceContract, version and operation", label, problems);
            }
            (name.clone(), contract_outlet(name, version, operation))
        }
        (Some(_), Some(_)) | (None, None) => {
            problems.push("choose one: topicRef or contractRef".to_owned());
            (String::new(), String::new())
        }
    }
}

/// Checks a Subscription. All problems are reported at once.
pub fn validate(subscription: &Subscription) -> Result<Settings, Refusal> {
    let name = subscription.metadata.name.clone().unwrap_or_default();
    let namespace = subscription.metadata.namespace.clone().unwrap_or_default();
    // Exhaustive: a new field cannot be skipped.
    let SubscriptionSpec {
        topic_ref,
        contract_ref,
        filter,
        from,
        message_ttl,
        max_length,
        max_bytes,
        overflow,
        delivery_limit,
        retry_delay,
        consumer_timeout,
        single_active_consumer,
        dead_letter,
        scaling,
        deletion_policy,
    } = &subscription.spec;
    let mut problems = Vec::new();
    check_name("Subscription", &name, &mut problems);
    let (topic, exchange) = source(topic_ref.as_ref(), contract_ref.as_ref(), &mut problems);
    let arguments = filter::arguments(filter.as_ref(), &mut problems);
    let start = Start::parse(from.as_deref()).unwrap_or_else(|problem| {
        problems.push(format!("from: {problem}"));
        Start::Latest
    });
    if contract_ref.is_some() && start != Start::Latest {
        problems.push("from: contracts keep no past; leave it out".to_owned());
    }
    let elsewhere = topic_namespace(subscription) != namespace;
    if elsewhere && matches!(dead_letter, Some(DeadLetter { queue_ref: Some(_), .. })) {
        problems.push(
            "deadLetter.queueRef names a Queue of this namespace, but the Topic and so the messages are in another; leave it out to have an own dead-letter queue beside them".to_owned(),
        );
    }
    let spec = QueueSpec {
        broker_ref: None,
        type_: QueueType::Quorum,
        message_ttl: message_ttl.clone(),
        max_length: *max_length,
        max_bytes: max_bytes.clone(),
        overflow: *overflow,
        delivery_limit: *delivery_limit,
        retry_delay: retry_delay.clone(),
        consumer_timeout: consumer_timeout.clone(),
        priorities: None,
        single_active_consumer: *single_active_consumer,
        partitions: None,
        dead_letter: dead_letter.clone(),
        taps: Vec::new(),
        scaling: scaling.clone(),
        grants: Vec::new(),
        deletion_policy: *deletion_policy,
    };
    let queue = queue::validate::settings(subscription_queue(&namespace, &name), &spec, problems)?;
    Ok(Settings { topic, exchange, arguments, start, queue })
}

#[cfg(test)]
mod tests {
    use entente_crds::condition::reasons;
    use serde_json::{Value, json};

    use super::*;

    fn checked(spec: Value) -> Result<Settings, Refusal> {
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("billing".into());
        validate(&subscription)
    }

    #[test]
    fn the_smallest_one_takes_everything() {
        let settings = checked(json!({"topicRef": {"name": "orders"}})).unwrap();
        assert_eq!(settings.queue.name, "subscription.billing.mail");
        assert!(settings.arguments.is_empty());
        assert_eq!(settings.start, Start::Latest);
    }

    #[test]
    fn a_version_of_a_contract_takes_the_place_of_a_topic() {
        let reference = json!({"name": "orders", "namespace": "shop", "version": "v1", "operation": "placed"});
        let settings = checked(json!({"contractRef": reference})).unwrap();
        assert_eq!(settings.exchange, "contract.orders.v1.placed.out");
        for spec in [
            json!({}),
            json!({"topicRef": {"name": "orders"}, "contractRef": reference}),
            json!({"contractRef": {"name": "orders", "version": "v1.x", "operation": "placed"}}),
            json!({"contractRef": reference, "from": "Earliest"}),
        ] {
            assert_eq!(checked(spec).unwrap_err().reason, reasons::INVALID);
        }
    }

    #[test]
    fn it_lives_where_what_it_is_to_lives() {
        for (spec, namespace) in [
            (json!({"topicRef": {"name": "t"}}), "billing"),
            (json!({"topicRef": {"name": "t", "namespace": "shop"}}), "shop"),
            (json!({"contractRef": {"name": "c", "version": "v1", "operation": "o"}}), "billing"),
            (json!({"contractRef": {"name": "c", "namespace": "shop", "version": "v1", "operation": "o"}}), "shop"),
        ] {
            let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
            subscription.metadata.namespace = Some("billing".into());
            assert_eq!(topic_namespace(&subscription), namespace);
            assert_eq!(is_under(&subscription, namespace, "c"), subscription.spec.contract_ref.is_some());
            assert_eq!(is_to(&subscription, namespace, "t"), subscription.spec.topic_ref.is_some());
        }
    }

    #[test]
    fn each_kind_of_filter_is_an_argument() {
        for (filter, name, text) in [
            (json!({"sql": "a = 1"}), "x-sql-filter", "a = 1"),
            (json!({"subject": "orders.*.#"}), "x-subject-filter", "orders.*.#"),
            (json!({"properties": {"country": "NL"}}), "x-sql-filter", "country = 'NL'"),
        ] {
            let settings = checked(json!({"topicRef": {"name": "orders"}, "filter": filter})).unwrap();
            assert_eq!(settings.arguments, BTreeMap::from([(name.to_owned(), text.to_owned())]));
        }
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        let topic = json!({"name": "orders", "namespace": "shop"});
        for (spec, word) in [
            (json!({"topicRef": topic, "filter": {"sql": "a ="}}), "filter.sql"),
            (json!({"topicRef": topic, "filter": {"sql": "a = 1", "subject": "b"}}), "choose one"),
            (json!({"topicRef": topic, "filter": {}}), "choose one"),
            (json!({"topicRef": topic, "deadLetter": {"queueRef": {"name": "q"}}}), "in another"),
            (json!({"topicRef": topic, "messageTTL": "soon"}), "messageTTL"),
            (json!({"topicRef": topic, "from": "yesterday"}), "from: "),
        ] {
            let refusal = checked(spec.clone()).unwrap_err();
            assert_eq!(refusal.reason, reasons::INVALID, "{spec}");
            assert!(refusal.message.contains(word), "{spec}: {refusal}");
        }
    }
}
