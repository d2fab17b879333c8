//! `contract document`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use entente_core::contract::documents::{Offer, asyncapi, markdown, xregistry};
use entente_core::contract::kept::{Gathering, Kept, places};
use entente_crds::ServiceContract;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use serde_json::Value;

use crate::Outcome;
use crate::arguments::{Document, DocumentFormat, DocumentOutput};
use crate::output::{fail, say};

/// Most bytes of a file: an object of Kubernetes has at most 1.5 MiB, and its ConfigMaps may be beside it.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

pub fn document(arguments: &Document) -> Outcome {
    made(arguments).map_or_else(|error| fail(&error), |text| say(text.trim_end(), Outcome::Yes))
}

fn made(arguments: &Document) -> Result<String, String> {
    let Document { file, format, output, name } = arguments;
    let text = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (contract, kept) = objects(&text, name.as_deref()).map_err(|error| format!("{}: {error}", file.display()))?;
    let offer = Offer::read(&contract, &kept).map_err(|error| format!("{error}; add the ConfigMap to the file"))?;
    let document = match format {
        DocumentFormat::Markdown => return Ok(markdown::document(&offer)),
        DocumentFormat::Asyncapi => asyncapi::document(&offer),
        DocumentFormat::Xregistry => xregistry::document(&offer),
    }
    .map_err(|error| error.to_string())?;
    match output {
        DocumentOutput::Json => serde_json::to_string_pretty(&document).map_err(|error| error.to_string()),
        DocumentOutput::Yaml => serde_yaml::to_string(&document).map_err(|error| error.to_string()),
    }
}

fn read(file: &Path) -> Result<String, io::Error> {
    let source: Box<dyn Read> = if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    source.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The contract and the ConfigMaps of a file: documents of YAML or JSON, or a List, as kubectl prints it.
fn objects(text: &str, name: Option<&str>) -> Result<(ServiceContract, Kept), String> {
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|error| error.to_string())?;
        match value {
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    all.extend(items);
                }
            }
            other => all.push(other),
        }
    }
    let mut maps = BTreeMap::new();
    let mut contracts = Vec::new();
    for value in all {
        match value["kind"].as_str() {
            Some("ConfigMap") => {
                let map = ConfigMap::deserialize(value).map_err(|error| format!("a ConfigMap cannot be read: {error}"))?;
                maps.insert(map.metadata.name.clone().unwrap_or_default(), map);
            }
            Some("ServiceContract") if name.is_none_or(|name| value["metadata"]["name"] == name) => {
                let contract = ServiceContract::deserialize(value);
                contracts.push(contract.map_err(|error| format!("the ServiceContract cannot be read: {error}"))?);
            }
            _ => {}
        }
    }
    match (contracts.pop(), contracts.is_empty()) {
        (Some(contract), true) => {
            let mut gathering = Gathering::of(places(&contract.spec.versions));
            for name in gathering.names() {
                match maps.remove(&name) {
                    Some(map) => gathering.take(&name, Some(map)),
                    None => gathering.unread(&name),
                }
            }
            Ok((contract, gathering.end()))
        }
        (Some(_), false) => Err("there is more than one ServiceContract in it: say which with --name".into()),
        (None, _) => Err("there is no ServiceContract in it".into()),
    }
}
