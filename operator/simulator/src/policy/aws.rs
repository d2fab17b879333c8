//! Target tracking on the backlog for each instance, as AWS describes it.
//!
//! The target is the acceptable latency ÷ the mean time of a message. A figure a minute; up after three of them above the
//! target, down after fifteen below nine tenths of it.

use super::{Policy, View};
use crate::chance::Chance;

const PERIOD: f64 = 60.0;
const UP_AFTER: u32 = 3;
const DOWN_AFTER: u32 = 15;

/// Target tracking on the backlog for each instance.
#[derive(Debug)]
pub struct Aws {
    target: f64,
    max: u32,
    next: f64,
    above: u32,
    below: u32,
}

impl Aws {
    /// For an acceptable latency and a mean time of a message, in seconds.
    pub fn new(latency: f64, mean: f64, max: u32, phases: &mut Chance) -> Self {
        Self { target: latency / mean, max, next: phases.even() * PERIOD, above: 0, below: 0 }
    }
}

impl Policy for Aws {
    fn name(&self) -> String {
        "aws".to_owned()
    }

    fn next(&self) -> f64 {
        self.next
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn look(&mut self, view: &View) -> Option<u32> {
        self.next += PERIOD;
        let told = view.told?;
        let backlog = (told.ready + told.unacknowledged) as f64;
        // Target tracking multiplies what there is, so there must be one.
        let each = backlog / f64::from(view.spec.max(1));
        self.above = if each > self.target { self.above + 1 } else { 0 };
        self.below = if each < 0.9 * self.target { self.below + 1 } else { 0 };
        let wanted = ((backlog / self.target).ceil() as u32).clamp(1, self.max);
        if view.spec == 0 {
            return Some(1);
        }
        if self.above >= UP_AFTER && wanted > view.spec {
            self.above = 0;
            return Some(wanted);
        }
        (self.below >= DOWN_AFTER && wanted < view.spec).then_some(wanted)
    }
}
