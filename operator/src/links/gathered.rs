//! Events of a moment, by virtual host: they come in bursts, and one read answers all of a burst.

use std::collections::HashMap;
use std::time::Duration;

use entente_broker::amqp::BrokerEvent;
use tokio::time::Instant;

/// How long events are gathered. Also long enough for the answer to a write of ours to arrive, which may come after
/// its event.
const GATHER: Duration = Duration::from_millis(50);

/// Events that wait.
#[derive(Debug, Default)]
pub struct Gathered(HashMap<String, (Instant, Vec<BrokerEvent>)>);

impl Gathered {
    /// Adds an event. Without a virtual host it concerns nothing of ours.
    pub fn add(&mut self, event: BrokerEvent) {
        if let Some(host) = event.virtual_host.clone() {
            self.0.entry(host).or_insert_with(|| (Instant::now() + GATHER, Vec::new())).1.push(event);
        }
    }

    /// When the first of them are due.
    pub fn due(&self) -> Option<Instant> {
        self.0.values().map(|(due, _)| *due).min()
    }

    /// Those that are due, by virtual host.
    pub fn take(&mut self, now: Instant) -> HashMap<String, Vec<BrokerEvent>> {
        self.0.extract_if(|_, (due, _)| *due <= now).map(|(host, (_, events))| (host, events)).collect()
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
        assert_eq!(gathered.take(due)["shop"].len(), 2);
        assert_eq!(gathered.take(due + GATHER).len(), 1);
    }
}
