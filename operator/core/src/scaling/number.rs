//! Conversions between counts and rates, and how rates are kept as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A count as a number to calculate with. Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
pub fn of_count(count: u64) -> f64 {
    count as f64
}

/// Milliseconds as seconds; negative ones are zero.
#[allow(clippy::cast_precision_loss)]
pub fn seconds(millis: i64) -> f64 {
    millis.max(0) as f64 / 1000.0
}

/// The least number of whole replicas that is not below `need`, as far as a calculation is exact.
/// Not-a-number and negative ones are 0, huge ones the largest number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn replicas(need: f64) -> u32 {
    (need - 1e-6).ceil() as u32
}

/// Whole messages of a part; not-a-number and negative ones are 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn whole(value: f64) -> u64 {
    value.floor() as u64
}

/// `value` if it can be calculated with, else 0. JSON knows no infinity, so none may come into the state.
pub fn finite(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1e15) } else { 0.0 }
}

/// Nine significant digits: the text stays short, and reads back as the very same number.
fn rounded(value: f64) -> f64 {
    format!("{:.8e}", finite(value)).parse().unwrap_or(0.0)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    rounded(*value).serialize(serializer)
}

/// Reads a number of a text that anybody may have edited.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_rounded_up_but_not_by_an_error_of_calculation() {
        assert_eq!(replicas(3.0), 3);
        assert_eq!(replicas(0.1 * 30.0), 3);
        assert_eq!(replicas(3.01), 4);
        assert_eq!(replicas(f64::NAN), 0);
        assert_eq!(replicas(-4.0), 0);
        assert_eq!(replicas(f64::INFINITY), u32::MAX);
    }

    #[test]
    fn what_is_not_finite_is_nothing() {
        assert!(finite(f64::NAN).abs() < f64::EPSILON);
        assert!(finite(f64::INFINITY).abs() < f64::EPSILON);
        assert!(finite(-1.0).abs() < f64::EPSILON);
    }
}
