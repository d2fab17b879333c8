//! Decisions about one Subscription. Its queue is judged as every other, see [`crate::queue`].

pub mod desired;
pub mod filter;
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
        (!observed.exchanges.contains_key(&settings.exchange)).then(|| Refusal {
            reason: reasons::TOPIC_NOT_READY,
            message: format!("{} is not in the broker yet; this goes on by itself once it is", settings.exchange),
        })
    }

    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision {
        queue::deletion::decide(&queue_of(self), self.spec.deletion_policy, observed)
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
