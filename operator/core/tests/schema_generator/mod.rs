//! Random JSON Schemas, changes of them, and messages, from a seed.

use serde_json::{Map, Value, json};

/// Random numbers that a seed repeats (xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % sides as u64).unwrap()
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.roll(of) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

const NAMES: [&str; 4] = ["a", "b", "ab", "c"];
const PATTERNS: [&str; 4] = ["^a", "b$", "^[a-c]+$", "^.{2}$"];
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// A schema with definitions. `plain` ones combine nothing, so that closing and opening them is a change of keywords.
pub fn schema(dice: &mut Dice, plain: bool) -> Value {
    let mut root = node(dice, 3, plain);
    if let Value::Object(map) = &mut root {
        map.insert("$defs".into(), json!({ "x": node(dice, 2, plain), "y": node(dice, 1, plain) }));
    }
    root
}

fn node(dice: &mut Dice, depth: usize, plain: bool) -> Value {
    if dice.one_in(16) {
        return dice.one_in(2).into();
    }
    let mut map = Map::new();
    // Most schemas say a type, or nothing would be left of most pairs.
    match dice.roll(8) {
        0 => {}
        1 => {
            drop(map.insert("type".into(), json!([dice.pick(&TYPES), "null"].iter().collect::<std::collections::BTreeSet<_>>())));
        }
        _ => drop(map.insert(
            "type".into(),
            (*dice.pick(&[&"object", &"object", &"array", &"string", &"integer", &"number", &"boolean"])).into(),
        )),
    }
    for _ in 0..dice.roll(4) {
        let (keyword, value) = keyword(dice, depth, plain);
        map.insert(keyword.into(), value);
    }
    Value::Object(map)
}

fn keyword(dice: &mut Dice, depth: usize, plain: bool) -> (&'static str, Value) {
    let small = |dice: &mut Dice| json!(dice.roll(4));
    let bound = |dice: &mut Dice| dice.pick(&[&json!(-1), &json!(0), &json!(1), &json!(1.5), &json!(2), &json!(5)]).clone();
    if depth > 0 && dice.one_in(2) {
        return nested(dice, depth - 1, plain);
    }
    match dice.roll(20) {
        0 => ("minimum", bound(dice)),
        1 => ("maximum", bound(dice)),
        2 => ("exclusiveMinimum", bound(dice)),
        3 => ("exclusiveMaximum", bound(dice)),
        4 => ("multipleOf", dice.pick(&[&json!(1), &json!(2), &json!(0.5), &json!(4)]).clone()),
        5 => ("minLength", small(dice)),
        6 => ("maxLength", small(dice)),
        7 => ("pattern", (*dice.pick(&[&PATTERNS[0], &PATTERNS[1], &PATTERNS[2]])).into()),
        8 => ("format", (*dice.pick(&[&"date", &"uuid"])).into()),
        9 => ("minItems", small(dice)),
        10 => ("maxItems", small(dice)),
        11 => ("uniqueItems", dice.one_in(2).into()),
        12 => ("minProperties", small(dice)),
        13 => ("maxProperties", small(dice)),
        14 => ("dependentRequired", json!({ NAMES[dice.roll(4)]: [NAMES[dice.roll(4)]] })),
        15 => ("enum", (0..=dice.roll(3)).map(|_| value(dice, 1)).collect::<Vec<_>>().into()),
        16 => ("const", value(dice, 1)),
        17 => ("title", "t".into()),
        _ => ("required", json!([NAMES[dice.roll(4)]])),
    }
}

fn nested(dice: &mut Dice, depth: usize, plain: bool) -> (&'static str, Value) {
    let several = |dice: &mut Dice| (0..=dice.roll(2)).map(|_| node(dice, depth, plain)).collect::<Vec<_>>().into();
    let named = |dice: &mut Dice, names: &[&str]| {
        (0..=dice.roll(2))
            .map(|_| (names[dice.roll(names.len())].to_owned(), node(dice, depth, plain)))
            .collect::<Map<_, _>>()
            .into()
    };
    match dice.roll(if plain { 9 } else { 20 }) {
        0 | 1 | 5 => ("properties", named(dice, &NAMES)),
        2 => ("additionalProperties", if dice.one_in(2) { false.into() } else { node(dice, depth, plain) }),
        3 => ("items", node(dice, depth, plain)),
        4 => ("prefixItems", several(dice)),
        6 => ("patternProperties", named(dice, &PATTERNS)),
        7 => ("propertyNames", json!({ "maxLength": 1 + dice.roll(2) })),
        8 => ("required", json!([NAMES[dice.roll(4)], NAMES[dice.roll(4)]].iter().collect::<std::collections::BTreeSet<_>>())),
        9 => ("allOf", several(dice)),
        10 | 11 => ("anyOf", several(dice)),
        12 | 13 => ("oneOf", several(dice)),
        14 => ("not", node(dice, depth, plain)),
        15 => ("if", node(dice, depth, plain)),
        16 => ("then", node(dice, depth, plain)),
        17 => ("else", node(dice, depth, plain)),
        18 => ("dependentSchemas", named(dice, &NAMES)),
        _ => match dice.roll(4) {
            0 => ("contains", node(dice, depth, plain)),
            1 => ("unevaluatedProperties", false.into()),
            // In a place of its own below the root: beside itself it would have no end.
            2 => ("properties", json!({ NAMES[dice.roll(4)]: { "$ref": "#/$defs/x" } })),
            _ => ("items", json!({ "$ref": dice.pick(&["#/$defs/y", "#"]) })),
        },
    }
}

