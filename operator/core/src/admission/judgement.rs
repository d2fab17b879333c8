//! What came of a judgement.

/// Longest warning in characters. Longer ones are cut by the API server, and kubectl shows each in one line.
pub const WARNING_LIMIT: usize = 120;

/// Most warnings of one judgement: the API server bounds them all together.
const MOST_WARNINGS: usize = 10;

/// Longest message of a refusal in bytes. It goes through headers, logs and terminals.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// What is wrong with a change, and what its author should know. Nothing of either: it is fine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    refusals: Vec<String>,
    warnings: Vec<String>,
}

impl Judgement {
    /// Refuses, for this reason: what is wrong and what to do.
    pub fn refuse(&mut self, why: impl Into<String>) {
        self.refusals.push(why.into());
    }

    /// Warns. What is longer than [`WARNING_LIMIT`] is cut; what matters goes first.
    pub fn warn(&mut self, what: impl AsRef<str>) {
        let what: String = what.as_ref().chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let warning = cut(&what, WARNING_LIMIT);
        if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Takes what another judgement says, too.
    pub fn add(&mut self, other: Self) {
        let Self { refusals, warnings } = other;
        self.refusals.extend(refusals);
        for warning in warnings {
            self.warn(warning);
        }
    }

    /// Whether the change may be stored.
    pub fn is_admitted(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Why it may not: all of it. Nothing where it may.
    pub fn message(&self) -> Option<String> {
        if self.is_admitted() {
            return None;
        }
        let whole = self.refusals.join("\n");
        if whole.len() <= MESSAGE_LIMIT {
            return Some(whole);
        }
        let end = (0..=MESSAGE_LIMIT).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        Some(format!("{}\n… and more", &whole[..end]))
    }

    /// The warnings, each in one line of at most [`WARNING_LIMIT`] characters.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// No more than so many characters of a text.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_short_line() {
        let mut judgement = Judgement::default();
        judgement.warn("é".repeat(500));
        judgement.warn("a\nb");
        judgement.warn("a\nb");
        assert_eq!(judgement.warnings()[0].chars().count(), WARNING_LIMIT);
        assert!(judgement.warnings()[0].ends_with('…'));
        assert_eq!(judgement.warnings()[1..], ["a b"]);
        for number in 0..50 {
            judgement.warn(number.to_string());
        }
        assert_eq!(judgement.warnings().len(), MOST_WARNINGS);
        assert!(judgement.is_admitted() && judgement.message().is_none());
    }

    #[test]
    fn a_refusal_says_all_but_not_without_end() {
        let mut judgement = Judgement::default();
        judgement.refuse("first");
        judgement.refuse("second");
        assert_eq!(judgement.message().as_deref(), Some("first\nsecond"));
        judgement.refuse("é".repeat(MESSAGE_LIMIT));
        let message = judgement.message().unwrap();
        assert!(message.len() < MESSAGE_LIMIT + 20 && message.starts_with("first\nsecond\né") && message.ends_with("and more"));
    }
}
