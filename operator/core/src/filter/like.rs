//! LIKE.
//!
//! What RabbitMQ does, and a pure reading of the specification would not:
//! - Control characters in a pattern are refused.
//! - A pattern without a wildcard, or with a single `%`, is compared byte by byte, so it also serves for binaries that are
//!   not UTF-8. Any other is a regular expression there: it is unknown for what is not UTF-8, its wildcards do not match a
//!   line break, and it disregards one line break at the very end.
//! - It gives up on a regular expression after 50,000 steps, and says that it does not match. That is not followed here: it
//!   takes a property of thousands of characters and a pattern with many `%`.

use std::fmt;

use super::ast::quoted;
use super::names::is_control;

/// A pattern of LIKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    escape: Option<char>,
    elements: Vec<Element>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// This character.
    Char(char),
    /// `_`: any one character.
    One,
    /// `%`: any number of characters.
    Many,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    /// The escape character at the end has nothing to escape.
    EscapeAtEnd,
    /// A control character.
    Control(char),
}

impl Pattern {
    pub fn new(text: String, escape: Option<char>) -> Result<Self, Invalid> {
        let mut elements = Vec::with_capacity(text.len());
        let mut chars = text.chars();
        let literal = |char: char| if is_control(char) { Err(Invalid::Control(char)) } else { Ok(Element::Char(char)) };
        while let Some(char) = chars.next() {
            elements.push(match char {
                char if Some(char) == escape => literal(chars.next().ok_or(Invalid::EscapeAtEnd)?)?,
                '_' => Element::One,
                '%' => Element::Many,
                char => literal(char)?,
            });
        }
        Ok(Self { text, escape, elements })
    }

    /// Whether the value is like the pattern; `None`: unknown.
    pub fn matches(&self, value: &[u8]) -> Option<bool> {
        let wildcards = self.elements.iter().filter(|element| !matches!(element, Element::Char(_))).count();
        let first = self.elements.iter().position(|element| !matches!(element, Element::Char(_)));
        match (wildcards, first) {
            (0, _) => Some(value == literal(&self.elements).as_bytes()),
            (1, Some(at)) if self.elements[at] == Element::Many => {
                let (prefix, suffix) = (literal(&self.elements[..at]), literal(&self.elements[at + 1..]));
                let long_enough = value.len() >= prefix.len() + suffix.len();
                Some(long_enough && value.starts_with(prefix.as_bytes()) && value.ends_with(suffix.as_bytes()))
            }
            _ => {
                let text = std::str::from_utf8(value).ok()?;
                let text = text.strip_suffix('\n').unwrap_or(text);
                // No element matches a line break, since a pattern holds none.
                Some(!text.contains('\n') && wildcards_match(&self.elements, text))
            }
        }
    }
}

fn literal(elements: &[Element]) -> String {
    let char = |element: &Element| if let Element::Char(char) = element { Some(*char) } else { None };
    elements.iter().filter_map(char).collect()
}

/// Without recursion: only the last `%` ever has to be tried again, since an earlier one that gives more cannot help.
/// So the time is at most the product of both lengths.
fn wildcards_match(pattern: &[Element], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    // Where to go on after the last `%`, and with which text.
    let mut again: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        match pattern.get(at) {
            Some(Element::Many) => {
                at += 1;
                again = Some((at, rest.clone()));
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            element => {
                let mut next = rest.clone();
                let fits = match (element, next.next()) {
                    (Some(Element::One), Some(_)) => true,
                    (Some(Element::Char(expected)), Some(char)) => *expected == char,
                    _ => false,
                };
                if fits {
                    rest = next;
                    at += 1;
                    continue;
                }
            }
        }
        let Some((after, mut from)) = again else { return false };
        if from.next().is_none() {
            return false;
        }
        rest = from.clone();
        at = after;
        again = Some((after, from));
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.text))?;
        match self.escape {
            Some(escape) => write!(f, " ESCAPE {}", quoted(&escape.to_string())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn like(value: &str, pattern: &str) -> Option<bool> {
        Pattern::new(pattern.to_owned(), Some('!')).unwrap().matches(value.as_bytes())
    }

    /// By its definition, recursively. Exponential, so for short texts only.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['%', rest @ ..], text) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            (['_', pattern @ ..], [_, text @ ..]) => reference(pattern, text),
            (['!', char, pattern @ ..] | [char, pattern @ ..], [first, text @ ..]) => char == first && reference(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(pattern in "([ab%_é]|![%_!a]){0,8}", text in "[ab%_!é]{0,10}") {
            let (pattern_chars, text_chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(like(&text, &pattern), Some(reference(&pattern_chars, &text_chars)));
        }
    }

    #[test]
    fn line_breaks_are_as_in_the_brokers_regular_expressions() {
        assert_eq!(like("a\n", "_"), Some(true));
        assert_eq!(like("\n", "_"), Some(false));
        assert_eq!(like("a\nb", "%_%"), Some(false));
        assert_eq!(like("a\n\n", "%_"), Some(false));
        assert_eq!(like("a\nb", "a%"), Some(true));
        assert_eq!(like("a\n", "a"), Some(false));
    }

    #[test]
    fn what_is_not_utf_8_has_bytes_only() {
        let matches = |pattern: &str| Pattern::new(pattern.to_owned(), None).unwrap().matches(b"a\xff\xfe");
        assert_eq!((matches("a%"), matches("%"), matches("a"), matches("a_%")), (Some(true), Some(true), Some(false), None));
    }

    #[test]
    fn an_escape_needs_something_to_escape() {
        assert_eq!(Pattern::new("a!".to_owned(), Some('!')), Err(Invalid::EscapeAtEnd));
        assert_eq!(Pattern::new("a\t".to_owned(), None), Err(Invalid::Control('\t')));
        assert!(Pattern::new("a!".to_owned(), None).is_ok());
    }

    #[test]
    fn a_hostile_pattern_takes_no_long_time() {
        let pattern = Pattern::new("%a".repeat(2000) + "b", None).unwrap();
        let begin = Instant::now();
        assert_eq!(pattern.matches("a".repeat(60_000).as_bytes()), Some(false));
        assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
    }
}
