//! A Subscription's filter as arguments of its binding.

use std::collections::BTreeMap;

use entente_crds::subscription::{Filter, PropertyValue};
use jiff::Timestamp;
use serde_json::Value;

use crate::filter::subject::subject_matches;
use crate::filter::{Expression, Field, Message, Value as Operand, parse};

/// Binding argument with an SQL filter.
pub const SQL_ARGUMENT: &str = "x-sql-filter";
/// Binding argument with wildcards over the subject.
pub const SUBJECT_ARGUMENT: &str = "x-subject-filter";

/// The HTTP API takes a binding of at most 5000 bytes of JSON; names and the rest of it need some.
const MAX_JSON: usize = 4_500;

/// Checks an SQL filter; the error says where and what to do.
/// With the line and a caret under the place, as compilers do.
pub fn check_sql(sql: &str) -> Result<(), String> {
    crate::filter::parse(sql).map_err(|error| error.render())?;
    let bytes = Value::from(sql).to_string().len();
    if bytes > MAX_JSON {
        return Err(format!(
            "it has {bytes} bytes as JSON, and the broker takes at most {MAX_JSON}; make it shorter, or use several Subscriptions"
        ));
    }
    Ok(())
}

/// The arguments that stand for a filter. Without a filter there are none, and everything matches.
pub fn arguments(filter: Option<&Filter>, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let Some(Filter { sql, subject, properties }) = filter else { return BTreeMap::new() };
    match (sql, subject, properties) {
        (Some(sql), None, None) => {
            if let Err(error) = check_sql(sql) {
                problems.push(format!("filter.sql: {error}"));
            }
            BTreeMap::from([(SQL_ARGUMENT.to_owned(), sql.clone())])
        }
        (None, Some(subject), None) => {
            if let Err(error) = crate::filter::subject::validate_subject(subject) {
                problems.push(format!("filter.subject: {error}"));
            }
            BTreeMap::from([(SUBJECT_ARGUMENT.to_owned(), subject.clone())])
        }
        (None, None, Some(properties)) => {
            let values = properties.iter().map(|(name, value)| (name.clone(), json(value))).collect();
            match crate::filter::properties::to_sql(&values) {
                Ok(sql) => {
                    if let Err(error) = check_sql(&sql) {
                        problems.push(format!("filter.properties: {error}"));
                    }
                    BTreeMap::from([(SQL_ARGUMENT.to_owned(), sql)])
                }
                Err(error) => {
                    problems.push(format!("filter.properties: {error}"));
                    BTreeMap::new()
                }
            }
        }
        _ => {
            problems.push("filter: choose one of sql, subject and properties".to_owned());
            BTreeMap::new()
        }
    }
}

fn json(value: &PropertyValue) -> Value {
    match value {
        PropertyValue::Integer(value) => Value::from(*value),
        PropertyValue::Text(value) => Value::from(value.clone()),
    }
}

/// What the arguments of a binding say about a message, as the broker's exchange reads them.
#[derive(Clone, Debug)]
pub struct Matcher {
    sql: Option<Expression>,
    subject: Option<String>,
}

impl Matcher {
    /// Reads the arguments. Fails on a filter that does not parse, which was refused before it could be bound.
    pub fn of(arguments: &BTreeMap<String, String>) -> Result<Self, String> {
        let sql = arguments.get(SQL_ARGUMENT).map(|sql| parse(sql).map_err(|error| error.render())).transpose()?;
        Ok(Self { sql, subject: arguments.get(SUBJECT_ARGUMENT).cloned() })
    }

    /// Whether the broker would give this message to the binding's queue.
    pub fn matches(&self, message: &Message, now: Timestamp) -> bool {
        let Self { sql, subject } = self;
        // No subject is the empty one.
        let words = match message.properties.get(&Field::Subject) {
            Some(Operand::String(text)) => text,
            _ => "",
        };
        subject.as_ref().is_none_or(|pattern| subject_matches(pattern, words))
            && sql.as_ref().is_none_or(|sql| sql.matches(message, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: Option<&str>, amount: i64) -> Message {
        Message {
            properties: subject.map(|text| (Field::Subject, Operand::String(text.to_owned()))).into_iter().collect(),
            application: BTreeMap::from([("amount".to_owned(), Operand::Long(amount))]),
            ..Message::default()
        }
    }

    #[test]
    fn each_argument_decides() {
        let now = Timestamp::UNIX_EPOCH;
        let matches = |arguments: &[(&str, &str)], message: &Message| {
            let arguments = arguments.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            Matcher::of(&arguments).unwrap().matches(message, now)
        };
        let order = message(Some("orders.nl"), 5);
        assert!(matches(&[], &order) && matches(&[], &message(None, 1)));
        assert!(matches(&[(SQL_ARGUMENT, "amount > 4")], &order));
        assert!(!matches(&[(SQL_ARGUMENT, "amount > 5")], &order));
        assert!(matches(&[(SUBJECT_ARGUMENT, "orders.*")], &order));
        assert!(!matches(&[(SUBJECT_ARGUMENT, "orders.*")], &message(None, 5)));
        assert!(matches(&[(SUBJECT_ARGUMENT, "#")], &message(None, 5)));
        assert!(Matcher::of(&BTreeMap::from([(SQL_ARGUMENT.to_owned(), "a =".to_owned())])).is_err());
    }
}
