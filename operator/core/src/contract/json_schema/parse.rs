//! From JSON to nodes: the schemas of a document, and how they hold each other.

use std::collections::{BTreeMap, HashMap};
use std::ptr::from_ref;

use serde_json::{Map, Value};

use super::arena::Arena;
use super::keywords::{Keywords, Parsed};
use super::meaning::Parts;
use super::node::{Condition, Contains, Draft, Id, Node, Reading};
use super::pattern::Pattern;
use super::references::{NESTED_ID, References};
use crate::contract::SchemaError;
use crate::contract::text::step;

/// Most objects in a document, as there can be no more schemas.
const MAX_OBJECTS: usize = 20_000;
/// Most schemas that apply to one value one within the other: a chain of references, combinations in combinations.
const MAX_CHAIN: usize = 48;
/// Keywords that say something about a value and are not worked out.
const UNKNOWN: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
/// Keywords that change what other schemas mean.
const REFUSED: [(&str, &str); 4] = [
    ("$dynamicRef", "use $ref"),
    ("$dynamicAnchor", "use $anchor"),
    ("$recursiveRef", "use $ref"),
    ("$recursiveAnchor", "use $anchor"),
];

/// Reads one document in some readings, and gives the number of its root in each.
pub fn parse<const COUNT: usize>(
    document: &Value,
    readings: [Reading; COUNT],
    arena: &mut Arena,
) -> Result<[Id; COUNT], SchemaError> {
    let first = arena.nodes.len();
    read(document, readings, arena).inspect_err(|_| arena.truncate(first))
}

fn read<const COUNT: usize>(document: &Value, readings: [Reading; COUNT], arena: &mut Arena) -> Parsed<[Id; COUNT]> {
    let draft = match document.get("$schema").map(|schema| schema.as_str().unwrap_or_default().trim_end_matches('#')) {
        None | Some("https://json-schema.org/draft/2020-12/schema") => Draft::Latest,
        Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => Draft::Seven,
        Some(_) => return Err(SchemaError::at("/$schema", "neither 2020-12 nor draft-07, which are the two that are read")),
    };
    let first = arena.nodes.len();
    let references = References::of(document)?;
    let parts = Parts::of(document, &mut arena.meanings, &|reference| Some(references.target(reference).ok()?.1));
    if parts.objects > MAX_OBJECTS {
        return Err(SchemaError::new(format!("more than {MAX_OBJECTS} objects in one document")));
    }
    let mut parser = Parser { references, parts, draft, arena, known: HashMap::new(), waiting: Vec::new() };
    let mut roots = [first; COUNT];
    for (root, reading) in roots.iter_mut().zip(readings) {
        *root = parser.node("", document, reading);
    }
    while let Some((id, pointer, value)) = parser.waiting.pop() {
        parser.read(id, &pointer, value)?;
    }
    for id in first..arena.nodes.len() {
        chain(arena, id, 0)?;
    }
    Ok(roots)
}

/// How many schemas apply to the same value below one.
fn chain(arena: &mut Arena, id: Id, above: usize) -> Parsed<usize> {
    match arena.chains[id] {
        Some(0) => return Err(SchemaError::new("a schema refers to itself for the same value: it has no end")),
        Some(depth) => return Ok(depth),
        None if above > MAX_CHAIN => return Err(too_long()),
        None => {}
    }
    arena.chains[id] = Some(0);
    let mut depth = 1;
    for inner in arena.nodes[id].in_place() {
        depth = depth.max(1 + chain(arena, inner, above + 1)?);
    }
    if depth > MAX_CHAIN {
        return Err(too_long());
    }
    arena.chains[id] = Some(depth);
    Ok(depth)
}

fn too_long() -> SchemaError {
    SchemaError::new(format!("more than {MAX_CHAIN} references or combinations one within the other"))
}

struct Parser<'a, 'm> {
    references: References<'a>,
    parts: Parts,
    draft: Draft,
    arena: &'m mut Arena,
    /// Those of this document, by address.
    known: HashMap<(*const Value, Reading), Id>,
    /// Numbered, and not yet read. Reading them at once would go as deep as references lead.
    waiting: Vec<(Id, String, &'a Value)>,
}

impl<'a> Parser<'a, '_> {
    fn node(&mut self, pointer: &str, value: &'a Value, reading: Reading) -> Id {
        if let Some(id) = self.known.get(&(from_ref(value), reading)) {
            return *id;
        }
        // A root may say what is refused elsewhere.
        let meaning = self.parts.get(value, &mut self.arena.meanings).meaning.filter(|_| !pointer.is_empty());
        let meaning = meaning.map(|meaning| (self.draft, meaning));
        if let Some(id) = meaning.and_then(|meaning| self.arena.known(meaning, reading)) {
            return id;
        }
        let id = self.arena.reserve(reading, meaning);
        self.known.insert((from_ref(value), reading), id);
        self.waiting.push((id, pointer.to_owned(), value));
        id
    }

