//! What holds for every text, and what people are told about their mistakes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{FilterError, MAX_CHARACTERS, MAX_TOKENS, Message, Truth, Value, parse};

fn error(text: &str) -> FilterError {
    match parse(text) {
        Ok(expression) => panic!("{text} is valid: {expression}"),
        Err(error) => error,
    }
}

fn evaluate(text: &str, message: &Message) -> Truth {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).evaluate(message, Timestamp::UNIX_EPOCH)
}

#[test]
fn mistakes_come_with_their_place_and_what_to_do() {
    for (text, column, hint) in [
        ("a == 1", 4, "equality is one ="),
        ("a = NULL", 5, "IS NULL"),
        ("a <> NULL", 6, "IS NOT NULL"),
        ("a => 1", 4, ">="),
        ("a =< 1", 4, "<="),
        ("a ! b", 3, "<> or !="),
        ("a && b", 3, "AND"),
        ("a || b", 3, "OR"),
        ("a = 'b", 5, "end it with '"),
        ("a = \"b", 5, "end it with \""),
        ("a = \u{2018}b\u{2019}", 5, "plain '"),
        ("[a = 1", 1, "end it with ]"),
        ("a = 1;", 6, "no ;"),
        ("a and b", 3, "in capitals: AND"),
        ("a Like 'b'", 3, "in capitals: LIKE"),
        ("UPPER(a) = 'B'", 1, "only function is UTC()"),
        ("date > 5", 1, "written [date]"),
        ("len(a) = 2", 4, "only function is UTC()"),
        ("property.x = 1", 1, "write properties.x"),
        ("application-properties.x = 1", 1, "write application_properties.x"),
        ("x-p.subject = 1", 1, "put a space before p.subject"),
        ("my.key = 1", 1, "[my.key]"),
        ("properties.message-id = 1", 1, "properties.message_id"),
        ("properties.topic = 1", 1, "subject"),
        ("header.ttl = 1", 1, "header.priority"),
        ("a BETWEEN 1 AND 2", 3, "a >= 1 AND a <= 9"),
        ("a IS TRUE", 6, "= TRUE"),
        ("a IS 5", 6, "IS NULL"),
        ("(a) IS NULL", 5, "without parentheses"),
        ("(a = 1", 7, "the ( at character 1 is not closed"),
        ("a IN (1, 2", 11, "the ( at character 6 is not closed"),
        ("a = 1)", 6, "one ) too many"),
        ("a IN ()", 7, "one ) too many, or something is missing"),
        ("a LIKE 'b!' ESCAPE '!'", 8, "twice"),
        ("1E5 = a", 2, "capital E"),
        ("1.5e3 = a", 4, "capital E"),
        ("a = .5", 5, "before its point"),
        ("a = 5.", 6, "both sides"),
        ("a = 0xab", 6, "in capitals"),
        ("a = 0xABC", 9, "pairs"),
        ("my key = 1", 4, "[my name]"),
        ("WHERE a = 1", 7, "the condition alone"),
        ("--a = 1", 2, "parentheses"),
        ("my$key = 1", 3, "[my-name]"),
        ("a\u{a0}= 1", 2, "not a plain space"),
        ("a = NOT b", 5, "parentheses"),
    ] {
        let error = error(text);
        assert_eq!((error.line, error.column), (1, column), "{text}: {error}");
        assert!(error.hint.as_ref().is_some_and(|found| found.contains(hint)), "{text}: {error:?}");
    }
}

#[test]
fn it_is_told_what_was_expected() {
    for (text, expected) in [
        ("", "a condition, such as price > 10"),
        ("a =", "a name, a number, a string, TRUE, FALSE or ("),
        ("a 5", "a comparison such as = or LIKE, AND, OR, or the end"),
        ("a = 1 b", "AND, OR, or the end"),
        ("(a = 1 b)", "AND, OR, or )"),
        ("a IN 5", "( and the values"),
        ("a IN (5 6)", ", or )"),
        ("a LIKE b", "a string, which is the pattern"),
        ("a LIKE 'b' ESCAPE 'cd'", "a string of one character"),
        ("a NOT 5", "IN or LIKE"),
        ("a IS b", "NULL or NOT NULL"),
        ("UTC(5)", ")"),
    ] {
        assert_eq!(error(text).expected, expected, "{text}");
    }
}

#[test]
fn an_error_shows_the_place() {
    let error = error("price > 10\nAND region == 'eu'");
    let rendered = "line 2, column 13: = has no place here; expected a name, a number, a string, TRUE, FALSE or (\n  \
                    AND region == 'eu'\n              ^\nhint: equality is one =";
    assert_eq!(error.render(), rendered);
}

#[test]
fn a_filter_has_bounds() {
    let text = |length: usize| format!("a = '{}'", "é".repeat(length - 6));
    assert!(parse(&text(MAX_CHARACTERS)).is_ok());
    assert!(error(&text(MAX_CHARACTERS + 1)).problem.contains("4097 characters"));

    let sum = |tokens: usize| "-".repeat(1 - tokens % 2) + "1" + &"+1".repeat((tokens - 1) / 2);
    assert!(parse(&sum(MAX_TOKENS)).is_ok());
    assert!(error(&sum(MAX_TOKENS + 1)).problem.contains("201 tokens"));
}

