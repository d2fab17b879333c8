//! Where a Subscription begins.

use std::fmt;

use jiff::Timestamp;

/// The first message that a Subscription is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The next one that is sent.
    #[default]
    Latest,
    /// The oldest that the Topic has kept.
    Earliest,
    /// The first that the Topic has kept since.
    At(Timestamp),
}

impl Start {
    /// Reads the field. The error says what would be understood.
    pub fn parse(from: Option<&str>) -> Result<Self, String> {
        match from {
            None | Some("Latest") => Ok(Self::Latest),
            Some("Earliest") => Ok(Self::Earliest),
            Some(time) => time.parse().map(Self::At).map_err(|error| {
                format!("{time:?} is neither Earliest nor Latest nor a time such as 2026-05-04T09:00:00Z ({error})")
            }),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("Latest"),
            Self::Earliest => f.write_str("Earliest"),
            Self::At(time) => time.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_all_else_refused() {
        assert_eq!(Start::parse(None), Ok(Start::Latest));
        assert_eq!(Start::parse(Some("Earliest")), Ok(Start::Earliest));
        let noon = Timestamp::from_second(1_777_888_800).unwrap();
        for text in ["2026-05-04T10:00:00Z", "2026-05-04T12:00:00+02:00", "2026-05-04T10:00:00.000Z"] {
            assert_eq!(Start::parse(Some(text)), Ok(Start::At(noon)), "{text}");
        }
        for text in ["earliest", "", "2026-05-04", "2026-02-30T10:00:00Z", "now"] {
            assert!(Start::parse(Some(text)).unwrap_err().contains("Earliest"), "{text}");
        }
    }
}
