// A json! literal goes in.
#![allow(clippy::needless_pass_by_value)]

use entente_crds::ServiceContract;
use entente_crds::meta::DELETE_IN_USE_ANNOTATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::admission::WARNING_LIMIT;
use crate::contract::kept::{Missing, places};
use crate::contract::schemas::sha256;

const V1: &str = r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;
/// Honours V1 both ways.
const V2: &str = r#"{"type":"object","properties":{"id":{"type":"string"},"note":{"type":"string"}},"required":["id"]}"#;
/// Readers of V1 are sent no id.
const BROKEN: &str = r#"{"type":"object","properties":{"note":{"type":"string"}}}"#;

fn now() -> Timestamp {
    "2026-05-01T12:00:30Z".parse().unwrap()
}

fn version(name: &str, state: &str, schema: &str) -> Value {
    json!({"name": name, "desiredState": state, "messages": [{"operation": "placed", "format": "JsonSchema", "schema": schema}]})
}

fn deprecated(name: &str, schema: &str, sunset: &str) -> Value {
    let mut version = version(name, "Deprecated", schema);
    version["sunsetAt"] = json!(sunset);
    version["successor"] = json!("v2");
    version["reason"] = json!("v2 has notes");
    version
}

fn contract(versions: &[Value]) -> ServiceContract {
    let spec = json!({"owner": "team orders", "operations": [{"name": "placed", "action": "Send"}], "versions": versions});
    let mut contract = ServiceContract::new("orders", serde_json::from_value(spec).unwrap());
    contract.metadata.namespace = Some("shop".into());
    contract
}

fn with_status(mut contract: ServiceContract, versions: Value) -> ServiceContract {
    contract.status = Some(serde_json::from_value(json!({"versions": versions})).unwrap());
    contract
}

fn seen(name: &str, state: &str, more: Value) -> Value {
    let mut version = json!({"name": name, "state": state, "since": "2026-01-01T00:00:00Z", "watchedAt": "2026-04-30T00:00:00Z"});
    version.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    version
}

fn judged(old: Option<&ServiceContract>, new: &ServiceContract) -> Judgement {
    let judgement = review(old, new, &Kept::new(), now(), &|| true);
    assert!(judgement.warnings().iter().all(|warning| warning.chars().count() <= WARNING_LIMIT), "{judgement:?}");
    judgement
}

fn refused(old: Option<&ServiceContract>, new: &ServiceContract) -> String {
    judged(old, new).message().unwrap_or_else(|| panic!("was admitted"))
}