#[test]
fn nesting_as_deep_as_can_be_does_not_exhaust_the_stack() {
    let deep = |opening: &str, closing: &str, depth: usize| opening.repeat(depth) + "TRUE" + &closing.repeat(depth);
    // What a thread of the runtime has.
    let small_stack = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let run = move || {
        for text in [deep("(", ")", 99), deep("NOT ", "", 198), deep("-(", ")", 66), deep("TRUE IN ((", "))", 33)] {
            let expression = parse(&text).unwrap();
            assert_eq!(parse(&expression.to_string()), Ok(expression.clone()));
            let _ = expression.evaluate(&Message::default(), Timestamp::UNIX_EPOCH);
        }
        assert!(parse(&"(".repeat(200)).is_err());
        assert!(parse(&"NOT ".repeat(200)).is_err());
    };
    small_stack.spawn(run).unwrap().join().unwrap();
}

/// Text of an expression that can stand anywhere when in parentheses.
fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("TRUE".to_owned()),
        Just("FALSE".to_owned()),
        Just("UTC()".to_owned()),
        "[a-e]",
        "a\\.[a-e]",
        "\\[[a-e -]{0,3}\\]",
        Just("p.subject".to_owned()),
        Just("header.priority".to_owned()),
        "[0-9]{1,25}",
        "[0-9]{1,3}\\.[0-9]{1,3}(E[+-]?[0-9])?",
        "'([a-z%_\n]|'')*'",
        "\"([a-z'])*\"",
        "0x([0-9A-F]{2}){1,3}",
        "[a-e] IS (NOT )?NULL",
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec!["AND", "OR", "=", "<>", "!=", ">", "<", ">=", "<=", "+", "-", "*", "/", "%"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            inner.clone().prop_map(|inner| format!("NOT ({inner})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            (inner.clone(), "[a-c%_!]{0,6}x").prop_map(|(value, pattern)| format!("({value}) LIKE '{pattern}' ESCAPE '!'")),
            (inner.clone(), inner.clone(), inner).prop_map(|(value, one, two)| format!("({value}) NOT IN (({one}), ({two}))")),
        ]
    })
}

/// Conditions over a message's values, none of which overflows.
fn any_condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "TRUE",
        "FALSE",
        "absent",
        "a",
        "b",
        "c = 1",
        "c > 5",
        "d LIKE 'x%'",
        "absent = 1",
        "c + 1 = 2",
        "c / 0 = 1",
        "c IN (1, 2)",
        "absent IS NULL",
        "d < c",
        "d <> c",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 10, 2, |inner| {
        let operator = prop::sample::select(vec!["AND", "OR"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (0..9i64).prop_map(Value::Long),
        (0.0..9.0).prop_map(Value::Double),
        "[xy]{0,3}".prop_map(Value::String),
    ];
    prop::collection::btree_map("[a-d]", value, 0..5)
        .prop_map(|application: BTreeMap<String, Value>| Message { application, ..Message::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        if let Err(error) = parse(&text) {
            let _ = (error.to_string(), error.render());
        }
    }

    #[test]
    fn no_text_of_its_own_words_makes_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "AND", "OR", "NOT", "LIKE", "IN", "IS", "NULL", "ESCAPE", "TRUE", "UTC", "a", "p.to", "1", "1.5", "'x'", "0xAB", "=", "<>",
        ">=", "+", "-", "*", "%", "(", ")", ",", "'", "[", "]", "\n", ".", "and",
    ]), 0..30)) {
        let text = words.join(" ");
        match parse(&text) {
            Ok(expression) => { expression.evaluate(&Message::default(), Timestamp::UNIX_EPOCH); }
            Err(error) => prop_assert!(error.render().contains('^')),
        }
    }

    #[test]
    fn canonical_text_is_of_the_same_expression(text in any_expression(), message in any_message()) {
        // A generated text can be too large.
        if let Ok(expression) = parse(&text) {
            let again = parse(&expression.to_string()).map_err(|error| TestCaseError::fail(error.render()))?;
            prop_assert_eq!(&again, &expression);
            prop_assert_eq!(again.to_string(), expression.to_string());
            prop_assert_eq!(again.evaluate(&message, Timestamp::UNIX_EPOCH), expression.evaluate(&message, Timestamp::UNIX_EPOCH));
        }
    }

    #[test]
    fn logic_of_three_values_has_its_laws(a in any_condition(), b in any_condition(), c in any_condition(), message in any_message()) {
        let same = |left: String, right: String| {
            prop_assert_eq!(evaluate(&left, &message), evaluate(&right, &message), "{} and {}", left, right);
            Ok(())
        };
        same(format!("NOT (({a}) AND ({b}))"), format!("NOT ({a}) OR NOT ({b})"))?;
        same(format!("NOT (({a}) OR ({b}))"), format!("NOT ({a}) AND NOT ({b})"))?;
        same(format!("({a}) AND ({b})"), format!("({b}) AND ({a})"))?;
        same(format!("({a}) OR ({b})"), format!("({b}) OR ({a})"))?;
        same(format!("({a}) AND (({b}) OR ({c}))"), format!("(({a}) AND ({b})) OR (({a}) AND ({c}))"))?;
        same(format!("(({a}) AND ({b})) AND ({c})"), format!("({a}) AND (({b}) AND ({c}))"))?;
        same(format!("NOT NOT ({a})"), format!("({a}) AND TRUE"))?;
    }
}
