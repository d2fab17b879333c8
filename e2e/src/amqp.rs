//! Real messages, over AMQP 1.0.

use std::time::Duration;

use anyhow::{Context, Result};
use entente_broker::amqp::Outgoing;
use entente_broker::amqp::address;

use crate::broker::BrokerAccess;

/// Sends this many messages and returns when the broker has accepted each.
pub async fn send(broker: &BrokerAccess, virtual_host: &str, queue: &str, count: usize) -> Result<()> {
    let connection = broker.connect(virtual_host).await?;
    let mut sender = connection.sender(&address::queue(queue)).await?;
    let mut pending = Vec::with_capacity(count);
    for number in 0..count {
        pending.push(sender.post(Outgoing::new(format!("{queue}-{number}"), format!("message {number}"))).await?);
    }
    for (number, outcome) in pending.into_iter().enumerate() {
        outcome.outcome().await?.accepted().with_context(|| format!("message {number} to {queue}"))?;
    }
    connection.close().await?;
    Ok(())
}

/// Receives and accepts this many messages, and returns their ids.
pub async fn receive(broker: &BrokerAccess, virtual_host: &str, queue: &str, count: usize) -> Result<Vec<String>> {
    let connection = broker.connect(virtual_host).await?;
    let credit = u32::try_from(count)?.clamp(1, 500);
    let mut receiver = connection.receiver(&address::queue(queue), credit).await?;
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let delivery = receiver
            .recv_timeout(Duration::from_secs(10))
            .await
            .with_context(|| format!("{} of {count} messages came from {queue}", ids.len()))?;
        receiver.accept(&delivery).await?;
        ids.push(delivery.message_id().unwrap_or_default());
    }
    // Links first: a settlement that is still on its way must not meet the end of its connection.
    receiver.close().await?;
    connection.close().await?;
    Ok(ids)
}
