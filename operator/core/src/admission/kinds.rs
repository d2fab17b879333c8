//! The rules of each kind, by the resource that a review names.

use entente_crds::condition::reasons;
use entente_crds::{Broker, Client, Queue, Subscription, Topic};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Judgement;
use crate::{client, cluster, queue, subscription, topic};

/// The resources whose objects [`judge`] knows.
pub fn plurals() -> [&'static str; 5] {
    ["brokers", "clients", "queues", "subscriptions", "topics"]
}

/// Judges an object by itself, as its controller would. A resource that is not known, or an object that is not of the form that this
/// version knows, is let through: the API server has checked it against the schema that is installed, which may be a newer one.
pub fn judge(resource: &str, object: &Value) -> Judgement {
    match resource {
        "queues" => judged(object, |queue: &Queue| said(queue::validate::validate(queue).map_err(|no| (no.reason, no.message)))),
        "topics" => judged(object, |topic: &Topic| said(topic::validate::validate(topic).map_err(|no| (no.reason, no.message)))),
        "subscriptions" => judged(object, |subscription: &Subscription| {
            said(subscription::validate::validate(subscription).map_err(|no| (no.reason, no.message)))
        }),
        "clients" => judged(object, |client: &Client| {
            said(client::validate::validate(client).map_err(|no| (reasons::INVALID, no.to_string())))
        }),
        "brokers" => {
            judged(object, |broker: &Broker| said(cluster::validate::validate(broker).map_err(|no| (no.reason, no.message))))
        }
        _ => Judgement::default(),
    }
}

fn judged<K: DeserializeOwned>(object: &Value, rules: impl FnOnce(&K) -> Judgement) -> Judgement {
    K::deserialize(object).map_or_else(|_| Judgement::default(), |object| rules(&object))
}

fn said<T>(result: Result<T, (&'static str, String)>) -> Judgement {
    let mut judgement = Judgement::default();
    match result {
        Ok(_) => {}
        Err((reasons::NOT_SUPPORTED, message)) => judgement.warn(message),
        Err((_, message)) => judgement.refuse(message),
    }
    judgement
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "entente.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    }

    fn message(resource: &str, kind: &str, spec: &Value) -> String {
        judge(resource, &object(kind, "it", spec)).message().unwrap_or_default()
    }

    #[test]
    fn a_wrong_filter_is_shown_with_a_caret_and_a_hint() {
        let spec = json!({"topicRef": {"name": "orders"}, "filter": {"sql": "country = 'NL' AND\namount => 100"}});
        let message = message("subscriptions", "Subscription", &spec);
        let lines: Vec<&str> = message.lines().collect();
        assert!(lines[0].starts_with("filter.sql: line 2, column "), "{message}");
        assert_eq!(lines[1], "  amount => 100");
        assert_eq!(lines[2].trim_start(), "^");
        assert!(lines[3].starts_with("hint: "), "{message}");
    }

    #[test]
    fn every_kind_is_judged_by_its_controllers_rules() {
        for (resource, kind, spec, word) in [
            ("queues", "Queue", json!({"messageTTL": "soon"}), "messageTTL"),
            (
                "queues",
                "Queue",
                json!({"scaling": {"targetRef": {"name": "w"}, "maxAge": "1m",
                    "schedules": [{"name": "a", "cron": "0 8 * * *", "timeZone": "Mars/Base", "duration": "1h", "minReplicas": 2}]}}),
                "timeZone \"Mars/Base\" is not known",
            ),
            ("topics", "Topic", json!({"taps": [{"name": "a", "queueRef": {"name": "q"}, "filter": "a ="}]}), "filter"),
            ("clients", "Client", json!({"rotation": {"every": "30s", "overlap": "1s"}}), "at least 1m"),
            ("brokers", "Broker", json!({"replicas": 2}), "1, 3 or 5"),
        ] {
            let message = message(resource, kind, &spec);
            assert!(message.contains(word), "{resource}: {message}");
        }
        for resource in plurals() {
            let spec = if resource == "subscriptions" { json!({"topicRef": {"name": "t"}}) } else { json!({}) };
            assert_eq!(judge(resource, &object("Any", "it", &spec)), Judgement::default(), "{resource}");
        }
    }

    /// Another version of the operator may serve it, and a release that is rolled back must still be able to apply.
    #[test]
    fn what_is_not_served_yet_is_a_warning() {
        let judgement = said::<()>(Err((reasons::NOT_SUPPORTED, "a field is not served yet".to_owned())));
        assert!(judgement.is_admitted());
        assert!(judgement.warnings()[0].contains("not served"), "{judgement:?}");
    }

    #[test]
    fn what_is_not_known_passes() {
        assert_eq!(judge("pods", &json!({})), Judgement::default());
        assert_eq!(judge("queues", &json!({"spec": 5})), Judgement::default());
        assert_eq!(judge("queues", &Value::Null), Judgement::default());
    }
}
