//! Which of the broker's events are news, and which only the echo of our own writes.
//!
//! Without this, a thousand Queues that are declared would have their virtual host read over and over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use entente_broker::amqp::BrokerEvent;
use entente_core::topology::model::Binding;
use entente_core::topology::observed::ObservedVirtualHost;

/// An event arrives within moments or not at all. Later ones are somebody else's.
const ECHO: Duration = Duration::from_secs(5);

/// Policies that we set and whose events were not heard yet.
///
/// The event of a policy does not hold the policy. Each write causes one event, whoever writes: of two, one is news.
#[derive(Debug, Default)]
pub struct Echoes(HashMap<String, Vec<Instant>>);

impl Echoes {
    /// A policy was set by us.
    pub fn expect(&mut self, policy: &str, now: Instant) {
        self.expire(now);
        self.0.entry(policy.to_owned()).or_default().push(now);
    }

    /// Whether an event of this policy is the echo of a write of ours. Each write has one.
    fn hear(&mut self, policy: &str, now: Instant) -> bool {
        self.expire(now);
        self.0.get_mut(policy).is_some_and(|writes| writes.pop().is_some())
    }

    /// At each write too: where events are switched off, nothing is ever heard.
    fn expire(&mut self, now: Instant) {
        self.0.retain(|_, writes| {
            writes.retain(|at| now.duration_since(*at) < ECHO);
            !writes.is_empty()
        });
    }
}

/// Whether an event can mean that the virtual host is not as it was last observed, our own writes included.
pub fn is_news(event: &BrokerEvent, observed: Option<&ObservedVirtualHost>, echoes: &mut Echoes, now: Instant) -> bool {
    let (Some(observed), Some(name)) = (observed, event.name.as_deref()) else { return true };
    match event.kind.as_str() {
        "policy.set" => !echoes.hear(name, now),
        // What we deleted ourselves is no longer observed.
        _ => is_there(event, observed).unwrap_or(true),
    }
}

/// Whether that is observed whose end an event tells of; `None` for an event of something else. Right after a read, that it is
/// means that the node that was read has not heard of the end yet, which a loaded cluster may take a while for.
pub fn is_there(event: &BrokerEvent, observed: &ObservedVirtualHost) -> Option<bool> {
    let name = event.name.as_deref()?;
    let detail = |key: &str| event.details.get(key).cloned().unwrap_or_default();
    Some(match event.kind.as_str() {
        "queue.deleted" => observed.queues.contains_key(name),
        "policy.cleared" => observed.policies.contains_key(name),
        "exchange.deleted" => observed.exchanges.contains_key(name),
        // The event does not tell the arguments in a form that compares: whatever else is bound alike is taken for it.
        "binding.deleted" => {
            let (source, key) = (detail("source-name"), detail("routing-key"));
            let alike = |seen: &Binding| seen.source == source && seen.destination == name && seen.routing_key == key;
            observed.bindings.iter().any(alike)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use entente_core::topology::model::{Arguments, Policy, QueueDeclaration, QueueKind};
    use entente_core::topology::plan::Action;

    use super::*;

    fn event(kind: &str, name: &str, details: &[(&str, &str)]) -> BrokerEvent {
        let details = details.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (kind, name) = (kind.to_owned(), Some(name.to_owned()));
        BrokerEvent { kind, virtual_host: Some("shop".to_owned()), name, at: None, details }
    }

    fn observed() -> ObservedVirtualHost {
        let binding = Binding::new("x", "q", "k");
        let policy = Policy {
            name: "p".into(),
            pattern: "q".into(),
            apply_to: "queues".into(),
            priority: 0,
            definition: Arguments::new(),
        };
        let queue = QueueDeclaration { name: "q".into(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        let mut observed = ObservedVirtualHost::default();
        for action in [Action::DeclareQueue(queue), Action::Bind(binding), Action::PutPolicy(policy)] {
            observed.note(&action);
        }
        observed
    }

    #[test]
    fn a_deletion_is_news_only_of_what_was_there() {
        let ask = |event: &BrokerEvent| is_news(event, Some(&observed()), &mut Echoes::default(), Instant::now());
        for (kind, there, not_there) in [("queue.deleted", "q", "r"), ("policy.cleared", "p", "r")] {
            assert!(ask(&event(kind, there, &[])), "{kind}");
            assert!(!ask(&event(kind, not_there, &[])), "{kind}");
        }
        assert!(ask(&event("binding.deleted", "q", &[("source-name", "x"), ("routing-key", "k")])));
        assert!(!ask(&event("binding.deleted", "q", &[("source-name", "x"), ("routing-key", "other")])));
        assert!(ask(&event("vhost.limits.set", "shop", &[])));
    }

    #[test]
    fn of_two_writes_of_a_policy_only_ours_is_an_echo() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect("p", now);
        assert!(!is_news(&event("policy.set", "p", &[]), Some(&observed()), &mut echoes, now));
        assert!(is_news(&event("policy.set", "p", &[]), Some(&observed()), &mut echoes, now));
    }

    #[test]
    fn an_echo_that_never_came_hides_nothing_later() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect("p", now);
        assert!(is_news(&event("policy.set", "p", &[]), Some(&observed()), &mut echoes, now + ECHO));
    }

    #[test]
    fn where_nothing_is_ever_heard_nothing_piles_up() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect("p", now);
        echoes.expect("q", now + ECHO);
        assert_eq!(echoes.0.keys().collect::<Vec<_>>(), ["q"]);
    }

    #[test]
    fn i5_where_nothing_was_observed_everything_is_news() {
        assert!(is_news(&event("queue.deleted", "r", &[]), None, &mut Echoes::default(), Instant::now()));
    }
}
