//! Who sends, and writes down what became of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use entente_broker::amqp::{
    ConnectOptions, Error, OptionsSource, Outcome, ReconnectPolicy, ReconnectingSender, Settled, Settlement, Timeouts,
    WhenUnknown,
};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::history::{Event, Identity, Recorder};
use super::plan::Plan;

/// Messages without an outcome at once.
const WINDOW: usize = 50;
/// How long outcomes are waited for in the end.
const LAST_OUTCOMES: Duration = Duration::from_secs(30);

/// How clients connect. These are the settings that `docs/failover.md` recommends, and what the figures are measured with.
pub fn settings(mut options: ConnectOptions) -> OptionsSource {
    // A peer that is silent for so long is gone: the broker sends an empty frame each second.
    options.idle_timeout = Duration::from_secs(2);
    options.timeouts = Timeouts {
        // A Service may still lead to a node that does not answer; the next attempt may meet another.
        connect: Duration::from_millis(1_500),
        attach: Duration::from_secs(2),
        send: Duration::from_secs(10),
        settle: Duration::from_secs(2),
        close: Duration::from_secs(2),
    };
    Arc::new(move || Ok::<ConnectOptions, Error>(options.clone()))
}

/// Tries again soon, and never gives up.
pub fn policy() -> ReconnectPolicy {
    ReconnectPolicy {
        base: Duration::from_millis(20),
        max: Duration::from_millis(250),
        give_up_after: None,
        give_up_refused_after: None,
    }
}

/// Sends until it is told to stop, and then waits for what is still without an outcome. Returns how often it reconnected.
///
/// A message whose outcome a lost connection took along is not sent again: it is `unknown`, and the next one follows.
pub async fn produce(
    plan: Plan,
    producer: u32,
    source: OptionsSource,
    recorder: Recorder,
    mut stop: watch::Receiver<bool>,
) -> Result<u64> {
    let mut sender = ReconnectingSender::new(source, plan.send_to.clone(), WINDOW, WhenUnknown::Report, policy());
    let mut ticks = interval(plan.pause);
    // After an outage: no flood of what was not sent meanwhile.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0;
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            settled = sender.settled(), if sender.unsettled() > 0 => note(&recorder, settled?)?,
            _ = ticks.tick() => {
                let identity = Identity { producer, sequence };
                sequence += 1;
                recorder.note(Event::Invoke, identity)?;
                // Not in `select!` with the end: a message that was begun is accounted for.
                sender.post(plan.message(identity)).await?;
            }
        }
    }
    let end = Instant::now() + LAST_OUTCOMES;
    while let Ok(settled) = timeout_at(end, sender.settled()).await {
        let Some(settled) = settled? else { break };
        note(&recorder, Some(settled))?;
    }
    let reconnections = sender.reconnections();
    // The connection may be gone; what has no outcome by now is unknown.
    let _ = sender.close().await;
    for message_id in sender.into_unsettled() {
        if let Some(identity) = Identity::parse(&message_id) {
            recorder.note(Event::Unknown, identity)?;
        }
    }
    recorder.flush()?;
    Ok(reconnections)
}

fn note(recorder: &Recorder, settled: Option<Settled>) -> Result<()> {
    let Some(Settled { message_id, settlement, ticket: _, attempts: _ }) = settled else { return Ok(()) };
    let Some(identity) = Identity::parse(&message_id) else { return Ok(()) };
    let event = match settlement {
        Settlement::Known(Outcome::Accepted) => Event::Ok,
        Settlement::Known(Outcome::Released | Outcome::Rejected { .. } | Outcome::Modified { .. }) => Event::Fail,
        Settlement::Unknown(_) => Event::Unknown,
    };
    recorder.note(event, identity)
}
