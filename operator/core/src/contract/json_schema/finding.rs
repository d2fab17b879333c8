//! What stands in the way of a proof.

use serde_json::Value;

use crate::contract::text::{shorten, show};
use crate::contract::{Change, Effect, Way};

/// A rule that the reader has and the writer does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub rule: &'static str,
    pub proven: bool,
    /// What the writer has; nothing if nothing.
    pub writer: Option<String>,
    /// What the reader has.
    pub reader: Option<String>,
    pub why: String,
}

impl Finding {
    pub fn new(path: impl Into<String>, rule: &'static str, why: impl Into<String>) -> Self {
        Self { path: path.into(), rule, proven: true, writer: None, reader: None, why: why.into() }
    }

    pub fn unproven(path: impl Into<String>, rule: &'static str, why: impl Into<String>) -> Self {
        Self { proven: false, ..Self::new(path, rule, why) }
    }

    pub fn writer(mut self, text: Option<impl ToString>) -> Self {
        self.writer = text.map(|text| shorten(&text.to_string()));
        self
    }

    pub fn reader(mut self, text: Option<impl ToString>) -> Self {
        self.reader = text.map(|text| shorten(&text.to_string()));
        self
    }

    pub fn change(self, way: Way) -> Change {
        let Self { path, rule, proven, writer, reader, why } = self;
        let (before, after) = way.before_after(writer, reader);
        let mend = mend(rule, way, before.as_deref(), after.as_deref());
        let path = if path.is_empty() { "/".into() } else { path };
        let effect = if proven { Effect::Breaking } else { Effect::Unproven };
        Change { path, rule, effect, way: Some(way), before, after, why, mend }
    }
}

/// What to do about it.
fn mend(rule: &str, way: Way, before: Option<&str>, after: Option<&str>) -> String {
    let before = before.unwrap_or("none");
    match (rule, way) {
        ("required", Way::Backward) => {
            "leave it optional in the new version; a default does not help, as it changes no message".into()
        }
        ("required", Way::Forward) => "keep it required in the new version: the old readers count on it".into(),
        ("property-refused" | "object-closed", Way::Backward) => {
            "leave additionalProperties open in the new version, or name the property there".into()
        }
        ("property-refused" | "object-closed", Way::Forward) => {
            "leave the property out: readers of the old version are closed to it".into()
        }
        ("property-typed", _) => {
            "give the property another name, or close the objects of the writer (additionalProperties: false), or choose Lenient"
                .into()
        }
        ("type" | "enum" | "const", Way::Forward) => format!("send only what the old version knows: {before}"),
        ("too-complex", _) => "make the schema simpler, or split it into several messages".into(),
        ("unproven" | "unevaluated" | "pattern" | "one-of" | "any-of" | "not" | "if" | "contains" | "dependent-schemas", _) => {
            "keep this part as it was, or publish what is new beside it under another name".into()
        }
        (_, Way::Backward) if before == "none" => {
            "leave the new demand out: the old version let through what does not meet it".into()
        }
        (_, Way::Backward) => format!("accept in the new version what the old one let through: {before}"),
        (_, Way::Forward) => match after {
            Some(after) => format!("the old version demands {before}: do not let the new one go beyond with {after}"),
            None => format!("keep in the new version what the old one demands: {before}"),
        },
    }
}

/// Values for a report.
pub fn list(values: &[Value]) -> String {
    shorten(&values.iter().map(show).collect::<Vec<_>>().join(", "))
}
