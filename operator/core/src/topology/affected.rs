//! Which objects a new observation of their virtual host concerns.

use std::collections::{BTreeMap, BTreeSet};

use super::foundation::{DEAD_LETTER_EXCHANGE, DISCARD, shared_policies};
use super::model::{Binding, DestinationKind};
use super::names::Owner;
use super::observed::{ObservedQueue, ObservedVirtualHost};
use super::plan::{Action, Plan};

/// The difference between two observations, by the object it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// What all objects stand on has changed: each of them must be looked at.
    pub everything: bool,
    /// Objects of which something came, went or changed.
    pub structure: BTreeSet<Owner>,
    /// Objects of which only counters changed.
    pub figures: BTreeSet<Owner>,
}

/// Compares. Whatever belongs to no object of ours concerns nobody.
pub fn affected(old: &ObservedVirtualHost, new: &ObservedVirtualHost) -> Affected {
    let mut affected = Affected {
        everything: old.tags != new.tags
            || old.limits != new.limits
            || [DEAD_LETTER_EXCHANGE, DISCARD].iter().any(|name| old.exchanges.get(*name) != new.exchanges.get(*name))
            || old.queues.contains_key(DISCARD) != new.queues.contains_key(DISCARD)
            || shared_policies().iter().any(|policy| old.policies.get(&policy.name) != new.policies.get(&policy.name)),
        ..Affected::default()
    };
    for name in keys(&old.queues, &new.queues) {
        match (old.queues.get(name), new.queues.get(name)) {
            (Some(before), Some(after)) if without_counts(before) == without_counts(after) => {
                if before.counts != after.counts {
                    affected.figures.extend(Owner::of_queue(name));
                }
            }
            _ => affected.structure.extend(Owner::of_queue(name)),
        }
    }
    for name in keys(&old.exchanges, &new.exchanges) {
        if old.exchanges.get(name) != new.exchanges.get(name) {
            affected.structure.extend(Owner::of_exchange(name));
        }
    }
    for name in keys(&old.policies, &new.policies) {
        if old.policies.get(name) != new.policies.get(name) {
            affected.structure.extend(Owner::of_policy(name));
        }
    }
    for binding in old.bindings.symmetric_difference(&new.bindings) {
        let Binding { source, routing_key, destination: _, destination_kind: _, arguments: _ } = binding;
        let owners = [Owner::of_exchange(source), owner_of_destination(binding)];
        // The routing key of a dead letter is the name of the queue that it comes from.
        let from = (source == DEAD_LETTER_EXCHANGE).then(|| Owner::of_queue(routing_key)).flatten();
        affected.structure.extend(owners.into_iter().flatten().chain(from));
    }
    affected
}

/// Objects at the other end of the bindings that a plan makes or removes: their status speaks of them.
pub fn touched(plan: &Plan, before: &ObservedVirtualHost) -> BTreeSet<Owner> {
    let mut touched = BTreeSet::new();
    for action in plan.actions() {
        match action {
            Action::Bind(binding) | Action::Unbind(binding) => touched.extend(Owner::of_exchange(&binding.source)),
            Action::DeleteQueue { name } => {
                let bound = before.bindings.iter().filter(|binding| binding.leads_to_queue(name));
                touched.extend(bound.filter_map(|binding| Owner::of_exchange(&binding.source)));
            }
            Action::DeleteExchange { name } => {
                touched.extend(before.bindings_from(name).filter_map(owner_of_destination));
            }
            Action::DeclareExchange(_) => touched.extend(unbound(before)),
            _ => {}
        }
    }
    touched
}

/// Subscriptions whose queue nothing leads to: they may wait for this very exchange. When somebody deletes a Topic's
/// exchange, its bindings go too, and whoever looks before the Topic has made it anew can bind nothing.
fn unbound(host: &ObservedVirtualHost) -> impl Iterator<Item = Owner> {
    let bound: BTreeSet<&str> = host.bindings.iter().map(|binding| binding.destination.as_str()).collect();
    let unbound = host.queues.keys().filter(move |name| !bound.contains(name.as_str()));
    unbound.filter_map(|name| Owner::of_queue(name)).filter(|owner| matches!(owner, Owner::Subscription { .. }))
}

/// Whose it is that a binding leads to.
fn owner_of_destination(Binding { destination, destination_kind, .. }: &Binding) -> Option<Owner> {
    match destination_kind {
        DestinationKind::Queue => Owner::of_queue(destination),
        DestinationKind::Exchange => Owner::of_exchange(destination),
    }
}

/// Every object of which something is in the virtual host.
pub fn present(host: &ObservedVirtualHost) -> BTreeSet<Owner> {
    let queues = host.queues.keys().filter_map(|name| Owner::of_queue(name));
    queues.chain(host.exchanges.keys().filter_map(|name| Owner::of_exchange(name))).collect()
}

