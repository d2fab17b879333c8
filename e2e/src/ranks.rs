//! Quantiles of what was measured, by nearest rank: each is a value that was seen.

/// The smallest value of a sorted list that at least this share of it does not exceed; zero of nothing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn rank<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let index = ((sorted.len() as f64) * share).ceil() as usize;
    sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
}

/// The ranks of values in any order, for each share; none of nothing.
pub fn ranks<T: Copy + Default + Ord, const N: usize>(values: &[T], shares: [f64; N]) -> Option<[T; N]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    (!sorted.is_empty()).then(|| shares.map(|share| rank(&sorted, share)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nearest_rank() {
        let all: Vec<u64> = (1..=200).collect();
        assert_eq!((rank(&all, 0.5), rank(&all, 0.95), rank(&all, 0.99), rank(&all, 1.0)), (100, 190, 198, 200));
        assert_eq!(rank::<Duration>(&[], 0.5), Duration::ZERO);
        assert_eq!(rank(&[7], 0.01), 7);
        assert_eq!(ranks(&[3, 1, 2], [0.5, 1.0]), Some([2, 3]));
        assert_eq!(ranks::<u64, 1>(&[], [0.5]), None);
    }
}
