//! Numbers as the broker calculates: integers without bounds, and finite floats.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::ast::Operator;

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Number {
    Integer(BigInt),
    Float(f64),
}

/// The result is no finite float. The broker then gives up on the whole filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

impl From<BigInt> for Number {
    fn from(integer: BigInt) -> Self {
        Self::Integer(integer)
    }
}

impl From<f64> for Number {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl Number {
    /// Compares by value, exactly: 2^53 + 1 is not 2^53, whichever of both is the float.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            // Both are finite, so there is an order.
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
            (Self::Integer(left), Self::Float(right)) => compare_mixed(left, *right),
            (Self::Float(left), Self::Integer(right)) => compare_mixed(right, *left).reverse(),
        }
    }

    pub fn negate(self) -> Self {
        match self {
            Self::Integer(integer) => Self::Integer(-integer),
            Self::Float(float) => Self::Float(-float),
        }
    }

    /// `None`: there is no result, as of a division by zero. A quotient always is a float, a remainder needs integers.
    pub fn calculate(&self, operator: Operator, other: &Self) -> Result<Option<Self>, Overflow> {
        if let (Self::Integer(left), Self::Integer(right)) = (self, other) {
            let result = match operator {
                Operator::Add => left + right,
                Operator::Subtract => left - right,
                Operator::Multiply => left * right,
                Operator::Remainder if *right == BigInt::ZERO => return Ok(None),
                Operator::Remainder => left % right,
                Operator::Divide => return quotient(self, other),
            };
            return Ok(Some(Self::Integer(result)));
        }
        match operator {
            Operator::Add => finite(self.float()? + other.float()?).map(Some),
            Operator::Subtract => finite(self.float()? - other.float()?).map(Some),
            Operator::Multiply => finite(self.float()? * other.float()?).map(Some),
            Operator::Divide => quotient(self, other),
            Operator::Remainder => Ok(None),
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Integer(integer) => *integer == BigInt::ZERO,
            Self::Float(float) => *float == 0.0,
        }
    }

    /// Digit by digit, in base 2^64, with the rounding of each step: so does Erlang.
    #[allow(clippy::cast_precision_loss)]
    fn float(&self) -> Result<f64, Overflow> {
        let integer = match self {
            Self::Float(float) => return Ok(*float),
            Self::Integer(integer) => integer,
        };
        let (sign, digits) = integer.to_u64_digits();
        let base = 2f64.powi(64);
        let absolute = digits.iter().rev().fold(0.0, |sum, digit| sum * base + *digit as f64);
        let float = if sign == Sign::Minus { -absolute } else { absolute };
        if float.is_finite() { Ok(float) } else { Err(Overflow) }
    }
}

fn quotient(left: &Number, right: &Number) -> Result<Option<Number>, Overflow> {
    if right.is_zero() {
        return Ok(None);
    }
    finite(left.float()? / right.float()?).map(Some)
}

fn finite(float: f64) -> Result<Number, Overflow> {
    if float.is_finite() { Ok(Number::Float(float)) } else { Err(Overflow) }
}

fn compare_mixed(integer: &BigInt, float: f64) -> Ordering {
    let whole = float.floor();
    match integer.cmp(&to_integer(whole)) {
        Ordering::Equal if float > whole => Ordering::Less,
        order => order,
    }
}

/// The integer that a float without a fraction is.
fn to_integer(float: f64) -> BigInt {
    const FRACTION_BITS: u64 = 52;
    const BIAS: u64 = 1023;
    let bits = float.abs().to_bits();
    let exponent = bits >> FRACTION_BITS;
    if exponent < BIAS {
        return BigInt::ZERO;
    }
    let significand = BigInt::from((bits & ((1 << FRACTION_BITS) - 1)) | (1 << FRACTION_BITS));
    let absolute = if exponent >= BIAS + FRACTION_BITS {
        significand << (exponent - BIAS - FRACTION_BITS)
    } else {
        significand >> (BIAS + FRACTION_BITS - exponent)
    };
    if float < 0.0 { -absolute } else { absolute }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer(text: &str) -> Number {
        Number::Integer(text.parse().unwrap())
    }

    proptest! {
        #[test]
        #[allow(clippy::cast_precision_loss)]
        fn a_float_without_fraction_is_its_integer(number in -(1i64 << 53)..(1i64 << 53)) {
            prop_assert_eq!(to_integer(number as f64), BigInt::from(number));
            prop_assert_eq!(compare_mixed(&number.into(), number as f64), Ordering::Equal);
            prop_assert_eq!(compare_mixed(&(number + 1).into(), number as f64), Ordering::Greater);
            prop_assert_eq!(compare_mixed(&(number - 1).into(), number as f64), Ordering::Less);
        }

        #[test]
        fn integers_and_floats_have_one_order(left in any::<i64>(), right in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
            let (left, right) = (Number::from(BigInt::from(left)), Number::from(right));
            prop_assert_eq!(left.compare(&right), right.compare(&left).reverse());
        }
    }

    #[test]
    fn comparison_is_exact() {
        let float = Number::Float(9_007_199_254_740_992.0);
        assert_eq!(integer("9007199254740993").compare(&float), Ordering::Greater);
        assert_eq!(integer("9007199254740992").compare(&float), Ordering::Equal);
        assert_eq!(integer("-1").compare(&Number::Float(-0.5)), Ordering::Less);
        assert_eq!(integer("0").compare(&Number::Float(-0.5)), Ordering::Greater);
        let huge = "1".to_owned() + &"0".repeat(400);
        assert_eq!(integer(&huge).compare(&Number::Float(f64::MAX)), Ordering::Greater);
    }

    #[test]
    fn what_a_float_cannot_hold_overflows() {
        let huge = integer(&("1".to_owned() + &"0".repeat(400)));
        let one = integer("1");
        assert_eq!(huge.calculate(Operator::Divide, &huge), Err(Overflow));
        assert_eq!(huge.calculate(Operator::Add, &Number::Float(1.0)), Err(Overflow));
        assert_eq!(Number::Float(1e308).calculate(Operator::Multiply, &Number::Float(10.0)), Err(Overflow));
        assert_eq!(one.calculate(Operator::Divide, &integer("0")), Ok(None));
        assert_eq!(one.calculate(Operator::Divide, &Number::Float(-0.0)), Ok(None));
        assert_eq!(Number::Float(1.5).calculate(Operator::Remainder, &one), Ok(None));
        assert_eq!(integer("-7").calculate(Operator::Remainder, &integer("3")), Ok(Some(integer("-1"))));
    }
}
