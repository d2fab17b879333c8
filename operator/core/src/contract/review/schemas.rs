//! The schemas of a contract: where they are, whether they can be read, and whether versions honour each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use entente_crds::service_contract::{self as api, ConfigMapKey, MessageSchema, ServiceContractSpec, Version};
use sha2::{Digest, Sha256};

use crate::admission::Judgement;
use crate::contract::{Action, Change, Comparison, Effect, Format, Policy, Way, check, parse};

/// Where a schema is that is not in the contract: a ConfigMap of its namespace and a key.
pub type Place = (String, String);

/// Schemas of ConfigMaps: nothing for a place that holds none. A place that is not here at all could not be read.
pub type Kept = BTreeMap<Place, Option<String>>;

/// Most breaks of one comparison that a message spells out.
const SPELT_OUT: usize = 3;

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

/// The format as the engines call it.
pub fn format(format: api::SchemaFormat) -> Format {
    match format {
        api::SchemaFormat::JsonSchema => Format::JsonSchema,
        api::SchemaFormat::Avro => Format::Avro,
        api::SchemaFormat::Protobuf => Format::Protobuf,
        api::SchemaFormat::Opaque => Format::Opaque,
    }
}

/// The action as the engines call it.
pub fn action(action: api::Action) -> Action {
    match action {
        api::Action::Send => Action::Send,
        api::Action::Receive => Action::Receive,
    }
}

fn policy(policy: api::Policy) -> Policy {
    match policy {
        api::Policy::Lenient => Policy::Lenient,
        api::Policy::Strict => Policy::Strict,
    }
}

/// The ConfigMaps that a contract's versions name.
pub fn places(spec: &ServiceContractSpec) -> BTreeSet<Place> {
    let messages = spec.versions.iter().flat_map(|version| &version.messages);
    messages.filter_map(|message| message.config_map_ref.as_ref().map(place)).collect()
}

fn place(ConfigMapKey { name, key }: &ConfigMapKey) -> Place {
    (name.clone(), key.clone())
}

/// SHA-256 in hexadecimal.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
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
    match kept.get(&place(reference)) {
        None => Err(format!("ConfigMap {name} could not be read")),
        Some(Some(text)) if wanted.as_deref() == Some(sha256(text).as_str()) => Ok(text),
        Some(_) => Err(format!("ConfigMap {name} has no key {key} with that sha256")),
    }
}

/// Compares the versions of one contract. What was compared once is not compared again.
pub struct Comparer<'a> {
    spec: &'a ServiceContractSpec,
    kept: &'a Kept,
    go_on: &'a dyn Fn() -> bool,
    unfinished: bool,
    /// Texts that are schemas of their format.
    sound: BTreeSet<(&'a str, &'static str)>,
    /// Texts of messages, by version and operation. To hash what is in a ConfigMap once is enough.
    texts: BTreeMap<(&'a str, &'a str), Result<&'a str, String>>,
}

impl<'a> Comparer<'a> {
    /// For one contract.
    pub fn new(spec: &'a ServiceContractSpec, kept: &'a Kept, go_on: &'a dyn Fn() -> bool) -> Self {
        Self { spec, kept, go_on, unfinished: false, sound: BTreeSet::new(), texts: BTreeMap::new() }
    }

    /// Whether something was left out for lack of time.
    pub fn unfinished(&self) -> bool {
        self.unfinished
    }

