//! The broker objects that a valid Queue stands for.

use entente_crds::queue::{Overflow, QueueType};
use serde_json::{Value, json};

use super::parts;
use super::validate::{DeadLetters, Parts, Settings};
use crate::object::Stages;
use crate::taps;
use crate::topology::diff::{Claim, Desired};
use crate::topology::foundation::{
    DEAD_LETTER_EXCHANGE, DEFAULT_DELIVERY_LIMIT, OWN_POLICY_PRIORITY, default_classic_settings, default_settings,
};
use crate::topology::model::{Arguments, ExchangeDeclaration, Policy, QueueDeclaration, QueueKind, SQL_EXCHANGE};
use crate::topology::names::{any_part, dead_letter_queue, exactly, front, queue_policy};

/// Translates settings.
///
/// With `at-least-once` dead lettering the broker keeps a dead letter until it has a place, so
/// the queue may be used before its dead-letter queue is there: a queue is `Ready` after one
/// declaration, not two, and a burst of new Queues is usable in half the time. Where dead
/// lettering is at most once, the dead-letter queue comes in the first stage.
pub fn desired(settings: &Settings) -> Stages {
    let name = &settings.name;
    let definition = definition(settings);
    let shared = match settings.type_ {
        QueueType::Quorum => default_settings(),
        QueueType::Classic => default_classic_settings(),
        QueueType::Stream => Arguments::new(),
    };
    let at_least_once = definition.get("dead-letter-strategy") == Some(&json!("at-least-once"));
    let (queues, pattern) = match &settings.parts {
        None => (vec![name.clone()], exactly(name)),
        Some(Parts { count, .. }) => (parts::names(name, *count), any_part(name)),
    };
    let declaration = |name| QueueDeclaration { name, kind: kind(settings.type_), arguments: arguments(settings) };
    let mut usable = Desired { queues: queues.into_iter().map(declaration).collect(), ..Desired::default() };
    if definition == shared {
        usable.no_policies.push(queue_policy(name));
    } else {
        usable.policies.push(Policy {
            name: queue_policy(name),
            pattern,
            apply_to: apply_to(settings.type_).to_owned(),
            priority: OWN_POLICY_PRIORITY,
            definition,
        });
    }
    lead_in(settings, &mut usable);
    let dead = dead_letters(settings);
    // With a TTL dead letters may come at once, and RabbitMQ tries one that found no place again only after 3 minutes.
    if at_least_once && settings.message_ttl.is_none() {
        return Stages { usable, complete: dead };
    }
    let Desired { queues, claims, surplus_queues, .. } = dead;
    usable.queues.splice(0..0, queues);
    usable.claims.extend(claims);
    usable.surplus_queues = surplus_queues;
    Stages { usable, complete: Desired::default() }
}

/// With taps or parts an exchange stands in front of the queue, which gives each its copy. It stays when the taps go, as
/// somebody may send to it.
fn lead_in(settings: &Settings, usable: &mut Desired) {
    let source = front(&settings.name);
    if !settings.taps.is_empty() || settings.parts.is_some() {
        let arguments = Arguments::new();
        usable.exchanges.push(ExchangeDeclaration { name: source.clone(), kind: SQL_EXCHANGE.to_owned(), arguments });
        match &settings.parts {
            None => usable.claims.push(Claim::route(&source, &settings.name, Some(&settings.name))),
            Some(parts) => parts::spread(&settings.name, parts, usable),
        }
    }
    usable.claims.push(taps::claim(&source, &settings.taps));
}

fn kind(type_: QueueType) -> QueueKind {
    match type_ {
        QueueType::Quorum => QueueKind::Quorum,
        QueueType::Classic => QueueKind::Classic,
        QueueType::Stream => QueueKind::Stream,
    }
}

fn apply_to(type_: QueueType) -> &'static str {
    match type_ {
        QueueType::Quorum => "quorum_queues",
        QueueType::Classic => "classic_queues",
        QueueType::Stream => "streams",
    }
}

