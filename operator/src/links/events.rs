//! The broker's own events: what somebody else changed is known at once and not at the next resync.

use std::sync::Arc;
use std::time::Duration;

use entente_broker::amqp::{BrokerEvent, Error, EventStream};
use tokio::sync::mpsc;

use super::link::Link;
use super::refusals;
use super::registry::Access;

/// Events that can mean that something declared is no longer as declared. Creations are left out: what
/// others add takes nothing away, and our own would come back to us.
const ROUTING_KEYS: [&str; 15] = [
    "queue.deleted",
    "policy.set",
    "policy.cleared",
    "binding.deleted",
    "exchange.deleted",
    "vhost.deleted",
    "vhost.limits.set",
    "vhost.limits.cleared",
    "user.deleted",
    "user.password.changed",
    "user.password.cleared",
    "user.tags.set",
    // Also a permission that is set: it may be less than was declared, or more.
    "permission.created",
    "permission.deleted",
    refusals::EVENT,
];
/// Whether an event is about users and what they may do: those are read as a whole, whichever virtual host it names.
pub fn is_about_users(event: &BrokerEvent) -> bool {
    event.kind.starts_with("user.") || (event.kind.starts_with("permission.") && !is_refusal(event))
}

/// Whether somebody was refused something.
pub fn is_refusal(event: &BrokerEvent) -> bool {
    event.kind == refusals::EVENT
}

/// The queue goes by itself when nobody has read it for so long.
const IDLE: Duration = Duration::from_mins(2);
/// Wait before the first attempt after a connection that worked.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait before another attempt to connect.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Events arrive from now on; what was before is unknown.
    Connected,
    /// Something happened in a virtual host.
    Happened(BrokerEvent),
}

/// Listens for ever, and connects again whenever that fails.
pub async fn listen(link: Arc<Link>, access: Access, replica: String, tell: mpsc::Sender<Heard>) {
    let mut wait = FIRST_WAIT;
    let mut failures = 0_u64;
    loop {
        // One name as long as it works: a leader finds the queue of the one before. Then others: it may be on
        // a node that is down, and goes by itself.
        let queue = if failures == 0 { "entente.events".to_owned() } else { format!("entente.events.{replica}.{failures}") };
        let mut listened = false;
        match attend(&link, &access, &queue, &tell, &mut listened).await {
            Ok(never) => match never {},
            Err(error) => tracing::info!(broker = link.key, error, "not listening to the broker's events; trying again"),
        }
        (failures, wait) = if listened { (0, FIRST_WAIT) } else { (failures + 1, wait) };
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn attend(
    link: &Link,
    access: &Access,
    queue: &str,
    tell: &mpsc::Sender<Heard>,
    listened: &mut bool,
) -> Result<std::convert::Infallible, String> {
    link.read(|admin| admin.open_event_queue(queue, &ROUTING_KEYS, IDLE)).await.map_err(|error| error.to_string())?;
    let mut stream = connect(access, queue).await.map_err(|error| error.to_string())?;
    *listened = true;
    tracing::info!(broker = link.key, "listening to the broker's events");
    let gone = |_| "nobody listens any more".to_owned();
    tell.send(Heard::Connected).await.map_err(gone)?;
    loop {
        let event = stream.next().await.map_err(|error| error.to_string())?;
        tell.send(Heard::Happened(event)).await.map_err(gone)?;
    }
}

async fn connect(access: &Access, queue: &str) -> Result<EventStream, Error> {
    // Where the broker publishes them.
    EventStream::connect(&access.options("/")?, queue).await
}