fn keys<'a, V>(old: &'a BTreeMap<String, V>, new: &'a BTreeMap<String, V>) -> impl Iterator<Item = &'a String> {
    old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)))
}

fn without_counts(queue: &ObservedQueue) -> ObservedQueue {
    ObservedQueue { counts: None, ..queue.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;
    use crate::topology::diff::diff;
    use crate::topology::foundation::{self, virtual_host};
    use crate::topology::model::{Arguments, ExchangeDeclaration, QueueDeclaration, QueueKind};
    use crate::topology::observed::Counts;

    fn q() -> Owner {
        Owner::Queue("q".into())
    }

    fn complete() -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        let foundation = foundation::diff(&virtual_host("shop", "u"), &[], None).unwrap();
        foundation.actions().for_each(|action| seen.note(action));
        let queue = entente_crds::Queue::new("q", serde_json::from_value(json!({"maxLength": 5})).unwrap());
        let stages = entente_crds::Queue::desired(&queue.validate().unwrap());
        for stage in [&stages.usable, &stages.complete] {
            diff(stage, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        }
        seen
    }

    #[test]
    fn nothing_changed_concerns_nobody() {
        assert_eq!(affected(&complete(), &complete()), Affected::default());
    }

    #[test]
    fn each_part_of_a_queue_leads_to_it() {
        let changes: [fn(&mut ObservedVirtualHost); 5] = [
            |seen| drop(seen.queues.remove("q")),
            |seen| drop(seen.queues.remove("q.dead")),
            |seen| drop(seen.policies.remove("entente.queue.q")),
            |seen| seen.bindings.clear(),
            |seen| seen.queues.get_mut("q").unwrap().leader = Some("elsewhere".into()),
        ];
        for change in changes {
            let mut after = complete();
            change(&mut after);
            for (old, new) in [(&complete(), &after), (&after, &complete())] {
                let found = affected(old, new);
                assert!(!found.everything && found.structure.contains(&q()), "{found:?}");
            }
        }
    }

    /// Seen: the Subscription looked first, found no exchange to bind to, and came back 5 s later.
    #[test]
    fn an_exchange_that_is_made_anew_concerns_those_that_lost_their_binding() {
        let mut before = ObservedVirtualHost::default();
        for name in ["subscription.n.lost", "subscription.n.bound", "q"] {
            let queue = QueueDeclaration { name: name.into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
            before.note(&Action::DeclareQueue(queue));
        }
        before.bindings.insert(Binding::new("topic.u", "subscription.n.bound", ""));
        let exchange = ExchangeDeclaration { name: "topic.t".into(), kind: "x-sql".into(), arguments: Arguments::new() };
        let lost = Owner::Subscription { namespace: "n".into(), name: "lost".into() };
        assert_eq!(touched(&Plan::of(Action::DeclareExchange(exchange)), &before), BTreeSet::from([lost]));
    }

    #[test]
    fn a_subscription_that_comes_or_goes_concerns_its_topic_and_the_other_way_round() {
        let topic = BTreeSet::from([Owner::Topic("t".into())]);
        let subscription = Owner::Subscription { namespace: "n".into(), name: "s".into() };
        let binding = Binding::new("topic.t", "subscription.n.s", "");
        let mut before = ObservedVirtualHost::default();
        before.bindings.insert(binding.clone());
        let ask = |action: Action| touched(&Plan::of(action), &before);
        assert_eq!(ask(Action::Bind(binding)), topic);
        assert_eq!(ask(Action::DeleteQueue { name: "subscription.n.s".into() }), topic);
        assert_eq!(ask(Action::DeleteExchange { name: "topic.t".into() }), BTreeSet::from([subscription]));
    }

    #[test]
    fn what_all_stand_on_concerns_all() {
        let changes: [fn(&mut ObservedVirtualHost); 4] = [
            |seen| seen.exchanges.clear(),
            |seen| drop(seen.policies.remove("entente.default")),
            |seen| seen.tags.clear(),
            |seen| {
                seen.limits.insert("max-queues".into(), 1);
            },
        ];
        for change in changes {
            let mut after = complete();
            change(&mut after);
            assert!(affected(&complete(), &after).everything);
        }
    }

    #[test]
    fn counters_alone_are_told_apart() {
        let mut after = complete();
        after.queues.get_mut("q.dead").unwrap().counts = Some(Counts { ready: 1, ..Counts::default() });
        let found = affected(&complete(), &after);
        assert_eq!(found.figures, BTreeSet::from([q()]));
        assert!(found.structure.is_empty());
    }
}
