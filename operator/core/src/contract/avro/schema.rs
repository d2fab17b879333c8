//! Avro schemas, taken apart: types that refer to each other by number.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::contract::SchemaError;
use crate::contract::text::show;

pub type Id = usize;

/// Most types of a schema.
const MAX_TYPES: usize = 10_000;
/// Most names of an enum.
const MAX_SYMBOLS: usize = 5_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed(u64),
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum { .. } => "enum",
            Self::Fixed(_) => "fixed",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub schema: Id,
    pub default: Option<Value>,
}

#[derive(Debug, Clone)]
pub struct Type {
    pub kind: Kind,
    /// With its namespace, of records, enums and fixed.
    pub name: Option<String>,
    /// With their namespaces.
    pub aliases: Vec<String>,
    /// A logical type with what belongs to it: `decimal(9,2)`.
    pub logical: Option<String>,
}

impl Type {
    /// As a union's branch is named in JSON: a full name, or a primitive's.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.kind.name().into())
    }

    /// For a report.
    pub fn show(&self) -> String {
        let base = match (&self.kind, &self.name) {
            (Kind::Fixed(size), Some(name)) => format!("fixed {name} of {size} bytes"),
            (kind, Some(name)) => format!("{} {name}", kind.name()),
            (kind, None) => kind.name().to_owned(),
        };
        self.logical.as_ref().map_or(base.clone(), |logical| format!("{base} as {logical}"))
    }
}

/// The types of a schema; the root's number.
#[derive(Debug)]
pub struct Schema {
    pub types: Vec<Type>,
    pub root: Id,
}

impl Schema {
    pub fn parse(document: &Value) -> Result<Self, SchemaError> {
        let mut parser = Parser { types: Vec::new(), names: HashMap::new(), defaults: Vec::new() };
        let root = parser.of(document, "", "")?;
        let Parser { types, names: _, defaults } = parser;
        let schema = Self { types, root };
        for (path, id, value) in defaults {
            if !schema.takes(id, &value) {
                return Err(SchemaError::at(path, format!("the default {} is no {}", show(&value), schema.types[id].show())));
            }
        }
        Ok(schema)
    }

    /// Whether a value is a default of a type: of a union, of any branch.
    fn takes(&self, id: Id, value: &Value) -> bool {
        match (&self.types[id].kind, value) {
            (Kind::Null, Value::Null)
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::Float | Kind::Double, Value::Number(_))
            | (Kind::Bytes | Kind::String, Value::String(_)) => true,
            // Not a number, and the infinities, have no other spelling.
            (Kind::Float | Kind::Double, Value::String(text)) => ["NaN", "Infinity", "-Infinity"].contains(&text.as_str()),
            (Kind::Int, Value::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            (Kind::Long, Value::Number(number)) => number.is_i64(),
            (Kind::Fixed(size), Value::String(text)) => text.chars().count() as u64 == *size,
            (Kind::Enum { symbols, .. }, Value::String(text)) => symbols.contains(text),
            (Kind::Array(items), Value::Array(list)) => list.iter().all(|value| self.takes(*items, value)),
            (Kind::Map(values), Value::Object(map)) => map.values().all(|value| self.takes(*values, value)),
            (Kind::Record(fields), Value::Object(map)) => fields.iter().all(|field| match map.get(&field.name) {
                Some(value) => self.takes(field.schema, value),
                None => field.default.is_some(),
            }),
            (Kind::Union(branches), value) => branches.iter().any(|branch| self.takes(*branch, value)),
            _ => false,
        }
    }
}

struct Parser {
    types: Vec<Type>,
    names: HashMap<String, Id>,
    /// Defaults, to be looked at when all types are known.
    defaults: Vec<(String, Id, Value)>,
}

type Parsed<T> = Result<T, SchemaError>;

impl Parser {
    fn add(&mut self, kind: Kind, logical: Option<String>, path: &str) -> Parsed<Id> {
        if self.types.len() >= MAX_TYPES {
            return Err(SchemaError::at(path, format!("more than {MAX_TYPES} types")));
        }
        self.types.push(Type { kind, name: None, aliases: Vec::new(), logical });
        Ok(self.types.len() - 1)
    }

    fn of(&mut self, value: &Value, namespace: &str, path: &str) -> Parsed<Id> {
        match value {
            Value::String(name) => self.named(name, None, namespace, path),
            Value::Array(branches) => self.union(branches, namespace, path),
            Value::Object(map) => self.complex(map, namespace, path),
            _ => Err(SchemaError::at(path, "a schema is a name, an object or a list")),
        }
    }

