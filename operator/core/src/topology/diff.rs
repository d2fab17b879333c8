//! `(desired, observed) → plan` for the broker objects of one Kubernetes object.

use std::collections::BTreeSet;

use super::model::{Arguments, Binding, DestinationKind, ExchangeDeclaration, Policy, QueueDeclaration};
use super::observed::{ObservedQueue, ObservedVirtualHost};
use super::plan::{Action, Plan};
use super::ring::Ring;

/// Broker objects that one Kubernetes object wants in its virtual host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Exchanges.
    pub exchanges: Vec<ExchangeDeclaration>,
    /// Queues, in the order in which people should hear of them.
    pub queues: Vec<QueueDeclaration>,
    /// Policies that must be there.
    pub policies: Vec<Policy>,
    /// Policies of ours that must not be there.
    pub no_policies: Vec<String>,
    /// The bindings that this object owns.
    pub claims: Vec<Claim>,
    /// Exchanges that spread messages over queues. Their bindings are owned too.
    pub rings: Vec<Ring>,
    /// Queues that must not be there: their messages would be stranded, and they are not deleted for that.
    pub stranded: Vec<String>,
    /// Own queues that are there no longer wanted, to be deleted only when empty.
    pub surplus_queues: Vec<String>,
    /// Own exchanges that are no longer wanted.
    pub surplus_exchanges: Vec<String>,
}

/// Bindings that one object owns: those of a scope must be exactly these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which bindings are owned.
    pub scope: Scope,
    /// Which of them must be there; all others go.
    pub bindings: Vec<Binding>,
}

/// A set of bindings that has one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// From this exchange with this routing key.
    Key {
        /// Exchange.
        source: String,
        /// Routing key.
        routing_key: String,
    },
    /// From this exchange with a routing key that begins so.
    Keys {
        /// Exchange.
        source: String,
        /// Beginning of the routing key.
        prefix: String,
    },
    /// To this queue, from whatever exchange.
    To {
        /// Queue.
        destination: String,
    },
}

impl Scope {
    /// What is there of it.
    fn of<'a>(&'a self, observed: &'a ObservedVirtualHost) -> Vec<&'a Binding> {
        match self {
            Self::Key { source, routing_key } => {
                observed.bindings_from(source).filter(|seen| seen.routing_key == *routing_key).collect()
            }
            Self::Keys { source, prefix } => {
                observed.bindings_from(source).filter(|seen| seen.routing_key.starts_with(prefix)).collect()
            }
            Self::To { destination } => observed.bindings.iter().filter(|seen| seen.leads_to_queue(destination)).collect(),
        }
    }
}

impl Claim {
    /// A routing key of an exchange leads to this one queue, or to none.
    pub fn route(source: &str, routing_key: &str, destination: Option<&str>) -> Self {
        Self {
            scope: Scope::Key { source: source.to_owned(), routing_key: routing_key.to_owned() },
            bindings: destination.map(|destination| Binding::new(source, destination, routing_key)).into_iter().collect(),
        }
    }
}

/// Something of that name exists with fixed attributes that differ from the declared ones.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the {what} {name} exists in the broker with other fixed settings ({differences}); delete it there, or choose another name"
)]
pub struct Conflict {
    /// `queue` or `exchange`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// What differs: `key: declared X, found Y`.
    pub differences: String,
}

/// Names of what is somebody else's, see [`foreign`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Queues.
    pub queues: BTreeSet<String>,
    /// Exchanges.
    pub exchanges: BTreeSet<String>,
}

impl Foreign {
    /// Whether there is nothing of that sort.
    pub fn is_empty(&self) -> bool {
        let Self { queues, exchanges } = self;
        queues.is_empty() && exchanges.is_empty()
    }

    /// What was observed, as if none of it were there.
    pub fn left_out_of(&self, observed: &ObservedVirtualHost) -> ObservedVirtualHost {
        let mut rest = observed.clone();
        rest.queues.retain(|name, _| !self.queues.contains(name));
        rest.exchanges.retain(|name, _| !self.exchanges.contains(name));
        rest
    }
}

