//! The producer.

use std::time::Duration;

use anyhow::Result;
use entente_broker::amqp::{Outcome, Outgoing, ReconnectingSender, Settled, Settlement, WhenUnknown};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    args::Produce,
    end::End,
    progress::{Progress, per_second, print_result, seconds},
    target::{self, Direction},
};

/// Property with the producer's own name, so that several may share a queue.
pub const PRODUCER: &str = "producer";
/// Property with the message's number, from 0.
pub const SEQUENCE: &str = "sequence";

/// How long outcomes are waited for after the end.
const LAST_OUTCOMES: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    accepted: u64,
    released: u64,
    rejected: u64,
    modified: u64,
    resent: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    sent: u64,
    accepted: u64,
    released: u64,
    rejected: u64,
    modified: u64,
    unknown: u64,
    resent: u64,
    reconnections: u64,
    seconds: f64,
    per_second: f64,
}

impl Counts {
    fn add(&mut self, settled: &Settled) {
        self.resent += u64::from(settled.attempts.saturating_sub(1));
        match &settled.settlement {
            Settlement::Known(Outcome::Accepted) => self.accepted += 1,
            Settlement::Known(Outcome::Released) => self.released += 1,
            Settlement::Known(Outcome::Rejected { condition, description }) => {
                if self.rejected == 0 {
                    tracing::warn!(%condition, %description, "first message rejected");
                }
                self.rejected += 1;
            }
            Settlement::Known(Outcome::Modified { .. }) => self.modified += 1,
            // Not counted here: what has no outcome at the end is unknown.
            Settlement::Unknown(_) => {}
        }
    }

    fn unknown(&self) -> u64 {
        self.sent - self.accepted - self.released - self.rejected - self.modified
    }
}

/// Sends; true if all that was to be sent was accepted.
pub async fn run(args: Produce) -> Result<bool> {
    let target = target::resolve(&args.common, Direction::Send)?;
    let mut end = End::new(args.common.timeout)?;
    let mut sender = ReconnectingSender::new(target.source, target.address, args.window, WhenUnknown::Resend, target.policy);
    let mut counts = Counts::default();
    let mut progress = Progress::new(args.common.report_interval);

    let mut reason = None;
    let failure = {
        let sending = send_all(&args, &mut sender, &mut counts, &mut progress);
        tokio::pin!(sending);
        tokio::select! {
            biased;
            result = &mut sending => result.err(),
            why = end.reached() => { reason = Some(why); None }
        }
    };
    match (&failure, reason) {
        (Some(error), _) => tracing::error!(%error, "giving up"),
        (None, Some(reason)) => {
            tracing::info!(?reason, unsettled = sender.unsettled(), "stopping; waiting for outcomes");
            finish(&mut sender, &mut counts, &mut end).await;
        }
        (None, None) => {}
    }
    let time = progress.elapsed();
    if let Err(error) = sender.close().await {
        tracing::warn!(%error, "closing");
    }
    print_result(&Summary {
        sent: counts.sent,
        accepted: counts.accepted,
        released: counts.released,
        rejected: counts.rejected,
        modified: counts.modified,
        unknown: counts.unknown(),
        resent: counts.resent,
        reconnections: sender.reconnections(),
        seconds: seconds(time),
        per_second: per_second(counts.accepted, time),
    })?;
    let all = match args.common.count {
        Some(count) => counts.accepted == count,
        // Without a number to reach, being stopped is the only good end.
        None => counts.accepted == counts.sent && reason.is_some(),
    };
    Ok(all && failure.is_none())
}

/// Sends until the count is reached and all outcomes are there.
async fn send_all(
    args: &Produce,
    sender: &mut ReconnectingSender,
    counts: &mut Counts,
    progress: &mut Progress,
) -> Result<(), entente_broker::amqp::Error> {
    let producer = format!("{:016x}", rand::random::<u64>());
    let total = args.common.count.unwrap_or(u64::MAX);
    let start = Instant::now();
    loop {
        if let Some(rate) = progress.lap(counts.accepted) {
            report(counts, rate);
        }
        let due = args.rate.map_or(start, |rate| start + offset(counts.sent, rate));
        if counts.sent < total && sender.has_room() && due <= Instant::now() {
            let number = counts.sent;
            counts.sent += 1;
            sender.post(message(&producer, number, args)).await?;
            continue;
        }
        // The next thing to happen: an outcome, the moment for the next message, or for a report.
        let waiting_for_rate = counts.sent < total && sender.has_room();
        let wake = if waiting_for_rate { due.min(progress.due()) } else { progress.due() };
        tokio::select! {
            settled = sender.settled(), if sender.unsettled() > 0 => {
                if let Some(settled) = settled? {
                    counts.add(&settled);
                }
            }
            () = sleep_until(wake) => {}
        }
        if counts.sent >= total && counts.unknown() == 0 {
            return Ok(());
        }
    }
}

/// Collects the outcomes that still come.
async fn finish(sender: &mut ReconnectingSender, counts: &mut Counts, end: &mut End) {
    let collecting = timeout(LAST_OUTCOMES, async {
        while let Ok(Some(settled)) = sender.settled().await {
            counts.add(&settled);
        }
    });
    tokio::select! {
        _ = collecting => {}
        reason = end.reached() => tracing::info!(?reason, "not waiting any longer"),
    }
}

fn report(counts: &Counts, rate: f64) {
    tracing::info!(
        sent = counts.sent,
        accepted = counts.accepted,
        released = counts.released,
        rejected = counts.rejected,
        unsettled = counts.unknown(),
        per_second = rate,
        "producing"
    );
}

/// When the message with this number is due.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
fn offset(number: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX / 4)
}

fn message(producer: &str, number: u64, args: &Produce) -> Outgoing {
    let mut message = Outgoing::new(format!("{producer}-{number}"), vec![b'x'; args.size])
        .property(PRODUCER, producer.to_owned())
        .property(SEQUENCE, number);
    message.subject.clone_from(&args.subject);
    message.properties.extend(args.properties.iter().cloned());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_evenly() {
        assert_eq!(offset(0, 10.0), Duration::ZERO);
        assert_eq!(offset(25, 10.0), Duration::from_millis(2500));
        // So far away that it cannot be told: never, but without failing.
        let _ = offset(u64::MAX, 0.001);
    }

    #[test]
    fn what_has_no_outcome_is_unknown() {
        let mut counts = Counts { sent: 5, ..Counts::default() };
        let settled = |settlement, attempts| Settled { ticket: 0, message_id: String::new(), attempts, settlement };
        counts.add(&settled(Settlement::Known(Outcome::Accepted), 3));
        counts.add(&settled(Settlement::Known(Outcome::Released), 1));
        assert_eq!((counts.accepted, counts.released, counts.unknown(), counts.resent), (1, 1, 3, 2));
    }
}
