//! Which types are read as which.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::file::Type;
use crate::contract::{Comparison, Policy};

/// How a value of one type is read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Well,
    /// Values that do not fit are cut: a break under Strict alone.
    Shortened,
    Never,
    NotInJson,
}

/// Names of enums of the writer's and of the reader's.
pub type Enums<'a> = [BTreeSet<&'a str>; 2];

pub fn reads(writer: &Type, reader: &Type, enums: &Enums<'_>, how: Comparison) -> Reading {
    match (writer, reader) {
        (a, b) if a == b => Reading::Well,
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            worse(reads(key, other_key, enums, how), reads(value, other_value, enums, how))
        }
        (writer, reader) => {
            let (Some(a), Some(b)) = (kind(writer, &enums[0]), kind(reader, &enums[1])) else { return Reading::Never };
            by_kind(a, b, how)
        }
    }
}

/// A scalar's name; `enum` for all enums. Messages of another name are nothing to each other.
fn kind<'a>(ty: &'a Type, enums: &BTreeSet<&str>) -> Option<&'a str> {
    match ty {
        Type::Scalar(name) => Some(name),
        Type::Named(name) if enums.contains(name.as_str()) => Some("enum"),
        Type::Named(_) | Type::Map(..) | Type::Group(_) => None,
    }
}

fn worse(a: Reading, b: Reading) -> Reading {
    [Reading::Never, Reading::NotInJson, Reading::Shortened]
        .into_iter()
        .find(|reading| a == *reading || b == *reading)
        .unwrap_or(Reading::Well)
}

/// Types that share their encoding: varints, zigzag varints, four bytes, eight bytes.
const FAMILIES: [&[&str]; 4] = [
    &["int32", "uint32", "int64", "uint64", "bool", "enum"],
    &["sint32", "sint64"],
    &["fixed32", "sfixed32"],
    &["fixed64", "sfixed64"],
];

/// From what is written to what it is read as, without loss.
const WIDER: [(&str, &[&str]); 5] = [
    ("bool", &["int32", "uint32", "int64", "uint64"]),
    ("enum", &["int32", "int64"]),
    ("int32", &["int64"]),
    ("uint32", &["int64", "uint64"]),
    ("sint32", &["sint64"]),
];

fn by_kind(writer: &str, reader: &str, how: Comparison) -> Reading {
    if (writer, reader) == ("string", "bytes") {
        return if how.json_encoding { Reading::NotInJson } else { Reading::Well };
    }
    if (writer, reader) == ("enum", "enum") {
        // Two enums of other names: their values are compared where they are defined, under one name each.
        return if how.policy == Policy::Strict || how.json_encoding { Reading::Never } else { Reading::Well };
    }
    if !FAMILIES.iter().any(|family| family.contains(&writer) && family.contains(&reader)) {
        return Reading::Never;
    }
    let other_in_json = |name| matches!(name, "bool" | "enum");
    if how.json_encoding && (other_in_json(writer) || other_in_json(reader)) {
        return Reading::NotInJson;
    }
    let wider = WIDER.iter().any(|(name, readers)| *name == writer && readers.contains(&reader));
    if wider || how.policy == Policy::Lenient { Reading::Well } else { Reading::Shortened }
}

/// A value of a type, in JSON: one that does not survive being read as a narrower type.
pub fn sample(ty: &Type) -> Value {
    match ty {
        Type::Scalar(name) => match name.as_str() {
            "string" => "a".into(),
            "bytes" => "/w==".into(),
            "bool" => true.into(),
            "double" | "float" => json!(1.5),
            "int32" | "sint32" | "sfixed32" => (-1).into(),
            "uint32" | "fixed32" => 4_294_967_295_u32.into(),
            "uint64" | "fixed64" => "18446744073709551615".into(),
            _ => "-9000000000".into(),
        },
        Type::Map(key, value) => {
            json!({ sample(key).as_str().map_or_else(|| sample(key).to_string(), str::to_owned): sample(value) })
        }
        Type::Named(_) | Type::Group(_) => json!({}),
    }
}
