//! Who receives, and writes it down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use entente_broker::amqp::{Delivery, OptionsSource, ReconnectingReceiver, address};
use fe2o3_amqp_types::messaging::Body;
use tokio::sync::watch;

use super::history::{Event, Identity, Recorder};
use super::plan::{Settle, body};
use super::producer::policy;

/// Messages under way to one consumer.
const CREDIT: u32 = 100;

/// Receives and settles until it is told to stop. Returns how often it reconnected. `deliveries` counts what came, so that others see when
/// nothing comes any more.
pub async fn consume(
    queue: String,
    bytes: usize,
    settle: fn(u64) -> Settle,
    source: OptionsSource,
    recorder: Recorder,
    deliveries: Arc<AtomicU64>,
    mut stop: watch::Receiver<bool>,
) -> Result<u64> {
    let mut receiver = ReconnectingReceiver::new(source, address::queue(&queue), CREDIT, policy());
    let mut foreign = 0;
    loop {
        let delivery = tokio::select! {
            biased;
            _ = stop.changed() => break,
            delivery = receiver.recv() => delivery?,
        };
        deliveries.fetch_add(1, Ordering::Relaxed);
        let identity = delivery.message_id().as_deref().and_then(Identity::parse).unwrap_or_else(|| {
            foreign += 1;
            Identity { producer: Identity::NOBODY, sequence: foreign }
        });
        let event = if is_whole(&delivery, identity, bytes) { Event::Received } else { Event::Corrupt };
        recorder.note(event, identity)?;
        // Written down before: if it comes again, it must have been handed over here.
        let (handed_over, event) = match settle(identity.sequence) {
            Settle::Accept => (receiver.accept(&delivery).await?, Event::Accepted),
            Settle::Reject => (receiver.reject(&delivery, "chaos").await?, Event::Rejected),
            Settle::GiveBack => (receiver.fail(&delivery).await?, Event::GivenBack),
        };
        recorder.note(if handed_over { event } else { Event::Unsettled }, identity)?;
    }
    let reconnections = receiver.reconnections();
    let _ = receiver.close().await;
    recorder.flush()?;
    Ok(reconnections)
}

fn is_whole(delivery: &Delivery, identity: Identity, bytes: usize) -> bool {
    let Ok(content) = &delivery.content else { return false };
    let Body::Data(sections) = &content.body else { return false };
    let mut received = sections.iter().flat_map(|section| section.0.iter());
    body(identity, bytes).iter().all(|byte| received.next() == Some(byte)) && received.next().is_none()
}