/// A schema with one or two things changed, somewhere.
pub fn changed(dice: &mut Dice, schema: &Value, plain: bool) -> Value {
    let mut schema = schema.clone();
    for _ in 0..=dice.roll(2) {
        change(dice, &mut schema, 3, plain);
    }
    schema
}

fn change(dice: &mut Dice, schema: &mut Value, depth: usize, plain: bool) {
    let Value::Object(map) = schema else {
        *schema = node(dice, depth.min(1), plain);
        return;
    };
    // Down into one of the schemas below, more often than not.
    let below: Vec<String> =
        map.iter().filter(|(_, value)| value.is_object() || value.is_array()).map(|(key, _)| key.clone()).collect();
    if depth > 0 && !below.is_empty() && !dice.one_in(3) {
        let key = below[dice.roll(below.len())].clone();
        let schemas = ["properties", "patternProperties", "$defs", "dependentSchemas", "allOf", "anyOf", "oneOf", "prefixItems"];
        let single = ["items", "additionalProperties", "not", "if", "then", "else", "contains"];
        if schemas.contains(&key.as_str()) {
            let inner: Vec<&mut Value> = match &mut map[&key] {
                Value::Object(inner) => inner.values_mut().collect(),
                Value::Array(inner) => inner.iter_mut().collect(),
                _ => Vec::new(),
            };
            let count = inner.len();
            if let Some(one) = inner.into_iter().nth(dice.roll(count.max(1))) {
                change(dice, one, depth - 1, plain);
            }
            return;
        }
        if single.contains(&key.as_str()) {
            change(dice, &mut map[&key], depth - 1, plain);
            return;
        }
    }
    let keys: Vec<String> = map.keys().filter(|key| *key != "$defs" && *key != "$ref").cloned().collect();
    match dice.roll(6) {
        0 if !keys.is_empty() => drop(map.remove(&keys[dice.roll(keys.len())])),
        1 if !plain && !map.contains_key("$defs") => {
            let keyword = ["anyOf", "oneOf", "allOf"][dice.roll(3)];
            let other = node(dice, 1, plain);
            *schema = json!({ keyword: [schema.clone(), other] });
        }
        _ => {
            let (keyword, value) = keyword(dice, depth.min(2), plain);
            map.insert(keyword.into(), value);
        }
    }
}

/// A message, of small values that schemas of this generator tell apart.
pub fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.roll(if depth == 0 { 10 } else { 14 }) {
        0 => Value::Null,
        1 => dice.one_in(2).into(),
        2 | 3 => i64::try_from(dice.roll(8)).map(|number| number - 2).unwrap().into(),
        4 => json!(1.5),
        5 => json!(2.0),
        6 => "2026-01-02".into(),
        7..10 => (*dice.pick(&[&"a", &"b", &"ab", &"", &"abc", &"xyz"])).into(),
        10 | 11 => (0..dice.roll(4)).map(|_| value(dice, depth - 1)).collect::<Vec<_>>().into(),
        _ => (0..dice.roll(4))
            .map(|_| ((*dice.pick(&[&"a", &"b", &"ab", &"c", &"d"])).to_owned(), value(dice, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// The writer's schema as Lenient reads it: objects that name properties are closed.
pub fn closed(schema: &Value) -> Value {
    rewritten(schema, &|map| {
        let names = ["properties", "patternProperties"]
            .iter()
            .any(|keyword| map.get(*keyword).and_then(Value::as_object).is_some_and(|all| !all.is_empty()));
        if names && matches!(map.get("additionalProperties"), None | Some(Value::Bool(true))) {
            map.insert("additionalProperties".into(), false.into());
        }
    })
}

/// The reader's: closed objects are open.
pub fn opened(schema: &Value) -> Value {
    rewritten(schema, &|map| {
        if map.get("additionalProperties") == Some(&Value::Bool(false)) {
            map.remove("additionalProperties");
        }
    })
}

/// A schema of plain keywords with each schema in it rewritten.
fn rewritten(schema: &Value, rewrite: &dyn Fn(&mut Map<String, Value>)) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let mut map = map.clone();
    for (keyword, value) in &mut map {
        match (keyword.as_str(), value) {
            ("items" | "additionalProperties" | "propertyNames", value) => *value = rewritten(value, rewrite),
            ("properties" | "patternProperties" | "$defs", Value::Object(all)) => {
                all.values_mut().for_each(|value| *value = rewritten(value, rewrite));
            }
            ("prefixItems", Value::Array(all)) => all.iter_mut().for_each(|value| *value = rewritten(value, rewrite)),
            _ => {}
        }
    }
    rewrite(&mut map);
    Value::Object(map)
}
