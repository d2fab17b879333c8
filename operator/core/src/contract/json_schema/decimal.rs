//! Numbers of JSON, exactly. As floats, 0.3 would be no multiple of 0.1.

use std::cmp::Ordering;

use serde_json::Number;

/// Most digits. Beyond, a number is not taken.
const DIGITS: usize = 30;
/// Largest power of ten, in either direction.
const EXPONENT: i32 = 400;

/// `mantissa × 10^exponent`, without trailing zeros in the mantissa.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    pub const ONE: Self = Self { mantissa: 1, exponent: 0 };

    pub fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse().ok()?),
            None => (text.as_str(), 0_i32),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() > DIGITS || exponent.abs() > EXPONENT {
            return None;
        }
        let mantissa = format!("{whole}{fraction}").parse().ok()?;
        Some(Self::new(mantissa, exponent - i32::try_from(fraction.len()).ok()?))
    }

    fn new(mut mantissa: i128, mut exponent: i32) -> Self {
        if mantissa == 0 {
            return Self { mantissa, exponent: 0 };
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    pub fn is_integer(self) -> bool {
        self.exponent >= 0
    }

    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Whether it is a multiple of another; nothing if that cannot be calculated.
    pub fn is_multiple_of(self, other: Self) -> Option<bool> {
        let exponent = self.exponent.min(other.exponent);
        let divisor = other.scaled(exponent)?;
        Some(self.scaled(exponent)?.checked_rem(divisor)? == 0)
    }

    /// The integer above (`up`) or below that is nearest; `strictly` not itself.
    pub fn integer(self, up: bool, strictly: bool) -> Option<Self> {
        if self.is_integer() {
            let step = i128::from(strictly) * if up { 1 } else { -1 };
            return Some(if step == 0 { self } else { Self::new(self.scaled(0)?.checked_add(step)?, 0) });
        }
        let floor = match 10_i128.checked_pow(self.exponent.unsigned_abs()) {
            Some(unit) => self.mantissa.div_euclid(unit),
            None if self.mantissa < 0 => -1,
            None => 0,
        };
        Some(Self::new(floor.checked_add(i128::from(up))?, 0))
    }

    /// As a number of JSON, moved by an integer.
    pub fn moved(self, by: i64) -> Option<Number> {
        let exponent = self.exponent.min(0);
        let moved =
            self.scaled(exponent)?.checked_add(i128::from(by).checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?)?)?;
        if exponent == 0 {
            return Number::from_i128(moved);
        }
        format!("{moved}e{exponent}").parse::<f64>().ok().and_then(Number::from_f64)
    }

    fn scaled(self, exponent: i32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(u32::try_from(self.exponent.checked_sub(exponent)?).ok()?)?)
    }

    /// Digits before the point: what decides where the mantissas need not be looked at.
    fn magnitude(self) -> i32 {
        i32::try_from(self.mantissa.unsigned_abs().to_string().len()).unwrap_or(i32::MAX) + self.exponent
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs.is_ne() || self.mantissa == 0 {
            return signs;
        }
        let magnitudes = self.magnitude().cmp(&other.magnitude());
        if magnitudes.is_ne() {
            return if self.mantissa > 0 { magnitudes } else { magnitudes.reverse() };
        }
        // Of one magnitude: scaled alike, both have at most as many digits as the longer.
        let exponent = self.exponent.min(other.exponent);
        self.scaled(exponent).cmp(&other.scaled(exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::of(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn decimals_compare_by_value() {
        let ascending = ["-1e300", "-2.5", "-2", "-0.1", "0", "1e-300", "0.3", "1", "1.5", "10", "123456789012345678", "1e300"];
        for pair in ascending.windows(2) {
            assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
        }
        assert_eq!(decimal("1.50"), decimal("1.5"));
        assert_eq!(decimal("100"), decimal("1e2"));
        assert_eq!(decimal("-0.0"), decimal("0"));
    }

    #[test]
    fn multiples_are_exact() {
        assert_eq!(decimal("0.3").is_multiple_of(decimal("0.1")), Some(true));
        assert_eq!(decimal("0.35").is_multiple_of(decimal("0.1")), Some(false));
        assert_eq!(decimal("6").is_multiple_of(decimal("4")), Some(false));
        assert_eq!(decimal("1e300").is_multiple_of(decimal("3")), None);
    }

    #[test]
    fn integers_beside() {
        assert_eq!(decimal("1.5").integer(true, false), Some(decimal("2")));
        assert_eq!(decimal("-1.5").integer(false, true), Some(decimal("-2")));
        assert_eq!(decimal("3").integer(true, true), Some(decimal("4")));
        assert_eq!(decimal("3").integer(false, false), Some(decimal("3")));
        assert_eq!(decimal("1e-300").integer(true, false), Some(decimal("1")));
        assert_eq!(decimal("-1e-300").integer(false, false), Some(decimal("-1")));
        assert_eq!(decimal("0.5").moved(1).map(|number| number.to_string()), Some("1.5".into()));
    }
}
