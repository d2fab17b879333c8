//! Numbers by chance that a seed repeats, on every machine and with every version of every library.

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator for this seed and purpose: purposes do not disturb each other.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03));
        chance.bits();
        chance
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Evenly between 0 and 1, never either.
    #[allow(clippy::cast_precision_loss)]
    pub fn even(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -self.even().ln() * mean
    }

    /// Lognormal, by the mean and deviation of its logarithm.
    pub fn lognormal(&mut self, mean: f64, deviation: f64) -> f64 {
        let normal = (-2.0 * self.even().ln()).sqrt() * (std::f64::consts::TAU * self.even()).cos();
        (mean + deviation * normal).exp()
    }

    /// Seconds that a pod takes to start: lognormal, nine of ten from 6 to 47, none below 5 or above 60.
    pub fn start(&mut self) -> f64 {
        self.lognormal(17.0_f64.ln(), 0.63).clamp(5.0, 60.0)
    }
}

/// How long one message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Always as long.
    Deterministic,
    /// Exponential.
    Exponential,
    /// Lognormal with a coefficient of variation of 2.
    Lognormal,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deterministic, Self::Exponential, Self::Lognormal];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Exponential => "exponential",
            Self::Lognormal => "lognormal",
        }
    }

    /// The time of one message, for a mean.
    pub fn draw(self, chance: &mut Chance, mean: f64) -> f64 {
        match self {
            Self::Deterministic => mean,
            Self::Exponential => chance.exponential(mean),
            Self::Lognormal => {
                let variance = 5.0_f64.ln(); // ln(1 + CV²)
                chance.lognormal(mean.ln() - variance / 2.0, variance.sqrt())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_means_are_right() {
        for service in Service::ALL {
            let mut chance = Chance::new(1, 2);
            let mean = (0..200_000).map(|_| service.draw(&mut chance, 0.5)).sum::<f64>() / 200_000.0;
            assert!((mean - 0.5).abs() < 0.02, "{}: {mean}", service.name());
        }
    }

    #[test]
    fn a_seed_repeats() {
        let draw = |seed| Chance::new(seed, 1).even().to_bits();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
