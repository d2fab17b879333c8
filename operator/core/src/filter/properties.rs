//! Equality of properties, as an expression of the SQL filter language.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use super::ast::quoted;
use super::names::{Field, Identifier, is_control};
use super::{FilterError, parse};

/// Why a map is not a filter of properties.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidProperties {
    /// There is nothing to compare.
    #[error("it names no property")]
    Empty,
    /// The section does not have this field.
    #[error("there is no {name}; there are {known}")]
    UnknownField {
        /// The name as written.
        name: String,
        /// What there is.
        known: String,
    },
    /// No property can have this name.
    #[error("{0:?} is not a name: it is empty or has a control character")]
    Name(String),
    /// Application properties have no prefix here.
    #[error("write {0} alone: a name without a section is that of an application property")]
    Prefix(String),
    /// The value is of a type that is never equal to the property.
    #[error("{name} is compared with {expected}, not with {found}")]
    Type {
        /// The name as written.
        name: String,
        /// What it can be compared with.
        expected: &'static str,
        /// What it was to be compared with.
        found: &'static str,
    },
    /// There are too many, or they are too long.
    #[error("it is too large: {0}")]
    TooLarge(Box<FilterError>),
}

/// What a property can be equal to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Text,
    Integer,
    TextOrInteger,
    Any,
}

/// The expression that is true if all of these properties have these values.
///
/// A name is that of an application property, `properties.<field>` or `header.priority`.
pub fn to_sql(properties: &BTreeMap<String, Value>) -> Result<String, InvalidProperties> {
    if properties.is_empty() {
        return Err(InvalidProperties::Empty);
    }
    let mut conditions = Vec::with_capacity(properties.len());
    for (name, value) in properties {
        let (identifier, accepts) = identifier(name)?;
        conditions.push(format!("{identifier} = {}", literal(name, value, accepts)?));
    }
    let sql = conditions.join(" AND ");
    match parse(&sql) {
        Ok(_) => Ok(sql),
        // Names and values were checked: only the bounds are left.
        Err(error) => Err(InvalidProperties::TooLarge(Box::new(error))),
    }
}

fn identifier(name: &str) -> Result<(Identifier, Accepts), InvalidProperties> {
    if let Some(field) = name.strip_prefix("properties.") {
        let field =
            Field::named(field).ok_or_else(|| unknown(name, &Field::ALL.map(|field| format!("properties.{}", field.name()))))?;
        return Ok((Identifier::Property(field), accepts(field)));
    }
    if name.starts_with("header.") {
        return match name {
            "header.priority" => Ok((Identifier::Priority, Accepts::Integer)),
            _ => Err(unknown(name, &["header.priority".to_owned()])),
        };
    }
    if let Some(name) = name.strip_prefix("application_properties.").or_else(|| name.strip_prefix("application-properties.")) {
        return Err(InvalidProperties::Prefix(name.to_owned()));
    }
    if name.is_empty() || name.chars().any(is_control) {
        return Err(InvalidProperties::Name(name.to_owned()));
    }
    Ok((Identifier::Application(name.to_owned()), Accepts::Any))
}

fn unknown(name: &str, known: &[String]) -> InvalidProperties {
    InvalidProperties::UnknownField { name: name.to_owned(), known: known.join(", ") }
}

fn accepts(field: Field) -> Accepts {
    match field {
        Field::MessageId | Field::CorrelationId => Accepts::TextOrInteger,
        Field::AbsoluteExpiryTime | Field::CreationTime | Field::GroupSequence => Accepts::Integer,
        // A string is equal to the binary with the same bytes.
        Field::UserId
        | Field::To
        | Field::Subject
        | Field::ReplyTo
        | Field::ContentType
        | Field::ContentEncoding
        | Field::GroupId
        | Field::ReplyToGroupId => Accepts::Text,
    }
}

