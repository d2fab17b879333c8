//! A ServiceContract in the pipeline of whatever stands for something in a virtual host.

use entente_crds::ServiceContract;
use entente_crds::condition::reasons;
use entente_crds::service_contract::{ServiceContractStatus, VersionState, VersionStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::offer::{self, Settings};
use super::usage::in_the_way;
use crate::object::{Decision, Object, Outcome, Place, Refusal, Reported, Stages, broker_key, set_outcome};
use crate::topology::names::Owner;
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::{Action, Plan};

impl Reported for ServiceContract {
    type Status = ServiceContractStatus;
    const KIND: &'static str = "ServiceContract";

    fn last_status(&self) -> Option<&ServiceContractStatus> {
        self.status.as_ref()
    }

    fn set_last_status(&mut self, status: Option<ServiceContractStatus>) {
        self.status = status;
    }

    fn conditions(status: &ServiceContractStatus) -> &[Condition] {
        &status.conditions
    }
}

impl Object for ServiceContract {
    type Settings = Settings;

    fn validate(&self) -> Result<Settings, Refusal> {
        offer::settings(self)
    }

    fn desired(settings: &Settings) -> Stages {
        offer::desired(settings)
    }

    fn blocked(settings: &Settings, _: &ObservedVirtualHost) -> Option<Refusal> {
        settings.refused.clone().map(|message| Refusal { reason: reasons::VERSION_REFUSED, message })
    }

    /// Whoever depends on it holds it, whatever states its versions are in.
    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision {
        let name = self.metadata.name.clone().unwrap_or_default();
        match in_the_way(&name, &self.spec.versions, observed) {
            None => return Decision::Unknown,
            Some(found) if !found.is_empty() => {
                let words: Vec<String> = found.iter().map(|(version, who)| format!("{version} is used by {who}")).collect();
                return Decision::Wait(format!("{}; move or delete them first", words.join("; ")));
            }
            Some(_) => {}
        }
        let owner = Some(Owner::Contract(name));
        let own = observed.exchanges.keys().filter(|exchange| Owner::of_exchange(exchange) == owner);
        let mut plan = Plan::default();
        plan.step(own.map(|name| Action::DeleteExchange { name: name.clone() }).collect());
        if plan.is_empty() { Decision::Release } else { Decision::Delete { plan, only_if_empty: false } }
    }

    /// It has no queue. The name is nobody's.
    fn closes(&self) -> String {
        format!("contract.{}", self.metadata.name.clone().unwrap_or_default())
    }

    fn is_retained(&self) -> bool {
        false
    }

    fn next_status(&self, outcome: &Outcome, place: Option<Place<'_, Settings>>, now: Timestamp) -> ServiceContractStatus {
        let mut status = self.status.clone().unwrap_or_default();
        let generation = self.metadata.generation;
        status.observed_generation = generation;
        let summary = place.and_then(|place| place.settings).map(|settings| settings.summary.clone()).unwrap_or_default();
        if set_outcome(&mut status.conditions, outcome, &summary, generation, now)
            && let Some(Place { broker, virtual_host, .. }) = place
        {
            status.broker = Some(broker_key(broker));
            status.virtual_host = Some(virtual_host.to_owned());
        }
        status
    }

    fn broker_of(status: &ServiceContractStatus) -> Option<&str> {
        status.broker.as_deref()
    }
}

/// A status with other versions in it.
pub fn with_versions(status: ServiceContractStatus, versions: Vec<VersionStatus>) -> ServiceContractStatus {
    let in_state = |state| versions.iter().filter(move |known| known.state == state);
    let active: Vec<&str> = in_state(VersionState::Active).map(|known| known.name.as_str()).collect();
    let active = (!active.is_empty()).then(|| active.join(","));
    let next_sunset = in_state(VersionState::Deprecated).filter_map(|known| known.sunset_at.clone()).min();
    ServiceContractStatus { active, next_sunset, versions, ..status }
}

#[cfg(test)]
mod tests {
    use entente_crds::Broker;
    use serde_json::json;

    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::super::testing::{contract, version};
    use super::*;
    use crate::topology::diff::diff;
    use crate::topology::model::{Arguments, Binding, QueueDeclaration, QueueKind};
    use crate::topology::observed::Counts;

    fn orders() -> (ServiceContract, ObservedVirtualHost) {
        let mut contract = contract(json!([version("v1", "Active", json!({}))]));
        let record = Record { state: State::Active, ..Record::draft(Timestamp::UNIX_EPOCH) };
        let versions = vec![terms::recorded("v1", &record, None)];
        contract.status = Some(with_versions(ServiceContractStatus::default(), versions));
        let mut seen = ObservedVirtualHost::default();
        let plan = diff(&ServiceContract::desired(&contract.validate().unwrap()).usable, &seen).unwrap();
        plan.actions().for_each(|action| seen.note(action));
        (contract, seen)
    }

    fn subscribed(seen: &mut ObservedVirtualHost, counts: Option<Counts>) {
        let name = "subscription.billing.mail".to_owned();
        let queue = QueueDeclaration { name: name.clone(), kind: QueueKind::Quorum, arguments: Arguments::new() };
        seen.note(&Action::DeclareQueue(queue));
        seen.bindings.insert(Binding::new("contract.orders.v1.placed.out", &name, &name));
        seen.queues.values_mut().for_each(|queue| queue.counts = counts);
    }

    #[test]
    fn a_contract_that_nobody_uses_goes_whole() {
        let (contract, mut seen) = orders();
        let Decision::Delete { plan, .. } = contract.deletion(&seen) else { panic!("nothing to delete") };
        plan.actions().for_each(|action| seen.note(action));
        assert_eq!(seen, ObservedVirtualHost::default());
        assert_eq!(contract.deletion(&seen), Decision::Release);
    }

    #[test]
    fn a_contract_in_use_does_not_go() {
        let (contract, mut seen) = orders();
        subscribed(&mut seen, Some(Counts::default()));
        let Decision::Wait(text) = contract.deletion(&seen) else { panic!("it goes") };
        assert!(text.contains("v1 is used by 1 Subscriptions"), "{text}");
        subscribed(&mut seen, None);
        assert_eq!(contract.deletion(&seen), Decision::Unknown, "i5");
    }

    #[test]
    fn i6_a_second_visit_changes_nothing() {
        let (mut contract, seen) = orders();
        let broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
        let settings = contract.validate().unwrap();
        let visit = |contract: &ServiceContract, second: i64| {
            let place = Place { broker: &broker, virtual_host: "shop", settings: Some(&settings), observed: Some(&seen) };
            contract.next_status(&Outcome::Ready, Some(place), Timestamp::from_second(second).unwrap())
        };
        let first = visit(&contract, 1);
        assert_eq!((first.active.as_deref(), first.virtual_host.as_deref()), (Some("v1"), Some("shop")));
        assert_eq!(first.conditions[0].message, "v1 Active");
        contract.status = Some(first.clone());
        assert_eq!(visit(&contract, 60), first);
    }
}
