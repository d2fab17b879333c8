//! Contracts for tests.

use entente_crds::ServiceContract;
use serde_json::{Value, json};

/// A contract `orders` in `shop` with one sent operation `placed`.
#[allow(clippy::needless_pass_by_value)] // a json! literal goes in
pub fn contract(versions: Value) -> ServiceContract {
    let spec = json!({
        "owner": "orders",
        "lifecycle": {"minimumDeprecationNotice": "30m", "quietPeriod": "10m"},
        "operations": [{"name": "placed", "action": "Send"}, {"name": "cancel", "action": "Receive"}, {"name": "cancelled", "action": "Send"}],
        "versions": versions,
    });
    let mut contract = ServiceContract::new("orders", serde_json::from_value(spec).unwrap());
    contract.metadata.namespace = Some("shop".into());
    contract.metadata.generation = Some(1);
    contract
}

/// A version with a JSON Schema for `placed`.
#[allow(clippy::needless_pass_by_value)] // a json! literal goes in
pub fn version(name: &str, state: &str, schema: Value) -> Value {
    let messages = json!([{"operation": "placed", "format": "JsonSchema", "schema": schema.to_string()}]);
    json!({"name": name, "desiredState": state, "messages": messages})
}
