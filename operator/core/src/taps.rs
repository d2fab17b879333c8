//! Taps: copies of messages to other queues, for audit or diagnosis.

use std::collections::{BTreeMap, BTreeSet};

use entente_crds::condition::{reasons, types};
use entente_crds::queue::Tap as Declared;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::conditions::{self, Status};
use crate::subscription::filter::{self, SQL_ARGUMENT};
use crate::topology::diff::{Claim, Scope};
use crate::topology::model::Binding;
use crate::topology::observed::ObservedVirtualHost;

/// Beginning of the routing keys of taps' bindings.
const PREFIX: &str = "tap.";

/// A tap that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Its name.
    pub name: String,
    /// The queue that takes the copies.
    pub queue: String,
    /// An SQL filter; everything without it.
    pub filter: Option<String>,
}

/// Checks taps. `own` is the queue that they are of, if any.
pub fn validate(declared: &[Declared], own: Option<&str>, problems: &mut Vec<String>) -> Vec<Tap> {
    let mut names = BTreeSet::new();
    for Declared { name, queue_ref, filter } in declared {
        if !names.insert(name) {
            problems.push(format!("taps: the name {name} is there twice"));
        }
        if own == Some(queue_ref.name.as_str()) {
            problems.push(format!("taps: {name} leads to this very Queue, which has the messages already"));
        }
        if let Some(Err(error)) = filter.as_deref().map(filter::check_sql) {
            problems.push(format!("taps: the filter of {name}: {error}"));
        }
    }
    let tap = |Declared { name, queue_ref, filter }: &Declared| Tap {
        name: name.clone(),
        queue: queue_ref.name.clone(),
        filter: filter.clone(),
    };
    declared.iter().map(tap).collect()
}

/// The bindings of taps from an exchange: these and no others.
pub fn claim(source: &str, taps: &[Tap]) -> Claim {
    let binding = |Tap { name, queue, filter }: &Tap| Binding {
        arguments: filter.iter().map(|sql| (SQL_ARGUMENT.to_owned(), sql.clone())).collect::<BTreeMap<_, _>>(),
        ..Binding::new(source, queue, &format!("{PREFIX}{name}"))
    };
    Claim {
        scope: Scope::Keys { source: source.to_owned(), prefix: PREFIX.to_owned() },
        bindings: taps.iter().map(binding).collect(),
    }
}

/// Says whether every tap leads to a queue that is there. Without taps it says nothing.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    source: &str,
    taps: &[Tap],
    observed: &ObservedVirtualHost,
    generation: Option<i64>,
    now: Timestamp,
) {
    if taps.is_empty() {
        conditions::remove(conditions, types::TAPS_READY);
        return;
    }
    let Claim { bindings, .. } = claim(source, taps);
    let missing: Vec<&str> = bindings
        .iter()
        .filter(|binding| !observed.bindings.contains(binding))
        .map(|binding| binding.destination.as_str())
        .collect();
    let (holds, reason, message) = if missing.is_empty() {
        (Status::True, reasons::READY, "every tap gets its copies".to_owned())
    } else {
        let message = format!("no copies go to {}: create that Queue in this namespace", missing.join(", "));
        (Status::False, reasons::TAP_QUEUE_MISSING, message)
    };
    conditions::set(conditions, types::TAPS_READY, holds, reason, message, generation, now);
}

/// Whether a binding is a tap's.
pub fn is_tap(binding: &Binding) -> bool {
    binding.routing_key.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_refuses_and_says_why() {
        let problems = |taps: serde_json::Value| {
            let mut problems = Vec::new();
            validate(&serde_json::from_value::<Vec<Declared>>(taps).unwrap(), Some("q"), &mut problems);
            problems.join("; ")
        };
        assert_eq!(problems(json!([{"name": "a", "queueRef": {"name": "p"}, "filter": "x = 1"}])), "");
        let twice = json!([{"name": "a", "queueRef": {"name": "p"}}, {"name": "a", "queueRef": {"name": "r"}}]);
        assert!(problems(twice).contains("twice"));
        assert!(problems(json!([{"name": "a", "queueRef": {"name": "q"}}])).contains("this very Queue"));
    }

    #[test]
    fn a_tap_is_a_binding_with_its_name_as_key() {
        let tap = Tap { name: "audit".into(), queue: "p".into(), filter: Some("x = 1".into()) };
        let claim = claim("t", &[tap]);
        assert_eq!(claim.bindings[0].routing_key, "tap.audit");
        assert_eq!(claim.bindings[0].arguments["x-sql-filter"], "x = 1");
        assert!(is_tap(&claim.bindings[0]));
    }
}
