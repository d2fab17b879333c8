//! Reading and showing JSON of strangers.

use serde_json::Value;

use super::SchemaError;

/// Longest value that a report shows, in characters.
const SHOWN: usize = 160;

/// Reads JSON. Its nesting is bounded by serde_json, at 128.
pub(super) fn json(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| {
        let problem = if error.to_string().starts_with("recursion limit") {
            "nested deeper than 128 levels".to_owned()
        } else {
            format!("no JSON: {}", error.to_string().split(" at line").next().unwrap_or_default())
        };
        SchemaError::at(format!("line {}, column {}", error.line(), error.column()), problem)
    })
}

/// A value for a report, shortened.
pub(super) fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

/// A text for a report, shortened.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// A step of a JSON pointer.
pub(super) fn step(name: &str) -> String {
    // Almost none has either, and this is called for every keyword of every schema.
    if name.contains(['~', '/']) { name.replace('~', "~0").replace('/', "~1") } else { name.to_owned() }
}
