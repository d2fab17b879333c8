//! What a contract offers, as every document needs it.

use entente_crds::ServiceContract;
use entente_crds::service_contract::{
    Action, BrownoutState, DesiredState, MessageSchema, Operation, SchemaFormat, ServiceContractSpec, Version, VersionState,
    VersionStatus,
};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::contract::kept::{Kept, text};

/// Why no document can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A schema that is in a ConfigMap is not at hand.
    #[error("version {version}, operation {operation}: {problem}")]
    Schema {
        /// The version.
        version: String,
        /// The operation.
        operation: String,
        /// Why not.
        problem: String,
    },
    /// A schema that is to be JSON is none.
    #[error("version {version}, operation {operation}: its schema is no JSON: {problem}")]
    Json {
        /// The version.
        version: String,
        /// The operation.
        operation: String,
        /// Why not.
        problem: String,
    },
}

/// A contract with its versions in the states that they are in.
#[derive(Debug)]
pub struct Offer<'a> {
    /// Name of the contract.
    pub name: String,
    /// Its namespace, where that is known.
    pub namespace: Option<String>,
    /// Its spec.
    pub spec: &'a ServiceContractSpec,
    /// Its versions, in the order of the spec, without drafts.
    pub versions: Vec<Offered<'a>>,
}

/// One version.
#[derive(Debug)]
pub struct Offered<'a> {
    /// As declared.
    pub version: &'a Version,
    /// The state it is in.
    pub state: VersionState,
    /// When it was deprecated.
    pub deprecated_at: Option<Timestamp>,
    /// When its notice ends, at the earliest.
    pub sunset_at: Option<Timestamp>,
    /// Brown-outs that are announced, or on: from when to when.
    pub brownouts: Vec<(Timestamp, Timestamp)>,
    /// Its messages.
    pub messages: Vec<Message<'a>>,
}

/// The messages of one operation in one version.
#[derive(Debug)]
pub struct Message<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// How the schema is written.
    pub format: SchemaFormat,
    /// The schema. Of an opaque one the hash, where the text is not at hand.
    pub schema: &'a str,
}

impl<'a> Offer<'a> {
    /// Reads a contract. `kept` has the schemas of its ConfigMaps.
    ///
    /// # Errors
    /// A schema of a version that is shown is not at hand.
    pub fn read(contract: &'a ServiceContract, kept: &'a Kept) -> Result<Self, DocumentError> {
        let spec = &contract.spec;
        let recorded = |version: &Version| {
            contract.status.iter().flat_map(|status| &status.versions).find(|known| known.name == version.name)
        };
        let mut versions = Vec::new();
        for version in &spec.versions {
            let recorded = recorded(version);
            let state = recorded.map_or_else(|| asked_for(version.desired_state), |recorded| recorded.state);
            if state == VersionState::Draft {
                continue;
            }
            let sunset = recorded.and_then(|recorded| recorded.sunset_at.as_ref());
            let ends = !matches!(state, VersionState::Active);
            versions.push(Offered {
                version,
                state,
                deprecated_at: recorded.and_then(|VersionStatus { deprecated_at, .. }| deprecated_at.as_ref()).map(|time| time.0),
                sunset_at: sunset.or(version.sunset_at.as_ref()).map(|time| time.0).filter(|_| ends),
                brownouts: recorded.map(brownouts).unwrap_or_default(),
                messages: if state == VersionState::Retired { Vec::new() } else { messages(spec, version, kept)? },
            });
        }
        Ok(Self { name: contract.name_any(), namespace: contract.namespace(), spec, versions })
    }

    /// The same with one version alone; nothing if it is not shown.
    #[must_use]
    pub fn only(mut self, version: &str) -> Option<Self> {
        self.versions.retain(|offered| offered.name() == version);
        (!self.versions.is_empty()).then_some(self)
    }

    /// The versions that may be relied on.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Offered<'a>> {
        self.versions.iter().filter(|offered| offered.state != VersionState::Retired)
    }

    /// The version that newcomers should take: the last that is active.
    pub fn newest(&self) -> Option<&Offered<'a>> {
        self.open().rfind(|offered| offered.state == VersionState::Active).or_else(|| self.open().next_back())
    }
}

impl Offered<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.version.name
    }

    /// Whether it ends.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, VersionState::Deprecated | VersionState::Sunset)
    }

    /// Its state in a sentence.
    pub fn told(&self) -> String {
        let mut text = format!("{:?}", self.state);
        if let Some(date) = self.sunset_at {
            text = format!("{text}, sunset {}", date.strftime("%Y-%m-%d"));
        }
        for (from, to) in &self.brownouts {
            text = format!("{text}, closed as a rehearsal from {from} to {to}");
        }
        if let Some(successor) = &self.version.successor
            && self.state != VersionState::Active
        {
            text = format!("{text}, move to {successor}");
        }
        if let Some(reason) = &self.version.reason
            && self.state != VersionState::Active
        {
            text = format!("{text}: {reason}");
        }
        text
    }
}

impl Message<'_> {
    /// The media type of its messages, as far as the format tells.
    pub fn content_type(&self, json_encoding: bool) -> &'static str {
        match self.format {
            SchemaFormat::JsonSchema => "application/json",
            SchemaFormat::Avro | SchemaFormat::Protobuf if json_encoding => "application/json",
            SchemaFormat::Avro => "application/vnd.apache.avro",
            SchemaFormat::Protobuf => "application/protobuf",
            SchemaFormat::Opaque => "application/octet-stream",
        }
    }
}

/// What an operation means to its two sides.
pub(super) fn meaning(action: Action) -> &'static str {
    match action {
        Action::Send => "The owner sends; dependents receive.",
        Action::Receive => "The owner receives; dependents send.",
    }
}

fn brownouts(recorded: &VersionStatus) -> Vec<(Timestamp, Timestamp)> {
    let known = recorded.brownouts.iter().filter(|_| recorded.state == VersionState::Deprecated);
    let ahead = known.filter(|known| matches!(known.state, BrownoutState::Announced | BrownoutState::Underway));
    ahead.map(|known| (known.starts_at.0, known.ends_at.0)).collect()
}

fn asked_for(state: DesiredState) -> VersionState {
    match state {
        DesiredState::Draft => VersionState::Draft,
        DesiredState::Active => VersionState::Active,
        DesiredState::Deprecated => VersionState::Deprecated,
        DesiredState::Retired => VersionState::Retired,
    }
}

fn messages<'a>(spec: &'a ServiceContractSpec, version: &'a Version, kept: &'a Kept) -> Result<Vec<Message<'a>>, DocumentError> {
    let mut messages = Vec::new();
    for declared in &version.messages {
        let MessageSchema { operation: wanted, format, sha256, .. } = declared;
        let Some(operation) = spec.operations.iter().find(|operation| operation.name == *wanted) else { continue };
        let schema = match (text(declared, kept), format, sha256) {
            (Ok(schema), ..) => schema,
            (Err(_), SchemaFormat::Opaque, Some(hash)) => hash,
            (Err(problem), ..) => {
                return Err(DocumentError::Schema { version: version.name.clone(), operation: wanted.clone(), problem });
            }
        };
        messages.push(Message { operation, format: *format, schema });
    }
    Ok(messages)
}

/// A schema as JSON.
pub(super) fn json(offered: &Offered<'_>, message: &Message<'_>) -> Result<serde_json::Value, DocumentError> {
    serde_json::from_str(message.schema).map_err(|error| DocumentError::Json {
        version: offered.name().to_owned(),
        operation: message.operation.name.clone(),
        problem: error.to_string(),
    })
}
