//! The schemas of a contract: where they are, and how what is wrong with them is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use entente_crds::service_contract::{ConfigMapKey, MessageSchema, ServiceContractSpec};

use crate::admission::Judgement;
use crate::contract::schemas::{references, sha256};
use crate::contract::{Change, Effect, Format, Way};

/// Where a schema is that is not in the contract: a ConfigMap of its namespace and a key.
pub type Place = (String, String);

/// Schemas of ConfigMaps: nothing for a place that holds none. A place that is not here at all could not be read.
pub type Kept = BTreeMap<Place, Option<String>>;

/// What stands in the way of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is wrong, and stays so until the contract changes.
    Wrong(String),
    /// Its schema is elsewhere, and not there, or not as the hash says. That may heal without the contract.
    Elsewhere(String),
}

impl Problem {
    /// In a judgement: what is wrong is refused.
    pub(super) fn tell(&self, judgement: &mut Judgement) {
        match self {
            Self::Wrong(text) => judgement.refuse(text),
            Self::Elsewhere(text) => judgement.warn(text),
        }
    }

    /// Its first line.
    pub fn brief(&self) -> &str {
        let (Self::Wrong(text) | Self::Elsewhere(text)) = self;
        text.lines().next().unwrap_or_default()
    }

    /// All of it.
    pub fn text(&self) -> &str {
        let (Self::Wrong(text) | Self::Elsewhere(text)) = self;
        text
    }
}

/// The ConfigMaps that a contract's versions name.
pub fn places(spec: &ServiceContractSpec) -> BTreeSet<Place> {
    references(&spec.versions).into_iter().collect()
}

/// The text of a schema. A ConfigMap that is absent and one that holds something else get one answer: whoever asks may not be
/// allowed to read it.
pub fn text<'a>(message: &'a MessageSchema, kept: &'a Kept) -> Result<&'a str, String> {
    let MessageSchema { operation: _, format: _, schema, config_map_ref, sha256: wanted } = message;
    if let Some(schema) = schema {
        return Ok(schema);
    }
    let Some(reference) = config_map_ref else { return Err("it has neither a schema nor a configMapRef".into()) };
    let ConfigMapKey { name, key } = reference;
    match kept.get(&(name.clone(), key.clone())) {
        None => Err(format!("ConfigMap {name} could not be read")),
        Some(Some(text)) if wanted.as_deref() == Some(sha256(text).as_str()) => Ok(text),
        Some(_) => Err(format!("ConfigMap {name} has no key {key} with that sha256")),
    }
}

/// What a message's schema is called.
pub(super) fn name(format: Format) -> &'static str {
    match format {
        Format::JsonSchema => "JSON Schema",
        Format::Avro => "Avro schema",
        Format::Protobuf => "Protobuf file",
        Format::Opaque => "schema",
    }
}

/// A break, in lines of its own.
pub(super) fn spell(change: &Change) -> String {
    let Change { path, rule, effect, way, before, after, why, mend } = change;
    let verdict = if *effect == Effect::Unproven { "cannot be proven compatible" } else { "breaks" };
    let way = match way {
        Some(Way::Backward) => " the new version reading the old",
        Some(Way::Forward) => " the old version reading the new",
        None => "",
    };
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
    let mut text = format!("\n  {path}: {rule} {verdict}{way}: {} -> {}; {why}", side(before), side(after));
    if !mend.is_empty() {
        let _ = write!(text, "\n    mend: {mend}");
    }
    // Schemas are written by others: what they hold must not steer a terminal.
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}
