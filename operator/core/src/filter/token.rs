//! Tokens of a filter.

use std::fmt;

use num_bigint::BigInt;

use super::names::Identifier;

/// A token, and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Counted in characters from the beginning of the text.
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    And,
    Or,
    Not,
    Like,
    In,
    Is,
    Null,
    Escape,
    Utc,
    Boolean(bool),
    Integer(BigInt),
    Float(f64),
    Text(String),
    Binary(Vec<u8>),
    Name(Identifier),
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Open,
    Close,
    Comma,
}

impl Kind {
    /// The keyword of this spelling. Lower case is no keyword.
    pub fn keyword(word: &str) -> Option<Self> {
        Some(match word {
            "AND" => Self::And,
            "OR" => Self::Or,
            "NOT" => Self::Not,
            "LIKE" => Self::Like,
            "IN" => Self::In,
            "IS" => Self::Is,
            "NULL" => Self::Null,
            "ESCAPE" => Self::Escape,
            "UTC" => Self::Utc,
            "TRUE" => Self::Boolean(true),
            "FALSE" => Self::Boolean(false),
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Binary(_) => "a binary",
            Self::Name(name) => return write!(f, "the name {name}"),
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
            Self::Like => "LIKE",
            Self::In => "IN",
            Self::Is => "IS",
            Self::Null => "NULL",
            Self::Escape => "ESCAPE",
            Self::Utc => "UTC",
            Self::Boolean(true) => "TRUE",
            Self::Boolean(false) => "FALSE",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Star => "*",
            Self::Slash => "/",
            Self::Percent => "%",
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
        };
        f.write_str(fixed)
    }
}
