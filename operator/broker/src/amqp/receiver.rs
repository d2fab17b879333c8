//! Receiving.

use std::{panic::AssertUnwindSafe, time::Duration};

use fe2o3_amqp::{
    link::{RecvError, receiver::CreditMode},
    session::SessionHandle,
};
use fe2o3_amqp_types::{
    definitions::{self, AmqpError, SenderSettleMode},
    messaging::{Body, Modified, Source},
    primitives::{Symbol, Timestamp as AmqpTimestamp, Value},
};
use futures::FutureExt;
use jiff::Timestamp;
use serde_amqp::{described::Described, descriptor::Descriptor};

use super::{
    connection::Connection,
    error::Error,
    message::{Delivery, Incoming},
};

/// Frames of a stream that may wait to be read. RabbitMQ's are of at most 128 KiB.
const FRAMES: usize = 64;
/// RabbitMQ's filter that says where reading a stream begins.
const STREAM_OFFSET_SPEC: &str = "rabbitmq:stream-offset-spec";

/// Where reading a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOffset {
    /// With the oldest message.
    First,
    /// With the next one that comes.
    Next,
    /// With this one, or with the oldest if that is gone.
    Offset(u64),
    /// With the first that was written at this time or later. The broker writes several at once and keeps one time for them.
    Time(Timestamp),
}

impl From<StreamOffset> for Value {
    fn from(offset: StreamOffset) -> Self {
        match offset {
            StreamOffset::First => Self::String("first".to_owned()),
            StreamOffset::Next => Self::String("next".to_owned()),
            StreamOffset::Offset(offset) => Self::Ulong(offset),
            StreamOffset::Time(time) => Self::Timestamp(AmqpTimestamp::from_milliseconds(time.as_millisecond())),
        }
    }
}

/// A link that receives from one address. Every delivery must be settled.
#[derive(Debug)]
pub struct Receiver {
    link: fe2o3_amqp::Receiver,
    session: SessionHandle<()>,
    connection: Connection,
}

impl Receiver {
    pub(super) async fn attach(connection: Connection, address: &str, credit: u32) -> Result<Self, Error> {
        // Credit is renewed when half of it is settled, so it is settled work, not received
        // work, that asks for more.
        Self::attach_with(connection, address, CreditMode::Auto(credit.max(1))).await
    }

    /// A link on which nothing comes but what [`Receiver::grant`] asks for.
    pub(super) async fn attach_without_credit(connection: Connection, address: &str) -> Result<Self, Error> {
        Self::attach_with(connection, address, CreditMode::Manual).await
    }

    /// A link to a stream, on which nothing comes but what [`Receiver::grant`] asks for, settled already. However large the
    /// messages are, about [`FRAMES`] frames of them wait here and in the session; the rest waits on the network.
    ///
    /// Settled: with little room on the way, settlements and messages could wait for each other.
    pub(super) async fn attach_to_stream(connection: Connection, address: &str, from: StreamOffset) -> Result<Self, Error> {
        let name = || Symbol::from(STREAM_OFFSET_SPEC);
        let filter = Described { descriptor: Descriptor::Name(name()), value: Value::from(from) };
        let source = Source::builder().address(address).add_to_filter(name(), Some(filter)).build();
        let mut session = connection.session_with_room(FRAMES).await?;
        let name = connection.link_name("read");
        let limit = connection.timeouts().attach;
        let link = connection
            .race("opening a link to read a stream", Some(limit), async {
                let mut builder = fe2o3_amqp::Receiver::builder()
                    .name(name)
                    .source(source)
                    .credit_mode(CreditMode::Manual)
                    .sender_settle_mode(SenderSettleMode::Settled);
                builder.buffer_size = FRAMES;
                Ok(builder.attach(&mut session).await?)
            })
            .await?;
        Ok(Self { link, session, connection })
    }

