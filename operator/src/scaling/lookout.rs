//! Depths for others than keepers: what is asked for is read beside what is scaled on, as long as somebody asks.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_core::scaling::Reading;
use tokio::time::sleep;

use super::Readings;
use super::board::{Boards, Watched};
use super::subject::Place;

/// What nobody has asked for so long is read no more. KEDA asks each 30 s by default.
const FORGET: Duration = Duration::from_mins(10);
/// Between two looks at what is not known yet.
const LOOK: Duration = Duration::from_millis(100);

/// Who asked for what, and what is read.
#[derive(Default)]
pub struct Lookout(Mutex<Known>);

#[derive(Default)]
struct Known {
    asked: HashMap<Watched, Instant>,
    boards: HashMap<String, Readings>,
}

impl Lookout {
    /// The depth of a place. What is not known is waited for that long.
    pub async fn read(&self, place: &Place, patience: Duration) -> Reading {
        let begin = Instant::now();
        loop {
            let reading = self.look(place);
            let known = matches!(&reading, Reading::Seen(seen) if !seen.is_lower_bound);
            if known || begin.elapsed() >= patience {
                return reading;
            }
            sleep(LOOK).await;
        }
    }

    fn look(&self, place: &Place) -> Reading {
        let Place { broker_uid, virtual_host, queues, external: _ } = place;
        let mut known = self.known();
        known.asked.insert((broker_uid.clone(), virtual_host.clone()), Instant::now());
        known.boards.get(broker_uid).map_or(Reading::Failed, |board| board.borrow().reading(virtual_host, queues))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody asked for lately.
    pub(super) fn wanted(&self) -> BTreeSet<Watched> {
        let mut known = self.known();
        known.asked.retain(|_, at| at.elapsed() < FORGET);
        known.asked.keys().cloned().collect()
    }

    /// Shows what is read by now.
    pub(super) fn show(&self, boards: &Boards) {
        self.known().boards = boards.all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use entente_core::scaling::Seen;
    use tokio::sync::watch;

    use super::super::board::Board;
    use super::*;

    fn place() -> Place {
        Place { broker_uid: "b".into(), virtual_host: "shop".into(), queues: vec!["q".into()], external: false }
    }

    #[tokio::test]
    async fn i5_what_is_not_read_yet_is_asked_for_and_is_not_zero() {
        let lookout = Lookout::default();
        assert!(lookout.wanted().is_empty());
        assert_eq!(lookout.read(&place(), Duration::ZERO).await, Reading::Failed);
        assert_eq!(lookout.wanted(), BTreeSet::from([("b".to_owned(), "shop".to_owned())]));
    }

    #[tokio::test]
    async fn what_comes_within_the_time_is_waited_for() {
        let lookout = Lookout::default();
        let (tell, board) = watch::channel(Arc::new(Board::of(None, &[])));
        lookout.known().boards.insert("b".to_owned(), board);
        assert_eq!(lookout.read(&place(), Duration::ZERO).await, Reading::Failed);
        let later = async {
            sleep(Duration::from_millis(150)).await;
            tell.send(Arc::new(Board::of(Some(Instant::now()), &[("q", 3)]))).unwrap();
        };
        let place = place();
        let (reading, ()) = tokio::join!(lookout.read(&place, Duration::from_secs(5)), later);
        assert_eq!(reading, Reading::Seen(Seen { ready: 3, ..Seen::default() }));
    }
}
