//! Which Queues a new observation of their virtual host concerns.

use std::collections::BTreeSet;

use super::desired::owner_of;
use crate::topology::foundation::{DEAD_LETTER_EXCHANGE, shared_policies};
use crate::topology::model::Binding;
use crate::topology::observed::{ObservedQueue, ObservedVirtualHost};

/// The difference between two observations, by the Queue it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// What all Queues stand on has changed: each of them must be looked at.
    pub everything: bool,
    /// Queues whose objects came, went or changed.
    pub structure: BTreeSet<String>,
    /// Queues of which only counters changed.
    pub figures: BTreeSet<String>,
}

/// Compares. Names that belong to no Queue of ours are reported too; nobody answers to them.
pub fn affected(old: &ObservedVirtualHost, new: &ObservedVirtualHost) -> Affected {
    let mut affected = Affected {
        everything: old.tags != new.tags
            || old.limits != new.limits
            || old.exchanges.get(DEAD_LETTER_EXCHANGE) != new.exchanges.get(DEAD_LETTER_EXCHANGE)
            || shared_policies().iter().any(|policy| old.policies.get(&policy.name) != new.policies.get(&policy.name)),
        ..Affected::default()
    };
    for name in keys(&old.queues, &new.queues) {
        match (old.queues.get(name), new.queues.get(name)) {
            (Some(before), Some(after)) if without_counts(before) == without_counts(after) => {
                if before.counts != after.counts {
                    affected.figures.insert(owner_of(name).to_owned());
                }
            }
            _ => {
                affected.structure.insert(owner_of(name).to_owned());
            }
        }
    }
    for name in keys(&old.policies, &new.policies) {
        if old.policies.get(name) != new.policies.get(name) {
            affected.structure.insert(owner_of(name).to_owned());
        }
    }
    for Binding { routing_key, destination, .. } in old.bindings.symmetric_difference(&new.bindings) {
        affected.structure.insert(routing_key.clone());
        affected.structure.insert(owner_of(destination).to_owned());
    }
    affected
}

fn keys<'a, V>(
    old: &'a std::collections::BTreeMap<String, V>,
    new: &'a std::collections::BTreeMap<String, V>,
) -> impl Iterator<Item = &'a String> {
    old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)))
}

fn without_counts(queue: &ObservedQueue) -> ObservedQueue {
    ObservedQueue { counts: None, ..queue.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::queue::desired::desired;
    use crate::queue::validate::validate;
    use crate::topology::diff::diff;
    use crate::topology::foundation::{self, virtual_host};
    use crate::topology::observed::Counts;

    fn complete() -> ObservedVirtualHost {
        let mut seen = ObservedVirtualHost::default();
        let mut run = |plan: crate::topology::plan::Plan| plan.actions().for_each(|action| seen.note(action));
        run(foundation::diff(&virtual_host("shop", "u"), &[], None).unwrap());
        let queue = entente_crds::Queue::new("q", serde_json::from_value(json!({"maxLength": 5})).unwrap());
        let stages = desired(&validate(&queue).unwrap());
        run(diff(&stages.usable, &ObservedVirtualHost::default()).unwrap());
        run(diff(&stages.complete, &ObservedVirtualHost::default()).unwrap());
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
                assert!(!found.everything && found.structure.contains("q"), "{found:?}");
            }
        }
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
        assert_eq!(found.figures, BTreeSet::from(["q".to_owned()]));
        assert!(found.structure.is_empty());
    }
}