/// The way from what was observed to what is desired.
///
/// Order: policies before queues (a queue must not take one message without its bounds), queues and exchanges
/// before bindings, new bindings before old ones go (a message that matches both is never lost, and a queue that
/// two bindings lead to gets one copy), surplus last.
pub fn diff(desired: &Desired, observed: &ObservedVirtualHost) -> Result<Plan, Conflict> {
    let Desired { exchanges, queues, policies, no_policies, claims, rings, stranded, surplus_queues, surplus_exchanges } =
        desired;
    if let Some(name) = stranded.iter().find(|name| observed.queues.contains_key(*name)) {
        let differences = "it is not of the declared number of partitions, and may hold messages".to_owned();
        return Err(Conflict { what: "queue", name: name.clone(), differences });
    }
    let mut plan = Plan::default();
    plan.step(
        policies
            .iter()
            .filter(|policy| observed.policies.get(&policy.name) != Some(policy))
            .map(|policy| Action::PutPolicy(policy.clone()))
            .collect(),
    );
    let mut declarations = Vec::new();
    for exchange in exchanges {
        match observed.exchanges.get(&exchange.name) {
            None => declarations.push(Action::DeclareExchange(exchange.clone())),
            Some(seen) => check_exchange(exchange, seen)?,
        }
    }
    for queue in queues {
        match observed.queues.get(&queue.name) {
            None => declarations.push(Action::DeclareQueue(queue.clone())),
            Some(seen) => check_alike(queue, seen)?,
        }
    }
    plan.step(declarations);
    let (mut binds, mut rest) = (Vec::new(), Vec::new());
    // Before whatever leads to them.
    for ring in rings {
        plan.steps.extend(ring.binds(observed).steps);
        rest.extend(ring.unbinds(observed));
    }
    for claim in claims {
        let waiting = |binding: &Binding| waits_for(binding, desired, observed).is_some();
        diff_claim(claim, waiting, observed, &mut binds, &mut rest);
    }
    plan.step(binds);
    rest.extend(
        no_policies
            .iter()
            .filter(|name| observed.policies.contains_key(*name))
            .map(|name| Action::DeletePolicy { name: name.clone() }),
    );
    rest.extend(
        surplus_queues
            .iter()
            .filter(|name| observed.queues.get(*name).is_some_and(known_empty))
            .map(|name| Action::DeleteQueue { name: name.clone() }),
    );
    rest.extend(
        surplus_exchanges
            .iter()
            .filter(|name| observed.exchanges.contains_key(*name))
            .map(|name| Action::DeleteExchange { name: name.clone() }),
    );
    plan.step(rest);
    Ok(plan)
}

/// Bindings that cannot be made yet, since what they lead from or to is somebody else's and is not there.
pub fn waiting<'a>(desired: &'a Desired, observed: &ObservedVirtualHost) -> Vec<&'a Binding> {
    let all = desired.claims.iter().flat_map(|claim| &claim.bindings);
    all.filter(|binding| waits_for(binding, desired, observed).is_some()).collect()
}

/// What a binding needs that is not there. Made all the same, it would be refused and fail the whole plan; `status`
/// speaks of it.
fn waits_for<'a>(binding: &'a Binding, desired: &Desired, observed: &ObservedVirtualHost) -> Option<&'a str> {
    let Binding { source, destination, destination_kind, routing_key: _, arguments: _ } = binding;
    let is_exchange =
        |name: &String| observed.has_exchange(name) || desired.exchanges.iter().any(|exchange| exchange.name == *name);
    let is_there = match destination_kind {
        DestinationKind::Queue => {
            observed.queues.contains_key(destination) || desired.queues.iter().any(|queue| queue.name == *destination)
        }
        DestinationKind::Exchange => is_exchange(destination),
    };
    if !is_there {
        return Some(destination);
    }
    (!is_exchange(source)).then_some(source)
}

/// A count that is not known is not zero (invariant I5).
fn known_empty(queue: &ObservedQueue) -> bool {
    queue.counts.is_some_and(|counts| counts.messages() == 0)
}

