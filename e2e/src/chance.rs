//! Choices that a seed alone repeats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

/// With this in the environment the choices of a run are repeated.
const SEED: &str = "ENTENTE_E2E_SEED";

/// The seed of the environment, or a new one. It is printed, so that a run can be repeated.
pub fn seed() -> Result<u64> {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().with_context(|| format!("{SEED} is no number"))?,
        Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() & u128::from(u64::MAX))?,
    };
    println!("{SEED}={seed}");
    Ok(seed)
}

/// A small generator (SplitMix64, Steele, Lea and Flood 2014): every seed is a good one.
pub struct Chance(u64);

impl Chance {
    /// The choices of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// One of so many. Fails where there is none.
    pub fn index(&mut self, length: usize) -> Result<usize> {
        ensure!(length > 0, "there is nothing to choose from");
        Ok(usize::try_from(self.below(u64::try_from(length)?))?)
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) -> Result<()> {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1)?;
            items.swap(last, other);
        }
        Ok(())
    }

    /// Waits between so many milliseconds and so many.
    pub async fn pause(&mut self, least: u64, most: u64) {
        tokio::time::sleep(Duration::from_millis(least + self.below(most - least))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_choices() {
        let choices = |seed: u64| {
            let mut chance = Chance::of(seed);
            (0..20).map(|_| chance.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        assert!(choices(0).iter().all(|number| *number < 1_000));
    }

    #[test]
    fn of_nothing_nothing_is_chosen() {
        assert!(Chance::of(1).index(0).is_err());
        assert_eq!(Chance::of(1).index(1).unwrap(), 0);
    }

    #[test]
    fn an_order_has_everything_once() {
        let mut items: Vec<u32> = (0..50).collect();
        Chance::of(3).shuffle(&mut items).unwrap();
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
