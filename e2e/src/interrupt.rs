//! Ctrl-C and SIGTERM.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process was asked to end so many times from now on.
///
/// # Errors
/// The process cannot listen to signals.
pub async fn interrupted(times: usize) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    for _ in 0..times {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    Ok(())
}