fn diff_claim(
    claim: &Claim,
    waiting: impl Fn(&Binding) -> bool,
    observed: &ObservedVirtualHost,
    binds: &mut Vec<Action>,
    unbinds: &mut Vec<Action>,
) {
    let Claim { scope, bindings } = claim;
    for binding in bindings.iter().filter(|binding| !waiting(binding) && !observed.bindings.contains(binding)) {
        binds.push(Action::Bind(binding.clone()));
    }
    // While the successor of a binding waits, the old one stays.
    let is_succeeded = |seen: &Binding| {
        !bindings
            .iter()
            .any(|binding| binding.source == seen.source && binding.routing_key == seen.routing_key && waiting(binding))
    };
    let surplus = scope.of(observed).into_iter().filter(|seen| !bindings.contains(seen) && is_succeeded(seen));
    unbinds.extend(surplus.cloned().map(Action::Unbind));
}

/// What is there by a declared name without being alike: somebody else's, never to be changed or deleted (invariant I2).
pub fn foreign(desired: &[&Desired], observed: &ObservedVirtualHost) -> Foreign {
    let is_unlike_exchange = |declared: &&ExchangeDeclaration| {
        observed.exchanges.get(&declared.name).is_some_and(|seen| check_exchange(declared, seen).is_err())
    };
    let is_unlike_queue = |declared: &&QueueDeclaration| {
        observed.queues.get(&declared.name).is_some_and(|seen| check_alike(declared, seen).is_err())
    };
    Foreign {
        queues: desired
            .iter()
            .flat_map(|desired| &desired.queues)
            .filter(is_unlike_queue)
            .map(|declared| declared.name.clone())
            .collect(),
        exchanges: desired
            .iter()
            .flat_map(|desired| &desired.exchanges)
            .filter(is_unlike_exchange)
            .map(|declared| declared.name.clone())
            .collect(),
    }
}

fn check_exchange(declared: &ExchangeDeclaration, seen: &ExchangeDeclaration) -> Result<(), Conflict> {
    let mut differences = Vec::new();
    if declared.kind != seen.kind {
        differences.push(format!("type: declared {}, found {}", declared.kind, seen.kind));
    }
    compare_arguments(&declared.arguments, &seen.arguments, &mut differences);
    refuse_if_different("exchange", &declared.name, &differences)
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
    compare_arguments(&declared.arguments, &seen.arguments, &mut differences);
    refuse_if_different("queue", &declared.name, &differences)
}

fn compare_arguments(declared: &Arguments, seen: &Arguments, differences: &mut Vec<String>) {
    for key in declared.keys().chain(seen.keys().filter(|key| !declared.contains_key(*key))) {
        let (ours, theirs) = (declared.get(key), seen.get(key));
        if ours != theirs {
            let word = |value: Option<&serde_json::Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            differences.push(format!("{key}: declared {}, found {}", word(ours), word(theirs)));
        }
    }
}