    fn read(&mut self, id: Id, pointer: &str, value: &'a Value) -> Parsed<()> {
        let mut node = Node::new(self.arena.nodes[id].reading);
        match value {
            Value::Bool(valid) => node.never = !valid,
            Value::Object(map) => self.keywords(&mut node, pointer, map)?,
            _ => return Err(SchemaError::at(pointer, "a schema is an object, true or false")),
        }
        let part = self.parts.get(value, &mut self.arena.meanings);
        node.words = part.words;
        node.meaning = part.meaning.map(|meaning| (self.draft, meaning));
        node.text = (!part.refers).then(|| value.to_string());
        self.arena.nodes[id] = node;
        Ok(())
    }

    fn keywords(&mut self, node: &mut Node, pointer: &str, map: &'a Map<String, Value>) -> Parsed<()> {
        let keywords = Keywords { pointer, map };
        for (keyword, instead) in REFUSED {
            if map.contains_key(keyword) {
                return Err(keywords.wrong(keyword, &format!("is not read; {instead}")));
            }
        }
        if !pointer.is_empty() && map.get("$id").is_some_and(Value::is_string) {
            return Err(SchemaError::at(pointer, NESTED_ID));
        }
        if let Some(reference) = keywords.string("$ref")? {
            node.reference = Some(self.reference(&keywords, reference, node.reading)?);
            // In draft-07 a reference stands alone, whatever is beside it.
            if self.draft == Draft::Seven {
                return Ok(());
            }
        }
        keywords.values(node)?;
        keywords.numbers(node)?;
        keywords.strings(node)?;
        self.arrays(node, &keywords)?;
        self.objects(node, &keywords)?;
        self.combinations(node, &keywords)?;
        if self.draft == Draft::Latest {
            node.unknown = UNKNOWN.into_iter().filter(|keyword| map.contains_key(*keyword)).collect();
        }
        if self.unevaluated_is_additional(map) {
            node.unknown.retain(|keyword| *keyword != "unevaluatedProperties");
        }
        if node.reading == Reading::Reader {
            // The lenient reader is open.
            node.unknown.retain(|keyword| *keyword != "unevaluatedProperties" || map.get(*keyword) != Some(&Value::Bool(false)));
        }
        Ok(())
    }

    fn reference(&mut self, keywords: &Keywords<'a, '_>, reference: &str, reading: Reading) -> Parsed<Id> {
        let (pointer, target) = self.references.target(reference).map_err(|problem| keywords.wrong("$ref", problem))?;
        Ok(self.node(&pointer, target, reading))
    }

    fn arrays(&mut self, node: &mut Node, keywords: &Keywords<'a, '_>) -> Parsed<()> {
        let (list, rest) = match self.draft {
            Draft::Latest => ("prefixItems", "items"),
            Draft::Seven => ("items", "additionalItems"),
        };
        match keywords.map.get(list) {
            Some(Value::Array(_)) => {
                node.prefix = self.list(keywords, list, node.reading)?;
                node.items = self.one(keywords, rest, node.reading);
            }
            _ if self.draft == Draft::Latest => {
                if let Some(Value::Array(_)) = keywords.map.get("items") {
                    return Err(keywords.wrong("items", "is a list, as in draft-07: use prefixItems, or say draft-07 in $schema"));
                }
                if keywords.map.contains_key(list) {
                    return Err(keywords.wrong(list, "must be a list of schemas"));
                }
                node.items = self.one(keywords, rest, node.reading);
            }
            _ => node.items = self.one(keywords, "items", node.reading),
        }
        node.min_items = keywords.count("minItems")?.unwrap_or(0);
        node.max_items = keywords.count("maxItems")?;
        node.unique = keywords.map.get("uniqueItems") == Some(&Value::Bool(true));
        if let Some(schema) = self.one(keywords, "contains", node.reading) {
            let (min, max) = match self.draft {
                Draft::Latest => (keywords.count("minContains")?.unwrap_or(1), keywords.count("maxContains")?),
                Draft::Seven => (1, None),
            };
            // How many fit has an upper bound: a schema that was opened would count too many.
            let schema = if max.is_some() { self.exact(keywords, "contains").unwrap_or(schema) } else { schema };
            node.contains = Some(Contains { schema, min, max });
        }
        Ok(())
    }