    fn text(&mut self, version: &'a Version, message: &'a MessageSchema) -> Result<&'a str, String> {
        let kept = self.kept;
        self.texts.entry((&version.name, &message.operation)).or_insert_with(|| text(message, kept)).clone()
    }

    fn may_go_on(&mut self) -> bool {
        self.unfinished |= !(self.go_on)();
        !self.unfinished
    }

    /// What is wrong with a version by itself. Messages that it had before are taken for good.
    pub fn read(&mut self, version: &'a Version, was: Option<&Version>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for message in &version.messages {
            let unchanged = was.is_some_and(|was| was.messages.contains(message));
            if !unchanged && let Some(problem) = self.read_one(version, message) {
                problems.push(problem);
            }
        }
        problems
    }

    fn read_one(&mut self, version: &'a Version, message: &'a MessageSchema) -> Option<Problem> {
        let MessageSchema { operation, format: written, .. } = message;
        let place = format!("version {}, operation {operation}", version.name);
        if !self.spec.operations.iter().any(|known| known.name == *operation) {
            let known: Vec<&str> = self.spec.operations.iter().map(|operation| operation.name.as_str()).collect();
            return Some(Problem::Wrong(format!(
                "{place}: the contract has no such operation (it has {}); add it to operations, or correct the name",
                known.join(", ")
            )));
        }
        let text = match self.text(version, message) {
            Ok(text) => text,
            Err(problem) if message.config_map_ref.is_some() => return Some(Problem::Elsewhere(format!("{place}: {problem}"))),
            Err(problem) => return Some(Problem::Wrong(format!("{place}: {problem}"))),
        };
        let format = format(*written);
        if self.sound.contains(&(text, name(format))) || !self.may_go_on() {
            return None;
        }
        match parse(text, format) {
            Ok(()) => {
                self.sound.insert((text, name(format)));
                None
            }
            Err(error) => {
                let at = if error.place.is_empty() { String::new() } else { format!("{}: ", error.place) };
                Some(Problem::Wrong(format!("{place}: this is no {} that can be used: {at}{}", name(format), error.problem)))
            }
        }
    }

    /// Why a version does not honour others; nothing where it does.
    pub fn compare(&mut self, version: &'a Version, earlier: &[&'a Version]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for operation in &self.spec.operations {
            let action = action(operation.action);
            let new = message_of(version, &operation.name);
            for other in earlier {
                match (message_of(other, &operation.name), new) {
                    (None, _) => {}
                    (Some(_), None) => problems.push(Problem::Wrong(format!(
                        "version {} has no messages for operation {}, which {} has: whoever relies on it would have nothing left; keep it",
                        version.name, operation.name, other.name
                    ))),
                    (Some(old), Some(new)) => {
                        if let Some(problem) = self.compare_one((other, old), (version, new), &operation.name, action) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        problems
    }

    fn compare_one(
        &mut self,
        (other, old): (&'a Version, &'a MessageSchema),
        (version, new): (&'a Version, &'a MessageSchema),
        operation: &str,
        action: Action,
    ) -> Option<Problem> {
        let headline = format!("version {} does not honour {}, operation {operation}", version.name, other.name);
        if old.format != new.format {
            let (old, new) = (name(format(old.format)), name(format(new.format)));
            return Some(Problem::Wrong(format!("{headline}: the format was {old} and is {new}; keep it, or add an operation")));
        }
        // What cannot be read is said once, of the version that it is of.
        let (Ok(before), Ok(after)) = (self.text(other, old), self.text(version, new)) else { return None };
        if before == after || !self.may_go_on() {
            return None;
        }
        let how = Comparison {
            format: format(new.format),
            direction: action.direction(),
            policy: policy(self.spec.compatibility.policy),
            json_encoding: self.spec.compatibility.json_encoding,
        };
        match check(before, after, how) {
            Ok(report) if report.compatible() => None,
            Ok(report) => {
                let who = match action {
                    Action::Send => "the owner sends, so readers of the old version must understand the new one",
                    Action::Receive => "the owner receives, so what senders of the old version send must stay valid",
                };
                let breaks: Vec<&Change> = report.breaks().collect();
                let mut text = format!("{headline} ({who}):");
                for change in breaks.iter().take(SPELT_OUT) {
                    text.push_str(&spell(change));
                }
                if breaks.len() > SPELT_OUT {
                    let _ = write!(text, "\n  … and {} more", breaks.len() - SPELT_OUT);
                }
                if let Some(witness) = report.witnesses.first() {
                    let message = witness.message.to_string();
                    if message.len() <= 300 {
                        let _ = write!(text, "\n  a message that shows it: {message}");
                    }
                }
                Some(Problem::Wrong(text))
            }
            Err(error) => Some(Problem::Wrong(format!("{headline}: {error}"))),
        }
    }
}

fn message_of<'a>(version: &'a Version, operation: &str) -> Option<&'a MessageSchema> {
    version.messages.iter().find(|message| message.operation == operation)
}

fn name(format: Format) -> &'static str {
    match format {
        Format::JsonSchema => "JSON Schema",
        Format::Avro => "Avro schema",
        Format::Protobuf => "Protobuf file",
        Format::Opaque => "schema",
    }
}

fn spell(change: &Change) -> String {
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
