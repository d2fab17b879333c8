//! Who decides how many replicas there are.

pub mod aws;
pub mod entente;
pub mod fixed;
pub mod keda;

use crate::world::Told;

/// What a policy sees when it looks.
#[derive(Debug)]
pub struct View<'a> {
    /// Seconds since the start.
    pub now: f64,
    /// What the broker last told; `None` while it does not answer.
    pub told: Option<&'a Told>,
    /// Replicas that are asked for.
    pub spec: u32,
    /// Replicas that are ready.
    pub ready: u32,
}

/// Decides how many replicas there are.
pub trait Policy {
    /// Its name in tables.
    fn name(&self) -> String;

    /// When it looks next. Always later than the last look.
    fn next(&self) -> f64;

    /// Looks, and says how many replicas there should be, if that is to change.
    fn look(&mut self, view: &View) -> Option<u32>;

    /// Whether replicas that hold no message go first.
    fn idle_first(&self) -> bool {
        false
    }
}

/// The policies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Entente's, told the service rate.
    Entente,
    /// Entente's, not told the service rate.
    EntenteLearning,
    /// KEDA and the HPA as they come.
    KedaDefault,
    /// KEDA and the HPA with a poll each second and no limit upwards.
    KedaTuned,
    /// Target tracking on the backlog for each instance.
    Aws,
    /// Always as many as the mean load needs, and a half more.
    Fixed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Entente, Self::EntenteLearning, Self::KedaDefault, Self::KedaTuned, Self::Aws, Self::Fixed];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entente => "entente",
            Self::EntenteLearning => "entente-learning",
            Self::KedaDefault => "keda-default",
            Self::KedaTuned => "keda-tuned",
            Self::Aws => "aws",
            Self::Fixed => "fixed",
        }
    }
}