fn refuse_if_different(what: &'static str, name: &str, differences: &[String]) -> Result<(), Conflict> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Conflict { what, name: name.to_owned(), differences: differences.join("; ") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::model::QueueKind;
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

    fn exchange(name: &str) -> ExchangeDeclaration {
        ExchangeDeclaration { name: name.into(), kind: "x-sql".into(), arguments: Arguments::new() }
    }

    fn filtered(source: &str, destination: &str, key: &str, filter: &str) -> Binding {
        let arguments = BTreeMap::from([("x-sql-filter".to_owned(), filter.to_owned())]);
        Binding { arguments, ..Binding::new(source, destination, key) }
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
            claims: vec![Claim::route("amq.x", "q", Some("q.dead"))],
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
                vec!["bind amq.x to q.dead by \"q\""],
            ]
        );
    }

    #[test]
    fn a_route_that_moves_is_bound_anew_before_it_is_unbound() {
        let old = Binding::new("amq.x", "a", "q");
        let mut observed = ObservedVirtualHost { bindings: [old].into(), ..ObservedVirtualHost::default() };
        observed.note(&Action::DeclareQueue(queue("b")));
        let route =
            |destination: Option<&str>| Desired { claims: vec![Claim::route("amq.x", "q", destination)], ..Desired::default() };
        let plan = diff(&route(Some("b")), &observed).unwrap();
        assert!(matches!(plan.steps[0][..], [Action::Bind(_)]));
        assert!(matches!(plan.steps[1][..], [Action::Unbind(_)]));
        assert!(matches!(diff(&route(None), &observed).unwrap().steps[0][..], [Action::Unbind(_)]));
    }

    #[test]
    fn a_route_to_a_queue_that_is_not_there_waits_and_keeps_the_old_one() {
        let old = Binding::new("amq.x", "a", "q");
        let observed = ObservedVirtualHost { bindings: [old].into(), ..ObservedVirtualHost::default() };
        let desired = Desired { claims: vec![Claim::route("amq.x", "q", Some("later"))], ..Desired::default() };
        assert!(diff(&desired, &observed).unwrap().is_empty());
    }

    #[test]
    fn i1_a_filter_that_changes_is_bound_anew_before_the_old_one_goes() {
        let mut observed = ObservedVirtualHost::default();
        observed.note(&Action::DeclareQueue(queue("s")));
        observed.note(&Action::DeclareExchange(exchange("t")));
        observed.note(&Action::Bind(filtered("t", "s", "s", "a = 1")));
        let claim = Claim { scope: Scope::To { destination: "s".into() }, bindings: vec![filtered("t", "s", "s", "a = 2")] };
        let plan = diff(&Desired { claims: vec![claim], ..Desired::default() }, &observed).unwrap();
        let words: Vec<String> = plan.actions().map(ToString::to_string).collect();
        assert_eq!(words, ["bind t to s by \"s\" x-sql-filter=\"a = 2\"", "unbind t from s by \"s\" x-sql-filter=\"a = 1\""]);
        assert_eq!(plan.steps.len(), 2);
    }

    #[test]
    fn a_binding_from_an_exchange_that_is_not_there_waits() {
        let claim = Claim { scope: Scope::To { destination: "s".into() }, bindings: vec![filtered("t", "s", "s", "a = 1")] };
        let desired = Desired { queues: vec![queue("s")], claims: vec![claim], ..Desired::default() };
        let mut observed = ObservedVirtualHost::default();
        assert_eq!(waiting(&desired, &observed).len(), 1);
        assert_eq!(diff(&desired, &observed).unwrap().actions().count(), 1, "the queue alone");
        observed.note(&Action::DeclareExchange(exchange("t")));
        assert!(waiting(&desired, &observed).is_empty());
    }

    #[test]
    fn i2_an_exchange_of_another_type_is_a_conflict() {
        let mut observed = ObservedVirtualHost::default();
        observed.note(&Action::DeclareExchange(ExchangeDeclaration { kind: "fanout".into(), ..exchange("t") }));
        let conflict = diff(&Desired { exchanges: vec![exchange("t")], ..Desired::default() }, &observed).unwrap_err();
        assert_eq!(conflict.differences, "type: declared x-sql, found fanout");
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
            prop::collection::btree_set("[w-z]", 0..3),
            prop::collection::vec(("[w-z]", "[a-d]", "[f-h]"), 0..4),
        )
            .prop_map(|(queues, policies, absent, destination, exchanges, filters)| Desired {
                exchanges: exchanges.iter().map(|name| exchange(name)).collect(),
                queues: queues.iter().map(|name| queue(name)).collect(),
                no_policies: absent.into_iter().filter(|name| !policies.contains_key(name)).collect(),
                policies: policies.iter().map(|(name, limit)| policy(name, *limit)).collect(),
                claims: std::iter::once(Claim::route("amq.x", "k", destination.as_deref()))
                    .chain([Claim {
                        scope: Scope::Keys { source: "w".into(), prefix: "tap.".into() },
                        bindings: filters.iter().map(|(_, to, filter)| filtered("w", to, &format!("tap.{to}"), filter)).collect(),
                    }])
                    .collect(),
                rings: Vec::new(),
                stranded: Vec::new(),
                surplus_queues: Vec::new(),
                surplus_exchanges: Vec::new(),
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
