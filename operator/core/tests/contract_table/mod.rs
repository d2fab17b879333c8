//! Reads `contract-cases/*.yaml`.

use entente_core::contract::{Comparison, Direction, Format, Policy, Report, SchemaError, check};
use serde::Deserialize;
use serde_json::Value;

/// In which ways a new version is compatible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    None,
    Backward,
    Forward,
    Full,
}

impl Expected {
    /// Backward, and forward.
    pub fn ways(self) -> [bool; 2] {
        [matches!(self, Self::Backward | Self::Full), matches!(self, Self::Forward | Self::Full)]
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    old: Value,
    new: Value,
    strict: Expected,
    lenient: Option<Expected>,
    rule: Option<String>,
    #[serde(default)]
    json: bool,
    why: String,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub old: String,
    pub new: String,
    pub strict: Expected,
    pub lenient: Expected,
    pub rule: Option<String>,
    pub json: bool,
}

impl Case {
    pub fn check(&self, format: Format, policy: Policy) -> Result<Report, SchemaError> {
        self.check_in(format, policy, Direction::Full)
    }

    pub fn check_in(&self, format: Format, policy: Policy, direction: Direction) -> Result<Report, SchemaError> {
        check(&self.old, &self.new, Comparison { format, direction, policy, json_encoding: self.json })
    }

    pub fn turned(&self) -> Self {
        Self { old: self.new.clone(), new: self.old.clone(), ..self.clone() }
    }
}

/// A schema in the table is a text, or YAML for JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub fn cases(format: Format) -> Result<Vec<Case>, Box<dyn std::error::Error>> {
    let file = match format {
        Format::JsonSchema => include_str!("../contract-cases/json-schema.yaml"),
        Format::Avro => include_str!("../contract-cases/avro.yaml"),
        Format::Protobuf => include_str!("../contract-cases/protobuf.yaml"),
        Format::Opaque => "[]",
    };
    let rows: Vec<Row> = serde_yaml::from_str(file)?;
    let read = |row: Row| {
        let Row { name, old, new, strict, lenient, rule, json, why } = row;
        assert!(!why.is_empty() && !name.is_empty());
        // An Avro schema that is the name of a type is a text in JSON, too.
        let text = |value: &Value| if format == Format::Avro { value.to_string() } else { text(value) };
        Case { name, old: text(&old), new: text(&new), strict, lenient: lenient.unwrap_or(strict), rule, json }
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Another's validator, which asserts formats as we do.
#[allow(dead_code, reason = "not every test has need of it")]
pub fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}
