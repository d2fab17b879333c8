//! Reads the table of cases of filters, for core's test and for the one with a real broker.

use entente_core::filter::Message;
use serde::Deserialize;

const TABLE: &str = include_str!("../filter-cases.yaml");

/// A filter, a message, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub expression: Expression,
    #[serde(default)]
    pub message: Message,
    pub expected: Expected,
}

/// Text of a filter, or a part of it repeated.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Expression {
    Text(String),
    Repeated {
        before: String,
        part: String,
        times: usize,
        #[serde(default)]
        after: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    Match,
    Nomatch,
    Invalid,
}

impl Expression {
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Repeated { before, part, times, after } => format!("{before}{}{after}", part.repeat(*times)),
        }
    }
}

/// All cases, or why the table cannot be read.
pub fn cases() -> Result<Vec<Case>, String> {
    // By way of JSON, since YAML has tags of its own for what has a type.
    let table: serde_json::Value = serde_yaml::from_str(TABLE).map_err(|error| error.to_string())?;
    serde_json::from_value(table).map_err(|error| error.to_string())
}
