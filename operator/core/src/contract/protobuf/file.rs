//! What is in a .proto file.

use std::collections::{BTreeMap, BTreeSet};

/// Of two syntaxes; editions are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Proto2,
    Proto3,
}

#[derive(Debug, Clone)]
pub struct File {
    pub syntax: Syntax,
    pub package: String,
    pub imports: bool,
    /// By name within the package: `Order.Line`. Extensions are under `extend <name>`.
    pub messages: BTreeMap<String, Message>,
    pub enums: BTreeMap<String, Enum>,
}

#[derive(Debug, Clone, Default)]
pub struct Message {
    /// By number.
    pub fields: BTreeMap<i64, Field>,
    pub reserved: Reserved,
}

#[derive(Debug, Clone, Default)]
pub struct Reserved {
    /// From and to, both reserved.
    pub numbers: Vec<(i64, i64)>,
    pub names: BTreeSet<String>,
}

impl Reserved {
    pub fn has_number(&self, number: i64) -> bool {
        self.numbers.iter().any(|(from, to)| (*from..=*to).contains(&number))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Singular,
    Required,
    Repeated,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One of the fifteen scalar types.
    Scalar(String),
    /// As written, until it is resolved; then its name within the package, or with a dot before it if it is of another file.
    Named(String),
    Map(Box<Type>, Box<Type>),
    Group(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub number: i64,
    pub label: Label,
    pub ty: Type,
    pub oneof: Option<String>,
    pub json_name: Option<String>,
    pub default: Option<String>,
}

impl Field {
    /// Its name in JSON.
    pub fn json(&self) -> String {
        self.json_name.clone().unwrap_or_else(|| {
            let mut upper = false;
            self.name.chars().fold(String::new(), |mut name, char| {
                if char == '_' {
                    upper = true;
                } else {
                    name.push(if upper { char.to_ascii_uppercase() } else { char });
                    upper = false;
                }
                name
            })
        })
    }

    pub fn show(&self) -> String {
        let label = match self.label {
            Label::Singular => "",
            Label::Required => "required ",
            Label::Repeated => "repeated ",
        };
        format!("{label}{} {} = {}", self.ty.show(), self.name, self.number)
    }
}

impl Type {
    pub fn show(&self) -> String {
        match self {
            Self::Scalar(name) | Self::Named(name) => name.clone(),
            Self::Map(key, value) => format!("map<{}, {}>", key.show(), value.show()),
            Self::Group(name) => format!("group {name}"),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Enum {
    /// In their order; the first is the default.
    pub values: Vec<(String, i64)>,
    pub reserved: Reserved,
    pub alias: bool,
}
