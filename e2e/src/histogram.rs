//! Histograms of the operator's own figures.

use std::collections::BTreeMap;

/// Counts of a histogram, each of all that is not above its bound, by the bound's bits: bounds are positive, so that their bits are in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Reads one without labels of its own from an exposition text.
    pub fn read(text: &str, name: &str) -> Self {
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&start)?.split_once("\"}")?;
            let bound: f64 = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound.to_bits(), count.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    /// What was added since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: &u64| earlier.0.get(bound).copied().unwrap_or_default();
        Self(self.0.iter().map(|(bound, count)| (*bound, count.saturating_sub(before(bound)))).collect())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, count)| *count)
    }

    /// The least bound that this share is not above; infinite beyond the last, and nothing of nothing.
    #[allow(clippy::cast_precision_loss)] // counts of a benchmark
    pub fn at_most(&self, share: f64) -> Option<f64> {
        let needed = share * self.count() as f64;
        let reaches = |(bound, count): (&u64, &u64)| (*count > 0 && *count as f64 >= needed).then(|| f64::from_bits(*bound));
        self.0.iter().find_map(reaches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE x_seconds histogram\nx_seconds_sum 12.5\nx_seconds_count 100\nx_seconds_bucket{le=\"0.5\"} 50\n\
        x_seconds_bucket{le=\"1.0\"} 99\nx_seconds_bucket{le=\"+Inf\"} 100\nxy_seconds_bucket{le=\"0.5\"} 7\n";

    #[test]
    fn shares_are_told_by_bounds() {
        let read = Histogram::read(TEXT, "x_seconds");
        assert_eq!(read.count(), 100);
        assert_eq!((read.at_most(0.5), read.at_most(0.51), read.at_most(0.99)), (Some(0.5), Some(1.0), Some(1.0)));
        assert_eq!(read.at_most(1.0), Some(f64::INFINITY));
        let none = read.since(&read);
        assert_eq!((none.count(), none.at_most(0.5)), (0, None));
        assert_eq!(read.since(&Histogram::default()), read);
    }
}
