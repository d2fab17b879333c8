//! What a ServiceContract may ask for: each rule of the CRD again that needs neither a clock nor the old spec.

use std::collections::BTreeSet;

use entente_crds::ServiceContract;
use entente_crds::service_contract::{
    Checks, ConfigMapKey, DesiredState, Lifecycle, MessageSchema, ServiceContractSpec, Version,
};

use super::brownouts;
use super::lifecycle::Rules;
use super::terms;
use crate::object::{Refusal, check_name, refuse_if_any};

const MOST_VERSIONS: usize = 16;
const MOST_OPERATIONS: usize = 20;

/// Checks a spec. All problems are reported at once.
///
/// # Errors
/// `Invalid`.
pub fn validate(contract: &ServiceContract) -> Result<Rules, Refusal> {
    // Exhaustive: a new field cannot be skipped.
    let ServiceContractSpec {
        broker_ref: _, // resolved elsewhere
        owner,
        lifecycle,
        compatibility: _, // every value is valid
        operations,
        versions,
        assurances,
        checks,
        grants: _, // they concern Subscriptions and Clients
    } = &contract.spec;
    let mut problems = Vec::new();
    check_name("ServiceContract", contract.metadata.name.as_deref().unwrap_or_default(), &mut problems);
    if owner.trim().is_empty() {
        problems.push("owner: say who answers for the contract".to_owned());
    }
    let names: BTreeSet<&str> = operations.iter().map(|operation| operation.name.as_str()).collect();
    counted("operations", operations.len(), names.len(), MOST_OPERATIONS, &mut problems);
    let versions_named: BTreeSet<&str> = versions.iter().map(|version| version.name.as_str()).collect();
    counted("versions", versions.len(), versions_named.len(), MOST_VERSIONS, &mut problems);
    for name in names.iter().chain(&versions_named) {
        check_name("version or operation", name, &mut problems);
    }
    for version in versions {
        check_version(version, &names, &versions_named, &mut problems);
    }
    let Lifecycle { max_supported_versions, minimum_deprecation_notice: _, quiet_period: _, brownouts: _ } = lifecycle;
    if !(1..=16).contains(max_supported_versions) {
        problems.push("lifecycle.maxSupportedVersions: from 1 to 16".to_owned());
    }
    let rules = terms::rules(lifecycle).map_err(|error| problems.push(error)).ok();
    if rules.is_some()
        && let Err(problem) = brownouts::rules(lifecycle)
    {
        problems.push(problem);
    }
    if let Some(Err(problem)) = assurances.as_ref().map(super::assurances::targets) {
        problems.push(problem);
    }
    if let Some(Checks { messages_per_minute }) = checks
        && !(1..=100).contains(messages_per_minute)
    {
        problems.push("checks.messagesPerMinute: from 1 to 100".to_owned());
    }
    refuse_if_any(&problems)?;
    rules.ok_or_else(|| Refusal { reason: entente_crds::condition::reasons::INVALID, message: "lifecycle".to_owned() })
}

fn counted(what: &str, all: usize, different: usize, most: usize, problems: &mut Vec<String>) {
    if all != different {
        problems.push(format!("{what}: a name is there twice"));
    }
    if all == 0 || all > most {
        problems.push(format!("{what}: from 1 to {most} entries"));
    }
}

