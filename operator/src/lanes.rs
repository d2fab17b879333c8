//! Bounded work at the API server, fair among namespaces.
//!
//! A thousand requests at once would be answered no sooner, and the renewal of the lease would wait behind them: seen
//! with 1,000 Queues declared at once, where the leader lost its lease over its own writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of all namespaces that are under way at once.
const ALL: usize = 24;
/// Those of one namespace: whoever comes to the others waits behind no more than these (invariant I7).
const EACH: usize = 8;

/// The lanes. Clones share them.
#[derive(Clone, Debug)]
pub struct Lanes {
    all: Arc<Semaphore>,
    each: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A request may be under way as long as this lives.
#[derive(Debug)]
pub struct Pass {
    _each: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), each: Arc::default() }
    }
}

impl Lanes {
    /// Waits until a request of this namespace may begin.
    pub async fn enter(&self, namespace: &str) -> Pass {
        let lane = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            // A lane that nobody is in is made again when it is needed.
            each.retain(|name, lane| name == namespace || Arc::strong_count(lane) > 1);
            Arc::clone(each.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(EACH))))
        };
        // Neither is ever closed; were it, going on unbounded would still be right.
        let of_its_own = lane.acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Pass { _each: of_its_own, _all: of_all }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn i7_a_full_lane_does_not_stop_another_namespace() {
        let lanes = Lanes::default();
        let mut passes = Vec::new();
        for _ in 0..EACH {
            passes.push(lanes.enter("crowd").await);
        }
        assert!(lanes.enter("crowd").now_or_never().is_none());
        assert!(lanes.enter("other").now_or_never().is_some());
        passes.pop();
        assert!(lanes.enter("crowd").now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_together_are_bounded() {
        let lanes = Lanes::default();
        let mut passes = Vec::new();
        for number in 0..ALL {
            passes.push(lanes.enter(&format!("n{number}")).await);
        }
        assert!(lanes.enter("one more").now_or_never().is_none());
        drop(passes);
        assert!(lanes.enter("one more").now_or_never().is_some());
        assert_eq!(lanes.each.lock().unwrap().len(), 1, "lanes that nobody is in are kept");
    }
}
