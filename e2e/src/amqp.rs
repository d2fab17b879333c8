//! Real messages, over AMQP 1.0.

use std::time::Duration;

use anyhow::{Context, Result};
use entente_broker::amqp::{Outcome, Outgoing, address};

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

/// Sends these messages to an address, and returns what became of each.
pub async fn send_to(broker: &BrokerAccess, virtual_host: &str, address: &str, messages: Vec<Outgoing>) -> Result<Vec<Outcome>> {
    let connection = broker.connect(virtual_host).await?;
    let mut sender = connection.sender(address).await?;
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        outcomes.push(sender.send(message).await?);
    }
    connection.close().await?;
    Ok(outcomes)
}

/// How long a queue must give nothing to be called empty.
const SILENCE: Duration = Duration::from_millis(700);

/// Receives and accepts whatever is in a queue, and returns the message ids in order.
pub async fn drain(broker: &BrokerAccess, virtual_host: &str, queue: &str) -> Result<Vec<String>> {
    let connection = broker.connect(virtual_host).await?;
    let mut receiver = connection.receiver(&address::queue(queue), 200).await?;
    let mut ids = Vec::new();
    while let Ok(delivery) = receiver.recv_timeout(SILENCE).await {
        receiver.accept(&delivery).await?;
        ids.push(delivery.message_id().unwrap_or_default());
    }
    receiver.close().await?;
    connection.close().await?;
    Ok(ids)
}
