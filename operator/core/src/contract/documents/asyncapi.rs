//! AsyncAPI 3.0.

use entente_crds::service_contract::{Action, Assurances, SchemaFormat};
use serde_json::{Map, Value, json};

use super::embedded::{Draft, embed};
use super::offer::{DocumentError, Message, Offer, Offered, json, meaning};
use crate::contract::schemas::sha256;

/// Makes the document. Each version of an operation has a channel of its own, as it has an exchange of its own.
///
/// # Errors
/// A schema that is to be JSON is none.
pub fn document(offer: &Offer<'_>) -> Result<Value, DocumentError> {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for offered in offer.open() {
        for message in &offered.messages {
            let id = format!("{}.{}", message.operation.name, offered.name());
            let channel = format!("{}.{}", channel_of(message), offered.name());
            let entry = channels.entry(channel.clone()).or_insert_with(|| channel_object(offered, message));
            entry["messages"][&id] = json!({"$ref": format!("#/components/messages/{id}")});
            operations.insert(id.clone(), operation(offered, message, &channel, &id));
            messages.insert(id.clone(), message_object(offer, offered, message, &id)?);
        }
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": info(offer),
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }))
}

fn info(offer: &Offer<'_>) -> Value {
    let newest = offer.newest().map_or("none", Offered::name);
    let mut lines = vec![format!("Contract of {}.", offer.spec.owner)];
    lines.extend(offer.versions.iter().map(|offered| format!("- {}: {}", offered.name(), offered.told())));
    let mut info = json!({"title": offer.name, "version": newest, "description": lines.join("\n"), "x-owner": offer.spec.owner});
    if let Some(Assurances { availability, latency_p99, rpo, rto }) = &offer.spec.assurances {
        let text = |duration: &Option<entente_crds::text::DurationText>| duration.as_ref().map(|duration| duration.0.clone());
        let all =
            [("availability", availability.clone()), ("latencyP99", text(latency_p99)), ("rpo", text(rpo)), ("rto", text(rto))];
        let given = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
        info["x-assurances"] = Value::Object(given.collect());
    }
    info
}

/// A channel's name is free text, and a key of the document is not.
fn channel_of<'a>(message: &'a Message<'_>) -> &'a str {
    let sound = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    message.operation.channel.as_deref().filter(sound).unwrap_or(&message.operation.name)
}

fn channel_object(offered: &Offered<'_>, message: &Message<'_>) -> Value {
    let name = message.operation.channel.as_ref().unwrap_or(&message.operation.name);
    // Which exchange of which broker it is, a dependent is told in its own Secret or status.
    let mut channel = json!({"address": null, "title": format!("{name}, {}", offered.name()), "messages": {}});
    mark(&mut channel, offered);
    channel
}

fn operation(offered: &Offered<'_>, message: &Message<'_>, channel: &str, id: &str) -> Value {
    let action = match message.operation.action {
        Action::Send => "send",
        Action::Receive => "receive",
    };
    let mut operation = json!({
        "action": action,
        "title": format!("{}, {}", message.operation.name, offered.name()),
        "description": meaning(message.operation.action),
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": [{"$ref": format!("#/channels/{channel}/messages/{id}")}],
    });
    mark(&mut operation, offered);
    operation
}

fn message_object(offer: &Offer<'_>, offered: &Offered<'_>, message: &Message<'_>, id: &str) -> Result<Value, DocumentError> {
    let mut object = json!({
        "name": message.operation.name,
        "title": format!("{}, {}", message.operation.name, offered.name()),
        "contentType": message.content_type(offer.spec.compatibility.json_encoding),
    });
    mark(&mut object, offered);
    let (format, schema) = match message.format {
        SchemaFormat::JsonSchema => {
            let (schema, draft) = embed(&json(offered, message)?, &format!("#/components/messages/{id}/payload/schema"));
            let version = if draft == Draft::Seven { "draft-07" } else { "2020-12" };
            (format!("application/schema+json;version={version}"), schema)
        }
        SchemaFormat::Avro => ("application/vnd.apache.avro+json;version=1.9.0".to_owned(), json(offered, message)?),
        SchemaFormat::Protobuf => {
            let version = if message.schema.contains("proto3") { 3 } else { 2 };
            (format!("application/vnd.google.protobuf;version={version}"), Value::from(message.schema))
        }
        SchemaFormat::Opaque => {
            object["x-schema-sha256"] = Value::from(hash(message.schema));
            return Ok(object);
        }
    };
    object["payload"] = json!({"schemaFormat": format, "schema": schema});
    Ok(object)
}

fn hash(text: &str) -> String {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { text.to_owned() } else { sha256(text) }
}

/// AsyncAPI has no word for what ends but on single schemas: a tag that tools show, and fields for programs.
fn mark(object: &mut Value, offered: &Offered<'_>) {
    object["x-state"] = Value::from(format!("{:?}", offered.state));
    if offered.is_ending() {
        object["tags"] = json!([{"name": "deprecated", "description": offered.told()}]);
        if let Some(date) = offered.sunset_at {
            object["x-sunset"] = Value::from(date.to_string());
        }
        if !offered.brownouts.is_empty() {
            let window =
                |(from, to): &(jiff::Timestamp, jiff::Timestamp)| json!({"startsAt": from.to_string(), "endsAt": to.to_string()});
            object["x-brownouts"] = offered.brownouts.iter().map(window).collect();
        }
        if let Some(successor) = &offered.version.successor {
            object["x-successor"] = Value::from(successor.clone());
        }
    }
}
