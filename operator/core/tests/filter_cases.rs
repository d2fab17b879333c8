//! The table of cases against core. `e2e/tests/cluster/filters.rs` puts it before a real broker.

mod filter_table;

use entente_core::filter::parse;
use filter_table::{Case, Expected, cases};
use jiff::Timestamp;

#[test]
fn core_decides_as_the_table_says() {
    let table = cases().unwrap();
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

/// A hint on a mistake must not lead to another one: what no case says has at least a place.
#[test]
fn whatever_the_table_calls_invalid_has_a_place_in_its_text() {
    for case in cases().unwrap().into_iter().filter(|case| case.expected == Expected::Invalid) {
        let text = case.expression.text();
        let error = parse(&text).unwrap_err();
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(error.column <= lines[error.line - 1].chars().count() + 1, "{text}: {error}");
        assert!(!error.problem.is_empty() && error.render().contains('^'), "{text}: {error:?}");
    }
}
