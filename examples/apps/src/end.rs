//! When to stop.

use std::{future, time::Duration};

use anyhow::Result;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

/// Why it stopped before all was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// SIGTERM or SIGINT.
    Signal,
    /// The time was up.
    Timeout,
}

/// Signals and the limit in time.
pub struct End {
    terminate: Signal,
    interrupt: Signal,
    deadline: Option<Instant>,
}

impl End {
    pub fn new(timeout: Option<Duration>) -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        })
    }

    /// Waits for a reason to stop. May be dropped and called again; that the time is
    /// up is told once, so that a signal can still cut short what follows.
    pub async fn reached(&mut self) -> Reason {
        let deadline = self.deadline;
        let timeout = async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Reason::Signal,
            _ = self.interrupt.recv() => Reason::Signal,
            () = timeout => {
                self.deadline = None;
                Reason::Timeout
            }
        }
    }
}
