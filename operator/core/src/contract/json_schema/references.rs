//! Where the references of a document lead. Nothing is fetched: what is referred to is in the document.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::keywords::Parsed;
use crate::contract::SchemaError;
use crate::contract::text::step;

/// What is wrong with an identifier below the root.
pub const NESTED_ID: &str = "$id is read at the root alone; refer by $anchor or by path";

/// The references of one document.
pub struct References<'a> {
    document: &'a Value,
    /// The document's own identifier.
    root: &'a str,
    anchors: HashMap<&'a str, String>,
}

impl<'a> References<'a> {
    pub fn of(document: &'a Value) -> Parsed<Self> {
        let root = document.get("$id").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#');
        let mut references = Self { document, root, anchors: HashMap::new() };
        references.find_anchors(document, None)?;
        Ok(references)
    }

    /// Anchors, and identifiers other than the root's, which would change what references mean.
    fn find_anchors(&mut self, value: &'a Value, at: Option<&Step<'_>>) -> Parsed<()> {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(anchor)) = map.get("$anchor") {
                    self.anchors.insert(anchor, pointer(at));
                }
                // Not below `properties`, where "$id" would be the name of one.
                if at.is_some() && matches!(map.get("$id"), Some(Value::String(_))) {
                    return Err(SchemaError::at(pointer(at), NESTED_ID));
                }
                for (name, inner) in
                    map.iter().filter(|(key, _)| !["const", "enum", "default", "examples"].contains(&key.as_str()))
                {
                    self.find_anchors(inner, Some(&Step { above: at, key: Key::Name(name) }))?;
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    self.find_anchors(inner, Some(&Step { above: at, key: Key::Index(index) }))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A part of the document, and its place; else what is wrong with the reference.
    pub fn target(&self, reference: &str) -> Result<(String, &'a Value), &'static str> {
        let fragment = match reference.split_once('#') {
            Some((base, fragment)) if base.is_empty() || base == self.root => fragment,
            None if !self.root.is_empty() && reference == self.root => "",
            _ => return Err("leaves the document; nothing is fetched: put what it refers to under $defs"),
        };
        let fragment = percent_decode_str(fragment).decode_utf8_lossy().into_owned();
        let pointer = if fragment.is_empty() || fragment.starts_with('/') {
            fragment
        } else {
            self.anchors.get(fragment.as_str()).cloned().ok_or("refers to an $anchor that is not there")?
        };
        let target = self.document.pointer(&pointer).ok_or("refers to nothing in the document")?;
        Ok((pointer, target))
    }
}

/// A step into a document. Most places are never told: their pointers are not made.
struct Step<'p> {
    above: Option<&'p Step<'p>>,
    key: Key<'p>,
}

enum Key<'p> {
    Name(&'p str),
    Index(usize),
}

fn pointer(at: Option<&Step<'_>>) -> String {
    let Some(Step { above, key }) = at else { return String::new() };
    match key {
        Key::Name(name) => format!("{}/{}", pointer(*above), step(name)),
        Key::Index(index) => format!("{}/{index}", pointer(*above)),
    }
}
