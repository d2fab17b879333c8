//! Sending.

use std::fmt;

use fe2o3_amqp::{
    link::{SendError, delivery::DeliveryFut},
    session::SessionHandle,
};
use fe2o3_amqp_types::{
    definitions::SenderSettleMode,
    messaging::{self, Message, SerializableBody},
};

use super::{
    connection::Connection,
    error::Error,
    message::{Incoming, Outgoing},
    outcome::Outcome,
};

/// The engine's promise to tell what becomes of a message.
pub(super) type Transfer = DeliveryFut<Result<messaging::Outcome, SendError>>;

/// A link that sends to one address.
#[derive(Debug)]
pub struct Sender {
    link: fe2o3_amqp::Sender,
    session: SessionHandle<()>,
    connection: Connection,
}

/// The outcome of a message, still to come.
pub struct Pending {
    outcome: Transfer,
    connection: Connection,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) async fn attach(connection: Connection, address: &str) -> Result<Self, Error> {
        let mut session = connection.session().await?;
        let name = connection.link_name("send");
        let limit = connection.timeouts().attach;
        let link = connection
            .race("opening a link to send", Some(limit), async {
                let builder =
                    fe2o3_amqp::Sender::builder().name(name).target(address).sender_settle_mode(SenderSettleMode::Unsettled);
                Ok(builder.attach(&mut session).await?)
            })
            .await?;
        Ok(Self { link, session, connection })
    }

    /// Sends one message and waits for its outcome.
    pub async fn send(&mut self, message: Outgoing) -> Result<Outcome, Error> {
        self.post(message).await?.outcome().await
    }

    /// Sends one message; the outcome can be waited for later, after others were sent.
    pub async fn post(&mut self, message: Outgoing) -> Result<Pending, Error> {
        let outcome = self.transfer(message).await?;
        Ok(Pending { outcome, connection: self.connection.clone() })
    }

    /// Sends a message as it was received, every section of it; see [`Sender::post`].
    pub async fn forward(&mut self, message: Incoming) -> Result<Pending, Error> {
        let outcome = self.transfer_message(message).await?;
        Ok(Pending { outcome, connection: self.connection.clone() })
    }

    pub(super) async fn transfer(&mut self, message: Outgoing) -> Result<Transfer, Error> {
        self.transfer_message(message.into_message()).await
    }

    async fn transfer_message<B: SerializableBody>(&mut self, message: Message<B>) -> Result<Transfer, Error> {
        let limit = self.connection.timeouts().send;
        let link = &mut self.link;
        let transfer = async { Ok(link.send_batchable(message).await?) };
        self.connection.race("waiting for the broker's credit to send", Some(limit), transfer).await
    }

    /// Closes the link; the connection stays.
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

impl Pending {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Result<Outcome, Error> {
        let Self { outcome, connection } = self;
        let limit = connection.timeouts().send;
        connection.race("waiting for the outcome of a message", Some(limit), async { Ok(outcome.await?.into()) }).await
    }
}
