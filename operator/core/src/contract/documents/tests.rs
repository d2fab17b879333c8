use entente_crds::ServiceContract;
use serde_json::{Value, json};

use super::*;
use crate::contract::kept::Kept;

const PLACED: &str =
    r##"{"type":"object","$defs":{"id":{"type":"string"}},"properties":{"id":{"$ref":"#/$defs/id"}},"required":["id"]}"##;

fn contract() -> ServiceContract {
    let messages = json!([
        {"operation": "placed", "format": "JsonSchema", "schema": PLACED},
        {"operation": "cancel", "format": "Avro", "schema": r#"{"type":"record","name":"Cancel","fields":[{"name":"id","type":"string"}]}"#},
    ]);
    let version = |name: &str, state: &str| json!({"name": name, "desiredState": state, "messages": messages});
    let mut v1 = version("v1", "Deprecated");
    v1["sunsetAt"] = json!("2027-01-01T00:00:00Z");
    v1["successor"] = json!("v2");
    v1["reason"] = json!("v2 | has `notes`");
    let spec = json!({
        "owner": "team <orders>",
        "operations": [{"name": "placed", "action": "Send", "channel": "orders"}, {"name": "cancel", "action": "Receive"}],
        "versions": [version("v0", "Retired"), v1, version("v2", "Active"), version("v3", "Draft")],
        "assurances": {"availability": "99.9", "latencyP99": "500ms"},
        "lifecycle": {"brownouts": [{"beforeSunset": "2d", "lasts": "10m"}]},
    });
    let mut contract = ServiceContract::new("orders", serde_json::from_value(spec).unwrap());
    contract.metadata.namespace = Some("shop".into());
    contract
}

fn offered<T>(make: impl FnOnce(&Offer<'_>) -> T) -> T {
    let (contract, kept) = (contract(), Kept::new());
    make(&Offer::read(&contract, &kept).unwrap())
}

/// Where every reference of a document leads.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(to)) => found.push(to),
                    (_, value) => references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn asyncapi_has_a_channel_for_each_version_that_is_offered() {
    let document = offered(|offer| asyncapi::document(offer).unwrap());
    let keys = |at: &str| document[at].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys("channels"), ["cancel.v1", "cancel.v2", "orders.v1", "orders.v2"]);
    assert_eq!(keys("operations"), ["cancel.v1", "cancel.v2", "placed.v1", "placed.v2"]);
    assert_eq!(document["info"]["version"], "v2");
    assert_eq!(
        (&document["operations"]["placed.v1"]["action"], &document["operations"]["cancel.v1"]["action"]),
        (&json!("send"), &json!("receive"))
    );
    let ending = &document["channels"]["orders.v1"];
    assert_eq!((&ending["x-sunset"], &ending["x-successor"]), (&json!("2027-01-01T00:00:00Z"), &json!("v2")));
    assert_eq!(ending["tags"][0]["name"], "deprecated");
    assert!(document["channels"]["orders.v2"]["tags"].is_null());
    let payload = &document["components"]["messages"]["placed.v2"]["payload"];
    assert_eq!(payload["schemaFormat"], "application/schema+json;version=draft-07");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 12);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn xregistry_has_the_history_of_each_schema() {
    let document = offered(|offer| xregistry::document(offer).unwrap());
    assert_eq!(document["messagegroups"].as_object().unwrap().keys().collect::<Vec<_>>(), ["orders.v1", "orders.v2"]);
    let deprecated = &document["messagegroups"]["orders.v1"]["deprecated"];
    assert_eq!(deprecated, &json!({"removal": "2027-01-01T00:00:00Z", "alternative": "#/messagegroups/orders.v2"}));
    let schema = &document["schemagroups"]["orders"]["schemas"]["placed"];
    assert_eq!((&schema["meta"]["compatibility"], &schema["versionid"]), (&json!("forward_transitive"), &json!("v2")));
    assert_eq!(document["schemagroups"]["orders"]["schemas"]["cancel"]["meta"]["compatibility"], "backward_transitive");
    let ancestors: Vec<&Value> = ["v1", "v2"].map(|version| &schema["versions"][version]["ancestorid"]).to_vec();
    assert_eq!(ancestors, ["v1", "v1"]);
    for group in document["messagegroups"].as_object().unwrap().values() {
        for message in group["messages"].as_object().unwrap().values() {
            let at = message["dataschemaxid"].as_str().unwrap();
            assert_eq!(document.pointer(at).unwrap()["format"], message["dataschemaformat"]);
        }
    }
}

#[test]
fn the_page_says_who_has_to_do_what() {
    let page = offered(markdown::document);
    assert!(page.contains("| v1 | Deprecated | 2027-01-01 00:00 UTC | v2 | v2 \\| has \\`notes\\` |"), "{page}");
    assert!(page.contains("| v0 | Retired |") && !page.contains("v3"));
    assert!(page.contains("Newcomers take v2.") && page.contains("Contract of team \\<orders\\>, in namespace shop."));
    assert!(page.contains("| Availability | 99.9 % |") && page.contains("at least 30d before"));
    assert!(page.contains("closed for 10m as a rehearsal, 2d before"));
    assert_eq!(page.matches("```json").count(), 4);
}

#[test]
fn the_status_knows_better_than_the_spec() {
    let (mut contract, kept) = (contract(), Kept::new());
    let since = json!("2026-01-01T00:00:00Z");
    let status = json!({"versions": [
        {"name": "v1", "state": "Sunset", "since": since, "watchedAt": since, "deprecatedAt": since, "sunsetAt": "2027-03-01T00:00:00Z"},
        {"name": "v3", "state": "Active", "since": since, "watchedAt": since},
    ]});
    contract.status = Some(serde_json::from_value(status).unwrap());
    let offer = Offer::read(&contract, &kept).unwrap();
    assert_eq!(offer.newest().unwrap().name(), "v3");
    let said = headers(&offer.versions[1], Some("/v2"));
    let expected = [
        ("deprecation", "@1767225600"),
        ("sunset", "Mon, 01 Mar 2027 00:00:00 GMT"),
        ("link", "</v2>; rel=\"successor-version\""),
    ];
    assert_eq!(said.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), expected);
    assert!(headers(offer.newest().unwrap(), None).is_empty());
    let deprecated = &xregistry::document(&offer).unwrap()["messagegroups"]["orders.v1"]["deprecated"];
    assert_eq!((&deprecated["effective"], &deprecated["removal"]), (&since, &json!("2027-03-01T00:00:00Z")));
}

