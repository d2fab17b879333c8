//! The table of cases against core. `e2e/tests/cluster/filters.rs` puts it before a real broker.

use entente_core::filter::{Message, parse};
use jiff::Timestamp;
use serde::Deserialize;

const TABLE: &str = include_str!("filter-cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    expression: Expression,
    #[serde(default)]
    message: Message,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expression {
    Text(String),
    Repeated {
        before: String,
        part: String,
        times: usize,
        #[serde(default)]
        after: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Match,
    Nomatch,
    Invalid,
}

impl Expression {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Repeated { before, part, times, after } => before + &part.repeat(times) + &after,
        }
    }
}

#[test]
fn core_decides_as_the_table_says() {
    let table: serde_json::Value = serde_yaml::from_str(TABLE).unwrap();
    let table: Vec<Case> = serde_json::from_value(table).unwrap();
    assert!(table.len() >= 150);
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut wrong = Vec::new();
    for Case { expression, message, expected } in table {
        let text = expression.text();
        let (found, why) = match parse(&text) {
            Ok(expression) if expression.matches(&message, now) => (Expected::Match, String::new()),
            Ok(expression) => (Expected::Nomatch, format!("{:?}", expression.evaluate(&message, now))),
            Err(error) => (Expected::Invalid, error.render()),
        };
        if found != expected {
            wrong.push(format!("{text}\n  with {message:?}\n  is {found:?}, not {expected:?}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
