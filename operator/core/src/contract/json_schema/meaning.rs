//! What the parts of documents say, by number: two parts with one number say the same, in whichever document they stand.
//!
//! To compare them is then to compare numbers, and a part that was read is not read again in the next version, which is mostly the
//! old one. Numbers are given by what a part says and not by a hash of it: whoever writes schemas could look for two with one hash.

use std::collections::HashMap;
use std::ptr::from_ref;

use serde_json::{Number, Value};

/// Most parts that are gone into one from the other by references. Beyond, and with the 128 levels of a document, a stack of 2 MiB
/// could end.
const MOST_DEPTH: usize = 400;

/// The numbers that were given.
#[derive(Debug, Default)]
pub struct Meanings {
    texts: HashMap<String, u32>,
    numbers: HashMap<Number, u32>,
    others: HashMap<(Kind, Vec<u32>), u32>,
    given: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Constant,
    List,
    Object,
    /// Words, with what the references in them lead to.
    Resolved,
}

/// A part of a document.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// One number, the same words.
    pub words: u32,
    /// One number, the same words with references that lead to the same. Nothing where one leads back to the part, or too far.
    pub meaning: Option<u32>,
    /// References are in it.
    pub refers: bool,
}

impl Meanings {
    /// How many were given.
    pub fn len(&self) -> usize {
        self.given as usize
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.texts.get(text) {
            return *number;
        }
        self.given += 1;
        self.texts.insert(text.to_owned(), self.given);
        self.given
    }

    fn other(&mut self, kind: Kind, of: Vec<u32>) -> u32 {
        *self.others.entry((kind, of)).or_insert_with(|| {
            self.given += 1;
            self.given
        })
    }

    fn scalar(&mut self, value: &Value) -> u32 {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => *self.numbers.entry(number.clone()).or_insert_with(|| {
                self.given += 1;
                self.given
            }),
            other => self.other(Kind::Constant, vec![u32::from(other.is_boolean()), u32::from(*other == Value::Bool(true))]),
        }
    }
}

/// The lists and objects of one document, by address: it stays where it is while it is read.
#[derive(Debug, Default)]
pub struct Parts {
    /// Nothing while a part is gone into.
    found: HashMap<*const Value, Option<Part>>,
    /// How many objects there are.
    pub objects: usize,
}

impl Parts {
    /// Goes through a document. `target` is where a reference leads.
    pub fn of<'a>(document: &'a Value, meanings: &mut Meanings, target: &dyn Fn(&str) -> Option<&'a Value>) -> Self {
        let mut walk = Walk { meanings, target, parts: Self::default(), depth: 0 };
        walk.part(document);
        walk.parts
    }

    /// What is said by a value of the document.
    pub fn get(&self, value: &Value, meanings: &mut Meanings) -> Part {
        match self.found.get(&from_ref(value)) {
            Some(Some(part)) => *part,
            Some(None) => AROUND,
            None => scalar(value, meanings),
        }
    }
}

/// A part that is met again within itself, by a reference, which asks for its meaning alone.
const AROUND: Part = Part { words: 0, meaning: None, refers: true };

fn scalar(value: &Value, meanings: &mut Meanings) -> Part {
    let words = meanings.scalar(value);
    Part { words, meaning: Some(words), refers: false }
}

struct Walk<'a, 'm> {
    meanings: &'m mut Meanings,
    target: &'m dyn Fn(&str) -> Option<&'a Value>,
    parts: Parts,
    depth: usize,
}

