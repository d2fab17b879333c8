//! What a filter sees of a message.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::{Field, Identifier};
use super::value::{Operand, Value};

/// Of a message whose sender sets no priority.
const DEFAULT_PRIORITY: u8 = 4;

/// The sections of a message that a filter sees. A filter never sees the body.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Message {
    /// The header section.
    pub header: Header,
    /// The properties section.
    pub properties: BTreeMap<Field, Value>,
    /// The application-properties section.
    pub application: BTreeMap<String, Value>,
}

/// The one field of the header section that a filter sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    /// As sent; 4 for a filter where there is none.
    pub priority: Option<u8>,
}

impl Message {
    pub(super) fn operand(&self, name: &Identifier) -> Operand {
        let value = match name {
            Identifier::Priority => return (&Value::Ubyte(self.header.priority.unwrap_or(DEFAULT_PRIORITY))).into(),
            Identifier::Property(field) => self.properties.get(field),
            Identifier::Application(name) => self.application.get(name),
        };
        value.map_or(Operand::Unknown, Operand::from)
    }
}
