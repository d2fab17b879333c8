//! What a stream has and a ledger has not.

use std::time::Duration;

use entente_core::subscription::filter::Matcher;
use entente_core::subscription::seam::Seam;
use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    Progress,
    log::{Entry, Log, Marker},
    message::{Digest, Digester, copied_offset, copy, exchange, is_mark, is_the_mark},
};
use crate::amqp::{
    address, connection::Connection, error::Error, message::Incoming, options::ConnectOptions, receiver::StreamOffset,
    redrive::filter::seen,
};

/// What is in the stream is in the ledger too after so long, though its sender may not know yet: both were written to at the
/// same moment.
const LAG: Duration = Duration::from_secs(2);
/// The other way round. Only of equal messages one could be missed, and those that are sent meanwhile come twice.
const SHORT_LAG: Duration = Duration::from_millis(200);

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The stream with what was kept.
    pub stream: &'a str,
    /// From here on.
    pub from: u64,
    /// The stream with what the queue was given since the binding.
    pub ledger: &'a str,
    /// The exchange that gives to queue and ledger.
    pub exchange: &'a str,
}

/// Compares, and gives the rest one by one, so that at most one is of unknown fate whatever ends this. Run again, it goes on.
/// What is written goes over `connection`, and what is read over others that are made by `options`.
pub async fn give_rest(
    options: &ConnectOptions,
    connection: &Connection,
    places: Places<'_>,
    matcher: &Matcher,
    progress: &Progress,
) -> Result<(), Error> {
    let digester = Digester::default();
    let mut seam: Seam<Digest> = Seam::default();
    let passes = |message: &Incoming| matcher.matches(&seen(message), Timestamp::now());
    let mut stream = Reader::open(options, connection, places.stream, StreamOffset::Offset(places.from)).await?;
    stream
        .up_to_the_end(|offset, message| {
            if passes(message) {
                seam.kept(offset, digester.digest(message));
            }
        })
        .await?;
    sleep(LAG).await;
    let mut ledger = Reader::open(options, connection, places.ledger, StreamOffset::First).await?;
    ledger
        .up_to_the_end(|_, message| {
            // Nobody else sends to this exchange: what comes by way of the Topic names another one, whatever its sender wrote.
            match copied_offset(message).filter(|_| exchange(message) == Some(places.exchange)) {
                Some(offset) => seam.given(offset),
                None => seam.live(&digester.digest(message)),
            }
        })
        .await?;
    ledger.close().await?;
    sleep(SHORT_LAG).await;
    stream
        .up_to_the_end(|_, message| {
            if passes(message) {
                seam.kept_later(&digester.digest(message));
            }
        })
        .await?;
    stream.close().await?;
    give(options, connection, places, &seam.rest(), progress).await
}

async fn give(
    options: &ConnectOptions,
    connection: &Connection,
    places: Places<'_>,
    rest: &[u64],
    progress: &Progress,
) -> Result<(), Error> {
    let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Ok(()) };
    let mut sender = connection.sender(&address::exchange(places.exchange, "")).await?;
    let mut log = Log::open(options, places.stream, StreamOffset::Offset(*first)).await?;
    loop {
        let Entry { offset, content, size: _ } = log.next().await?;
        if rest.binary_search(&offset).is_ok()
            && let Ok(message) = content
        {
            sender.forward(copy(message, offset)).await?.outcome().await?.accepted()?;
            progress.was_replayed();
        }
        if offset >= *last {
            break;
        }
    }
    log.close();
    sender.close().await
}

/// Reads a stream to its end, and later on to what is its end then.
struct Reader {
    log: Log,
    marker: Marker,
}

impl Reader {
    async fn open(options: &ConnectOptions, connection: &Connection, stream: &str, from: StreamOffset) -> Result<Self, Error> {
        Ok(Self { log: Log::open(options, stream, from).await?, marker: Marker::of(connection, stream).await? })
    }

    async fn up_to_the_end(&mut self, mut see: impl FnMut(u64, &Incoming)) -> Result<(), Error> {
        let mark = self.marker.mark().await?;
        loop {
            let Entry { offset, content, size: _ } = self.log.next().await?;
            match content {
                Ok(message) if is_the_mark(&message, &mark) => return Ok(()),
                Ok(message) if !is_mark(&message) => see(offset, &message),
                // One that cannot be read is in neither: it was left out of the past too.
                Ok(_) | Err(_) => {}
            }
        }
    }

    async fn close(self) -> Result<(), Error> {
        self.log.close();
        self.marker.close().await
    }
}
