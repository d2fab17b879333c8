//! Telling how it goes.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

/// Clock of a run; decides when to tell the progress.
pub struct Progress {
    start: Instant,
    interval: Duration,
    last: Instant,
    last_count: u64,
}

impl Progress {
    pub fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self { start: now, interval, last: now, last_count: 0 }
    }

    /// When to tell the progress next.
    pub fn due(&self) -> tokio::time::Instant {
        (self.last + self.interval).into()
    }

    /// Messages per second since this was last asked, if it is time to tell.
    pub fn lap(&mut self, count: u64) -> Option<f64> {
        let now = Instant::now();
        let passed = now.duration_since(self.last);
        if passed < self.interval {
            return None;
        }
        let rate = per_second(count.saturating_sub(self.last_count), passed);
        self.last = now;
        self.last_count = count;
        Some(rate)
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// With one digit after the point.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
pub fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds <= 0.0 { 0.0 } else { (count as f64 / seconds * 10.0).round() / 10.0 }
}

/// Seconds with three digits after the point.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The one line on standard output.
pub fn print_result(result: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_and_never_infinite() {
        assert!((per_second(100, Duration::from_secs(3)) - 33.3).abs() < 1e-9);
        assert!(per_second(100, Duration::ZERO).abs() < 1e-9);
        assert!((seconds(Duration::from_micros(1_234_567)) - 1.235).abs() < 1e-9);
    }
}
