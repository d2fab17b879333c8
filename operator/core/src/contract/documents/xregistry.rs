//! An xRegistry document: message groups and schema groups, as a registry would take or give them.

use entente_crds::service_contract::{Action, SchemaFormat};
use serde_json::{Map, Value, json};

use super::offer::{DocumentError, Message, Offer, Offered, json};

/// The version of xRegistry that the document follows.
const SPECIFICATION: &str = "1.0-rc4";

/// Makes the document: a message group for each version, and one schema group with a schema for each operation, whose versions are the
/// contract's. Times and counters of a registry are its own, and are left out.
///
/// # Errors
/// A schema that is to be JSON is none.
pub fn document(offer: &Offer<'_>) -> Result<Value, DocumentError> {
    let mut groups = Map::new();
    for offered in offer.open() {
        groups.insert(group_of(offer, offered), group(offer, offered));
    }
    let mut schemas = Map::new();
    for operation in &offer.spec.operations {
        let mut versions = Map::new();
        let mut last: Option<&str> = None;
        for offered in offer.open() {
            let Some(message) = offered.messages.iter().find(|message| message.operation.name == operation.name) else {
                continue;
            };
            let Some(mut version) = schema(offered, message)? else { continue };
            version["versionid"] = Value::from(offered.name());
            version["ancestorid"] = Value::from(last.unwrap_or(offered.name()));
            versions.insert(offered.name().to_owned(), version);
            last = Some(offered.name());
        }
        if let Some(last) = last {
            schemas.insert(operation.name.clone(), resource(offer, &operation.name, operation.action, last, versions));
        }
    }
    Ok(json!({
        "specversion": SPECIFICATION,
        "registryid": offer.name,
        "name": offer.name,
        "description": format!("Contract of {}", offer.spec.owner),
        "messagegroups": groups,
        "schemagroups": {&offer.name: {"schemagroupid": offer.name, "schemas": schemas}},
    }))
}

fn group_of(offer: &Offer<'_>, offered: &Offered<'_>) -> String {
    format!("{}.{}", offer.name, offered.name())
}

fn group(offer: &Offer<'_>, offered: &Offered<'_>) -> Value {
    let id = group_of(offer, offered);
    let messages: Map<String, Value> =
        offered.messages.iter().map(|message| (message.operation.name.clone(), definition(offer, offered, message))).collect();
    let mut group = json!({
        "messagegroupid": id,
        "name": id,
        "description": offered.told(),
        "protocol": "AMQP/1.0",
        "labels": {"state": format!("{:?}", offered.state)},
        "messages": messages,
    });
    if offered.is_ending() {
        let mut deprecated = Map::new();
        if let Some(date) = offered.deprecated_at {
            deprecated.insert("effective".into(), date.to_string().into());
        }
        if let Some(date) = offered.sunset_at {
            deprecated.insert("removal".into(), date.to_string().into());
        }
        if let Some(successor) = &offered.version.successor {
            deprecated.insert("alternative".into(), format!("#/messagegroups/{}.{successor}", offer.name).into());
        }
        group["deprecated"] = Value::Object(deprecated);
    }
    group
}

fn definition(offer: &Offer<'_>, offered: &Offered<'_>, message: &Message<'_>) -> Value {
    let content_type = message.content_type(offer.spec.compatibility.json_encoding);
    let operation = &message.operation.name;
    let mut definition = json!({
        "messageid": operation,
        "versionid": offered.name(),
        "name": operation,
        "description": super::offer::meaning(message.operation.action),
        "protocol": "AMQP/1.0",
        "protocoloptions": {"properties": {"content-type": {"value": content_type}}},
        "datacontenttype": content_type,
    });
    if let Some(format) = format(message) {
        definition["dataschemaformat"] = Value::from(format);
        // Within one registry, wherever that is.
        let at = format!("/schemagroups/{}/schemas/{operation}/versions/{}", offer.name, offered.name());
        definition["dataschemaxid"] = Value::from(at);
    }
    definition
}

fn format(message: &Message<'_>) -> Option<&'static str> {
    Some(match message.format {
        SchemaFormat::JsonSchema if message.schema.contains("draft-07") => "JsonSchema/draft-07",
        SchemaFormat::JsonSchema => "JsonSchema/2020-12",
        SchemaFormat::Avro => "Avro/1.12.0",
        SchemaFormat::Protobuf if message.schema.contains("proto3") => "Protobuf/3",
        SchemaFormat::Protobuf => "Protobuf/2",
        SchemaFormat::Opaque => return None,
    })
}

/// One version of a schema; nothing of one that is not understood.
fn schema(offered: &Offered<'_>, message: &Message<'_>) -> Result<Option<Value>, DocumentError> {
    let Some(format) = format(message) else { return Ok(None) };
    let (content_type, schema) = match message.format {
        SchemaFormat::JsonSchema => ("application/schema+json", json(offered, message)?),
        SchemaFormat::Avro => ("application/json", json(offered, message)?),
        SchemaFormat::Protobuf | SchemaFormat::Opaque => ("text/plain", Value::from(message.schema)),
    };
    Ok(Some(json!({"format": format, "contenttype": content_type, "schema": schema})))
}

fn resource(offer: &Offer<'_>, operation: &str, action: Action, last: &str, versions: Map<String, Value>) -> Value {
    let direction = match action {
        Action::Send => "forward",
        Action::Receive => "backward",
    };
    let suffix = if offer.spec.compatibility.transitive { "_transitive" } else { "" };
    let mut resource = json!({
        "schemaid": operation,
        "versionid": last,
        "meta": {"schemaid": operation, "compatibility": format!("{direction}{suffix}"), "defaultversionid": last},
    });
    resource["versions"] = Value::Object(versions);
    resource
}
