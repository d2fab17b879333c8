//! A receiver that survives its connections.

use tokio::time::Instant;

use super::{
    error::Error,
    message::Delivery,
    receiver::Receiver,
    reconnect::{Attempts, Connector, OptionsSource, ReconnectPolicy, pause},
};

const CANNOT_CONNECT: &str = "cannot connect; trying again";

/// Receives, and reconnects when the connection ends. Deliveries not settled by then
/// come again: at least once.
#[derive(Debug)]
pub struct ReconnectingReceiver {
    connector: Connector,
    address: String,
    credit: u32,
    attempts: Attempts,
    receiver: Option<Receiver>,
    epoch: u64,
}

impl ReconnectingReceiver {
    /// Connects when first used.
    pub fn new(
        source: OptionsSource,
        address: impl Into<String>,
        credit: u32,
        policy: ReconnectPolicy,
    ) -> Self {
        Self {
            connector: Connector { source },
            address: address.into(),
            credit,
            attempts: Attempts::new(policy),
            receiver: None,
            epoch: 0,
        }
    }

    /// How often a connection was made after the first.
    pub fn reconnections(&self) -> u64 {
        self.epoch.saturating_sub(1)
    }

    /// Waits for the next delivery, over as many connections as it takes. An error
    /// means that reconnecting was given up. Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Result<Delivery, Error> {
        loop {
            let Some(receiver) = &mut self.receiver else {
                self.connect().await?;
                continue;
            };
            match receiver.recv().await {
                Ok(mut delivery) => {
                    delivery.epoch = self.epoch;
                    return Ok(delivery);
                }
                Err(error) => {
                    self.receiver = None;
                    pause(
                        &mut self.attempts,
                        "connection for receiving lost; reconnecting",
                        &error,
                    )
                    .await?;
                }
            }
        }
    }

    /// Accepts a delivery. False if its connection is gone: then it comes again.
    pub async fn accept(&mut self, delivery: &Delivery) -> Result<bool, Error> {
        let Some(receiver) = self
            .receiver
            .as_ref()
            .filter(|_| delivery.epoch == self.epoch)
        else {
            return Ok(false);
        };
        match receiver.accept(delivery).await {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::warn!(%error, "settling failed; the message will come again");
                self.receiver = None;
                Ok(false)
            }
        }
    }

    /// Gives a delivery back. False if its connection is gone: then it comes again anyway.
    pub async fn release(&mut self, delivery: &Delivery) -> Result<bool, Error> {
        let Some(receiver) = self
            .receiver
            .as_ref()
            .filter(|_| delivery.epoch == self.epoch)
        else {
            return Ok(false);
        };
        receiver.release(delivery).await.map(|()| true)
    }

    /// Closes link and connection. Deliveries not settled go back to the queue.
    pub async fn close(&mut self) -> Result<(), Error> {
        let Some(receiver) = self.receiver.take() else {
            return Ok(());
        };
        let connection = receiver.connection().clone();
        let closed = receiver.close().await;
        connection.close().await.and(closed)
    }

    async fn connect(&mut self) -> Result<(), Error> {
        loop {
            // Boxed: connecting is rare and its state large.
            let attached = Box::pin(async {
                let connection = self.connector.connect().await?;
                connection.receiver(&self.address, self.credit).await
            });
            match attached.await {
                Ok(receiver) => {
                    self.attempts.connected(Instant::now());
                    self.epoch += 1;
                    self.receiver = Some(receiver);
                    tracing::info!(address = %self.address, "connected for receiving");
                    return Ok(());
                }
                Err(error) => pause(&mut self.attempts, CANNOT_CONNECT, &error).await?,
            }
        }
    }
}
