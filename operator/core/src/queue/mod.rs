//! Decisions about one Queue: what it may ask for, what it is at the broker, how it ends, what its status says.

pub mod deletion;
pub mod desired;
pub mod parts;
mod parts_status;
pub mod quorum;
pub mod status;
pub mod validate;

use entente_crds::Queue;
use entente_crds::queue::{DeletionPolicy, QueueStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::object::{Decision, Object, Outcome, Place, Refusal, Reported, Stages};
use crate::topology::names::{any_part, exactly};
use crate::topology::observed::ObservedVirtualHost;

impl Reported for Queue {
    type Status = QueueStatus;
    const KIND: &'static str = "Queue";

    fn last_status(&self) -> Option<&QueueStatus> {
        self.status.as_ref()
    }

    fn set_last_status(&mut self, status: Option<QueueStatus>) {
        self.status = status;
    }

    fn conditions(status: &QueueStatus) -> &[Condition] {
        &status.conditions
    }
}

impl Object for Queue {
    type Settings = validate::Settings;

    fn validate(&self) -> Result<validate::Settings, Refusal> {
        validate::validate(self)
    }

    fn desired(settings: &validate::Settings) -> Stages {
        let mut stages = desired::desired(settings);
        stages.usable.stranded = parts::stranded(settings);
        stages
    }

    fn blocked(settings: &validate::Settings, observed: &ObservedVirtualHost) -> Option<Refusal> {
        quorum::lost(settings, observed)
    }

    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision {
        deletion::decide(&self.metadata.name.clone().unwrap_or_default(), self.spec.deletion_policy, observed)
    }

    fn closes(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
    }

    fn closing_pattern(&self) -> String {
        let name = self.closes();
        if self.spec.partitions.is_some() { any_part(&name) } else { exactly(&name) }
    }

    fn is_retained(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Retain
    }

    fn next_status(&self, outcome: &Outcome, place: Option<Place<'_, validate::Settings>>, now: Timestamp) -> QueueStatus {
        status::status(self, outcome, place, now)
    }

    fn broker_of(status: &QueueStatus) -> Option<&str> {
        status.broker.as_deref()
    }
}
