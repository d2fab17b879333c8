//! A message of the writer's, in Avro's JSON encoding.

use serde_json::{Map, Value, json};

use super::resolve::Turn;
use super::schema::{Id, Kind, Schema};

/// Deepest nesting of a made-up message.
const LEVELS: usize = 40;

/// A message that takes the turns of a route; nothing where the schema has no end without more than is tried.
pub fn message(schema: &Schema, route: &[Turn]) -> Option<Value> {
    value(schema, schema.root, route, LEVELS)
}

fn value(schema: &Schema, id: Id, route: &[Turn], levels: usize) -> Option<Value> {
    let levels = levels.checked_sub(1)?;
    Some(match (&schema.types[id].kind, route.first()) {
        (Kind::Null, _) => Value::Null,
        (Kind::Boolean, _) => true.into(),
        (Kind::Int | Kind::Long, _) => 1.into(),
        (Kind::Float | Kind::Double, _) => json!(1.5),
        (Kind::Bytes | Kind::String, _) => "a".into(),
        (Kind::Fixed(size), _) => "a".repeat(usize::try_from(*size).ok().filter(|size| *size <= 1000)?).into(),
        (Kind::Enum { .. }, Some(Turn::Symbol(symbol))) => symbol.as_str().into(),
        (Kind::Enum { symbols, .. }, _) => symbols.first()?.as_str().into(),
        (Kind::Array(items), Some(Turn::Element)) => vec![value(schema, *items, &route[1..], levels)?].into(),
        (Kind::Array(_), _) => json!([]),
        (Kind::Map(values), Some(Turn::Element)) => json!({ "a": value(schema, *values, &route[1..], levels)? }),
        (Kind::Map(_), _) => json!({}),
        (Kind::Union(branches), Some(Turn::Branch(at))) => branch(schema, *branches.get(*at)?, &route[1..], levels)?,
        // The shortest first: a list that refers to itself ends with null.
        (Kind::Union(branches), _) => {
            let null = branches.iter().find(|branch| schema.types[**branch].kind == Kind::Null);
            null.into_iter().chain(branches).find_map(|id| branch(schema, *id, &[], levels.min(8)))?
        }
        (Kind::Record(fields), turn) => {
            let mut map = Map::new();
            for field in fields {
                let inner = if turn == Some(&Turn::Field(field.name.clone())) { &route[1..] } else { &[] };
                map.insert(
                    field.name.clone(),
                    value(schema, field.schema, inner, if inner.is_empty() { levels.min(8) } else { levels })?,
                );
            }
            Value::Object(map)
        }
    })
}

fn branch(schema: &Schema, id: Id, route: &[Turn], levels: usize) -> Option<Value> {
    let inner = value(schema, id, route, levels)?;
    let ty = &schema.types[id];
    Some(if ty.kind == Kind::Null { Value::Null } else { json!({ ty.label(): inner }) })
}