fn check_version(version: &Version, operations: &BTreeSet<&str>, others: &BTreeSet<&str>, problems: &mut Vec<String>) {
    let Version { name, desired_state, sunset_at, successor, reason, retire_in_use, messages } = version;
    let mut refuse = |text: String| problems.push(format!("version {name}: {text}"));
    let mut described = BTreeSet::new();
    for MessageSchema { operation, format: _, schema, config_map_ref, sha256 } in messages {
        if !operations.contains(operation.as_str()) {
            refuse(format!("messages name the operation {operation}, which is not among the contract's operations"));
        }
        if !described.insert(operation) {
            refuse(format!("messages of the operation {operation} are there twice"));
        }
        match (schema, config_map_ref, sha256) {
            (Some(_), None, None) => {}
            (None, Some(ConfigMapKey { .. }), Some(hash)) if hash.len() == 64 => {}
            _ => refuse(format!("messages of {operation}: choose a schema, or a configMapRef with its sha256")),
        }
    }
    if retire_in_use.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        refuse("retireInUse: say why".to_owned());
    }
    if described.is_empty() {
        refuse("it describes no messages".to_owned());
    }
    if *desired_state == DesiredState::Deprecated && (sunset_at.is_none() || successor.is_none() || reason.is_none()) {
        refuse("Deprecated needs a successor, a reason and sunsetAt".to_owned());
    }
    if let Some(successor) = successor
        && *desired_state != DesiredState::Retired
        && (successor == name || !others.contains(successor.as_str()))
    {
        refuse("its successor is another version of this contract".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::condition::reasons;
    use serde_json::{Value, json};

    use super::super::testing::{contract, version};
    use super::*;

    #[test]
    fn a_good_contract_is_valid() {
        assert_eq!(validate(&contract(json!([version("v1", "Active", json!({}))]))).map(|rules| rules.max_supported), Ok(3));
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        let v1 = || version("v1", "Active", json!({}));
        let without = |field: &str| {
            let mut version = version("v1", "Deprecated", json!({}));
            for (name, value) in [("successor", json!("v2")), ("reason", json!("r")), ("sunsetAt", json!("2030-01-01T00:00:00Z"))]
            {
                if name != field {
                    version[name] = value;
                }
            }
            json!([version, self::version("v2", "Active", json!({}))])
        };
        let with = |field: &str, value: Value| {
            let mut version = v1();
            version[field] = value;
            json!([version])
        };
        let message = |value: Value| with("messages", json!([value]));
        for (versions, word) in [
            (json!([]), "from 1 to 16"),
            (json!([v1(), v1()]), "twice"),
            (json!([version("V1", "Draft", json!({}))]), "label"),
            (with("messages", json!([])), "describes no messages"),
            (message(json!({"operation": "other", "format": "Opaque", "schema": "x"})), "not among"),
            (message(json!({"operation": "placed", "format": "Opaque"})), "choose a schema"),
            (
                message(json!({"operation": "placed", "format": "Opaque", "configMapRef": {"name": "a", "key": "b"}})),
                "choose a schema",
            ),
            (with("successor", json!("v1")), "another version"),
            (with("successor", json!("v9")), "another version"),
            (without("successor"), "Deprecated needs"),
            (without("reason"), "Deprecated needs"),
            (without("sunsetAt"), "Deprecated needs"),
        ] {
            let refusal = validate(&contract(versions.clone())).unwrap_err();
            assert_eq!(refusal.reason, reasons::INVALID);
            assert!(refusal.message.contains(word), "{versions}: {}", refusal.message);
        }
    }

    #[test]
    fn assurances_and_brownouts_that_cannot_be_are_refused() {
        let mut contract = contract(json!([version("v1", "Active", json!({}))]));
        let refused = |contract: &ServiceContract| validate(contract).unwrap_err().message;
        contract.spec.assurances = Some(serde_json::from_value(json!({"availability": "99.9", "rto": "30s"})).unwrap());
        assert!(validate(&contract).is_ok());
        contract.spec.assurances = Some(serde_json::from_value(json!({"availability": "often"})).unwrap());
        assert!(refused(&contract).contains("assurances.availability"));
        contract.spec.assurances = None;
        contract.spec.lifecycle.brownouts = serde_json::from_value(json!([{"beforeSunset": "1m", "lasts": "2m"}])).unwrap();
        assert!(refused(&contract).contains("lifecycle.brownouts"));
    }

    #[test]
    fn a_sample_has_bounds() {
        let mut contract = contract(json!([version("v1", "Active", json!({}))]));
        for (messages_per_minute, fits) in [(0, false), (1, true), (100, true), (101, false)] {
            contract.spec.checks = Some(Checks { messages_per_minute });
            assert_eq!(validate(&contract).is_ok(), fits, "{messages_per_minute}");
        }
    }
}
