//! When to try again, and when to stop trying.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{backoff::Backoff, connection::Connection, error::Error, options::ConnectOptions};

/// Read before every attempt, so that rotated credentials and certificates are
/// taken up without a restart.
pub type OptionsSource = Arc<dyn Fn() -> Result<ConnectOptions, Error> + Send + Sync>;

/// A connection that lasted this long was a good one.
const STABLE: Duration = Duration::from_secs(10);

/// How persistent a reconnecting link is.
#[derive(Debug, Clone)]
pub struct ReconnectPolicy {
    /// Longest wait after the first failure.
    pub base: Duration,
    /// Longest wait after any failure.
    pub max: Duration,
    /// Give up when there was no connection for so long; `None` for never.
    pub give_up_after: Option<Duration>,
    /// Give up when the broker, or its certificate, refused for so long; `None` for never.
    pub give_up_refused_after: Option<Duration>,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            max: Duration::from_secs(10),
            give_up_after: None,
            give_up_refused_after: Some(Duration::from_mins(1)),
        }
    }
}

/// The state of trying.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: ReconnectPolicy,
    backoff: Backoff,
    connected_at: Option<Instant>,
    failing_since: Option<Instant>,
    refused_since: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(policy: ReconnectPolicy) -> Self {
        let backoff = Backoff::new(policy.base, policy.max);
        Self {
            policy,
            backoff,
            connected_at: None,
            failing_since: None,
            refused_since: None,
        }
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        self.failing_since = None;
        self.refused_since = None;
    }

    /// How long to wait after this failure, or the failure itself to give up with.
    pub(super) fn failed(&mut self, error: &Error, now: Instant) -> Result<Duration, Error> {
        if self
            .connected_at
            .take()
            .is_some_and(|at| now.duration_since(at) >= STABLE)
        {
            self.backoff.reset();
        }
        let failing_since = *self.failing_since.get_or_insert(now);
        let refused_since = if error.is_transient() {
            None
        } else {
            Some(self.refused_since.unwrap_or(now))
        };
        self.refused_since = refused_since;

        let exceeded = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|l| now.duration_since(since) >= l)
        };
        let refused_too_long =
            refused_since.is_some_and(|since| exceeded(self.policy.give_up_refused_after, since));
        if refused_too_long || exceeded(self.policy.give_up_after, failing_since) {
            return Err(error.clone());
        }
        Ok(self.backoff.next_delay())
    }

    pub(super) fn count(&self) -> u32 {
        self.backoff.attempts()
    }
}

/// Connects as often as it takes; what is attached after is the caller's.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) source: OptionsSource,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let options = (self.source)()?;
        Connection::connect(&options).await
    }
}

/// Says what failed, waits, or gives up.
pub(super) async fn pause(
    attempts: &mut Attempts,
    doing: &str,
    error: &Error,
) -> Result<(), Error> {
    let delay = attempts.failed(error, Instant::now())?;
    tracing::warn!(%error, attempt = attempts.count(), wait_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), "{doing}");
    tokio::time::sleep(delay).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(give_up_after: Option<u64>, give_up_refused_after: Option<u64>) -> Attempts {
        Attempts::new(ReconnectPolicy {
            give_up_after: give_up_after.map(Duration::from_secs),
            give_up_refused_after: give_up_refused_after.map(Duration::from_secs),
            ..ReconnectPolicy::default()
        })
    }

    fn closed() -> Error {
        Error::Closed {
            reason: "gone".into(),
        }
    }

    fn refused() -> Error {
        Error::Unauthorized {
            description: "no".into(),
        }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_waited_for_without_limit_by_default() {
        let start = Instant::now();
        let mut attempts = attempts(None, Some(60));
        for second in 0..10_000 {
            assert!(
                attempts.failed(&closed(), after(start, second)).unwrap()
                    <= Duration::from_secs(10)
            );
        }
    }

    #[test]
    fn a_refusal_is_waited_for_as_long_as_allowed() {
        let start = Instant::now();
        let mut attempts = attempts(None, Some(60));
        assert!(attempts.failed(&refused(), start).is_ok());
        assert!(attempts.failed(&refused(), after(start, 59)).is_ok());
        assert_eq!(
            attempts.failed(&refused(), after(start, 60)),
            Err(refused())
        );
    }

    #[test]
    fn an_outage_between_refusals_starts_them_anew() {
        let start = Instant::now();
        let mut attempts = attempts(None, Some(60));
        assert!(attempts.failed(&refused(), start).is_ok());
        assert!(attempts.failed(&closed(), after(start, 59)).is_ok());
        assert!(attempts.failed(&refused(), after(start, 61)).is_ok());
    }

    #[test]
    fn the_limit_on_outages_counts_from_the_last_connection() {
        let start = Instant::now();
        let mut attempts = attempts(Some(30), None);
        assert!(attempts.failed(&closed(), start).is_ok());
        attempts.connected(after(start, 20));
        assert!(attempts.failed(&closed(), after(start, 40)).is_ok());
        assert!(attempts.failed(&closed(), after(start, 69)).is_ok());
        assert_eq!(attempts.failed(&closed(), after(start, 70)), Err(closed()));
    }

    #[test]
    fn a_connection_that_breaks_at_once_does_not_reset_the_back_off() {
        let start = Instant::now();
        let mut attempts = attempts(None, None);
        for second in 0..5 {
            attempts.failed(&closed(), after(start, second)).unwrap();
            attempts.connected(after(start, second));
        }
        assert_eq!(attempts.count(), 5);
        attempts.failed(&closed(), after(start, 4 + 10)).unwrap();
        assert_eq!(attempts.count(), 1, "a connection that lasted resets it");
    }
}
