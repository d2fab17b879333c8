//! What a Subscription's or Client's `contractRef` comes to.

use entente_crds::ServiceContract;
use entente_crds::condition::reasons;
use entente_crds::grant::Verb;
use entente_crds::service_contract::{Action, VersionState, VersionStatus};
use entente_crds::subscription::ContractRef;

use crate::client::grants::admits;
use crate::object::Refusal;
use crate::resolve::Asker;

/// An operation of a version of a contract, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The contract's namespace.
    pub namespace: String,
    /// The contract.
    pub contract: String,
    /// The version.
    pub version: String,
    /// The operation.
    pub operation: String,
}

impl Reference {
    /// What an object of namespace `own` refers to.
    pub fn of(reference: &ContractRef, own: &str) -> Self {
        let ContractRef { name, namespace, version, operation } = reference;
        Self {
            namespace: namespace.clone().unwrap_or_else(|| own.to_owned()),
            contract: name.clone(),
            version: version.clone(),
            operation: operation.clone(),
        }
    }

    /// As a status names it.
    pub fn key(&self) -> String {
        let Self { namespace, contract, version, operation } = self;
        format!("{namespace}/{contract}/{version}/{operation}")
    }

    /// Whether it is to this contract.
    pub fn is_to(&self, namespace: &str, contract: &str) -> bool {
        self.namespace == namespace && self.contract == contract
    }

    /// What the contract's status says of the version.
    pub fn find<'a>(&self, contract: &'a ServiceContract) -> Option<&'a VersionStatus> {
        contract.status.as_ref()?.versions.iter().find(|version| version.name == self.version)
    }

    /// What to do, as the end of a sentence, where the contract names a successor; empty where it does not.
    pub fn way_out(&self, contract: &ServiceContract) -> String {
        let declared = contract.spec.versions.iter().find(|known| known.name == self.version);
        let successor = declared.and_then(|version| version.successor.as_ref());
        successor.map(|successor| format!(". Set contractRef.version to {successor}")).unwrap_or_default()
    }
}

/// Whether it may be used. `held` is one that used it before: a version in Sunset takes in nobody else.
///
/// # Errors
/// Why not, and what to do.
pub fn usable(
    reference: &Reference,
    contract: Option<&ServiceContract>,
    asker: Asker<'_>,
    verb: Verb,
    held: bool,
) -> Result<(), Refusal> {
    let Reference { namespace, contract: name, version, operation } = reference;
    let Some(contract) = contract.filter(|contract| admits(&contract.spec.grants, namespace, asker, verb)) else {
        // One answer for absent and forbidden: names of other namespaces are not for everyone to try (invariant I3).
        return Err(Refusal {
            reason: reasons::CONTRACT_NOT_USABLE,
            message: format!(
                "the ServiceContract {namespace}/{name} does not exist or does not grant {verb:?} to this namespace; check contractRef, create the contract, or ask its owner to add a grant to its spec.grants"
            ),
        });
    };
    let refuse = |reason, message| Err(Refusal { reason, message });
    let own = asker.namespace == namespace;
    let action = contract.spec.operations.iter().find(|known| known.name == *operation).map(|known| known.action);
    match (action, verb) {
        (None, _) => {
            let known: Vec<&str> = contract.spec.operations.iter().map(|known| known.name.as_str()).collect();
            let message =
                format!("the ServiceContract {namespace}/{name} has no operation {operation}; it has {}", known.join(", "));
            return refuse(reasons::VERSION_NOT_OFFERED, message);
        }
        (Some(Action::Send), Verb::Send) if !own => {
            let message = format!(
                "of the operation {operation} the owner of {namespace}/{name} sends, and others receive: make a Subscription"
            );
            return refuse(reasons::INVALID, message);
        }
        (Some(Action::Receive), Verb::Receive | Verb::Browse) if !own => {
            let message = format!(
                "of the operation {operation} the owner of {namespace}/{name} receives, and others send: use a Client with the verb Send"
            );
            return refuse(reasons::INVALID, message);
        }
        (Some(Action::Send | Action::Receive), _) => {}
    }
    let described = |named: &entente_crds::service_contract::Version| {
        named.name == *version && named.messages.iter().any(|message| message.operation == *operation)
    };
    let state = reference.find(contract).map(|status| status.state);
    let advice = advice(contract);
    match state {
        Some(VersionState::Retired) => {
            let message = format!("the version {version} of the ServiceContract {namespace}/{name} is retired{advice}");
            refuse(reasons::VERSION_RETIRED, message)
        }
        Some(VersionState::Sunset) if !held => {
            let message = format!(
                "the version {version} of the ServiceContract {namespace}/{name} is in Sunset and takes in nobody else{advice}"
            );
            refuse(reasons::VERSION_SUNSET, message)
        }
        Some(VersionState::Active | VersionState::Deprecated | VersionState::Sunset)
            if contract.spec.versions.iter().any(described) =>
        {
            Ok(())
        }
        _ => {
            let message = format!(
                "the ServiceContract {namespace}/{name} does not offer {operation} in a version {version}{advice}; this goes on by itself once it does"
            );
            refuse(reasons::VERSION_NOT_OFFERED, message)
        }
    }
}

