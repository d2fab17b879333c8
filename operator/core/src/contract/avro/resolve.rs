//! Whether a reader's schema reads what was written with a writer's: schema resolution of the Avro specification.

use std::collections::HashSet;

use super::schema::{Field, Id, Kind, Schema, Type};
use crate::contract::text::{shorten, step};
use crate::contract::{Comparison, Policy};

/// Deepest nesting that is followed, through names as well.
const MOST_DEPTH: usize = 150;
/// Most pairs of types that are compared.
const MOST_PAIRS: usize = 100_000;

/// A way into a message of the writer's, for a message that shows the finding.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    Field(String),
    Element,
    Branch(usize),
    Symbol(String),
}

#[derive(Debug, Clone)]
pub struct Finding {
    pub path: String,
    pub rule: &'static str,
    pub proven: bool,
    pub writer: Option<String>,
    pub reader: Option<String>,
    pub why: String,
    pub route: Vec<Turn>,
}

pub struct Resolver<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
    how: Comparison,
    seen: HashSet<(Id, Id)>,
    route: Vec<Turn>,
    findings: Vec<Finding>,
}

impl<'a> Resolver<'a> {
    pub fn findings(writer: &'a Schema, reader: &'a Schema, how: Comparison) -> Vec<Finding> {
        let mut resolver = Self { writer, reader, how, seen: HashSet::new(), route: Vec::new(), findings: Vec::new() };
        resolver.read(writer.root, reader.root, "");
        resolver.findings
    }

    fn found(&mut self, path: &str, rule: &'static str, ends: [Option<String>; 2], why: impl Into<String>) {
        let [writer, reader] = ends.map(|text| text.map(|text| shorten(&text)));
        self.findings.push(Finding {
            path: path.into(),
            rule,
            proven: true,
            writer,
            reader,
            why: why.into(),
            route: self.route.clone(),
        });
    }

    fn unproven(&mut self, path: &str, rule: &'static str, ends: [Option<String>; 2], why: impl Into<String>) {
        self.found(path, rule, ends, why);
        if let Some(finding) = self.findings.last_mut() {
            finding.proven = false;
        }
    }

    fn types(&self, writer: Id, reader: Id) -> (&'a Type, &'a Type) {
        (&self.writer.types[writer], &self.reader.types[reader])
    }

    fn go(&mut self, turn: Turn, writer: Id, reader: Id, path: &str) {
        self.route.push(turn);
        self.read(writer, reader, path);
        self.route.pop();
    }

    /// A pair met again within itself, or elsewhere, has its findings already: no pair is tried only to be given up.
    fn read(&mut self, writer: Id, reader: Id, path: &str) {
        if !self.seen.insert((writer, reader)) {
            return;
        }
        if self.route.len() > MOST_DEPTH || self.seen.len() > MOST_PAIRS {
            self.unproven(path, "too-complex", [None, None], "the comparison was given up here: too deep, or too many types");
            return;
        }
        let (own, other) = self.types(writer, reader);
        match (&own.kind, &other.kind) {
            (Kind::Union(branches), _) => {
                for (at, branch) in branches.iter().enumerate() {
                    let path = format!("{path}/{}", self.writer.types[*branch].label());
                    self.go(Turn::Branch(at), *branch, reader, &path);
                }
            }
            (_, Kind::Union(branches)) => self.union_from(writer, branches, path),
            _ => self.same_kind(writer, reader, path),
        }
    }

    /// The branch that is taken: by the specification the first that matches, by some implementations the one of the same type.
    fn union_from(&mut self, writer: Id, branches: &[Id], path: &str) {
        let own = &self.writer.types[writer];
        let matching: Vec<Id> = branches.iter().copied().filter(|branch| matches(own, &self.reader.types[*branch])).collect();
        let same = matching.iter().copied().find(|branch| {
            let other = &self.reader.types[*branch];
            other.kind.name() == own.kind.name() && other.name == own.name
        });
        let Some(first) = matching.first().copied() else {
            let all = branches.iter().map(|branch| self.reader.types[*branch].show()).collect::<Vec<_>>().join(", ");
            self.found(
                path,
                "union",
                [Some(own.show()), Some(all)],
                format!("no branch of the reader's union takes {}", own.show()),
            );
            return;
        };
        for branch in [Some(first), same.filter(|same| *same != first)].into_iter().flatten() {
            self.read(writer, branch, path);
        }
    }

