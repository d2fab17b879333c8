//! `(desired, observed) → plan` for the broker objects of one Kubernetes object.

use super::model::{Binding, Policy, QueueDeclaration};
use super::observed::{ObservedQueue, ObservedVirtualHost};
use super::plan::{Action, Plan};

/// Broker objects that one Kubernetes object wants in its virtual host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Queues, in the order in which people should hear of them.
    pub queues: Vec<QueueDeclaration>,
    /// Policies that must be there.
    pub policies: Vec<Policy>,
    /// Policies of ours that must not be there.
    pub no_policies: Vec<String>,
    /// For each `(exchange, routing key)` that this object owns: the one queue it must lead to, or none.
    pub routes: Vec<Route>,
    /// Own queues that are there no longer wanted, to be deleted only when empty.
    pub surplus_queues: Vec<String>,
}

/// Where one routing key of an exchange leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Exchange.
    pub source: String,
    /// Routing key.
    pub routing_key: String,
    /// Queue, or none.
    pub destination: Option<String>,
}

/// A queue of that name exists with fixed attributes that differ from the declared ones.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the queue {name} exists in the broker with other fixed settings ({differences}); delete it there, or create a Queue of another name"
)]
pub struct Conflict {
    /// Name of the queue.
    pub name: String,
    /// What differs: `key: declared X, found Y`.
    pub differences: String,
}

/// The way from what was observed to what is desired.
///
/// Order: policies before queues (a queue must not take one message without its bounds), queues
/// before bindings to them, surplus policies and bindings last.
pub fn diff(desired: &Desired, observed: &ObservedVirtualHost) -> Result<Plan, Conflict> {
    let Desired { queues, policies, no_policies, routes, surplus_queues } = desired;
    let mut plan = Plan::default();
    plan.step(
        policies
            .iter()
            .filter(|policy| observed.policies.get(&policy.name) != Some(policy))
            .map(|policy| Action::PutPolicy(policy.clone()))
            .collect(),
    );
    let mut declarations = Vec::new();
    for queue in queues {
        match observed.queues.get(&queue.name) {
            None => declarations.push(Action::DeclareQueue(queue.clone())),
            Some(seen) => check_alike(queue, seen)?,
        }
    }
    plan.step(declarations);
    let (mut binds, mut unbinds) = (Vec::new(), Vec::new());
    for route in routes {
        // A binding to a queue that is not there would be refused and fail the whole plan; `status` speaks of it.
        let leads_somewhere = route.destination.as_ref().is_none_or(|destination| {
            observed.queues.contains_key(destination) || queues.iter().any(|queue| queue.name == *destination)
        });
        if leads_somewhere {
            diff_route(route, observed, &mut binds, &mut unbinds);
        }
    }
    plan.step(binds);
    unbinds.extend(
        no_policies
            .iter()
            .filter(|name| observed.policies.contains_key(*name))
            .map(|name| Action::DeletePolicy { name: name.clone() }),
    );
    unbinds.extend(
        surplus_queues
            .iter()
            .filter(|name| observed.queues.get(*name).is_some_and(known_empty))
            .map(|name| Action::DeleteQueue { name: name.clone() }),
    );
    plan.step(unbinds);
    Ok(plan)
}

/// A count that is not known is not zero (invariant I5).
fn known_empty(queue: &ObservedQueue) -> bool {
    queue.counts.is_some_and(|counts| counts.messages() == 0)
}

fn diff_route(route: &Route, observed: &ObservedVirtualHost, binds: &mut Vec<Action>, unbinds: &mut Vec<Action>) {
    let wanted = route.destination.as_ref().map(|destination| Binding {
        source: route.source.clone(),
        destination: destination.clone(),
        routing_key: route.routing_key.clone(),
    });
    if let Some(binding) = &wanted
        && !observed.bindings.contains(binding)
    {
        binds.push(Action::Bind(binding.clone()));
    }
    unbinds.extend(
        observed
            .bindings
            .iter()
            .filter(|seen| seen.source == route.source && seen.routing_key == route.routing_key && Some(*seen) != wanted.as_ref())
            .map(|seen| Action::Unbind(seen.clone())),
    );
}

