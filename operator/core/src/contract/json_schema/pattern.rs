//! Regular expressions of JSON Schema (ECMA-262), as far as they mean the same everywhere.

use regex::{Regex, RegexBuilder};

/// Longest pattern that is compiled, and the most bytes that it may take compiled.
const LONGEST: usize = 1000;
const COMPILED: usize = 256 * 1024;

/// A pattern, and a regular expression of the same meaning where there is one.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    regex: Option<Regex>,
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        let regex = translate(text).and_then(|text| RegexBuilder::new(&text).size_limit(COMPILED).nest_limit(50).build().ok());
        Self { text: text.to_owned(), regex }
    }

    /// Whether a text matches; nothing where that is not known.
    pub fn matches(&self, text: &str) -> Option<bool> {
        // Engines differ in what `.`, `\w` and case mean beyond ASCII.
        let plain = text.chars().all(|char| (' '..='~').contains(&char));
        self.regex.as_ref().filter(|_| plain).map(|regex| regex.is_match(text))
    }
}

/// Escapes that are in Unicode in Rust are spelt out; what differs between the languages, or is rare, is given up.
fn translate(text: &str) -> Option<String> {
    if text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let mut translated = String::new();
    let mut chars = text.chars().peekable();
    let mut class = false;
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next()? {
                'd' => translated.push_str(if class { "0-9" } else { "[0-9]" }),
                'w' => translated.push_str(if class { "A-Za-z0-9_" } else { "[A-Za-z0-9_]" }),
                's' => translated.push_str(if class { " \\t" } else { "[ \\t]" }),
                escaped @ ('.' | '-' | '/' | '\\' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$') => {
                    // Rust knows no escape of '/' in every version.
                    if escaped != '/' {
                        translated.push('\\');
                    }
                    translated.push(escaped);
                }
                _ => return None,
            },
            // "[]" and "[^]" mean something else, "&&", "--", "~~" and nested classes are of Rust alone.
            '[' if !class => {
                class = true;
                translated.push(char);
                if chars.peek() == Some(&'^') {
                    translated.push('^');
                    chars.next();
                }
                if chars.peek() == Some(&']') {
                    return None;
                }
            }
            ']' if class => {
                class = false;
                translated.push(char);
            }
            '[' | ']' => return None,
            '&' | '~' if class => return None,
            '-' if class && chars.peek() == Some(&'-') => return None,
            // Groups with flags or names; look-around.
            '(' if !class && chars.peek() == Some(&'?') => {
                chars.next();
                if chars.next()? != ':' {
                    return None;
                }
                translated.push_str("(?:");
            }
            ' '..='~' => translated.push(char),
            _ => return None,
        }
    }
    Some(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_everywhere_is_decided() {
        for (pattern, text, expected) in [
            ("^x-", "x-a", Some(true)),
            ("^x-", "ax-", Some(false)),
            (r"^\d{3}$", "123", Some(true)),
            (r"^\d{3}$", "12a", Some(false)),
            (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", "a.b@c-d.org", Some(true)),
            ("a", "für a", None),
            (r"(?=a)", "a", None),
            (r"\bword", "word", None),
            (r"\p{L}", "a", None),
            ("[a&&b]", "a", None),
            ("(", "a", None),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_would_grow_is_not_compiled() {
        assert_eq!(Pattern::new("((((a{100}){100}){100}){100})").matches("a"), None);
        assert_eq!(Pattern::new(&"(".repeat(900)).matches("a"), None);
    }
}
