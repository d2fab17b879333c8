//! What dependents are told, on their own objects, of versions that end.

use entente_crds::ServiceContract;
use entente_crds::condition::{reasons, types};
use entente_crds::service_contract::VersionState;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::reference::Reference;
use crate::conditions::{self, Status};

/// A version that ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// How near the end is.
    state: Ending,
    /// What is told.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Deprecated,
    Sunset,
    Retired,
}

/// What is to be told of a version that somebody depends on; nothing while it is Active.
///
/// Only to those that may use the contract: others learn nothing of it (invariant I3).
pub fn notice(reference: &Reference, contract: &ServiceContract) -> Option<Notice> {
    let status = reference.find(contract)?;
    let Reference { namespace, contract: name, version, .. } = reference;
    let spec = contract.spec.versions.iter().find(|known| known.name == *version);
    let date = status.sunset_at.as_ref().map(|at| at.0.to_string()).unwrap_or_default();
    let (state, what) = match status.state {
        VersionState::Draft | VersionState::Active => return None,
        VersionState::Deprecated => (Ending::Deprecated, format!("is deprecated and ends on {date}")),
        VersionState::Sunset => (Ending::Sunset, format!("ended on {date}; it is retired once nobody uses it")),
        VersionState::Retired => (Ending::Retired, "is retired".to_owned()),
    };
    let reason = spec.and_then(|spec| spec.reason.as_ref()).map(|reason| format!(": {reason}")).unwrap_or_default();
    let mend = reference.way_out(contract);
    let owner = &contract.spec.owner;
    Some(Notice {
        state,
        text: format!("version {version} of the contract {namespace}/{name} {what}{reason}{mend}. Owner: {owner}"),
    })
}

/// Sets the condition, or takes it away where nothing is to be told. The nearest end gives the reason.
pub fn tell(conditions: &mut Vec<Condition>, mut notices: Vec<Notice>, generation: Option<i64>, now: Timestamp) {
    notices.sort_by(|a, b| b.cmp(a));
    notices.dedup();
    let Some(nearest) = notices.first() else {
        conditions::remove(conditions, types::CONTRACT_DEPRECATED);
        return;
    };
    let reason = match nearest.state {
        Ending::Deprecated => reasons::VERSION_DEPRECATED,
        Ending::Sunset => reasons::VERSION_SUNSET,
        Ending::Retired => reasons::VERSION_RETIRED,
    };
    let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
    conditions::set(conditions, types::CONTRACT_DEPRECATED, Status::True, reason, texts.join("; "), generation, now);
}

#[cfg(test)]
mod tests {
    use entente_crds::service_contract::ServiceContractStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::super::testing::{contract, version};
    use super::*;

    fn noticed(state: State) -> Option<Notice> {
        let mut v1 = version("v1", "Deprecated", json!({}));
        v1["successor"] = json!("v2");
        v1["reason"] = json!("v2 has amounts");
        let mut contract = contract(json!([v1, version("v2", "Active", json!({}))]));
        let record = Record { state, ..Record::draft(Timestamp::UNIX_EPOCH) };
        let mut status = terms::recorded("v1", &record, None);
        status.sunset_at = Some(Time(Timestamp::from_second(1_900_000_000).unwrap()));
        contract.status = Some(ServiceContractStatus { versions: vec![status], ..ServiceContractStatus::default() });
        let reference =
            Reference { namespace: "shop".into(), contract: "orders".into(), version: "v1".into(), operation: "placed".into() };
        notice(&reference, &contract)
    }

    #[test]
    fn a_deprecation_is_told_with_date_reason_successor_and_owner() {
        let text = noticed(State::Deprecated).unwrap().text;
        for word in ["v1", "shop/orders", "2030-03-17T17:46:40Z", "v2 has amounts", "contractRef.version to v2", "Owner: orders"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn the_nearest_end_gives_the_reason_and_none_takes_it_away() {
        assert_eq!((noticed(State::Draft), noticed(State::Active)), (None, None));
        let mut conditions = Vec::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        let all = [State::Deprecated, State::Retired, State::Sunset].map(|state| noticed(state).unwrap());
        tell(&mut conditions, all.to_vec(), Some(1), at(1));
        assert_eq!((conditions[0].type_.as_str(), conditions[0].reason.as_str()), ("ContractDeprecated", "VersionRetired"));
        tell(&mut conditions, vec![all[0].clone()], Some(1), at(2));
        assert_eq!(conditions[0].reason, "VersionDeprecated");
        assert_eq!(conditions[0].last_transition_time.0, at(1));
        tell(&mut conditions, Vec::new(), Some(1), at(3));
        assert!(conditions.is_empty());
    }
}
