//! Kubernetes quantities, by value.

/// Parts of one: `n` is the smallest suffix Kubernetes knows.
const NANO: i128 = 1_000_000_000;

/// The value of a quantity such as `250m`, `1.5Gi` or `1e3`, in billionths. `None` for another text
/// and for one beyond any real machine.
pub fn nanos(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (multiplier, divisor) = scale(suffix)?;
    let mut value: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut unit: i128 = 1;
    for digit in fraction.chars().take(9) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit.to_digit(10)?))?;
        unit = unit.checked_mul(10)?;
    }
    let scaled = value.checked_mul(multiplier)?.checked_mul(NANO)?;
    Some(sign * scaled / unit / divisor)
}

/// The value in whole units (bytes), rounded down.
pub fn units(text: &str) -> Option<i128> {
    nanos(text).map(|value| value / NANO)
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let thousand = |power: u32| 1000_i128.pow(power);
    let binary = |power: u32| 1024_i128.pow(power);
    Some(match suffix {
        "n" => (1, thousand(3)),
        "u" => (1, thousand(2)),
        "m" => (1, thousand(1)),
        "" => (1, 1),
        "k" => (thousand(1), 1),
        "M" => (thousand(2), 1),
        "G" => (thousand(3), 1),
        "T" => (thousand(4), 1),
        "P" => (thousand(5), 1),
        "E" => (thousand(6), 1),
        "Ki" => (binary(1), 1),
        "Mi" => (binary(2), 1),
        "Gi" => (binary(3), 1),
        "Ti" => (binary(4), 1),
        "Pi" => (binary(5), 1),
        "Ei" => (binary(6), 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10_i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
            if power < 0 { (1, factor) } else { (factor, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_however_written() {
        for (one, other) in [
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1", "1000m"),
            ("1e3", "1k"),
            ("1500M", "1.5G"),
            ("1.5Gi", "1536Mi"),
            ("+2", "2"),
        ] {
            assert_eq!(nanos(one), nanos(other), "{one} {other}");
            assert!(nanos(one).is_some(), "{one}");
        }
        assert_ne!(nanos("1G"), nanos("1Gi"));
        assert_eq!(nanos("-1"), Some(-1_000_000_000));
        assert_eq!(units("10Gi"), Some(10 << 30));
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", ".", "1.2.3", "Gi", "1gi", "1 Gi", "e3", "1e99", "--1", "9999999999999999999999999999999Ei"] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
