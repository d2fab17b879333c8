//! A Subscription's filter as arguments of its binding.

use std::collections::BTreeMap;

use entente_crds::subscription::{Filter, PropertyValue};
use serde_json::Value;

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
