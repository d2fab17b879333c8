//! A filter that was parsed.

use std::fmt;

use num_bigint::BigInt;

use super::like::Pattern;
use super::names::Identifier;

/// A valid filter. Its text by [`Display`](fmt::Display) is canonical: it parses to the same filter.
///
/// Only the length of that text may be beyond the limit, where the original was close to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(pub(super) Node);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Boolean(bool),
    Integer(BigInt),
    Float(f64),
    Text(String),
    Binary(Vec<u8>),
    Name(Identifier),
    Utc,
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Arithmetic(Operator, Box<Node>, Box<Node>),
    Plus(Box<Node>),
    Minus(Box<Node>),
    In(Box<Node>, Vec<Node>),
    Like(Box<Node>, Pattern),
    IsNull(Identifier),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How tightly the parts of an expression hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Sign,
    Primary,
}

impl Operator {
    pub fn level(self) -> Level {
        match self {
            Self::Add | Self::Subtract => Level::Sum,
            Self::Multiply | Self::Divide | Self::Remainder => Level::Product,
        }
    }

    fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Remainder => '%',
        }
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
        }
    }
}

impl Node {
    fn level(&self) -> Level {
        match self {
            Self::Or(..) => Level::Or,
            Self::And(..) => Level::And,
            Self::Not(inner) if inner.has_negated_form() => Level::Comparison,
            Self::Not(_) => Level::Not,
            Self::Compare(..) | Self::In(..) | Self::Like(..) | Self::IsNull(_) => Level::Comparison,
            Self::Arithmetic(operator, ..) => operator.level(),
            Self::Plus(_) | Self::Minus(_) => Level::Sign,
            Self::Boolean(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Binary(_)
            | Self::Name(_)
            | Self::Utc => Level::Primary,
        }
    }

    /// NOT IN, NOT LIKE and IS NOT NULL are the negations of IN, LIKE and IS NULL, and nothing more.
    fn has_negated_form(&self) -> bool {
        matches!(self, Self::In(..) | Self::Like(..) | Self::IsNull(_))
    }

    fn write_negatable(&self, f: &mut fmt::Formatter<'_>, not: &str) -> fmt::Result {
        match self {
            Self::In(value, list) => {
                write!(f, "{} {not}IN (", At(Level::Sum, value))?;
                for (position, item) in list.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", At(Level::Sum, item))?;
                }
                f.write_str(")")
            }
            Self::Like(value, pattern) => write!(f, "{} {not}LIKE {pattern}", At(Level::Sum, value)),
            Self::IsNull(name) => write!(f, "{name} IS {not}NULL"),
            other => write!(f, "{not}{}", At(Level::Not, other)),
        }
    }
}

/// A part of an expression where this level or a tighter one is needed; else it gets parentheses.
struct At<'a>(Level, &'a Node);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(level, node) = self;
        if node.level() < *level {
            return write!(f, "({})", At(Level::Or, node));
        }
        match node {
            Node::Boolean(true) => f.write_str("TRUE"),
            Node::Boolean(false) => f.write_str("FALSE"),
            Node::Integer(integer) => write!(f, "{integer}"),
            Node::Float(float) => f.write_str(&decimal(*float)),
            Node::Text(text) => f.write_str(&quoted(text)),
            Node::Binary(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
            Node::Name(name) => write!(f, "{name}"),
            Node::Utc => f.write_str("UTC()"),
            Node::Not(inner) => inner.write_negatable(f, "NOT "),
            Node::And(left, right) => write!(f, "{} AND {}", At(Level::And, left), At(Level::Not, right)),
            Node::Or(left, right) => write!(f, "{} OR {}", At(Level::Or, left), At(Level::And, right)),
            Node::Compare(comparison, left, right) => {
                write!(f, "{} {} {}", At(Level::Sum, left), comparison.symbol(), At(Level::Sum, right))
            }
            Node::Arithmetic(operator, left, right) => {
                let level = operator.level();
                let tighter = if level == Level::Sum { Level::Product } else { Level::Sign };
                write!(f, "{} {} {}", At(level, left), operator.symbol(), At(tighter, right))
            }
            Node::Plus(inner) => write!(f, "+{}", At(Level::Primary, inner)),
            Node::Minus(inner) => write!(f, "-{}", At(Level::Primary, inner)),
            Node::In(..) | Node::Like(..) | Node::IsNull(_) => node.write_negatable(f, ""),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", At(Level::Or, &self.0))
    }
}

/// A string as the language writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A float as the language writes it: with a point, and with a capital E.
fn decimal(float: f64) -> String {
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::parse;

    #[test]
    fn text_has_the_parentheses_that_it_needs_and_no_more() {
        for (text, canonical) in [
            ("((a = 1) OR ((b = 2) AND (c = 3)))", "a = 1 OR b = 2 AND c = 3"),
            ("(a OR b) AND NOT (c AND d)", "(a OR b) AND NOT (c AND d)"),
            ("a OR (b OR c)", "a OR (b OR c)"),
            ("NOT (NOT a)", "NOT NOT a"),
            ("NOT (a IN (1,2))", "a NOT IN (1, 2)"),
            ("NOT a LIKE 'x'", "a NOT LIKE 'x'"),
            ("NOT (p.to IS NULL)", "properties.to IS NOT NULL"),
            ("(a + b) * -(c - 1.5E30) = 2", "(a + b) * -(c - 1.5E30) = 2"),
            ("a - (b - c) >= 1.0E-7", "a - (b - c) >= 1.0E-7"),
            ("(a = 1) = TRUE", "(a = 1) = TRUE"),
            ("x IN ((a AND b), \"it's\", 0xAB)", "x IN ((a AND b), 'it''s', 0xAB)"),
            ("a.[x]", ""),
            ("a.not = [my]]name] + [not]", "[not] = [my]]name] + [not]"),
            ("[abc] LIKE 'a!%' ESCAPE '!'", "abc LIKE 'a!%' ESCAPE '!'"),
            ("UTC ( ) > 10000000000000000000000", "UTC() > 10000000000000000000000"),
        ] {
            match parse(text) {
                Ok(expression) => {
                    assert_eq!(expression.to_string(), canonical, "{text}");
                    assert_eq!(parse(canonical).unwrap(), expression, "{text}");
                }
                Err(error) => assert_eq!(canonical, "", "{text}: {error}"),
            }
        }
    }
}