fn literal(name: &str, value: &Value, accepts: Accepts) -> Result<String, InvalidProperties> {
    let wrong = |found| {
        let expected = match accepts {
            Accepts::Text => "a string",
            Accepts::Integer => "an integer",
            Accepts::TextOrInteger => "a string or an integer",
            Accepts::Any => "a string, an integer or a boolean",
        };
        Err(InvalidProperties::Type { name: name.to_owned(), expected, found })
    };
    match value {
        Value::String(text) if accepts != Accepts::Integer => Ok(quoted(text)),
        Value::String(_) => wrong("a string"),
        Value::Number(number) if !number.is_i64() && !number.is_u64() => wrong("a number with a fraction"),
        Value::Number(number) if accepts != Accepts::Text => Ok(number.to_string()),
        Value::Number(_) => wrong("an integer"),
        Value::Bool(boolean) if accepts == Accepts::Any => Ok(if *boolean { "TRUE" } else { "FALSE" }.to_owned()),
        Value::Bool(_) => wrong("a boolean"),
        Value::Null => wrong("null"),
        Value::Array(_) => wrong("a list"),
        Value::Object(_) => wrong("an object"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::filter::{Message, Value as Amqp};

    fn sql(properties: Value) -> Result<String, InvalidProperties> {
        to_sql(&serde_json::from_value(properties).unwrap())
    }

    #[test]
    fn all_must_be_equal() {
        let expected = "a = 'it''s' AND header.priority = 7 AND [my-key] = -5 AND [not] = TRUE AND properties.subject = ''";
        let properties = json!({"a": "it's", "not": true, "my-key": -5, "properties.subject": "", "header.priority": 7});
        assert_eq!(sql(properties).unwrap(), expected);
    }

    #[test]
    fn a_name_cannot_leave_its_brackets() {
        assert_eq!(sql(json!({"a] = 1 OR [b": 2})).unwrap(), "[a]] = 1 OR [[b] = 2");
        assert_eq!(sql(json!({"a.b": "' OR ''='"})).unwrap(), "[a.b] = ''' OR ''''='''");
    }

    #[test]
    fn what_can_never_be_equal_is_refused() {
        for (properties, message) in [
            (json!({}), "it names no property"),
            (json!({"properties.subject": 5}), "properties.subject is compared with a string, not with an integer"),
            (json!({"header.priority": "5"}), "header.priority is compared with an integer, not with a string"),
            (
                json!({"properties.message_id": true}),
                "properties.message_id is compared with a string or an integer, not with a boolean",
            ),
            (json!({"a": 1.5}), "a is compared with a string, an integer or a boolean, not with a number with a fraction"),
            (json!({"a": null}), "a is compared with a string, an integer or a boolean, not with null"),
            (json!({"header.durable": true}), "there is no header.durable; there are header.priority"),
            (json!({"": 1}), "\"\" is not a name: it is empty or has a control character"),
            (json!({"a\nb": 1}), "\"a\\nb\" is not a name: it is empty or has a control character"),
            (
                json!({"application-properties.x": 1}),
                "write x alone: a name without a section is that of an application property",
            ),
        ] {
            assert_eq!(sql(properties).unwrap_err().to_string(), message);
        }
        assert!(
            sql(json!({"properties.topic": "x"}))
                .unwrap_err()
                .to_string()
                .starts_with("there is no properties.topic; there are properties.message_id, ")
        );
    }

    #[test]
    fn it_has_the_bounds_of_an_expression() {
        let many = |count: usize| (0..count).map(|n| (format!("k{n}"), json!(n))).collect::<BTreeMap<_, _>>();
        assert!(to_sql(&many(50)).is_ok());
        assert!(matches!(to_sql(&many(51)), Err(InvalidProperties::TooLarge(_))));
        assert!(matches!(sql(json!({"a": "x".repeat(5000)})), Err(InvalidProperties::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn any_text_matches_itself_and_nothing_else(name in "\\PC{1,20}", value in ".{0,30}", other in ".{0,5}") {
            prop_assume!(!["properties.", "header.", "application"].iter().any(|prefix| name.starts_with(prefix)));
            let filter = parse(&to_sql(&BTreeMap::from([(name.clone(), json!(value))])).unwrap()).unwrap();
            let holds = |value: &str| {
                let application = BTreeMap::from([(name.clone(), Amqp::String(value.to_owned()))]);
                filter.matches(&Message { application, ..Message::default() }, Timestamp::UNIX_EPOCH)
            };
            prop_assert!(holds(&value));
            prop_assert_eq!(holds(&other), other == value);
        }
    }
}