    fn objects(&mut self, node: &mut Node, keywords: &Keywords<'a, '_>) -> Parsed<()> {
        node.properties = self.map(keywords, "properties", node.reading)?;
        let patterns = self.map(keywords, "patternProperties", node.reading)?;
        node.patterns = patterns.into_iter().map(|(text, id)| (Pattern::new(&text), id)).collect();
        let others = if self.unevaluated_is_additional(keywords.map) { "unevaluatedProperties" } else { "additionalProperties" };
        node.additional = match (keywords.map.get(others), node.reading) {
            (Some(Value::Bool(false)), Reading::Reader) | (Some(Value::Bool(true)), Reading::Writer) => None,
            _ => self.one(keywords, others, node.reading),
        };
        node.required = keywords.names("required", keywords.map.get("required"))?;
        node.min_properties = keywords.count("minProperties")?.unwrap_or(0);
        node.max_properties = keywords.count("maxProperties")?;
        node.names = self.one(keywords, "propertyNames", node.reading);
        self.dependencies(node, keywords)
    }

    /// Beside nothing that applies in place, what is not evaluated is what is additional.
    fn unevaluated_is_additional(&self, map: &Map<String, Value>) -> bool {
        let in_place = ["additionalProperties", "$ref", "allOf", "anyOf", "oneOf", "if", "not", "dependentSchemas"];
        self.draft == Draft::Latest
            && map.contains_key("unevaluatedProperties")
            && !in_place.iter().any(|keyword| map.contains_key(*keyword))
    }

    /// Each draft has keywords of its own, and passes over the other's.
    fn dependencies(&mut self, node: &mut Node, keywords: &Keywords<'a, '_>) -> Parsed<()> {
        if self.draft == Draft::Latest {
            for (name, value) in keywords.object("dependentRequired")? {
                node.dependent_required.insert(name.clone(), keywords.names("dependentRequired", Some(value))?);
            }
            node.dependent_schemas = self.map(keywords, "dependentSchemas", node.reading)?;
            return Ok(());
        }
        for (name, value) in keywords.object("dependencies")? {
            if value.is_array() {
                node.dependent_required.insert(name.clone(), keywords.names("dependencies", Some(value))?);
            } else {
                let pointer = format!("{}/dependencies/{}", keywords.pointer, step(name));
                let id = self.node(&pointer, value, node.reading);
                node.dependent_schemas.insert(name.clone(), id);
            }
        }
        Ok(())
    }

    fn combinations(&mut self, node: &mut Node, keywords: &Keywords<'a, '_>) -> Parsed<()> {
        node.all = self.list(keywords, "allOf", node.reading)?;
        node.any = self.list(keywords, "anyOf", node.reading)?;
        node.one = self.list(keywords, "oneOf", node.reading)?;
        // What is denied, or only asked, is not loosened: that would tighten the whole.
        node.not = self.exact(keywords, "not");
        if let Some(test) = self.exact(keywords, "if") {
            let then = self.one(keywords, "then", node.reading);
            let otherwise = self.one(keywords, "else", node.reading);
            node.condition = Some(Condition { test, then, otherwise });
        }
        Ok(())
    }

    fn exact(&mut self, keywords: &Keywords<'a, '_>, keyword: &str) -> Option<Id> {
        self.one(keywords, keyword, Reading::Exact)
    }

    fn one(&mut self, keywords: &Keywords<'a, '_>, keyword: &str, reading: Reading) -> Option<Id> {
        let value = keywords.map.get(keyword)?;
        Some(self.node(&format!("{}/{keyword}", keywords.pointer), value, reading))
    }

    fn list(&mut self, keywords: &Keywords<'a, '_>, keyword: &str, reading: Reading) -> Parsed<Vec<Id>> {
        let Some(value) = keywords.map.get(keyword) else { return Ok(Vec::new()) };
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| keywords.wrong(keyword, "must be a list of schemas, and not empty"))?;
        let pointer = format!("{}/{keyword}", keywords.pointer);
        Ok(list.iter().enumerate().map(|(index, value)| self.node(&format!("{pointer}/{index}"), value, reading)).collect())
    }

    fn map(&mut self, keywords: &Keywords<'a, '_>, keyword: &str, reading: Reading) -> Parsed<BTreeMap<String, Id>> {
        let pointer = format!("{}/{keyword}", keywords.pointer);
        let members = keywords.object(keyword)?;
        Ok(members.map(|(name, value)| (name.clone(), self.node(&format!("{pointer}/{}", step(name)), value, reading))).collect())
    }
}
