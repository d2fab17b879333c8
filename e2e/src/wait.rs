//! Waiting with a limit and a reason.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks again until the answer is `Ok(Some(_))`, and returns it with the time it took.
///
/// After the limit it fails with `what` and the last answer that was no.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<(T, Duration)> {
    let begin = Instant::now();
    loop {
        let last = match ask().await {
            Ok(Some(answer)) => return Ok((answer, begin.elapsed())),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if begin.elapsed() > limit {
            bail!("{what}: not so after {limit:?} (last: {last})");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same for a condition.
pub async fn holds(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    Ok(until(what, limit, async || Ok(ask().await?.then_some(()))).await?.1)
}

/// Seconds, to be short.
pub const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_is_kept_and_the_last_answer_is_told() {
        let error = holds("rain", Duration::from_millis(60), async || Ok(false)).await.unwrap_err().to_string();
        assert!(error.contains("rain") && error.contains("not yet"), "{error}");
    }

    #[tokio::test]
    async fn an_error_is_asked_again() {
        let mut left = 2;
        let answer = until("luck", seconds(5), async || {
            left -= 1;
            if left > 0 {
                anyhow::bail!("no")
            }
            Ok(Some(7))
        });
        assert_eq!(answer.await.unwrap().0, 7);
    }
}