    async fn attach_with(connection: Connection, address: &str, credit: CreditMode) -> Result<Self, Error> {
        let mut session = connection.session().await?;
        let name = connection.link_name("receive");
        let limit = connection.timeouts().attach;
        let link = connection
            .race("opening a link to receive", Some(limit), async {
                let builder = fe2o3_amqp::Receiver::builder().name(name).source(address).credit_mode(credit).auto_accept(false);
                Ok(builder.attach(&mut session).await?)
            })
            .await?;
        Ok(Self { link, session, connection })
    }

    /// Waits for the next delivery, as long as the connection lives. Nothing is lost
    /// if the returned future is dropped.
    pub async fn recv(&mut self) -> Result<Delivery, Error> {
        self.recv_within(None).await
    }

    /// Waits for the next delivery, for so long.
    pub async fn recv_timeout(&mut self, limit: Duration) -> Result<Delivery, Error> {
        self.recv_within(Some(limit)).await
    }

    async fn recv_within(&mut self, limit: Option<Duration>) -> Result<Delivery, Error> {
        let link = &mut self.link;
        let receive = async {
            // Whatever a tenant puts into a message, it must not take down more than this link.
            match AssertUnwindSafe(link.recv::<Body<Value>>()).catch_unwind().await {
                Ok(Ok(delivery)) => {
                    let (info, message) = delivery.into_parts();
                    Ok(Delivery { info, epoch: 0, content: Ok::<Incoming, String>(message) })
                }
                Ok(Err(RecvError::MessageDecode(error))) => {
                    Ok(Delivery { info: error.info, epoch: 0, content: Err(error.source.to_string()) })
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(Error::Protocol("the decoder failed on a message".to_owned())),
            }
        };
        self.connection.race("waiting for a message", limit, receive).await
    }

    /// Asks for this many messages, in place of what was asked for and has not been received.
    pub(super) async fn grant(&mut self, credit: u32) -> Result<(), Error> {
        let limit = self.connection.timeouts().settle;
        let link = &mut self.link;
        let grant = async { link.set_credit(credit).await.map_err(|error| Error::Protocol(error.to_string())) };
        self.connection.race("asking for messages", Some(limit), grant).await
    }

    /// The message is done with; the broker forgets it.
    pub async fn accept(&self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(async { Ok(self.link.accept(delivery.info.clone()).await?) }).await
    }

    /// The message goes back unchanged and is delivered again.
    pub async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(async { Ok(self.link.release(delivery.info.clone()).await?) }).await
    }

    /// The message can never be processed; the broker dead-letters or drops it.
    pub async fn reject(&self, delivery: &Delivery, why: &str) -> Result<(), Error> {
        let error = definitions::Error::new(AmqpError::NotAllowed, Some(why.to_owned()), None);
        self.settle(async { Ok(self.link.reject(delivery.info.clone(), error).await?) }).await
    }

    /// The message goes back; `delivery_failed` counts towards the delivery limit,
    /// `undeliverable_here` dead-letters it.
    pub async fn modify(&self, delivery: &Delivery, delivery_failed: bool, undeliverable_here: bool) -> Result<(), Error> {
        let modified = Modified {
            delivery_failed: Some(delivery_failed),
            undeliverable_here: Some(undeliverable_here),
            message_annotations: None,
        };
        self.settle(async { Ok(self.link.modify(delivery.info.clone(), modified).await?) }).await
    }

    async fn settle(&self, operation: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        self.connection.race("settling a message", Some(self.connection.timeouts().settle), operation).await
    }

    /// Closes the link; the connection stays. Deliveries not settled go back to the queue.
    pub async fn close(self) -> Result<(), Error> {
        let Self { link, mut session, connection } = self;
        let limit = connection.timeouts().close;
        connection
            .race("closing a link", Some(limit), async {
                link.close().await?;
                session.end().await.map_err(|e| Error::Closed { reason: e.to_string() })
            })
            .await
    }

    /// The connection this link belongs to.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}
