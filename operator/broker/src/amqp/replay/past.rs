//! From a stream into a queue, up to the stream's end.

use entente_core::subscription::filter::Matcher;
use entente_core::subscription::start::Start;
use futures::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use jiff::Timestamp;

use super::{
    Progress,
    log::{Entry, Log, Marker},
    message::{copy, is_mark, is_the_mark},
};
use crate::amqp::{
    address, connection::Connection, error::Error, options::ConnectOptions, outcome::Outcome, receiver::StreamOffset,
    redrive::filter::seen, sender::Sender,
};

/// Copies on their way at once, and bytes of them.
const WINDOW: usize = 400;
const WINDOW_BYTES: usize = 8 << 20;

/// A replay under way. After an error nothing is known about what was on its way.
#[derive(Debug)]
pub struct Past {
    log: Log,
    marker: Marker,
    sender: Sender,
    in_flight: FuturesUnordered<BoxFuture<'static, (usize, Result<Outcome, Error>)>>,
    bytes: usize,
}

impl Past {
    /// From `stream` into `queue`, beginning where `start` says. What is written goes over `connection`, and what is read over
    /// another one that is made by `options`.
    pub async fn begin(
        options: &ConnectOptions,
        connection: &Connection,
        stream: &str,
        queue: &str,
        start: Start,
    ) -> Result<Self, Error> {
        let from = match start {
            Start::Latest => StreamOffset::Next,
            Start::Earliest => StreamOffset::First,
            Start::At(time) => StreamOffset::Time(time),
        };
        Ok(Self {
            log: Log::open(options, stream, from).await?,
            marker: Marker::of(connection, stream).await?,
            sender: connection.sender(&address::queue(queue)).await?,
            in_flight: FuturesUnordered::new(),
            bytes: 0,
        })
    }

    /// Replays all that the stream has now. Each copy is accepted, or this fails. Returns the offset behind it.
    pub async fn catch_up(&mut self, matcher: &Matcher, progress: &Progress) -> Result<u64, Error> {
        let mark = self.marker.mark().await?;
        loop {
            let Entry { offset, size, content } = self.log.next().await?;
            match content {
                Ok(message) if is_the_mark(&message, &mark) => {
                    while !self.in_flight.is_empty() {
                        self.settle(progress).await?;
                    }
                    return Ok(offset + 1);
                }
                Ok(message) if is_mark(&message) || !matcher.matches(&seen(&message), Timestamp::now()) => {}
                Ok(message) => {
                    let pending = self.sender.forward(copy(message, offset)).await?;
                    self.in_flight.push(pending.outcome().map(move |outcome| (size, outcome)).boxed());
                    self.bytes += size;
                    while self.in_flight.len() >= WINDOW || self.bytes > WINDOW_BYTES {
                        self.settle(progress).await?;
                    }
                }
                Err(_) => progress.was_unreadable(),
            }
        }
    }

    async fn settle(&mut self, progress: &Progress) -> Result<(), Error> {
        if let Some((size, outcome)) = self.in_flight.next().await {
            self.bytes -= size;
            outcome?.accepted()?;
            progress.was_replayed();
        }
        Ok(())
    }

    /// Closes its links.
    pub async fn close(self) -> Result<(), Error> {
        let Self { log, marker, sender, in_flight: _, bytes: _ } = self;
        log.close();
        marker.close().await.and(sender.close().await)
    }
}