fn advice(contract: &ServiceContract) -> String {
    let active = contract.status.as_ref().and_then(|status| status.active.as_deref()).filter(|active| !active.is_empty());
    active.map(|active| format!("; its active versions are {active}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use entente_crds::service_contract::ServiceContractStatus;
    use serde_json::json;

    use super::super::lifecycle::{Record, State};
    use super::super::terms;
    use super::super::testing::{contract, version};
    use super::*;

    fn orders(state: State) -> ServiceContract {
        let mut contract = contract(json!([version("v1", "Active", json!({}))]));
        contract.spec.versions[0]
            .messages
            .push(serde_json::from_value(json!({"operation": "cancel", "format": "JsonSchema", "schema": "{}"})).unwrap());
        contract.spec.grants = serde_json::from_value(
            json!([{"namespace": "billing", "verbs": ["Receive"]}, {"namespace": "web", "verbs": ["Send"]}]),
        )
        .unwrap();
        let record = Record { state, ..Record::draft(jiff::Timestamp::UNIX_EPOCH) };
        let versions = vec![terms::recorded("v1", &record, None)];
        contract.status = Some(ServiceContractStatus { versions, active: Some("v2".into()), ..ServiceContractStatus::default() });
        contract
    }

    fn reference(version: &str, operation: &str) -> Reference {
        let reference = json!({"name": "orders", "namespace": "shop", "version": version, "operation": operation});
        Reference::of(&serde_json::from_value(reference).unwrap(), "x")
    }

    fn asked(
        contract: Option<&ServiceContract>,
        to: (&str, &str),
        asker: &str,
        verb: Verb,
        held: bool,
    ) -> Result<(), &'static str> {
        let asker = Asker { namespace: asker, labels: None };
        usable(&reference(to.0, to.1), contract, asker, verb, held).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn each_state_takes_in_whom_it_should() {
        for (state, new, old) in [
            (State::Draft, Err(reasons::VERSION_NOT_OFFERED), Err(reasons::VERSION_NOT_OFFERED)),
            (State::Active, Ok(()), Ok(())),
            (State::Deprecated, Ok(()), Ok(())),
            (State::Sunset, Err(reasons::VERSION_SUNSET), Ok(())),
            (State::Retired, Err(reasons::VERSION_RETIRED), Err(reasons::VERSION_RETIRED)),
        ] {
            let contract = orders(state);
            let ask = |held| asked(Some(&contract), ("v1", "placed"), "billing", Verb::Receive, held);
            assert_eq!((ask(false), ask(true)), (new, old), "{state:?}");
        }
    }

    #[test]
    fn i3_absent_and_forbidden_are_one_answer() {
        let contract = orders(State::Active);
        let message = |contract: Option<&ServiceContract>| {
            let asker = Asker { namespace: "stranger", labels: None };
            usable(&reference("v1", "placed"), contract, asker, Verb::Receive, true).unwrap_err()
        };
        assert_eq!(message(Some(&contract)), message(None));
        assert_eq!(message(None).reason, reasons::CONTRACT_NOT_USABLE);
        assert_eq!(asked(Some(&contract), ("v1", "placed"), "web", Verb::Receive, true), Err(reasons::CONTRACT_NOT_USABLE));
    }

    #[test]
    fn others_receive_what_the_owner_sends_and_send_what_it_receives() {
        let contract = orders(State::Active);
        let ask = |operation, asker, verb| asked(Some(&contract), ("v1", operation), asker, verb, false);
        assert_eq!(ask("placed", "billing", Verb::Receive), Ok(()));
        assert_eq!(ask("cancel", "billing", Verb::Receive), Err(reasons::INVALID));
        assert_eq!(ask("cancel", "web", Verb::Send), Ok(()));
        assert_eq!(ask("placed", "web", Verb::Send), Err(reasons::INVALID));
        for (operation, verb) in [("placed", Verb::Send), ("placed", Verb::Receive), ("cancel", Verb::Receive)] {
            assert_eq!(ask(operation, "shop", verb), Ok(()), "the owner may do both");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let contract = orders(State::Active);
        for to in [("v1", "other"), ("v1", "cancelled"), ("v9", "placed")] {
            assert_eq!(asked(Some(&contract), to, "shop", Verb::Receive, false), Err(reasons::VERSION_NOT_OFFERED), "{to:?}");
        }
    }
}