    fn same_kind(&mut self, writer: Id, reader: Id, path: &str) {
        let (own, other) = self.types(writer, reader);
        let ends = || [Some(own.show()), Some(other.show())];
        if !matches!((&own.kind, &other.kind), (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)))
            && !promotes(&own.kind, &other.kind)
        {
            self.found(path, "type", ends(), format!("{} cannot be read as {}", own.show(), other.show()));
            return;
        }
        self.logical(own, other, path);
        if !self.name(own, other, path) {
            return;
        }
        match (&own.kind, &other.kind) {
            (Kind::Array(own), Kind::Array(other)) => self.go(Turn::Element, *own, *other, &format!("{path}/items")),
            (Kind::Map(own), Kind::Map(other)) => self.go(Turn::Element, *own, *other, &format!("{path}/values")),
            (Kind::Record(own), Kind::Record(other)) => self.fields(own, other, path),
            (Kind::Enum { symbols: own, .. }, Kind::Enum { symbols: other, default }) => {
                self.symbols(own, other, default.is_some(), path);
            }
            (Kind::Fixed(size), Kind::Fixed(wanted)) if size != wanted => {
                self.found(path, "fixed-size", ends(), "a fixed of another size cannot be read");
            }
            (Kind::String, Kind::Bytes) | (Kind::Bytes, Kind::String) if self.how.json_encoding => {
                self.unproven(path, "json-encoding", ends(), "in JSON, bytes and strings are written in different ways");
            }
            _ => {}
        }
    }

    /// Names must be equal, or the writer's an alias of the reader's.
    fn name(&mut self, own: &Type, other: &Type, path: &str) -> bool {
        let (Some(name), Some(wanted)) = (&own.name, &other.name) else { return true };
        let ends = || [Some(name.clone()), Some(wanted.clone())];
        if name == wanted {
            return true;
        }
        if other.aliases.contains(name) {
            if self.how.json_encoding {
                self.unproven(path, "json-encoding", ends(), "aliases are not seen in JSON, where branches of unions go by name");
            }
            return true;
        }
        let short = |name: &str| name.rsplit('.').next().map(str::to_owned);
        if short(name) == short(wanted) {
            self.unproven(
                path,
                "name",
                ends(),
                "the namespace changed: by the specification it is passed over, implementations compare it",
            );
            return true;
        }
        self.found(path, "name", ends(), format!("the reader knows no {name}, neither by name nor by alias"));
        false
    }

    fn logical(&mut self, own: &Type, other: &Type, path: &str) {
        let ends = || [Some(own.show()), Some(other.show())];
        match (&own.logical, &other.logical) {
            (own, other) if own == other => {}
            (Some(_), Some(_)) => self.found(
                path,
                "logical-type",
                ends(),
                "the value would be read as another one: the bytes are the same, what they mean is not",
            ),
            _ if self.how.policy == Policy::Strict => {
                self.unproven(path, "logical-type", ends(), "one side gives the value a meaning that the other does not know");
            }
            _ => {}
        }
    }

    fn fields(&mut self, own: &'a [Field], other: &'a [Field], path: &str) {
        for wanted in other {
            let path = format!("{path}/fields/{}", step(&wanted.name));
            let by_name = own.iter().find(|field| field.name == wanted.name);
            let by_alias = || own.iter().find(|field| wanted.aliases.contains(&field.name));
            match by_name.or_else(by_alias) {
                Some(field) => {
                    if self.how.json_encoding && by_name.is_none() {
                        let ends = [Some(field.name.clone()), Some(wanted.name.clone())];
                        self.unproven(&path, "json-encoding", ends, "aliases are not seen in JSON");
                    }
                    self.go(Turn::Field(field.name.clone()), field.schema, wanted.schema, &path);
                }
                None if wanted.default.is_some() => {}
                None => {
                    let ends = [None, Some(self.reader.types[wanted.schema].show())];
                    self.found(
                        &path,
                        "field-without-default",
                        ends,
                        "the writer does not send it, and the reader has no default for it",
                    );
                }
            }
        }
    }

    fn symbols(&mut self, own: &[String], other: &[String], default: bool, path: &str) {
        let missing: Vec<&String> = own.iter().filter(|symbol| !other.contains(symbol)).collect();
        if let (Some(first), false) = (missing.first(), default) {
            self.route.push(Turn::Symbol((*first).clone()));
            let ends =
                [Some(missing.iter().map(|symbol| symbol.as_str()).collect::<Vec<_>>().join(", ")), Some(other.join(", "))];
            let why =
                "the reader does not know these symbols, and its enum has no default (a default of the field does not count)";
            self.found(&format!("{path}/symbols"), "enum-symbol", ends, why);
            self.route.pop();
        }
    }
}

/// Whether a branch of a union is one to read a type with, its inside aside.
fn matches(writer: &Type, reader: &Type) -> bool {
    let kinds = match (&writer.kind, &reader.kind) {
        (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => true,
        (own, other) => promotes(own, other),
    };
    let named = match (&writer.name, &reader.name) {
        (Some(own), Some(other)) => {
            own == other || reader.aliases.contains(own) || own.rsplit('.').next() == other.rsplit('.').next()
        }
        _ => true,
    };
    kinds && named
}

/// Whether a kind is read as another; the inside of those that have one is looked at elsewhere.
fn promotes(writer: &Kind, reader: &Kind) -> bool {
    match (writer, reader) {
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
        | (Kind::Long, Kind::Float | Kind::Double)
        | (Kind::Float, Kind::Double)
        | (Kind::String, Kind::Bytes)
        | (Kind::Bytes, Kind::String) => true,
        (own, other) => own.name() == other.name(),
    }
}
