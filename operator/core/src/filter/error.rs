//! Why a text is not a filter, and where.

use std::fmt;

/// Longest part of a line that an error shows.
const SHOWN: usize = 80;

/// A text that is not a filter.
///
/// As text it is one line; [`FilterError::render`] shows the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// What is wrong there.
    pub problem: String,
    /// What would be right there; empty where there is no short answer.
    pub expected: &'static str,
    /// What to do.
    pub hint: Option<String>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1 in characters.
    pub column: usize,
    excerpt: String,
    caret: usize,
}

/// What is wrong, before its place is worked out.
#[derive(Debug)]
pub(super) struct Fault {
    /// Counted in characters from the beginning of the text.
    pub at: usize,
    pub problem: String,
    pub expected: &'static str,
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into(), expected: "", hint: None }
    }

    pub fn expected(mut self, expected: &'static str) -> Self {
        self.expected = expected;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl FilterError {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        let Fault { at, problem, expected, hint } = fault;
        let chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let before = &chars[..at];
        let line = before.iter().filter(|char| **char == '\n').count() + 1;
        let start = before.iter().rposition(|char| *char == '\n').map_or(0, |newline| newline + 1);
        let end = chars[at..].iter().position(|char| *char == '\n').map_or(chars.len(), |length| at + length);
        let (excerpt, caret) = excerpt(&chars[start..end], at - start);
        Self { problem, expected, hint, line, column: at - start + 1, excerpt, caret }
    }

    /// Several lines: what is wrong, the line with a caret under the place, what to do.
    pub fn render(&self) -> String {
        let mut text = format!("{}\n  {}\n  {}^", self.headline(), self.excerpt, " ".repeat(self.caret));
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }

    fn headline(&self) -> String {
        let Self { problem, expected, line, column, .. } = self;
        let expected = if expected.is_empty() { String::new() } else { format!("; expected {expected}") };
        format!("line {line}, column {column}: {problem}{expected}")
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}

/// The part of a line around a place. A status must not hold a line of 4096 characters.
fn excerpt(line: &[char], at: usize) -> (String, usize) {
    let start = if line.len() <= SHOWN { 0 } else { at.saturating_sub(SHOWN / 2) };
    let end = line.len().min(start + SHOWN);
    // What has no width, or more than one column, would put the caret beside the place.
    let shown = line[start..end].iter().map(|char| if char.is_control() { ' ' } else { *char });
    let mut text = String::new();
    let mut caret = at - start;
    if start > 0 {
        text.push('…');
        caret += 1;
    }
    text.extend(shown);
    if end < line.len() {
        text.push('…');
    }
    (text, caret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, at: usize) -> FilterError {
        FilterError::new(text, Fault::new(at, "wrong").expected("right").hint("do it"))
    }

    #[test]
    fn the_caret_is_under_the_place() {
        assert_eq!(error("ab cd", 3).render(), "line 1, column 4: wrong; expected right\n  ab cd\n     ^\nhint: do it");
    }

    #[test]
    fn the_place_is_that_in_its_line() {
        let error = error("a = 1\nAND\tb ? 2\nOR c", 12);
        assert_eq!((error.line, error.column), (2, 7));
        assert_eq!(error.render(), "line 2, column 7: wrong; expected right\n  AND b ? 2\n        ^\nhint: do it");
    }

    #[test]
    fn the_end_of_the_text_is_a_place() {
        assert!(error("ab", 2).render().ends_with("\n  ab\n    ^\nhint: do it"));
        assert!(error("", 7).render().ends_with("\n  \n  ^\nhint: do it"));
    }

    #[test]
    fn of_a_long_line_a_part_is_shown() {
        let text = "x".repeat(500) + "!" + &"y".repeat(500);
        let error = error(&text, 500);
        assert_eq!(error.column, 501);
        let rendered = error.render();
        let lines: Vec<&str> = rendered.lines().collect();
        let caret = lines[2].chars().position(|char| char == '^').unwrap();
        assert_eq!(lines[1].chars().nth(caret), Some('!'));
        assert!(lines[1].chars().count() < 90 && lines[1].ends_with('…') && lines[1].starts_with("  …"));
    }

    #[test]
    fn as_text_it_is_one_line() {
        assert_eq!(error("ab\ncd", 4).to_string(), "line 2, column 2: wrong; expected right (do it)");
    }
}
