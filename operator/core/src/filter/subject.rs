//! Wildcards over `properties.subject`.
//!
//! A subject is words with points between them. In a pattern, the word `*` stands for any one word, and the word `#` for
//! any number of words, none included. It is what RabbitMQ's exchange type `topic` does with routing keys: an empty subject
//! has no word at all, `a.` has an empty second one, and a `*` beside other characters of a word is only itself.

use thiserror::Error;

/// Most bytes of a pattern: it has to be a binding key.
pub const MAX_BYTES: usize = 255;

/// Most `#` in a pattern, in RabbitMQ 4.3.
pub const MAX_HASHES: usize = 2;

/// Why a text is not a pattern of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidSubject {
    /// It is too long.
    #[error("it has {0} bytes, more than {MAX_BYTES}")]
    TooLong(usize),
    /// It has too many `#`.
    #[error("it has {0} times the word #, more than {MAX_HASHES}")]
    TooManyHashes(usize),
}

/// Whether the broker takes this pattern.
pub fn validate_subject(pattern: &str) -> Result<(), InvalidSubject> {
    if pattern.len() > MAX_BYTES {
        return Err(InvalidSubject::TooLong(pattern.len()));
    }
    match words(pattern).iter().filter(|word| **word == "#").count() {
        hashes if hashes > MAX_HASHES => Err(InvalidSubject::TooManyHashes(hashes)),
        _ => Ok(()),
    }
}

/// Whether a pattern covers a subject. Takes no longer than the product of their numbers of words.
pub fn subject_matches(pattern: &str, subject: &str) -> bool {
    let subject = words(subject);
    // reached[n]: the pattern so far covers the first n words.
    let mut reached = vec![false; subject.len() + 1];
    reached[0] = true;
    for word in words(pattern) {
        if word == "#" {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for n in (0..subject.len()).rev() {
            reached[n + 1] = reached[n] && (word == "*" || word == subject[n]);
        }
        reached[0] = false;
    }
    reached[subject.len()]
}

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_stand_for_whole_words() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.*", "a.", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.#.z", "a.z", true),
            ("#.z", "z", true),
            ("#", "", true),
            ("", "", true),
            ("*", "", false),
            ("", "a", false),
            ("*.*", ".", true),
            ("a*", "ab", false),
            ("a*", "a*", true),
            ("A", "a", false),
            ("é.*", "é.ü", true),
        ] {
            assert_eq!(subject_matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn a_pattern_has_bounds() {
        assert_eq!(validate_subject("#.a.#"), Ok(()));
        assert_eq!(validate_subject("a#.b#.c#"), Ok(()));
        assert_eq!(validate_subject("#.#.#"), Err(InvalidSubject::TooManyHashes(3)));
        assert_eq!(validate_subject(&"a".repeat(255)), Ok(()));
        assert_eq!(validate_subject(&"é".repeat(128)), Err(InvalidSubject::TooLong(256)));
    }

    #[test]
    fn many_hashes_take_no_long_time() {
        let begin = Instant::now();
        assert!(!subject_matches(&("#.a.".repeat(1000) + "z"), &"a.".repeat(10_000)));
        assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
    }

    /// By its definition, recursively.
    fn reference(pattern: &[&str], subject: &[&str]) -> bool {
        match (pattern, subject) {
            ([], []) => true,
            (["#", rest @ ..], subject) => (0..=subject.len()).any(|skip| reference(rest, &subject[skip..])),
            (["*", pattern @ ..], [_, subject @ ..]) => reference(pattern, subject),
            ([word, pattern @ ..], [first, subject @ ..]) => word == first && reference(pattern, subject),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(pattern in "([ab*#]|ab|)(\\.([ab*#]|)){0,5}", subject in "([ab]|ab|)(\\.([ab]|)){0,6}") {
            prop_assert_eq!(subject_matches(&pattern, &subject), reference(&words(&pattern), &words(&subject)));
        }

        #[test]
        fn it_never_panics(pattern in ".*", subject in ".*") {
            let _ = (validate_subject(&pattern), subject_matches(&pattern, &subject));
        }
    }
}
