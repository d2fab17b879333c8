//! What to do about the mistakes that people make, most of them by habit from other languages.

use super::error::Fault;
use super::names::{Field, keyword};
use super::token::{Kind, Token};

/// About a character that begins no token.
pub(super) fn character(char: char, next: Option<char>) -> &'static str {
    match char {
        '!' => "not equal is <> or !=; the negation of a condition is NOT",
        '&' => "write AND",
        '|' => "write OR",
        '^' | '~' => "there are + - * / % only",
        ';' => "a filter has no ; at its end",
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '`' => {
            "the quotes of a string are the plain ' or \""
        }
        ']' => "a name in brackets begins with [",
        '.' if next.is_some_and(|next| next.is_ascii_digit()) => "a number has a digit before its point: 0.5",
        '.' => "a number has digits on both sides of its point; a name with a point is written in brackets: [my.name]",
        '{' | '}' => "conditions are grouped by ( and )",
        char if char.is_whitespace() || char == '\u{200b}' || char == '\u{feff}' => {
            "this is white space, but not a plain space, tab or line break"
        }
        char if char.is_control() => "remove this character",
        _ => {
            "names of properties begin with a letter and have letters, digits and _; any other name is written in brackets: [my-name]"
        }
    }
}

/// A reserved word where it has no meaning.
pub(super) fn reserved(at: usize, word: &str) -> Fault {
    let fault = Fault::new(at, format!("{word} is a reserved word"));
    match keyword(word) {
        Some(keyword) => fault.hint(format!("keywords are in capitals: {keyword}; a property of this name is written [{word}]")),
        None => fault.hint(format!("the only function is UTC(); a property of this name is written [{word}]")),
    }
}

/// A name with a section that does not exist, or a field that the section does not have.
pub(super) fn unknown_field(at: usize, section: &str, field: &str, next: Option<char>) -> Fault {
    let problem = format!("there is no {section}.{field}");
    let fault = Fault::new(at, problem);
    let fields = || Field::ALL.map(Field::name).join(", ");
    match section {
        "header" | "h" => fault.hint("the only field of the header is header.priority"),
        "properties" | "p" if next == Some('-') => {
            fault.hint("names of fields are written with underscores, such as properties.message_id")
        }
        "properties" | "p" => {
            fault.hint(format!("fields of properties are {}; {field} alone is an application property", fields()))
        }
        _ => {
            if let Some((_, name)) = section.rsplit_once('-').filter(|(_, name)| ["h", "p", "a", "properties"].contains(name))
                && section != "application-properties"
            {
                return fault.hint(format!("put a space before {name}.{field}: a - belongs to the name of a section"));
            }
            fault.hint(match similar_section(section) {
                Some(meant) => format!("write {meant}.{field}"),
                None => format!(
                    "sections are header, properties and application_properties; an application property with a point in its name \
                     is written in brackets: [{section}.{field}]"
                ),
            })
        }
    }
}

fn similar_section(section: &str) -> Option<&'static str> {
    Some(match section.to_ascii_lowercase().replace('-', "_").as_str() {
        "header" | "headers" => "header",
        "property" | "props" | "prop" | "properties" => "properties",
        "application_property" | "application_properties" | "applicationproperties" | "app" | "application" | "user" => {
            "application_properties"
        }
        _ => return None,
    })
}

/// About a token where another was expected.
pub(super) fn token(tokens: &[Token], position: usize) -> Option<String> {
    let kind = |index: usize| tokens.get(index).map(|token| &token.kind);
    let before = position.checked_sub(1).and_then(kind);
    let hint = match (before, kind(position)?) {
        (Some(Kind::Equal), Kind::Null) => "whether there is a value is asked by IS NULL",
        (Some(Kind::NotEqual), Kind::Null) => "whether there is a value is asked by IS NOT NULL",
        (_, Kind::Null) => "NULL is used in IS NULL and IS NOT NULL only",
        (Some(Kind::Equal), Kind::Equal) => "equality is one =",
        (Some(Kind::Equal), Kind::Greater) => "greater or equal is >=",
        (Some(Kind::Equal), Kind::Less) => "less or equal is <=",
        (Some(Kind::NotEqual), Kind::Equal) => "not equal is <> or !=",
        (Some(Kind::Is), Kind::Boolean(_)) => "compare with =, such as active = TRUE",
        (Some(Kind::Is), _) => "IS is used in IS NULL and IS NOT NULL only; values are compared with =",
        (_, Kind::Is) => "IS NULL is asked of a single name, without parentheses",
        (Some(Kind::Minus), Kind::Minus) | (Some(Kind::Plus), Kind::Plus) => "a second sign needs parentheses: -(-a)",
        (_, Kind::Not) => "put the negation in parentheses, or before the whole comparison",
        (Some(Kind::Name(_)), Kind::Open) => "the only function is UTC()",
        (Some(Kind::Integer(zero)), Kind::Name(name)) if *zero == 0.into() && name.to_string().starts_with('x') => {
            "a binary is 0x and pairs of the digits 0-9 and A-F, in capitals"
        }
        (Some(Kind::Binary(_)), _) => "a binary is 0x and pairs of the digits 0-9 and A-F, in capitals",
        (Some(Kind::Integer(_) | Kind::Float(_)), Kind::Name(name)) if name.to_string().starts_with(['e', 'E']) => {
            "a number with an exponent has a point and a capital E: 1.0E6"
        }
        (_, Kind::Name(name)) if name.to_string().eq_ignore_ascii_case("between") => {
            "there is no BETWEEN: write a >= 1 AND a <= 9"
        }
        (Some(Kind::Name(name)), _) if ["SELECT", "WHERE"].iter().any(|w| name.to_string().eq_ignore_ascii_case(w)) => {
            "write the condition alone"
        }
        (Some(Kind::Name(_)), Kind::Name(_)) => "a name with a space is written in brackets: [my name]",
        (_, Kind::Close) => "there is one ) too many, or something is missing before it",
        _ => return None,
    };
    Some(hint.to_owned())
}
