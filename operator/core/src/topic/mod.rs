//! Decisions about one Topic.

pub mod deletion;
pub mod desired;
pub mod validate;

use entente_crds::Topic;
use entente_crds::topic::{TopicDeletionPolicy, TopicStatus, Unrouted};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::object::{Decision, Object, Outcome, Place, Refusal, Reported, Stages, broker_key, set_outcome};
use crate::taps;
use crate::topology::model::DestinationKind;
use crate::topology::names::{Owner, exchange_address, queue_address, topic_exchange, unrouted_queue};
use crate::topology::observed::ObservedVirtualHost;

/// Subscriptions that are bound to a Topic.
pub fn subscribed(topic: &str, observed: &ObservedVirtualHost) -> usize {
    let exchange = topic_exchange(topic);
    let queues = observed
        .bindings_from(&exchange)
        .filter(|binding| binding.destination_kind == DestinationKind::Queue)
        .filter(|binding| matches!(Owner::of_queue(&binding.destination), Some(Owner::Subscription { .. })));
    // While a filter changes, a queue is bound twice.
    queues.map(|binding| &binding.destination).collect::<std::collections::BTreeSet<_>>().len()
}

impl Reported for Topic {
    type Status = TopicStatus;
    const KIND: &'static str = "Topic";

    fn last_status(&self) -> Option<&TopicStatus> {
        self.status.as_ref()
    }

    fn set_last_status(&mut self, status: Option<TopicStatus>) {
        self.status = status;
    }

    fn conditions(status: &TopicStatus) -> &[Condition] {
        &status.conditions
    }
}

impl Object for Topic {
    type Settings = validate::Settings;

    fn validate(&self) -> Result<validate::Settings, Refusal> {
        validate::validate(self)
    }

    fn desired(settings: &validate::Settings) -> Stages {
        desired::desired(settings)
    }

    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision {
        deletion::decide(&self.metadata.name.clone().unwrap_or_default(), self.spec.deletion_policy, observed)
    }

    fn closes(&self) -> String {
        unrouted_queue(&self.metadata.name.clone().unwrap_or_default())
    }

    fn is_retained(&self) -> bool {
        self.spec.deletion_policy == TopicDeletionPolicy::Retain
    }

    fn next_status(&self, outcome: &Outcome, place: Option<Place<'_, validate::Settings>>, now: Timestamp) -> TopicStatus {
        let mut status = self.status.clone().unwrap_or_default();
        let generation = self.metadata.generation;
        status.observed_generation = generation;
        if set_outcome(&mut status.conditions, outcome, "the topic is as declared", generation, now)
            && let Some(place) = place
        {
            locate(&mut status, &self.metadata.name.clone().unwrap_or_default(), &place, now);
        }
        status
    }

    fn broker_of(status: &TopicStatus) -> Option<&str> {
        status.broker.as_deref()
    }
}

fn locate(status: &mut TopicStatus, name: &str, place: &Place<'_, validate::Settings>, now: Timestamp) {
    let Place { broker, virtual_host, settings, observed } = place;
    status.broker = Some(broker_key(broker));
    status.virtual_host = Some((*virtual_host).to_owned());
    let Some(observed) = observed else { return };
    let exchange = topic_exchange(name);
    let there = observed.exchanges.contains_key(&exchange);
    status.address = there.then(|| exchange_address(&exchange));
    status.subscriptions = there.then(|| i64::try_from(subscribed(name, observed)).unwrap_or(i64::MAX));
    let Some(settings) = settings else { return };
    let keeps = settings.unrouted == Unrouted::DeadLetter && observed.queues.contains_key(&unrouted_queue(name));
    status.dead_letter_address = keeps.then(|| queue_address(&unrouted_queue(name)));
    taps::set_condition(&mut status.conditions, &exchange, &settings.taps, observed, status.observed_generation, now);
}

#[cfg(test)]
mod tests {
    use entente_crds::Broker;
    use serde_json::json;

    use super::*;
    use crate::topology::diff::diff;

    #[test]
    fn i6_a_second_visit_changes_nothing() {
        let mut topic = Topic::new("t", serde_json::from_value(json!({"unrouted": "DeadLetter"})).unwrap());
        topic.metadata.namespace = Some("shop".into());
        let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
        let settings = topic.validate().unwrap();
        let mut seen = ObservedVirtualHost::default();
        let plan = diff(&Topic::desired(&settings).usable, &seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        let visit = |topic: &Topic, second: i64| {
            let place = Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(&seen) };
            topic.next_status(&Outcome::Ready, Some(place), Timestamp::from_second(second).unwrap())
        };
        let first = visit(&topic, 1);
        assert_eq!(first.address.as_deref(), Some("/exchanges/topic.t"));
        assert_eq!(first.dead_letter_address.as_deref(), Some("/queues/topic.t.dead"));
        assert_eq!(first.subscriptions, Some(0));
        topic.status = Some(first.clone());
        assert_eq!(visit(&topic, 60), first);
    }
}
