//! Many messages on their way at once, within a window.

use std::{
    collections::BTreeSet,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::{
    connection::Connection,
    error::Error,
    message::Outgoing,
    outcome::Outcome,
    sender::{Sender, Transfer},
};

/// A sender that has up to `window` messages without an outcome. Each message is
/// known by a ticket, a number that the caller chooses and does not use twice.
#[derive(Debug)]
pub struct Pipeline {
    sender: Sender,
    window: usize,
    pending: FuturesUnordered<Ticketed>,
    unsettled: BTreeSet<u64>,
    /// When an outcome last came, or was first waited for.
    progress: Instant,
}

struct Ticketed {
    ticket: u64,
    transfer: Transfer,
}

impl fmt::Debug for Ticketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketed").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

impl Future for Ticketed {
    type Output = (u64, Result<Outcome, Error>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket;
        Pin::new(&mut self.transfer).poll(cx).map(|result| (ticket, result.map(Outcome::from).map_err(Error::from)))
    }
}

impl Pipeline {
    /// At least one message can be on its way.
    pub fn new(sender: Sender, window: usize) -> Self {
        Self {
            sender,
            window: window.max(1),
            pending: FuturesUnordered::new(),
            unsettled: BTreeSet::new(),
            progress: Instant::now(),
        }
    }

    /// Whether another message fits into the window.
    pub fn has_room(&self) -> bool {
        self.unsettled.len() < self.window
    }

    /// Messages without an outcome.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// Sends a message. After an error nothing is known about it, and it does not
    /// count as unsettled.
    pub async fn post(&mut self, ticket: u64, message: Outgoing) -> Result<(), Error> {
        let transfer = self.sender.transfer(message).await?;
        if self.unsettled.is_empty() {
            self.progress = Instant::now();
        }
        self.unsettled.insert(ticket);
        self.pending.push(Ticketed { ticket, transfer });
        Ok(())
    }

    /// Waits for the next outcome, in whatever order the broker settles; `None` if
    /// nothing is unsettled. An error means that the link is over and that the
    /// outcome of everything in [`Pipeline::into_unsettled`] is unknown.
    ///
    /// Nothing is lost if the returned future is dropped.
    pub async fn settled(&mut self) -> Result<Option<(u64, Outcome)>, Error> {
        if self.unsettled.is_empty() {
            return Ok(None);
        }
        // The limit is on silence, not on one message: a deep window on a slow broker is fine.
        let silent_since = self.progress;
        let connection = self.sender.connection().clone();
        let limit = (silent_since + connection.timeouts().send).saturating_duration_since(Instant::now());
        let pending = &mut self.pending;
        let next = connection.race("waiting for the outcome of a message", Some(limit), async { Ok(pending.next().await) });
        let next = next.await.map_err(|error| match error {
            // Told with the whole time, not with what was left of it.
            Error::Timeout { what, .. } => Error::Timeout { what, after: connection.timeouts().send },
            other => other,
        })?;
        let Some((ticket, outcome)) = next else {
            return Err(Error::Protocol("a message was forgotten by the protocol engine".to_owned()));
        };
        let outcome = connection.explain(outcome)?;
        self.progress = Instant::now();
        self.unsettled.remove(&ticket);
        Ok(Some((ticket, outcome)))
    }

    /// Tickets of all messages without an outcome, in order.
    pub fn into_unsettled(self) -> Vec<u64> {
        self.unsettled.into_iter().collect()
    }

    /// Closes the link. Outcomes still to come are given up.
    pub async fn close(self) -> Result<(), Error> {
        self.sender.close().await
    }

    /// The connection this pipeline belongs to.
    pub fn connection(&self) -> &Connection {
        self.sender.connection()
    }
}
