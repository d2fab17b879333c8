//! Reading a stream from some point up to its end.

use std::time::Duration;

use crate::amqp::{
    address,
    connection::Connection,
    error::Error,
    message::{Incoming, Outgoing},
    options::ConnectOptions,
    receiver::{Receiver, StreamOffset},
    sender::Sender,
};

use super::message;

/// Messages that are asked for at once.
const CREDIT: u32 = 400;
/// What is known to be in the stream comes within this, even while it elects a leader.
const SILENCE: Duration = Duration::from_secs(30);

/// A stream that is being read, over a connection of its own: little room is left for what was not read yet, and while that is
/// full, nothing else comes by this connection. Whoever sends over the same would wait for an outcome or for credit that
/// is stuck behind messages that he does not read meanwhile.
#[derive(Debug)]
pub(super) struct Log {
    connection: Connection,
    receiver: Receiver,
    next: u64,
    /// Messages that were asked for and have not come.
    asked: u32,
}

/// One message of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it is.
    pub offset: u64,
    /// Bytes of its payload, about.
    pub size: usize,
    /// What it is, or why it cannot be read.
    pub content: Result<Incoming, String>,
}

impl Log {
    pub async fn open(options: &ConnectOptions, stream: &str, from: StreamOffset) -> Result<Self, Error> {
        let connection = Connection::connect(options).await?;
        let receiver = Receiver::attach_to_stream(connection.clone(), &address::queue(stream), from).await?;
        Ok(Self { connection, receiver, next: 0, asked: 0 })
    }

    pub async fn next(&mut self) -> Result<Entry, Error> {
        // Not for each message: asking costs a frame.
        if self.asked <= CREDIT / 2 {
            self.receiver.grant(CREDIT).await?;
            self.asked = CREDIT;
        }
        let delivery = self.receiver.recv_timeout(SILENCE).await?;
        self.asked -= 1;
        // One that cannot be read does not tell where it is: behind the one before.
        let offset = delivery.content.as_ref().ok().and_then(message::stream_offset).unwrap_or(self.next);
        self.next = offset + 1;
        Ok(Entry { offset, size: delivery.body_len(), content: delivery.content })
    }

    /// Ends the connection at once: what was asked for and not read would be in the way of a farewell.
    pub fn close(self) {
        self.connection.abort();
    }
}

/// Puts a mark at the end of a stream.
#[derive(Debug)]
pub(super) struct Marker(Sender);

impl Marker {
    pub async fn of(connection: &Connection, stream: &str) -> Result<Self, Error> {
        Ok(Self(connection.sender(&address::queue(stream)).await?))
    }

    /// The id of the mark, which is in the stream by now.
    pub async fn mark(&mut self) -> Result<String, Error> {
        let id = format!("{}{:032x}", message::MARK, rand::random::<u128>());
        self.0.send(Outgoing::new(id.clone(), Vec::new())).await?.accepted()?;
        Ok(id)
    }

    pub async fn close(self) -> Result<(), Error> {
        self.0.close().await
    }
}