/// What the broker fixes for the life of the queue.
///
/// The dead-letter exchange is fixed, but it leads where a binding says, and a binding can change.
fn arguments(settings: &Settings) -> Arguments {
    let mut arguments = Arguments::new();
    if settings.type_ == QueueType::Stream {
        return arguments;
    }
    arguments.insert("x-dead-letter-exchange".into(), json!(DEAD_LETTER_EXCHANGE));
    arguments.insert("x-dead-letter-routing-key".into(), json!(settings.name));
    if settings.single_active_consumer {
        arguments.insert("x-single-active-consumer".into(), json!(true));
    }
    if let Some(priorities) = settings.priorities {
        arguments.insert("x-max-priority".into(), json!(priorities));
    }
    arguments
}

/// What can change in place, by a policy.
fn definition(settings: &Settings) -> Arguments {
    let mut definition = Arguments::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            definition.insert(key.to_owned(), value);
        }
    };
    put("max-length-bytes", settings.max_bytes.map(Value::from));
    if settings.type_ == QueueType::Stream {
        // A stream's age has seconds as its finest unit; rounded up, so that nothing goes too early.
        put("max-age", settings.message_ttl.map(|millis| json!(format!("{}s", millis.div_ceil(1_000)))));
        return definition;
    }
    put("message-ttl", settings.message_ttl.map(Value::from));
    put("max-length", settings.max_length.map(Value::from));
    put("consumer-timeout", settings.consumer_timeout.map(Value::from));
    let drop_head = settings.overflow == Overflow::DropHead;
    put("overflow", Some(json!(if drop_head { "drop-head" } else { "reject-publish" })));
    if settings.type_ == QueueType::Quorum {
        put("delivery-limit", Some(json!(settings.delivery_limit.map_or(DEFAULT_DELIVERY_LIMIT, i64::from))));
        // RabbitMQ has at-least-once only together with reject-publish.
        let keeps = !drop_head && settings.dead_letters != DeadLetters::Discard;
        put("dead-letter-strategy", Some(json!(if keeps { "at-least-once" } else { "at-most-once" })));
        if let Some(delay) = settings.retry_delay {
            put("delayed-retry-type", Some(json!("all")));
            put("delayed-retry-min", Some(json!(delay)));
        }
    }
    definition
}