#[test]
fn a_first_version_that_can_be_read_is_admitted() {
    assert_eq!(judged(None, &contract(&[version("v1", "Active", V1)])), Judgement::default());
    assert_eq!(judged(None, &contract(&[version("v1", "Draft", V1)])), Judgement::default());
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for state in ["Draft", "Active"] {
        let message = refused(None, &contract(&[version("v1", state, r#"{"type": "objekt"}"#)]));
        assert!(message.starts_with("version v1, operation placed: this is no JSON Schema that can be used: /type"), "{message}");
    }
    let message = refused(None, &contract(&[version("v1", "Active", "{")]));
    assert!(message.contains("line 1, column 1"), "{message}");
}

/// It may have been stored while no operator was there.
#[test]
fn a_draft_that_is_no_schema_is_not_activated() {
    let before = contract(&[version("v1", "Draft", "no schema")]);
    assert!(
        refused(Some(&before), &contract(&[version("v1", "Active", "no schema")])).contains("no JSON Schema that can be used")
    );
}

#[test]
fn an_operation_that_is_not_there_is_refused() {
    let mut wrong = version("v1", "Draft", V1);
    wrong["messages"][0]["operation"] = json!("plaecd");
    let message = refused(None, &contract(&[wrong]));
    assert!(message.contains("no such operation (it has placed)"), "{message}");
}

#[test]
fn a_version_that_honours_the_others_is_activated() {
    let before = contract(&[version("v1", "Active", V1), version("v2", "Draft", V2)]);
    let after = contract(&[version("v1", "Active", V1), version("v2", "Active", V2)]);
    assert_eq!(judged(Some(&before), &after), Judgement::default());
    assert_eq!(judged(None, &after), Judgement::default());
}

#[test]
fn one_that_does_not_is_refused_with_all_that_helps() {
    let before = contract(&[version("v1", "Active", V1)]);
    let after = contract(&[version("v1", "Active", V1), version("v2", "Active", BROKEN)]);
    for message in [refused(Some(&before), &after), refused(None, &after)] {
        assert!(message.starts_with("version v2 does not honour v1, operation placed (the owner sends,"), "{message}");
        assert!(message.contains("\n  /properties/id: required breaks the old version reading the new"), "{message}");
        assert!(message.contains("mend: "), "{message}");
        assert!(message.contains("a message that shows it: {"), "{message}");
    }
}

#[test]
fn the_owner_who_receives_is_judged_in_the_other_direction() {
    let receive = |versions: &[Value]| {
        let mut contract = contract(versions);
        contract.spec.operations = serde_json::from_value(json!([{"name": "placed", "action": "Receive"}])).unwrap();
        contract
    };
    // To ask for less is fine there, and to ask for more is not.
    let less = receive(&[version("v1", "Active", V1), version("v2", "Active", BROKEN)]);
    assert_eq!(judged(None, &less), Judgement::default());
    let more = receive(&[version("v1", "Active", BROKEN), version("v2", "Active", V1)]);
    assert!(refused(None, &more).contains("the owner receives"));
}

#[test]
fn a_draft_is_told_beforehand() {
    let before = contract(&[version("v1", "Active", V1)]);
    let after = contract(&[version("v1", "Active", V1), version("v2", "Draft", BROKEN)]);
    let judgement = judged(Some(&before), &after);
    assert!(judgement.is_admitted());
    assert!(judgement.warnings()[0].starts_with("v2 could not be activated as it stands: version v2 does not honour v1"));
    // Once is enough.
    assert_eq!(judged(Some(&after), &after), Judgement::default());
}

#[test]
fn transitive_is_every_version_that_is_offered() {
    let texts =
        [r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{}}"#, r#"{"properties":{"a":{"type":"integer"}}}"#];
    let versions = |state: &str| -> Vec<Value> {
        let states = ["Active", "Active", state];
        texts.iter().zip(states).enumerate().map(|(at, (text, state))| version(&format!("v{}", at + 1), state, text)).collect()
    };
    let (before, mut after) = (contract(&versions("Draft")), contract(&versions("Active")));
    let message = refused(Some(&before), &after);
    assert!(message.contains("v3 does not honour v1") && !message.contains("honour v2"), "{message}");
    after.spec.compatibility.transitive = false;
    assert_eq!(judged(Some(&before), &after), Judgement::default());
}

#[test]
fn an_operation_that_is_dropped_or_of_another_format_is_a_break() {
    let two = |name: &str, cancelled: bool| {
        let mut version = version(name, "Active", V1);
        if cancelled {
            let more = json!({"operation": "cancelled", "format": "JsonSchema", "schema": V1});
            version["messages"].as_array_mut().unwrap().push(more);
        }
        version
    };
    let contract = |versions: &[Value]| {
        let mut contract = contract(versions);
        contract.spec.operations =
            serde_json::from_value(json!([{"name": "placed", "action": "Send"}, {"name": "cancelled", "action": "Send"}]))
                .unwrap();
        contract
    };
    assert_eq!(judged(None, &contract(&[two("v1", false), two("v2", true)])), Judgement::default());
    let message = refused(None, &contract(&[two("v1", true), two("v2", false)]));
    assert!(message.contains("v2 has no messages for operation cancelled, which v1 has"), "{message}");
    let mut avro = two("v2", true);
    avro["messages"][0] = json!({"operation": "placed", "format": "Avro", "schema": "\"string\""});
    let message = refused(None, &contract(&[two("v1", true), avro]));
    assert!(message.contains("the format was JSON Schema and is Avro schema"), "{message}");
}

#[test]
fn no_more_versions_than_the_contract_supports() {
    let many = |count: usize, last: &str| -> Vec<Value> {
        (1..=count).map(|at| version(&format!("v{at}"), if at == count { last } else { "Active" }, V1)).collect()
    };
    let message = refused(Some(&contract(&many(4, "Draft"))), &contract(&many(4, "Active")));
    assert!(message.contains("version v4: not activated: 3 versions are supported already, the most are 3"), "{message}");
    let message = refused(None, &contract(&many(5, "Active")));
    assert!(message.contains("version v4:") && message.contains("version v5:") && !message.contains("version v3:"), "{message}");
    assert_eq!(judged(None, &contract(&many(4, "Draft"))), Judgement::default());
}

#[test]
fn deprecation_gives_notice() {
    let before = contract(&[version("v1", "Active", V1), version("v2", "Active", V2)]);
    let until = |date: &str| contract(&[deprecated("v1", V1, date), version("v2", "Active", V2)]);
    assert_eq!(judged(Some(&before), &until("2026-06-01T00:00:00Z")), Judgement::default());
    let message = refused(Some(&before), &until("2026-05-20T00:00:00Z"));
    assert!(message.contains("sunsetAt must be 2026-05-31T12:02:00Z or later"), "{message}");
    // What is told is what is accepted.
    assert_eq!(judged(Some(&before), &until("2026-05-31T12:02:00Z")), Judgement::default());
    let mut nowhere = until("2026-06-01T00:00:00Z");
    nowhere.spec.versions[0].successor = Some("v1".into());
    assert!(refused(Some(&before), &nowhere).contains("needs a successor that is Active"));
}

#[test]
fn a_backup_that_is_put_back_is_admitted() {
    let contract =
        contract(&[deprecated("v1", V1, "2020-01-01T00:00:00Z"), version("v2", "Active", V2), version("v3", "Retired", BROKEN)]);
    let judgement = judged(None, &contract);
    assert!(judgement.is_admitted(), "{judgement:?}");
    assert_eq!(judgement.warnings()[0], "v1 comes Deprecated: its notice begins anew, from today");
}

/// Added to a contract that is there, it would be offered without its schemas having been looked at.
#[test]
fn a_version_that_is_added_begins_at_the_beginning() {
    let before = contract(&[version("v2", "Active", V2)]);
    let after = contract(&[version("v2", "Active", V2), deprecated("v1", BROKEN, "2027-01-01T00:00:00Z")]);
    assert!(refused(Some(&before), &after).contains("Draft does not become Deprecated"));
}

#[test]
fn retirement_says_what_it_waits_for() {
    let date = "2026-04-01T00:00:00Z";
    let before = contract(&[deprecated("v1", V1, date), version("v2", "Active", V2)]);
    let mut after = contract(&[deprecated("v1", V1, date), version("v2", "Active", V2)]);
    after.spec.versions[0].desired_state = entente_crds::service_contract::DesiredState::Retired;
    let used = json!({"consumers": 2, "producers": 1, "subscriptions": 0, "backlog": 7, "observedAt": "2026-05-01T12:00:00Z"});
    for (status, words) in [
        (json!([]), "nothing has been observed"),
        (json!([seen("v1", "Deprecated", json!({"sunsetAt": date}))]), "it is Deprecated until 2026-04-01T00:00:00Z"),
        (
            json!([seen("v1", "Sunset", json!({"use": used}))]),
            "in use: 2 consumers, 1 producer, 7 waiting messages (seen at 2026-05-01T12:00:00Z); move the dependents to v2",
        ),
        (json!([seen("v1", "Sunset", json!({}))]), "quiet period is not over"),
    ] {
        let message = refused(Some(&before), &with_status(after.clone(), status));
        assert!(message.contains(words), "{message}");
    }
    let free = with_status(after.clone(), json!([seen("v1", "Sunset", json!({"retirable": true}))]));
    assert_eq!(judged(Some(&before), &free), Judgement::default());
    after.spec.versions[0].retire_in_use = Some("abandoned".into());
    let early = with_status(after.clone(), json!([seen("v1", "Deprecated", json!({"sunsetAt": date}))]));
    assert!(refused(Some(&before), &early).contains("it is Deprecated"), "notice is never shortened");
    let meant = judged(Some(&before), &with_status(after, json!([seen("v1", "Sunset", json!({"use": used}))])));
    assert!(meant.warnings()[0].contains("retired all the same"), "{meant:?}");
}

#[test]
fn only_what_changes_is_judged() {
    // As if older rules had let them in.
    let versions = [version("v1", "Active", "no schema"), version("v2", "Active", BROKEN)];
    let before = contract(&versions);
    let mut after = contract(&versions);
    after.spec.owner = "another team".into();
    assert_eq!(judged(Some(&before), &after), Judgement::default());
}

#[test]
fn a_shorter_notice_is_for_later() {
    let before = contract(&[deprecated("v1", V1, "2027-01-01T00:00:00Z"), version("v2", "Active", V2)]);
    let mut after = before.clone();
    after.spec.lifecycle.minimum_deprecation_notice = entente_crds::text::DurationText("1d".into());
    assert_eq!(judged(Some(&before), &after).warnings().len(), 1);
    after.spec.lifecycle.minimum_deprecation_notice = entente_crds::text::DurationText("99999d".into());
    assert!(refused(Some(&before), &after).contains("minimumDeprecationNotice: at most 3650d"));
    after.spec.lifecycle = serde_json::from_value(json!({"brownouts": [{"beforeSunset": "1h", "lasts": "2h"}]})).unwrap();
    assert!(refused(Some(&before), &after).contains("brownouts"));
}

#[test]
fn a_config_map_is_read_where_it_can_be() {
    let mut version = version("v2", "Active", V1);
    version["messages"][0] = json!({"operation": "placed", "format": "JsonSchema",
        "configMapRef": {"name": "schemas", "key": "v2"}, "sha256": sha256(BROKEN)});
    let before = contract(&[self::version("v1", "Active", V1)]);
    let after = contract(&[self::version("v1", "Active", V1), version]);
    assert_eq!(places(&after.spec.versions).into_iter().collect::<Vec<_>>(), [("schemas".to_owned(), "v2".to_owned())]);
    let with = |kept: Kept| review(Some(&before), &after, &kept, now(), &|| true);
    let place = ("schemas".to_owned(), "v2".to_owned());
    assert!(!with(Kept::from([(place.clone(), Ok(BROKEN.into()))])).is_admitted());
    // Not there, another text, too long, and not readable: a warning, and the same one for the first two.
    let missing = |missing| with(Kept::from([(place.clone(), Err(missing))]));
    let (absent, other) = (missing(Missing::Absent), with(Kept::from([(place.clone(), Ok(V2.into()))])));
    assert_eq!(absent, other);
    for judgement in [absent, missing(Missing::TooLong), missing(Missing::TooMuch), missing(Missing::TooMany), with(Kept::new())]
    {
        assert!(judgement.is_admitted() && judgement.warnings().len() == 1, "{judgement:?}");
    }
    assert!(missing(Missing::TooLong).warnings()[0].contains("longer than 256 KiB"));
}

#[test]
fn what_takes_too_long_is_left_to_the_controller() {
    let contract = contract(&[version("v1", "Active", V1), version("v2", "Active", BROKEN)]);
    let judgement = review(None, &contract, &Kept::new(), now(), &|| false);
    assert!(judgement.is_admitted());
    assert!(judgement.warnings()[0].contains("not compared to the end"), "{judgement:?}");
}

#[test]
fn a_contract_in_use_is_not_deleted_unless_that_is_meant() {
    let used = json!({"consumers": 0, "producers": 0, "subscriptions": 3, "backlog": 0, "observedAt": "2026-05-01T12:00:00Z"});
    let status = json!([seen("v1", "Active", json!({"use": used})), seen("v0", "Retired", json!({"use": used}))]);
    let mut contract = with_status(contract(&[version("v1", "Active", V1)]), status);
    let message = review_deletion(&contract, false).message().unwrap();
    assert!(message.contains("in use: v1 by 3 durable subscriptions") && !message.contains("v0"), "{message}");
    assert!(message.contains(DELETE_IN_USE_ANNOTATION));
    assert_eq!(review_deletion(&contract, true), Judgement::default());
    contract.metadata.annotations = Some([(DELETE_IN_USE_ANNOTATION.to_owned(), "the service is gone".to_owned())].into());
    let meant = review_deletion(&contract, false);
    assert!(meant.is_admitted() && meant.warnings().len() == 1);
    contract.metadata.annotations = None;
    contract.status = None;
    assert_eq!(review_deletion(&contract, false), Judgement::default());
}

#[test]
fn binding_to_what_ends_is_told() {
    let contract = with_status(
        contract(&[deprecated("v1", V1, "2027-01-01T00:00:00Z"), version("v2", "Active", V2), version("v3", "Draft", V2)]),
        json!([
            seen("v1", "Deprecated", json!({"sunsetAt": "2027-01-01T00:00:00Z"})),
            seen("v2", "Active", json!({})),
            seen("v0", "Retired", json!({})),
            seen("v00", "Sunset", json!({"sunsetAt": "2026-01-01T00:00:00Z"})),
        ]),
    );
    let warnings = |version: &str| binding::judge(&contract, version).warnings().to_vec();
    assert_eq!(warnings("v1"), ["orders/v1 is deprecated, sunset 2027-01-01; move to v2 (v2 has notes)"]);
    let mut rehearsed = contract.clone();
    let brownout = |state: &str| json!([{"startsAt": "2026-12-01T09:00:00Z", "endsAt": "2026-12-01T10:00:00Z", "state": state, "announcedAt": "2026-11-01T09:00:00Z", "announcedBefore": "1d"}]);
    for (state, words) in [
        ("Announced", Some("orders/v1 will be closed, as a rehearsal, from 2026-12-01T09:00:00Z to 2026-12-01T10:00:00Z")),
        ("Underway", Some("orders/v1 is closed until 2026-12-01T10:00:00Z, as a rehearsal")),
        ("Over", None),
    ] {
        let versions = &mut rehearsed.status.as_mut().unwrap().versions;
        versions[0].brownouts = serde_json::from_value(brownout(state)).unwrap();
        let told = binding::judge(&rehearsed, "v1").warnings().to_vec();
        assert_eq!(told.get(1).map(String::as_str), words, "{state}");
    }
    assert_eq!(binding::judge(&contract, "v2"), Judgement::default());
    assert!(warnings("v3")[0].contains("draft") && warnings("v9")[0].contains("no version v9"));
    for ended in ["v0", "v00"] {
        assert!(!binding::judge(&contract, ended).is_admitted(), "{ended}");
    }
}

/// Seen: a contract and its first Client, applied with one command.
#[test]
fn what_is_offered_and_was_not_looked_at_is_no_draft() {
    let mut contract = contract(&[version("v1", "Active", V1), version("v2", "Draft", V2)]);
    contract.metadata.generation = Some(1);
    assert_eq!(binding::judge(&contract, "v1"), Judgement::default());
    assert_eq!(binding::judge(&contract, "v2").warnings().len(), 1);
    let mut refused = with_status(contract, json!([seen("v1", "Draft", json!({}))]));
    if let Some(status) = &mut refused.status {
        status.observed_generation = Some(1);
    }
    assert_eq!(binding::judge(&refused, "v1").warnings().len(), 1, "it was looked at, and refused");
}