#[test]
fn brownouts_that_are_ahead_are_in_every_document() {
    let (mut contract, kept) = (contract(), Kept::new());
    let since = json!("2026-01-01T00:00:00Z");
    let brownout = |day: u32, state: &str| {
        let at = |hour: u32| format!("2026-12-{day:02}T{hour:02}:00:00Z");
        json!({"startsAt": at(9), "endsAt": at(10), "state": state, "announcedAt": since, "announcedBefore": "1d"})
    };
    let brownouts = [brownout(1, "Over"), brownout(2, "Skipped"), brownout(3, "Underway"), brownout(4, "Announced")];
    let status =
        json!({"versions": [{"name": "v1", "state": "Deprecated", "since": since, "watchedAt": since, "brownouts": brownouts}]});
    contract.status = Some(serde_json::from_value(status).unwrap());
    let offer = Offer::read(&contract, &kept).unwrap();
    let told = "closed as a rehearsal from 2026-12-03T09:00:00Z to 2026-12-03T10:00:00Z, closed as a rehearsal from 2026-12-04T09:00:00Z to";
    assert!(offer.versions[1].told().contains(told), "{}", offer.versions[1].told());
    assert!(markdown::document(&offer).contains(told) && markdown::document(&offer).contains("announced at least 1d before"));
    let channel = &asyncapi::document(&offer).unwrap()["channels"]["orders.v1"];
    assert_eq!(channel["x-brownouts"][1], json!({"startsAt": "2026-12-04T09:00:00Z", "endsAt": "2026-12-04T10:00:00Z"}));
    assert_eq!(channel["x-brownouts"].as_array().unwrap().len(), 2);
}

#[test]
fn one_version_has_a_document_of_its_own() {
    let (contract, kept) = (contract(), Kept::new());
    let only = |version: &str| Offer::read(&contract, &kept).unwrap().only(version);
    let document = asyncapi::document(&only("v1").unwrap()).unwrap();
    assert_eq!((&document["info"]["version"], document["channels"].as_object().unwrap().len()), (&json!("v1"), 2));
    assert!(only("v3").is_none() && only("v9").is_none());
}

#[test]
fn what_is_not_at_hand_is_said() {
    let mut contract = contract();
    let reference = json!({"operation": "placed", "format": "JsonSchema", "configMapRef": {"name": "schemas", "key": "v2"}, "sha256": "0".repeat(64)});
    contract.spec.versions[2].messages = serde_json::from_value(json!([reference])).unwrap();
    let kept = Kept::new();
    let error = Offer::read(&contract, &kept).unwrap_err();
    assert_eq!(error.to_string(), "version v2, operation placed: ConfigMap schemas could not be read");
    contract.spec.versions[2].messages[0].format = entente_crds::service_contract::SchemaFormat::Opaque;
    let offer = Offer::read(&contract, &kept).unwrap();
    let document = asyncapi::document(&offer).unwrap();
    assert_eq!(document["components"]["messages"]["placed.v2"]["x-schema-sha256"], "0".repeat(64));
    let markdown = markdown::document(&offer);
    assert!(markdown.contains("opaque"));
}

#[test]
fn a_block_is_not_ended_by_what_is_in_it() {
    let mut contract = contract();
    contract.spec.versions[2].messages[0].schema = Some("{\"description\": \"````\"}".into());
    let kept = Kept::new();
    let page = markdown::document(&Offer::read(&contract, &kept).unwrap());
    assert!(page.contains("\n`````json\n"));
}