fn dead_letters(settings: &Settings) -> Desired {
    let own = dead_letter_queue(&settings.name);
    let route = |destination: Option<&str>| Claim::route(DEAD_LETTER_EXCHANGE, &settings.name, destination);
    match &settings.dead_letters {
        DeadLetters::Own => Desired {
            // A dead letter is kept as safely as the message it was.
            queues: vec![QueueDeclaration { name: own.clone(), kind: QueueKind::Quorum, arguments: Arguments::new() }],
            claims: vec![route(Some(&own))],
            ..Desired::default()
        },
        DeadLetters::Queue(name) => Desired { claims: vec![route(Some(name))], surplus_queues: vec![own], ..Desired::default() },
        DeadLetters::Discard => Desired { claims: vec![route(None)], surplus_queues: vec![own], ..Desired::default() },
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::Queue;
    use serde_json::json;

    use super::super::validate::validate;
    use super::*;

    fn stages(spec: Value) -> Stages {
        desired(&validate(&Queue::new("q", serde_json::from_value(spec).unwrap())).unwrap())
    }

    fn policy(spec: Value) -> Arguments {
        stages(spec).usable.policies.remove(0).definition
    }

    #[test]
    fn the_smallest_queue_needs_no_policy_of_its_own() {
        let Stages { usable, complete } = stages(json!({}));
        assert_eq!(usable.policies, []);
        assert_eq!(usable.no_policies, ["entente.queue.q"]);
        assert_eq!(usable.queues.len(), 1);
        assert_eq!(complete.queues[0].name, "q.dead");
        assert_eq!(complete.claims, [Claim::route("entente.dead-letters", "q", Some("q.dead"))]);
    }

    #[test]
    fn defaults_written_out_need_no_policy_either() {
        assert_eq!(stages(json!({"overflow": "RejectPublish", "deliveryLimit": 20})).usable.policies, []);
        assert_eq!(stages(json!({"type": "Classic"})).usable.policies, []);
        assert_eq!(stages(json!({"type": "Stream"})).usable.policies, []);
    }

    #[test]
    fn each_setting_that_can_change_is_in_the_policy() {
        for (spec, key, value) in [
            (json!({"messageTTL": "2s"}), "message-ttl", json!(2_000)),
            (json!({"maxLength": 9}), "max-length", json!(9)),
            (json!({"maxBytes": "1Ki"}), "max-length-bytes", json!(1_024)),
            (json!({"overflow": "DropHead"}), "overflow", json!("drop-head")),
            (json!({"deliveryLimit": -1}), "delivery-limit", json!(-1)),
            (json!({"retryDelay": "3s"}), "delayed-retry-min", json!(3_000)),
            (json!({"consumerTimeout": "1m"}), "consumer-timeout", json!(60_000)),
            (json!({"type": "Stream", "messageTTL": "1500ms"}), "max-age", json!("2s")),
        ] {
            assert_eq!(policy(spec.clone()).get(key), Some(&value), "{spec}");
        }
    }

    #[test]
    fn what_is_fixed_is_an_argument() {
        let arguments = |spec| stages(spec).usable.queues.pop().unwrap().arguments;
        assert_eq!(arguments(json!({"singleActiveConsumer": true}))["x-single-active-consumer"], json!(true));
        assert_eq!(arguments(json!({"type": "Classic", "priorities": 5}))["x-max-priority"], json!(5));
        assert!(arguments(json!({"type": "Stream"})).is_empty());
    }

    #[test]
    fn i1_dead_letters_have_a_place_before_use_where_the_broker_would_not_keep_them() {
        for spec in [json!({"overflow": "DropHead"}), json!({"type": "Classic"}), json!({"messageTTL": "1s"})] {
            let Stages { usable, complete } = stages(spec);
            assert_eq!(usable.queues[0].name, "q.dead");
            assert!(usable.claims.contains(&Claim::route("entente.dead-letters", "q", Some("q.dead"))));
            assert_eq!(complete, Desired::default());
        }
        assert_eq!(policy(json!({"overflow": "DropHead"}))["dead-letter-strategy"], json!("at-most-once"));
    }

    #[test]
    fn a_change_of_the_dead_letter_target_moves_a_binding_and_no_argument() {
        let own = stages(json!({}));
        let named = stages(json!({"deadLetter": {"queueRef": {"name": "p"}}}));
        let none = stages(json!({"deadLetter": {"discard": true}}));
        assert_eq!(own.usable.queues, named.usable.queues);
        assert_eq!(own.usable.queues, none.usable.queues);
        assert_eq!(named.complete.claims, [Claim::route("entente.dead-letters", "q", Some("p"))]);
        assert_eq!(named.complete.surplus_queues, ["q.dead"]);
        assert!(none.usable.claims.contains(&Claim::route("entente.dead-letters", "q", None)));
    }

    #[test]
    fn taps_stand_behind_an_exchange_that_stays() {
        let tapped = stages(json!({"taps": [{"name": "audit", "queueRef": {"name": "a"}, "filter": "x = 1"}]})).usable;
        assert_eq!(tapped.exchanges[0].name, "queue.q");
        let bindings: Vec<String> =
            tapped.claims.iter().flat_map(|claim| &claim.bindings).map(|to| to.destination.clone()).collect();
        assert_eq!(bindings, ["q", "a"]);
        let plain = stages(json!({})).usable;
        assert!(plain.exchanges.is_empty() && plain.surplus_exchanges.is_empty());
        assert!(plain.claims[0].bindings.is_empty(), "no tap is left");
    }
}
