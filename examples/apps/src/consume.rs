//! The consumer.

use anyhow::Result;
use entente_broker::amqp::{Delivery, Error, ReconnectingReceiver, SimpleValue};
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use crate::{
    args::Consume,
    end::End,
    produce::{PRODUCER, SEQUENCE},
    progress::{Progress, per_second, print_result, seconds},
    sequences::Sequences,
    target::{self, Direction},
};

/// Gaps told one by one; the number of missing messages is told in any case.
const GAPS_SHOWN: usize = 5;

#[derive(Debug, Default)]
struct Counts {
    /// Accepted deliveries.
    received: u64,
    /// Of these, those without a number, such as messages of other programs.
    unnumbered: u64,
    /// Deliveries that were rejected.
    rejected: u64,
    sequences: Sequences,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    received: u64,
    unique: u64,
    duplicates: u64,
    missing: u64,
    unnumbered: u64,
    rejected: u64,
    reconnections: u64,
    seconds: f64,
    per_second: f64,
}

impl Counts {
    fn add(&mut self, delivery: &Delivery) {
        self.received += 1;
        match (delivery.property(PRODUCER), delivery.property(SEQUENCE)) {
            (Some(SimpleValue::String(producer)), Some(SimpleValue::Ulong(number))) => {
                self.sequences.insert(producer, *number);
            }
            _ => self.unnumbered += 1,
        }
    }

    fn unique(&self) -> u64 {
        self.sequences.unique() + self.unnumbered
    }
}

/// Receives; true if as many different messages came as were asked for, and none is missing where that was asked for.
pub async fn run(args: Consume) -> Result<bool> {
    let target = target::resolve(&args.common, Direction::Receive)?;
    let mut end = End::new(args.common.timeout)?;
    let mut receiver = ReconnectingReceiver::new(target.source, target.address, args.credit, target.policy);
    let mut counts = Counts::default();
    let mut progress = Progress::new(args.common.report_interval);

    let mut reason = None;
    let failure = {
        let receiving = receive_all(&args, &mut receiver, &mut counts, &mut progress);
        tokio::pin!(receiving);
        tokio::select! {
            biased;
            result = &mut receiving => result.err(),
            why = end.reached() => { reason = Some(why); None }
        }
    };
    if let Some(error) = &failure {
        tracing::error!(%error, "giving up");
    } else if let Some(reason) = reason {
        tracing::info!(?reason, "stopping; what is not accepted goes back to the queue");
    }
    let time = progress.elapsed();
    if let Err(error) = receiver.close().await {
        tracing::warn!(%error, "closing");
    }
    let missing = counts.sequences.missing();
    if missing > 0 {
        tracing::warn!(missing, first = ?counts.sequences.gaps(GAPS_SHOWN), "numbers are missing");
    }
    print_result(&Summary {
        received: counts.received,
        unique: counts.unique(),
        duplicates: counts.sequences.duplicates(),
        missing,
        unnumbered: counts.unnumbered,
        rejected: counts.rejected,
        reconnections: receiver.reconnections(),
        seconds: seconds(time),
        per_second: per_second(counts.received, time),
    })?;
    let all = match args.common.count {
        Some(count) => counts.unique() >= count,
        None => reason.is_some(),
    };
    let complete = missing == 0 || !args.complete;
    Ok(all && complete && failure.is_none())
}

async fn receive_all(
    args: &Consume,
    receiver: &mut ReconnectingReceiver,
    counts: &mut Counts,
    progress: &mut Progress,
) -> Result<(), Error> {
    while args.common.count.is_none_or(|count| counts.unique() < count) {
        if let Some(rate) = progress.lap(counts.received) {
            report(counts, rate);
        }
        tokio::select! {
            delivery = receiver.recv() => {
                let delivery = delivery?;
                if counts.rejected < args.reject {
                    counts.rejected += u64::from(receiver.reject(&delivery, "told to reject it").await?);
                    continue;
                }
                if !args.delay.is_zero() {
                    work(args, counts, progress).await;
                }
                // Only what is accepted counts: the rest comes again.
                if receiver.accept(&delivery).await? {
                    counts.add(&delivery);
                }
            }
            () = sleep_until(progress.due()) => {}
        }
    }
    Ok(())
}

/// Stands for what a real consumer does with a message.
async fn work(args: &Consume, counts: &Counts, progress: &mut Progress) {
    let done = sleep(args.delay);
    tokio::pin!(done);
    loop {
        tokio::select! {
            () = &mut done => return,
            () = sleep_until(progress.due()) => {
                if let Some(rate) = progress.lap(counts.received) {
                    report(counts, rate);
                }
            }
        }
    }
}

fn report(counts: &Counts, rate: f64) {
    tracing::info!(
        received = counts.received,
        unique = counts.unique(),
        duplicates = counts.sequences.duplicates(),
        missing = counts.sequences.missing(),
        per_second = rate,
        "consuming"
    );
}
