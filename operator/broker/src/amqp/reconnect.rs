//! When to try again, and when to stop trying.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{backoff::Backoff, error::Error, options::ConnectOptions};

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
        Self { policy, backoff, connected_at: None, failing_since: None, refused_since: None }
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        self.failing_since = None;
        self.refused_since = None;
    }

    /// How long to wait after this failure, or the failure itself to give up with.
    pub(super) fn failed(&mut self, error: &Error, now: Instant) -> Result<Duration, Error> {
        if self.connected_at.take().is_some_and(|at| now.duration_since(at) >= STABLE) {
            self.backoff.reset();
        }
        let failing_since = *self.failing_since.get_or_insert(now);
        let refused_since = if error.is_transient() { None } else { Some(self.refused_since.unwrap_or(now)) };
        self.refused_since = refused_since;

        let exceeded = |limit: Option<Duration>, since: Instant| limit.is_some_and(|l| now.duration_since(since) >= l);
        let refused_too_long = refused_since.is_some_and(|since| exceeded(self.policy.give_up_refused_after, since));
        if refused_too_long || exceeded(self.policy.give_up_after, failing_since) {
            return Err(error.clone());
        }
        Ok(self.backoff.next_delay())
    }

    pub(super) fn count(&self) -> u32 {
        self.backoff.attempts()
    }
}

type Attempt<L> = BoxFuture<'static, Result<L, Error>>;

/// Makes a link, over as many attempts as it takes.
///
/// Callers wait in `select!`, next to a clock that ticks each second. So the attempt
/// under way, and the wait before the next, are kept when a waiting future is
/// dropped; otherwise an attempt that takes longer than a tick would never end.
pub(super) struct Connector<L> {
    start: Box<dyn Fn() -> Attempt<L> + Send + Sync>,
    attempts: Attempts,
    not_before: Option<Instant>,
    under_way: Option<Attempt<L>>,
    made: u64,
}

impl<L> fmt::Debug for Connector<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl<L> Connector<L> {
    /// `start` begins one attempt.
    pub(super) fn new(start: impl Fn() -> Attempt<L> + Send + Sync + 'static, policy: ReconnectPolicy) -> Self {
        Self { start: Box::new(start), attempts: Attempts::new(policy), not_before: None, under_way: None, made: 0 }
    }

    /// Waits for a link. An error means that it was given up.
    pub(super) async fn link(&mut self) -> Result<L, Error> {
        loop {
            if let Some(not_before) = self.not_before {
                tokio::time::sleep_until(not_before).await;
                self.not_before = None;
            }
            let attempt = self.under_way.get_or_insert_with(|| (self.start)());
            let result = attempt.await;
            self.under_way = None;
            match result {
                Ok(link) => {
                    self.attempts.connected(Instant::now());
                    self.made += 1;
                    return Ok(link);
                }
                Err(error) => self.failed("cannot connect; trying again", &error)?,
            }
        }
    }

    /// Tells of a failure and puts off the next attempt, or gives up.
    pub(super) fn failed(&mut self, what: &str, error: &Error) -> Result<(), Error> {
        let now = Instant::now();
        let wait = self.attempts.failed(error, now)?;
        self.not_before = Some(now + wait);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%error, attempt = self.attempts.count(), wait_ms, "{what}");
        Ok(())
    }

    /// Links made after the first.
    pub(super) fn reconnections(&self) -> u64 {
        self.made.saturating_sub(1)
    }

    /// Links made.
    pub(super) fn made(&self) -> u64 {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn attempts(give_up_after: Option<u64>, give_up_refused_after: Option<u64>) -> Attempts {
        Attempts::new(ReconnectPolicy {
            give_up_after: give_up_after.map(Duration::from_secs),
            give_up_refused_after: give_up_refused_after.map(Duration::from_secs),
            ..ReconnectPolicy::default()
        })
    }

    fn closed() -> Error {
        Error::Closed { reason: "gone".into() }
    }

    fn refused() -> Error {
        Error::Unauthorized { description: "no".into() }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_waited_for_without_limit_by_default() {
        let start = Instant::now();
        let mut attempts = attempts(None, Some(60));
        for second in 0..10_000 {
            assert!(attempts.failed(&closed(), after(start, second)).unwrap() <= Duration::from_secs(10));
        }
    }

    #[test]
    fn a_refusal_is_waited_for_as_long_as_allowed() {
        let start = Instant::now();
        let mut attempts = attempts(None, Some(60));
        assert!(attempts.failed(&refused(), start).is_ok());
        assert!(attempts.failed(&refused(), after(start, 59)).is_ok());
        assert_eq!(attempts.failed(&refused(), after(start, 60)), Err(refused()));
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

    fn no_wait() -> ReconnectPolicy {
        ReconnectPolicy { base: Duration::ZERO, max: Duration::ZERO, ..ReconnectPolicy::default() }
    }

    #[tokio::test]
    async fn an_attempt_goes_on_when_the_one_who_waits_looks_at_the_clock() {
        let started = Arc::new(AtomicU32::new(0));
        let answer = Arc::new(tokio::sync::Notify::new());
        let (count, answers) = (Arc::clone(&started), Arc::clone(&answer));
        let mut connector = Connector::new(
            move || {
                count.fetch_add(1, Ordering::Relaxed);
                let answers = Arc::clone(&answers);
                Box::pin(async move {
                    answers.notified().await;
                    Ok(())
                })
            },
            no_wait(),
        );
        // The broker answers only after the third look.
        for _ in 0..3 {
            tokio::select! {
                _ = connector.link() => panic!("nobody has answered"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        answer.notify_one();
        connector.link().await.unwrap();
        assert_eq!(started.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn it_tries_until_it_succeeds() {
        let started = AtomicU32::new(0);
        let mut connector = Connector::new(
            move || {
                let number = started.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move { if number < 3 { Err(closed()) } else { Ok(number) } })
            },
            no_wait(),
        );
        assert_eq!(connector.link().await, Ok(3));
        assert_eq!((connector.made(), connector.reconnections()), (1, 0));
    }
}
