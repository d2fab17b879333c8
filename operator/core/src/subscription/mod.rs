//! Decisions about one Subscription. Its queue is judged as every other, see [`crate::queue`].

pub mod desired;
pub mod filter;
pub mod replay;
pub mod seam;
pub mod start;
pub mod status;
pub mod validate;

use entente_crds::Subscription;
use entente_crds::condition::reasons;
use entente_crds::queue::DeletionPolicy;
use entente_crds::subscription::SubscriptionStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::object::{Decision, Object, Outcome, Place, Refusal, Reported, Stages};
use crate::queue;
use crate::topology::names::subscription_queue;
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::Plan;

/// Name of a Subscription's queue.
pub fn queue_of(subscription: &Subscription) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    subscription_queue(&text(&subscription.metadata.namespace), &text(&subscription.metadata.name))
}

impl Reported for Subscription {
    type Status = SubscriptionStatus;
    const KIND: &'static str = "Subscription";

    fn last_status(&self) -> Option<&SubscriptionStatus> {
        self.status.as_ref()
    }

    fn set_last_status(&mut self, status: Option<SubscriptionStatus>) {
        self.status = status;
    }

    fn conditions(status: &SubscriptionStatus) -> &[Condition] {
        &status.conditions
    }
}

impl Object for Subscription {
    type Settings = validate::Settings;

    fn validate(&self) -> Result<validate::Settings, Refusal> {
        validate::validate(self)
    }

    fn desired(settings: &validate::Settings) -> Stages {
        desired::desired(settings)
    }

    fn blocked(settings: &validate::Settings, observed: &ObservedVirtualHost) -> Option<Refusal> {
        let topic_missing = (!observed.exchanges.contains_key(&settings.exchange)).then(|| Refusal {
            reason: reasons::TOPIC_NOT_READY,
            message: format!("{} is not in the broker yet; this goes on by itself once it is", settings.exchange),
        });
        topic_missing.or_else(|| queue::quorum::lost(&settings.queue, observed))
    }

    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision {
        let queue = queue_of(self);
        let left = replay::leftovers(&queue, observed);
        match queue::deletion::decide(&queue, self.spec.deletion_policy, observed) {
            // What a replay has made goes before the queue that it feeds.
            Decision::Delete { plan, only_if_empty } => {
                let steps = left.steps.into_iter().chain(plan.steps).collect();
                Decision::Delete { plan: Plan { steps }, only_if_empty }
            }
            Decision::Release if !self.is_retained() && !left.is_empty() => Decision::Delete { plan: left, only_if_empty: false },
            other => other,
        }
    }

    fn closes(&self) -> String {
        queue_of(self)
    }

    fn is_retained(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Retain
    }

    fn next_status(&self, outcome: &Outcome, place: Option<Place<'_, validate::Settings>>, now: Timestamp) -> SubscriptionStatus {
        status::status(self, outcome, place, now)
    }

    fn broker_of(status: &SubscriptionStatus) -> Option<&str> {
        status.broker.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::diff::diff;

    #[test]
    fn what_a_replay_has_made_goes_with_the_subscription() {
        let spec = json!({"topicRef": {"name": "orders"}, "from": "Earliest", "deletionPolicy": "Delete"});
        let mut subscription = Subscription::new("mail", serde_json::from_value(spec).unwrap());
        subscription.metadata.namespace = Some("shop".into());
        let settings = subscription.validate().unwrap();
        let mut seen = ObservedVirtualHost::default();
        for desired in [&replay::unbound(&settings).usable, &replay::at_the_seam(&settings, 3)] {
            diff(desired, &seen.clone()).unwrap().actions().for_each(|action| seen.note(action));
        }
        let Decision::Delete { plan, .. } = subscription.deletion(&seen) else { panic!("nothing to delete") };
        plan.actions().for_each(|action| seen.note(action));
        assert_eq!(seen, ObservedVirtualHost::default());
        assert_eq!(subscription.deletion(&seen), Decision::Release);
    }
}
