//! Durations and sizes as users write them.
//!
//! Both are strings in the API (`"90s"`, `"10Gi"`), checked by a pattern at admission
//! and parsed here; the parsed value is the only thing the rest of the code uses.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is not a duration or a size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TextError {
    /// The text is not of the documented form.
    #[error("{text:?} is not {expected}")]
    Form {
        /// What was written.
        text: String,
        /// What would have been understood.
        expected: &'static str,
    },
    /// The value does not fit in 63 bits of its unit.
    #[error("{text:?} is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// A length of time: one or more of `<integer><unit>` with units `ms`, `s`, `m`, `h`, `d`,
/// for example `90s` or `1h30m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

const DURATION_FORM: &str = "a duration such as 500ms, 90s, 1h30m or 7d";

impl DurationText {
    /// The duration in milliseconds. Fails on any other form and on overflow.
    pub fn as_millis(&self) -> Result<u64, TextError> {
        let form = || TextError::Form { text: self.0.clone(), expected: DURATION_FORM };
        let large = || TextError::TooLarge { text: self.0.clone() };
        let mut rest = self.0.as_str();
        if rest.is_empty() {
            return Err(form());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
            if digits == 0 {
                return Err(form());
            }
            let number: u64 = rest[..digits].parse().map_err(|_| large())?;
            rest = &rest[digits..];
            let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let millis = match &rest[..unit_end] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(form()),
            };
            rest = &rest[unit_end..];
            total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(large)?;
        }
        if i64::try_from(total).is_err() {
            return Err(large());
        }
        Ok(total)
    }

    /// The duration as [`Duration`]; fails as [`Self::as_millis`] does.
    pub fn as_duration(&self) -> Result<Duration, TextError> {
        self.as_millis().map(Duration::from_millis)
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
        })
    }
}

/// A number of bytes: an integer, or one with the binary suffix `Ki`, `Mi`, `Gi` or `Ti`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub String);

impl ByteSize {
    /// The size in bytes. Fails on any other form and on overflow.
    pub fn as_bytes(&self) -> Result<u64, TextError> {
        let digits = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let shift = match &self.0[digits..] {
            "" => 0,
            "Ki" => 10,
            "Mi" => 20,
            "Gi" => 30,
            "Ti" => 40,
            _ => u32::MAX,
        };
        if digits == 0 || shift == u32::MAX {
            return Err(TextError::Form { text: self.0.clone(), expected: "a size such as 1048576, 512Mi or 10Gi" });
        }
        self.0[..digits]
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .ok_or_else(|| TextError::TooLarge { text: self.0.clone() })
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 20,
            "pattern": "^[0-9]+(Ki|Mi|Gi|Ti)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<u64, TextError> {
        DurationText(text.into()).as_millis()
    }

    #[test]
    fn durations_add_their_parts() {
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("7d"), Ok(604_800_000));
        assert_eq!(millis("0s"), Ok(0));
    }

    #[test]
    fn a_duration_of_another_form_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "5w", "1.5s", "5S", "٣s"] {
            assert!(matches!(millis(text), Err(TextError::Form { .. })), "{text}");
        }
    }

    #[test]
    fn a_duration_beyond_63_bits_is_refused() {
        for text in ["99999999999999999999s", "213503982335d", "9223372036854775807ms1ms"] {
            assert!(matches!(millis(text), Err(TextError::TooLarge { .. })), "{text}");
        }
    }

    #[test]
    fn sizes_take_binary_suffixes() {
        let bytes = |text: &str| ByteSize(text.into()).as_bytes();
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(bytes("2Ki"), Ok(2048));
        assert_eq!(bytes("1Ti"), Ok(1 << 40));
        for text in ["", "Gi", "1G", "1.5Gi", "-1", "1 Gi"] {
            assert!(matches!(bytes(text), Err(TextError::Form { .. })), "{text}");
        }
        assert!(matches!(bytes("99999999Ti"), Err(TextError::TooLarge { .. })));
    }
}
