//! KEDA and the Horizontal Pod Autoscaler, from their description.
//!
//! KEDA polls, and alone decides between 0 and 1. From 1 on the HPA asks each 15 s, at once and not by KEDA's last poll.
//! An error changes nothing.

use super::{Policy, View};
use crate::chance::Chance;

const SYNC: f64 = 15.0;
const TOLERANCE: f64 = 0.1;
const COOLDOWN: f64 = 300.0;
const DOWN_WINDOW: f64 = 300.0;

/// KEDA with an HPA.
#[derive(Debug)]
pub struct Keda {
    messages_per_replica: f64,
    max: u32,
    poll: f64,
    limited: bool,
    next_poll: f64,
    next_sync: f64,
    last_active: f64,
    recommended: Vec<(f64, u32)>,
}

impl Keda {
    /// As it comes: a poll each 30 s, at most twice as many or four more in 15 s.
    pub fn as_it_comes(messages_per_replica: f64, max: u32, phases: &mut Chance) -> Self {
        Self::new(messages_per_replica, max, 30.0, true, phases)
    }

    /// A poll each second, and no limit upwards.
    pub fn tuned(messages_per_replica: f64, max: u32, phases: &mut Chance) -> Self {
        Self::new(messages_per_replica, max, 1.0, false, phases)
    }

    fn new(messages_per_replica: f64, max: u32, poll: f64, limited: bool, phases: &mut Chance) -> Self {
        let (next_poll, next_sync) = (phases.even() * poll, phases.even() * SYNC);
        Self { messages_per_replica, max, poll, limited, next_poll, next_sync, last_active: 0.0, recommended: Vec::new() }
    }

    fn polled(&mut self, messages: f64, view: &View) -> Option<u32> {
        if messages > 0.0 {
            self.last_active = view.now;
            (view.spec == 0).then_some(1)
        } else {
            (view.spec > 0 && view.now - self.last_active >= COOLDOWN).then_some(0)
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn synced(&mut self, messages: f64, view: &View) -> Option<u32> {
        let current = view.spec;
        if current == 0 {
            return None;
        }
        if self.recommended.is_empty() {
            self.recommended.push((view.now, current));
        }
        let ratio = messages / (self.messages_per_replica * f64::from(current));
        let wanted =
            if (ratio - 1.0).abs() <= TOLERANCE { current } else { (messages / self.messages_per_replica).ceil() as u32 };
        let wanted = wanted.clamp(1, self.max);
        self.recommended.retain(|(at, _)| view.now - at <= DOWN_WINDOW);
        self.recommended.push((view.now, wanted));
        if wanted >= current {
            let most = if self.limited { (2 * current).max(current + 4) } else { u32::MAX };
            return Some(wanted.min(most));
        }
        self.recommended.iter().map(|(_, count)| *count).max().map(|highest| highest.min(current))
    }
}

impl Policy for Keda {
    fn name(&self) -> String {
        if self.limited { "keda-default" } else { "keda-tuned" }.to_owned()
    }

    fn next(&self) -> f64 {
        self.next_poll.min(self.next_sync)
    }

    #[allow(clippy::cast_precision_loss)]
    fn look(&mut self, view: &View) -> Option<u32> {
        let messages = view.told.map(|told| (told.ready + told.unacknowledged) as f64);
        if self.next_poll <= self.next_sync {
            self.next_poll += self.poll;
            self.polled(messages?, view)
        } else {
            self.next_sync += SYNC;
            self.synced(messages?, view)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Told;

    /// Seconds from a spike of 60 replicas' worth until all of them are asked for.
    fn reaction(mut keda: Keda, mut spec: u32) -> f64 {
        let calm = Told { ready: u64::from(spec) * 50, ..Told::default() };
        let spike = Told { ready: 3000, ..Told::default() };
        loop {
            let now = keda.next();
            let told = if now < 100.0 { &calm } else { &spike };
            if let Some(replicas) = keda.look(&View { now, told: Some(told), spec, ready: spec }) {
                spec = replicas;
            }
            if spec == 60 {
                return now - 100.0;
            }
        }
    }

    fn mean_and_max(make: fn(f64, u32, &mut Chance) -> Keda, spec: u32) -> (f64, f64) {
        let times: Vec<f64> = (0..4000).map(|seed| reaction(make(50.0, 100, &mut Chance::new(seed, 9)), spec)).collect();
        (times.iter().sum::<f64>() / 4000.0, times.iter().copied().fold(0.0, f64::max))
    }

    #[test]
    fn its_reaction_is_that_of_the_description() {
        let (mean, max) = mean_and_max(Keda::as_it_comes, 0);
        assert!((mean - 83.0).abs() < 2.0 && (max - 105.0).abs() < 2.0, "{mean} {max}");
        let (mean, _) = mean_and_max(Keda::as_it_comes, 1);
        assert!((mean - 68.0).abs() < 2.0, "{mean}");
        let (mean, max) = mean_and_max(Keda::tuned, 0);
        assert!((mean - 8.0).abs() < 0.5 && (max - 16.0).abs() < 0.5, "{mean} {max}");
    }

    #[test]
    fn down_waits_for_five_minutes_and_an_error_changes_nothing() {
        let mut keda = Keda::as_it_comes(50.0, 100, &mut Chance::new(1, 9));
        let told = Told { ready: 100, ..Told::default() };
        let mut spec = 10;
        while keda.next() < 600.0 {
            let now = keda.next();
            let told = (!(100.0..=200.0).contains(&now)).then_some(&told);
            if let Some(replicas) = keda.look(&View { now, told, spec, ready: spec }) {
                spec = replicas;
            }
            assert!(spec == 10 || now > 300.0, "{now}");
        }
        assert_eq!(spec, 2);
    }
}
