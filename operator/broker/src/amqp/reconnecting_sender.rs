//! A sender that survives its connections.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures::FutureExt;

use super::{
    connection::Connection,
    error::Error,
    message::Outgoing,
    outcome::Outcome,
    pipeline::Pipeline,
    reconnect::{Connector, OptionsSource, ReconnectPolicy},
    sender::Sender,
};

/// What to do with a message whose outcome a lost connection took along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// Send it again with the same message-id: at least once, perhaps twice.
    Resend,
    /// Report it and leave it: at most once, perhaps never.
    Report,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The broker's answer.
    Known(Outcome),
    /// The connection ended before the answer came; the broker may have the message.
    Unknown(Error),
}

/// A message that is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// As returned by [`ReconnectingSender::post`].
    pub ticket: u64,
    /// The message's id.
    pub message_id: String,
    /// How often it was sent. More than once: the receiver may see it more than once.
    pub attempts: u32,
    /// What became of it.
    pub settlement: Settlement,
}

/// Sends within a window, reconnects when the connection ends, and accounts for
/// every message it was given.
///
/// No method loses a message when its future is dropped, so all may be used in
/// `select!`.
#[derive(Debug)]
pub struct ReconnectingSender {
    connector: Connector<Sender>,
    address: String,
    window: usize,
    when_unknown: WhenUnknown,
    pipeline: Option<Pipeline>,
    /// Every message without a settlement.
    held: BTreeMap<u64, Held>,
    /// Of these, those to be sent next, in order.
    queue: VecDeque<u64>,
    /// Settlements not yet fetched.
    done: VecDeque<Settled>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Held {
    message: Outgoing,
    attempts: u32,
}

impl ReconnectingSender {
    /// Connects when first used.
    pub fn new(
        source: OptionsSource,
        address: impl Into<String>,
        window: usize,
        when_unknown: WhenUnknown,
        policy: ReconnectPolicy,
    ) -> Self {
        let address = address.into();
        let target: Arc<str> = address.as_str().into();
        let start = move || {
            let (source, target) = (Arc::clone(&source), Arc::clone(&target));
            async move { Connection::connect(&source()?).await?.sender(&target).await }.boxed()
        };
        let connector = Connector::new(start, policy);
        Self {
            connector,
            address,
            window: window.max(1),
            when_unknown,
            pipeline: None,
            held: BTreeMap::new(),
            queue: VecDeque::new(),
            done: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// Messages without a settlement.
    pub fn unsettled(&self) -> usize {
        self.held.len()
    }

    /// Whether [`ReconnectingSender::post`] would take a message without waiting for another's outcome.
    pub fn has_room(&self) -> bool {
        self.held.len() < self.window
    }

    /// How often a connection was made after the first.
    pub fn reconnections(&self) -> u64 {
        self.connector.reconnections()
    }

    /// Takes charge of a message and returns its ticket. Waits while the window is full.
    /// The message is sent by this and the following calls.
    pub async fn post(&mut self, message: Outgoing) -> Result<u64, Error> {
        while !self.has_room() {
            self.drive().await?;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.held.insert(ticket, Held { message, attempts: 0 });
        self.queue.push_back(ticket);
        self.flush().await?;
        Ok(ticket)
    }

    /// Waits for the next message to be done with; `None` if none is left. An error
    /// means that reconnecting was given up; see [`ReconnectingSender::into_unsettled`].
    pub async fn settled(&mut self) -> Result<Option<Settled>, Error> {
        loop {
            if let Some(settled) = self.done.pop_front() {
                return Ok(Some(settled));
            }
            if self.held.is_empty() {
                return Ok(None);
            }
            self.drive().await?;
        }
    }

    /// Ids of the messages without a settlement, in the order they were posted.
    pub fn into_unsettled(self) -> Vec<String> {
        self.held.into_values().map(|held| held.message.message_id).collect()
    }

    /// Closes link and connection. Messages without a settlement are given up.
    pub async fn close(&mut self) -> Result<(), Error> {
        let Some(pipeline) = self.pipeline.take() else {
            return Ok(());
        };
        let connection = pipeline.connection().clone();
        let closed = pipeline.close().await;
        connection.close().await.and(closed)
    }

    /// Sends what is queued, connecting first if need be, and waits for one outcome.
    async fn drive(&mut self) -> Result<(), Error> {
        self.flush().await?;
        let Some(pipeline) = &mut self.pipeline else {
            return Ok(());
        };
        match pipeline.settled().await {
            Ok(Some((ticket, outcome))) => self.settle(ticket, Settlement::Known(outcome)),
            Ok(None) => {}
            Err(error) => self.lost(&error)?,
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        while let Some(&ticket) = self.queue.front() {
            let Some(held) = self.held.get_mut(&ticket) else {
                self.queue.pop_front();
                continue;
            };
            let Some(pipeline) = &mut self.pipeline else {
                self.connect().await?;
                continue;
            };
            held.attempts += 1;
            // The ticket leaves the queue only afterwards: if this future is dropped half way,
            // the message is sent twice rather than never.
            match pipeline.post(ticket, held.message.clone()).await {
                Ok(()) => {
                    self.queue.pop_front();
                }
                // Sending this again would fail again, and hold up all others for ever.
                Err(Error::Invalid(why)) => {
                    self.queue.pop_front();
                    let outcome = Outcome::Rejected { condition: "entente:not-sendable".to_owned(), description: why };
                    self.settle(ticket, Settlement::Known(outcome));
                }
                Err(error) => self.lost(&error)?,
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let sender = self.connector.link().await?;
        self.pipeline = Some(Pipeline::new(sender, self.window));
        tracing::info!(address = %self.address, to_resend = self.resend_count(), "connected for sending");
        Ok(())
    }

    fn resend_count(&self) -> usize {
        self.held.values().filter(|held| held.attempts > 0).count()
    }

    fn lost(&mut self, error: &Error) -> Result<(), Error> {
        if let Some(pipeline) = self.pipeline.take() {
            let unsettled = pipeline.into_unsettled();
            tracing::warn!(%error, unsettled = unsettled.len(), when_unknown = ?self.when_unknown, "connection for sending lost");
            match self.when_unknown {
                WhenUnknown::Resend => {
                    // A ticket whose post was interrupted is in both; it must not be sent twice on purpose.
                    self.queue.retain(|ticket| unsettled.binary_search(ticket).is_err());
                    for ticket in unsettled.into_iter().rev() {
                        self.queue.push_front(ticket);
                    }
                }
                WhenUnknown::Report => {
                    let in_flight = self.queue.front().copied().filter(|t| self.held.get(t).is_some_and(|h| h.attempts > 0));
                    for ticket in unsettled.into_iter().chain(in_flight) {
                        self.settle(ticket, Settlement::Unknown(error.clone()));
                    }
                }
            }
        }
        self.connector.failed("reconnecting for sending", error)
    }

    fn settle(&mut self, ticket: u64, settlement: Settlement) {
        // A message sent twice has two outcomes; the first counts.
        if let Some(held) = self.held.remove(&ticket) {
            self.done.push_back(Settled { ticket, message_id: held.message.message_id, attempts: held.attempts, settlement });
        }
    }
}