/// Adoption is allowed only of what is alike (invariant I2).
fn check_alike(declared: &QueueDeclaration, seen: &ObservedQueue) -> Result<(), Conflict> {
    let mut differences = Vec::new();
    if declared.kind != seen.kind {
        differences.push(format!("type: declared {}, found {}", declared.kind.as_str(), seen.kind.as_str()));
    }
    if !seen.durable {
        differences.push("durable: declared true, found false".to_owned());
    }
    for key in declared.arguments.keys().chain(seen.arguments.keys().filter(|key| !declared.arguments.contains_key(*key))) {
        let (ours, theirs) = (declared.arguments.get(key), seen.arguments.get(key));
        if ours != theirs {
            let word = |value: Option<&serde_json::Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            differences.push(format!("{key}: declared {}, found {}", word(ours), word(theirs)));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(Conflict { name: declared.name.clone(), differences: differences.join("; ") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::model::{Arguments, QueueKind};
    use super::super::observed::Counts;
    use super::*;

    fn queue(name: &str) -> QueueDeclaration {
        QueueDeclaration { name: name.into(), kind: QueueKind::Quorum, arguments: Arguments::new() }
    }

    fn policy(name: &str, limit: i64) -> Policy {
        Policy {
            name: name.into(),
            pattern: format!("^{name}$"),
            apply_to: "quorum_queues".into(),
            priority: 10,
            definition: BTreeMap::from([("max-length".to_owned(), json!(limit))]),
        }
    }

    fn after(plan: &Plan, observed: &ObservedVirtualHost) -> ObservedVirtualHost {
        let mut seen = observed.clone();
        plan.actions().for_each(|action| seen.note(action));
        seen
    }

    #[test]
    fn policies_come_before_queues_and_queues_before_bindings() {
        let desired = Desired {
            queues: vec![queue("q"), queue("q.dead")],
            policies: vec![policy("q", 5)],
            routes: vec![Route { source: "x".into(), routing_key: "q".into(), destination: Some("q.dead".into()) }],
            ..Desired::default()
        };
        let words: Vec<Vec<String>> = diff(&desired, &ObservedVirtualHost::default())
            .unwrap()
            .steps
            .iter()
            .map(|step| step.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(
            words,
            [
                vec!["set policy q"],
                vec!["declare quorum queue q", "declare quorum queue q.dead"],
                vec!["bind x to q.dead by \"q\""],
            ]
        );
    }

    #[test]
    fn a_route_that_moves_is_bound_anew_before_it_is_unbound() {
        let old = Binding { source: "x".into(), destination: "a".into(), routing_key: "q".into() };
        let mut observed = ObservedVirtualHost { bindings: [old].into(), ..ObservedVirtualHost::default() };
        observed.note(&Action::DeclareQueue(queue("b")));
        let route = |destination: Option<&str>| Desired {
            routes: vec![Route { source: "x".into(), routing_key: "q".into(), destination: destination.map(Into::into) }],
            ..Desired::default()
        };
        let plan = diff(&route(Some("b")), &observed).unwrap();
        assert!(matches!(plan.steps[0][..], [Action::Bind(_)]));
        assert!(matches!(plan.steps[1][..], [Action::Unbind(_)]));
        assert!(matches!(diff(&route(None), &observed).unwrap().steps[0][..], [Action::Unbind(_)]));
    }

    #[test]
    fn a_route_to_a_queue_that_is_not_there_waits_and_keeps_the_old_one() {
        let old = Binding { source: "x".into(), destination: "a".into(), routing_key: "q".into() };
        let observed = ObservedVirtualHost { bindings: [old].into(), ..ObservedVirtualHost::default() };
        let desired = Desired {
            routes: vec![Route { source: "x".into(), routing_key: "q".into(), destination: Some("later".into()) }],
            ..Desired::default()
        };
        assert!(diff(&desired, &observed).unwrap().is_empty());
    }

    #[test]
    fn i2_a_queue_with_other_arguments_is_a_conflict_that_names_them() {
        let mut declared = queue("q");
        declared.arguments.insert("x-single-active-consumer".into(), json!(true));
        let mut observed = ObservedVirtualHost::default();
        observed.note(&Action::DeclareQueue(queue("q")));
        let conflict = diff(&Desired { queues: vec![declared], ..Desired::default() }, &observed).unwrap_err();
        assert_eq!(conflict.differences, "x-single-active-consumer: declared true, found nothing");
    }

    #[test]
    fn i5_a_surplus_queue_goes_only_when_it_is_known_to_be_empty() {
        let desired = Desired { surplus_queues: vec!["q.dead".into()], ..Desired::default() };
        for (counts, goes) in [
            (None, false),
            (Some(Counts { ready: 1, ..Counts::default() }), false),
            (Some(Counts { unacknowledged: 1, ..Counts::default() }), false),
            (Some(Counts::default()), true),
        ] {
            let mut observed = ObservedVirtualHost::default();
            observed.note(&Action::DeclareQueue(queue("q.dead")));
            observed.queues.get_mut("q.dead").unwrap().counts = counts;
            assert_eq!(!diff(&desired, &observed).unwrap().is_empty(), goes, "{counts:?}");
        }
    }

    fn any_desired() -> impl Strategy<Value = Desired> {
        let names = prop::collection::btree_set("[a-d]", 0..4);
        (
            names,
            prop::collection::btree_map("[a-d]", 1..3i64, 0..4),
            prop::collection::btree_set("[a-d]", 0..4),
            prop::option::of("[a-d]"),
        )
            .prop_map(|(queues, policies, absent, destination)| Desired {
                queues: queues.iter().map(|name| queue(name)).collect(),
                no_policies: absent.into_iter().filter(|name| !policies.contains_key(name)).collect(),
                policies: policies.iter().map(|(name, limit)| policy(name, *limit)).collect(),
                routes: vec![Route { source: "x".into(), routing_key: "k".into(), destination }],
                surplus_queues: Vec::new(),
            })
    }

    proptest! {
        /// I6: once a plan has run, there is nothing left to do; and from any earlier state the same end is reached.
        #[test]
        fn i6_a_plan_that_ran_leaves_nothing_to_do(before in any_desired(), desired in any_desired()) {
            let empty = ObservedVirtualHost::default();
            let start = after(&diff(&before, &empty).unwrap(), &empty);
            let end = after(&diff(&desired, &start).unwrap(), &start);
            prop_assert!(diff(&desired, &end).unwrap().is_empty());
        }

        /// A plan cut off after any action is finished by the next one (operator killed half-way).
        #[test]
        fn a_plan_cut_off_anywhere_is_finished_by_the_next(desired in any_desired(), cut in 0usize..12) {
            let empty = ObservedVirtualHost::default();
            let mut half = empty.clone();
            diff(&desired, &empty).unwrap().actions().take(cut).for_each(|action| half.note(action));
            let end = after(&diff(&desired, &half).unwrap(), &half);
            prop_assert!(diff(&desired, &end).unwrap().is_empty());
        }
    }
}