    fn named(&mut self, name: &str, logical: Option<String>, namespace: &str, path: &str) -> Parsed<Id> {
        let kind = match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            _ => {
                let full = full_name(name, namespace);
                let known = self.names.get(&full).or_else(|| self.names.get(name));
                return known
                    .copied()
                    .ok_or_else(|| SchemaError::at(path, format!("no type {full:?} is defined before it is used here")));
            }
        };
        self.add(kind, logical, path)
    }

    fn union(&mut self, branches: &[Value], namespace: &str, path: &str) -> Parsed<Id> {
        let mut ids: Vec<Id> = Vec::new();
        for (at, branch) in branches.iter().enumerate() {
            let path = format!("{path}/{at}");
            let id = self.of(branch, namespace, &path)?;
            if matches!(self.types[id].kind, Kind::Union(_)) {
                return Err(SchemaError::at(path, "a union directly within a union"));
            }
            let label = self.types[id].label();
            if ids.iter().any(|other| self.types[*other].label() == label) {
                return Err(SchemaError::at(path, format!("a union with {label} twice")));
            }
            ids.push(id);
        }
        self.add(Kind::Union(ids), None, path)
    }

    fn complex(&mut self, map: &Map<String, Value>, namespace: &str, path: &str) -> Parsed<Id> {
        let logical = logical(map);
        match map.get("type") {
            Some(Value::String(kind)) => match kind.as_str() {
                "array" | "map" => {
                    let key = if kind == "array" { "items" } else { "values" };
                    let inner = map.get(key).ok_or_else(|| SchemaError::at(path, format!("{kind} without {key}")))?;
                    let inner = self.of(inner, namespace, &format!("{path}/{key}"))?;
                    self.add(if kind == "array" { Kind::Array(inner) } else { Kind::Map(inner) }, logical, path)
                }
                "record" | "error" | "enum" | "fixed" => self.definition(kind, map, logical, namespace, path),
                name => self.named(name, logical, namespace, path),
            },
            Some(inner) => self.of(inner, namespace, path),
            None => Err(SchemaError::at(path, "a schema without type")),
        }
    }

    fn definition(
        &mut self,
        kind: &str,
        map: &Map<String, Value>,
        logical: Option<String>,
        outer: &str,
        path: &str,
    ) -> Parsed<Id> {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let name = text("name").ok_or_else(|| SchemaError::at(path, format!("{kind} without name")))?;
        let full = full_name(name, text("namespace").unwrap_or(outer));
        if !full.split('.').all(is_name) {
            return Err(SchemaError::at(path, format!("{full:?} is no name")));
        }
        if self.names.contains_key(&full) {
            return Err(SchemaError::at(path, format!("{full:?} is defined twice")));
        }
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let id = self.add(Kind::Null, logical, path)?;
        self.names.insert(full.clone(), id);
        self.types[id].aliases = names(map, "aliases", path)?.iter().map(|alias| full_name(alias, &namespace)).collect();
        self.types[id].name = Some(full);
        self.types[id].kind = match kind {
            "enum" => enumeration(map, path)?,
            "fixed" => {
                let size = map.get("size").and_then(Value::as_u64);
                Kind::Fixed(size.ok_or_else(|| SchemaError::at(path, "fixed without size"))?)
            }
            _ => Kind::Record(self.fields(map, &namespace, path)?),
        };
        Ok(id)
    }

    fn fields(&mut self, map: &Map<String, Value>, namespace: &str, path: &str) -> Parsed<Vec<Field>> {
        let list = map.get("fields").and_then(Value::as_array).ok_or_else(|| SchemaError::at(path, "record without fields"))?;
        let mut fields: Vec<Field> = Vec::new();
        for (at, field) in list.iter().enumerate() {
            let place = format!("{path}/fields/{at}");
            let map = field.as_object().ok_or_else(|| SchemaError::at(&place, "a field is an object"))?;
            let name = map.get("name").and_then(Value::as_str).filter(|name| is_name(name));
            let name = name.ok_or_else(|| SchemaError::at(&place, "a field without a name, or with one that is none"))?;
            if fields.iter().any(|field| field.name == name) {
                return Err(SchemaError::at(&place, format!("field {name:?} is there twice")));
            }
            let place = format!("{path}/fields/{name}");
            let schema = map.get("type").ok_or_else(|| SchemaError::at(&place, "a field without type"))?;
            let schema = self.of(schema, namespace, &format!("{place}/type"))?;
            let default = map.get("default").cloned();
            self.defaults.extend(default.clone().map(|value| (place.clone(), schema, value)));
            fields.push(Field { name: name.into(), aliases: names(map, "aliases", &place)?, schema, default });
        }
        Ok(fields)
    }
}

fn enumeration(map: &Map<String, Value>, path: &str) -> Parsed<Kind> {
    let symbols = names(map, "symbols", path)?;
    if symbols.is_empty() || symbols.len() > MAX_SYMBOLS || !symbols.iter().all(|symbol| is_name(symbol)) {
        return Err(SchemaError::at(path, format!("symbols must be 1 to {MAX_SYMBOLS} names")));
    }
    if symbols.iter().collect::<std::collections::HashSet<_>>().len() < symbols.len() {
        return Err(SchemaError::at(path, "a symbol is there twice"));
    }
    let default = map.get("default").and_then(Value::as_str).map(str::to_owned);
    if default.as_ref().is_some_and(|default| !symbols.contains(default)) {
        return Err(SchemaError::at(path, "the default is none of the symbols"));
    }
    Ok(Kind::Enum { symbols, default })
}

/// A logical type that belongs to its type; others are passed over, as the specification has it.
fn logical(map: &Map<String, Value>) -> Option<String> {
    let name = map.get("logicalType")?.as_str()?;
    let number = |key: &str| map.get(key).and_then(Value::as_u64);
    if name == "decimal" {
        return Some(format!("decimal({},{})", number("precision")?, number("scale").unwrap_or(0)));
    }
    Some(name.to_owned())
}

fn names(map: &Map<String, Value>, key: &str, path: &str) -> Parsed<Vec<String>> {
    let Some(value) = map.get(key) else { return Ok(Vec::new()) };
    let read = value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    read.ok_or_else(|| SchemaError::at(path, format!("{key} must be a list of names")))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}
