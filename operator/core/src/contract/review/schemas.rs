//! How what is wrong with the schemas of a contract is told.

use std::fmt::Write as _;

use crate::admission::Judgement;
use crate::contract::{Change, Effect, Format, Way};

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

    /// All of it, as a status has it.
    pub fn in_one_line(&self) -> String {
        let (Self::Wrong(text) | Self::Elsewhere(text)) = self;
        let mut line = String::new();
        for part in text.lines().map(str::trim) {
            line.push_str(if line.is_empty() {
                ""
            } else if line.ends_with(':') {
                " "
            } else {
                "; "
            });
            line.push_str(part);
        }
        line
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
