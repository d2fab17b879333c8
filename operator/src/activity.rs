//! Whether somebody waits for something: work that nobody waits for holds back meanwhile.
//!
//! A Queue that was just declared is waited for. Its dead-letter queue, Events and figures are not; at a burst of
//! declarations they would take the broker's and the API server's time from the Queues that come after.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of a burst, the next one comes within this.
const LULL: Duration = Duration::from_millis(700);
/// How often work that holds back looks.
const LOOK: Duration = Duration::from_millis(200);

/// What is waited for at present. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    awaited: AtomicUsize,
    last: Mutex<Option<Instant>>,
}

/// Somebody waits as long as this lives.
#[derive(Debug)]
pub struct Awaited(Arc<State>);

impl Drop for Awaited {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.awaited.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// Somebody waits from now on.
    pub fn begin(&self) -> Awaited {
        self.0.awaited.fetch_add(1, Ordering::Relaxed);
        Awaited(Arc::clone(&self.0))
    }

    /// Whether somebody waits, or did a moment ago.
    pub fn is_busy(&self) -> bool {
        let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.awaited.load(Ordering::Relaxed) > 0 || last.is_some_and(|last| last.elapsed() < LULL)
    }

    /// Waits until nobody waits any more, but no longer than this.
    pub async fn lull(&self, at_most: Duration) {
        let begin = Instant::now();
        while self.is_busy() && begin.elapsed() < at_most {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_busy_while_somebody_waits_and_a_moment_longer() {
        let activity = Activity::default();
        assert!(!activity.is_busy());
        let awaited = activity.begin();
        assert!(activity.clone().is_busy());
        drop(awaited);
        assert!(activity.is_busy());
        activity.lull(Duration::from_secs(30)).await;
        assert!(!activity.is_busy());
    }

    #[tokio::test]
    async fn holding_back_has_an_end() {
        let activity = Activity::default();
        let _awaited = activity.begin();
        activity.lull(Duration::from_millis(1)).await;
        assert!(activity.is_busy());
    }
}