impl<'a> Walk<'a, '_> {
    fn part(&mut self, value: &'a Value) -> Part {
        if !value.is_object() && !value.is_array() {
            return scalar(value, self.meanings);
        }
        if let Some(found) = self.parts.found.get(&from_ref(value)) {
            return found.unwrap_or(AROUND);
        }
        self.parts.found.insert(from_ref(value), None);
        self.depth += 1;
        let part = self.visit(value);
        self.depth -= 1;
        self.parts.found.insert(from_ref(value), Some(part));
        part
    }

    fn visit(&mut self, value: &'a Value) -> Part {
        let mut words = Vec::new();
        // What gives the words their meaning; nothing once some of it is not known.
        let mut resolved = Some(Vec::new());
        let mut refers = false;
        let mut resolve = |meaning: Option<u32>| {
            refers = true;
            match (meaning, &mut resolved) {
                (Some(meaning), Some(all)) => all.push(meaning),
                _ => resolved = None,
            }
        };
        let kind = match value {
            Value::Object(map) => {
                self.parts.objects += 1;
                for (key, inner) in map {
                    let part = self.part(inner);
                    words.extend([self.meanings.text(key), part.words]);
                    if part.refers {
                        resolve(part.meaning);
                    }
                }
                if let Some(reference) = map.get("$ref") {
                    resolve(reference.as_str().and_then(|reference| self.meaning_of_target(reference)));
                }
                Kind::Object
            }
            Value::Array(list) => {
                for inner in list {
                    let part = self.part(inner);
                    words.push(part.words);
                    if part.refers {
                        resolve(part.meaning);
                    }
                }
                Kind::List
            }
            _ => Kind::Constant,
        };
        let words = self.meanings.other(kind, words);
        let meaning = if refers {
            resolved.map(|mut resolved| {
                resolved.push(words);
                self.meanings.other(Kind::Resolved, resolved)
            })
        } else {
            Some(words)
        };
        Part { words, meaning, refers }
    }

    fn meaning_of_target(&mut self, reference: &str) -> Option<u32> {
        if self.depth > MOST_DEPTH {
            return None;
        }
        let target = (self.target)(reference)?;
        self.part(target).meaning
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of the part under `/a` of each document, references being pointers.
    fn meanings<const COUNT: usize>(documents: [Value; COUNT]) -> [Option<u32>; COUNT] {
        let mut meanings = Meanings::default();
        documents.map(|document| {
            let parts = Parts::of(&document, &mut meanings, &|reference| document.pointer(reference.trim_start_matches('#')));
            parts.get(&document["a"], &mut meanings).meaning
        })
    }

    #[test]
    fn the_same_words_have_one_number_wherever_they_stand() {
        let part = json!({"type": ["string", "null"], "maxLength": 5, "default": null, "x": [true, false, {}, [], 1.5]});
        let [one, two, other] = meanings([json!({"a": part, "b": 1}), json!({"b": [part], "a": part}), json!({"a": [part]})]);
        assert!(one.is_some() && one == two && one != other);
    }

    #[test]
    fn what_differs_has_numbers_of_its_own() {
        let all = [
            json!(null),
            json!(false),
            json!(true),
            json!(0),
            json!(0.0),
            json!("0"),
            json!(""),
            json!([]),
            json!({}),
            json!([[]]),
            json!(["a", "b"]),
            json!(["b", "a"]),
            json!({"a": "b"}),
            json!({"b": "a"}),
            json!([{"a": "b"}]),
            json!([0]),
            json!([false]),
        ];
        let mut found: Vec<u32> = meanings(all.map(|part| json!({"a": part}))).into_iter().flatten().collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 17);
    }

    #[test]
    fn references_mean_what_they_lead_to() {
        let document = |ty: &str| json!({"a": {"items": {"$ref": "#/d"}}, "d": {"$ref": "#/e"}, "e": {"type": ty}});
        let mut renamed = document("string");
        renamed["f"] = json!(1);
        let [one, two, other] = meanings([document("string"), renamed, document("integer")]);
        assert!(one.is_some() && one == two && one != other);
    }

    #[test]
    fn what_leads_back_or_nowhere_has_no_meaning() {
        let round = json!({"a": {"items": {"$ref": "#/b"}}, "b": {"items": {"$ref": "#/a"}}});
        let nowhere = json!({"a": {"$ref": "#/b"}});
        let no_text = json!({"a": {"$ref": 1}});
        assert_eq!(meanings([round, nowhere, no_text]), [None, None, None]);
    }

    /// It is of another part of the document, and must not be told from what the part says.
    #[test]
    fn what_uses_a_part_that_leads_back_has_no_meaning_either() {
        let document = json!({"a": {"$ref": "#/b"}, "b": {"items": {"$ref": "#/b"}}, "c": {"type": "string"}});
        assert_eq!(meanings([document.clone()]), [None]);
        let mut all = Meanings::default();
        let parts = Parts::of(&document, &mut all, &|reference| document.pointer(reference.trim_start_matches('#')));
        let root = parts.get(&document, &mut all);
        assert!(root.refers && root.meaning.is_none() && parts.objects == 5);
        assert!(parts.get(&document["c"], &mut all).meaning.is_some());
    }

    #[test]
    fn a_long_chain_of_references_ends() {
        let mut document = serde_json::Map::from_iter([("a".to_owned(), json!({"$ref": "#/0"}))]);
        document.extend((0..20_000).map(|at| (at.to_string(), json!({"$ref": format!("#/{}", at + 1)}))));
        document.insert("20000".into(), json!({}));
        assert_eq!(meanings([Value::Object(document)]), [None]);
    }
}
