//! What is to be read, by virtual host: events come in bursts, and one read answers all of a burst. What a read did not
//! answer is read again.

use std::collections::HashMap;
use std::time::Duration;

use entente_broker::amqp::BrokerEvent;
use tokio::time::Instant;

/// How long events are gathered. Also long enough for the answer to a write of ours to arrive, which may come after
/// its event.
const GATHER: Duration = Duration::from_millis(50);
/// Wait before the second look, doubled with each further one.
const DOUBT: Duration = Duration::from_millis(100);
/// Looks after which an event is left to the next resync: 12.7 s in all.
const LOOKS: u32 = 7;

/// What waits for a read of one virtual host.
#[derive(Debug)]
pub struct Batch {
    due: Instant,
    /// Reads that did not answer what is in `doubtful`.
    looks: u32,
    /// Events that were heard since the last read.
    pub fresh: Vec<BrokerEvent>,
    /// Events that the last read did not show.
    pub doubtful: Vec<BrokerEvent>,
    /// Whether the last read failed: then it must be read whatever was heard.
    pub unread: bool,
}

impl Batch {
    fn new(due: Instant) -> Self {
        Self { due, looks: 0, fresh: Vec::new(), doubtful: Vec::new(), unread: false }
    }

    /// Another read of it, as this one failed, or does not show what these events tell of.
    pub fn again(self, doubtful: Vec<BrokerEvent>, failed: bool) -> Option<Self> {
        let due = Instant::now() + DOUBT * 2_u32.saturating_pow(self.looks);
        let needed = failed || !doubtful.is_empty();
        (needed && self.looks < LOOKS).then(|| Self { looks: self.looks + 1, doubtful, unread: failed, ..Self::new(due) })
    }
}

/// Batches that wait.
#[derive(Debug, Default)]
pub struct Gathered(HashMap<String, Batch>);

impl Gathered {
    /// Adds an event. Without a virtual host it concerns nothing of ours.
    pub fn add(&mut self, event: BrokerEvent) {
        if let Some(host) = event.virtual_host.clone() {
            let soon = Instant::now() + GATHER;
            let batch = self.0.entry(host).or_insert_with(|| Batch::new(soon));
            batch.due = batch.due.min(soon);
            batch.fresh.push(event);
        }
    }

    /// A virtual host could not be read.
    pub fn unread(&mut self, host: String) {
        let batch = self.0.entry(host).or_insert_with(|| Batch::new(Instant::now() + DOUBT));
        batch.unread = true;
    }

    /// Puts back what was taken and not answered.
    pub fn put_back(&mut self, host: String, batch: Batch) {
        self.0.insert(host, batch);
    }

    /// When the first of them are due.
    pub fn due(&self) -> Option<Instant> {
        self.0.values().map(|batch| batch.due).min()
    }

    /// Those that are due, by virtual host.
    pub fn take(&mut self, now: Instant) -> HashMap<String, Batch> {
        self.0.extract_if(|_, batch| batch.due <= now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(host: &str) -> BrokerEvent {
        let virtual_host = Some(host.to_owned());
        BrokerEvent { kind: "queue.deleted".into(), virtual_host, name: None, at: None, details: [].into() }
    }

    #[test]
    fn a_burst_is_one_and_is_due_after_its_first_event() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.due(), None);
        gathered.add(event("shop"));
        let due = gathered.due().unwrap();
        gathered.add(event("shop"));
        gathered.add(event("late"));
        assert_eq!(gathered.due(), Some(due));
        assert!(gathered.take(due.checked_sub(Duration::from_millis(1)).unwrap()).is_empty());
        assert_eq!(gathered.take(due)["shop"].fresh.len(), 2);
        assert_eq!(gathered.take(due + GATHER).len(), 1);
    }

    #[test]
    fn what_a_read_did_not_show_is_read_again_ever_later_and_not_for_ever() {
        let mut gathered = Gathered::default();
        gathered.add(event("shop"));
        let mut batch = gathered.take(Instant::now() + GATHER).remove("shop").unwrap();
        let mut waits = Vec::new();
        loop {
            let before = Instant::now();
            let Some(again) = batch.again(vec![event("shop")], false) else { break };
            waits.push((again.due - before).as_millis() / 100);
            gathered.put_back("shop".into(), again);
            batch = gathered.take(gathered.due().unwrap()).remove("shop").unwrap();
            assert_eq!((batch.fresh.len(), batch.doubtful.len()), (0, 1));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn what_comes_meanwhile_does_not_wait_as_long() {
        let mut gathered = Gathered::default();
        gathered.add(event("shop"));
        let batch = gathered.take(Instant::now() + GATHER).remove("shop").unwrap();
        gathered.put_back("shop".into(), batch.again(vec![event("shop")], false).unwrap());
        gathered.add(event("shop"));
        let batch = gathered.take(Instant::now() + GATHER).remove("shop").unwrap();
        assert_eq!((batch.fresh.len(), batch.doubtful.len()), (1, 1));
        assert!(batch.again(Vec::new(), false).is_none(), "all is answered");
    }

    #[test]
    fn a_read_that_failed_is_repeated_though_nothing_was_heard() {
        let mut gathered = Gathered::default();
        gathered.unread("shop".into());
        let batch = gathered.take(gathered.due().unwrap()).remove("shop").unwrap();
        assert!(batch.unread);
        assert!(batch.again(Vec::new(), true).unwrap().unread);
    }
}
