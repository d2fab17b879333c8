//! A receiver that survives its connections.

use std::sync::Arc;

use futures::FutureExt;

use super::{
    connection::Connection,
    error::Error,
    message::Delivery,
    receiver::Receiver,
    reconnect::{Connector, OptionsSource, ReconnectPolicy},
};

/// Receives, and reconnects when the connection ends. Deliveries not settled by then
/// come again: at least once.
#[derive(Debug)]
pub struct ReconnectingReceiver {
    connector: Connector<Receiver>,
    address: String,
    receiver: Option<Receiver>,
}

impl ReconnectingReceiver {
    /// Connects when first used.
    pub fn new(source: OptionsSource, address: impl Into<String>, credit: u32, policy: ReconnectPolicy) -> Self {
        let address = address.into();
        let target: Arc<str> = address.as_str().into();
        let start = move || {
            let (source, target) = (Arc::clone(&source), Arc::clone(&target));
            async move { Connection::connect(&source()?).await?.receiver(&target, credit).await }.boxed()
        };
        Self { connector: Connector::new(start, policy), address, receiver: None }
    }

    /// How often a connection was made after the first.
    pub fn reconnections(&self) -> u64 {
        self.connector.reconnections()
    }

    /// Waits for the next delivery, over as many connections as it takes. An error
    /// means that reconnecting was given up. Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Result<Delivery, Error> {
        loop {
            let Some(receiver) = &mut self.receiver else {
                self.receiver = Some(self.connector.link().await?);
                tracing::info!(address = %self.address, "connected for receiving");
                continue;
            };
            match receiver.recv().await {
                Ok(mut delivery) => {
                    delivery.epoch = self.connector.made();
                    return Ok(delivery);
                }
                Err(error) => {
                    self.receiver = None;
                    self.connector.failed("connection for receiving lost; reconnecting", &error)?;
                }
            }
        }
    }

    /// The receiver that gave a delivery, if its connection is still the one of now.
    fn receiver_of(&self, delivery: &Delivery) -> Option<&Receiver> {
        self.receiver.as_ref().filter(|_| delivery.epoch == self.connector.made())
    }

    /// Accepts a delivery. False if its connection is gone: then it comes again.
    pub async fn accept(&mut self, delivery: &Delivery) -> Result<bool, Error> {
        let Some(receiver) = self.receiver_of(delivery) else { return Ok(false) };
        let settled = receiver.accept(delivery).await;
        Ok(self.handed_over(&settled))
    }

    /// Whether a settlement was. After one that failed the connection is given up: a delivery would stay with it, and come to nobody.
    fn handed_over(&mut self, settled: &Result<(), Error>) -> bool {
        if let Err(error) = settled {
            tracing::warn!(%error, "settling failed; the message will come again");
            self.receiver = None;
        }
        settled.is_ok()
    }

    /// Gives a delivery back. False if its connection is gone: then it comes again anyway.
    pub async fn release(&mut self, delivery: &Delivery) -> Result<bool, Error> {
        let Some(receiver) = self.receiver_of(delivery) else { return Ok(false) };
        let settled = receiver.release(delivery).await;
        Ok(self.handed_over(&settled))
    }

    /// Rejects a delivery, which dead-letters it. False if its connection is gone: then it comes again.
    pub async fn reject(&mut self, delivery: &Delivery, why: &str) -> Result<bool, Error> {
        let Some(receiver) = self.receiver_of(delivery) else { return Ok(false) };
        let settled = receiver.reject(delivery, why).await;
        Ok(self.handed_over(&settled))
    }

    /// Gives a delivery back as failed, which counts towards the queue's limit of deliveries. False if its connection is gone: then it
    /// comes again anyway.
    pub async fn fail(&mut self, delivery: &Delivery) -> Result<bool, Error> {
        let Some(receiver) = self.receiver_of(delivery) else { return Ok(false) };
        let settled = receiver.modify(delivery, true, false).await;
        Ok(self.handed_over(&settled))
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
}
