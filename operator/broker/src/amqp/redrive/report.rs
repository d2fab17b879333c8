//! What a run has done.

use std::fmt;

use crate::amqp::error::Error;

/// What has been done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Messages that the target's broker has accepted.
    pub moved: u64,
    /// Messages that stay since they do not match the filter.
    pub not_matched: u64,
    /// Messages that this run sent, and that became dead letters again.
    pub returned: u64,
    /// Messages that stay since nobody knows their queue, or since it is no more.
    pub homeless: u64,
    /// Messages that stay since they cannot be read.
    pub unreadable: u64,
    /// Messages that stay since they carry the user-id of somebody else.
    pub of_others: u64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The queue has been seen through: nothing came for the time given.
    Through,
    /// As many messages as wanted were moved.
    Limit,
    /// More messages stay than may be held; what is behind them has not been seen.
    TooManyHeld,
}

/// A run that ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What has been done.
    pub progress: Progress,
    /// Why it ended.
    pub end: End,
}

/// A run that ended early. Nothing is lost; what was on its way may be there twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{progress}; then: {error}")]
pub struct Failed {
    /// What has been done.
    pub progress: Progress,
    /// What ended it. [`Error::Rejected`]: the target takes no more, for instance because it is full.
    pub error: Error,
}

impl Progress {
    /// Messages that stay.
    pub fn held(&self) -> u64 {
        let Self { moved: _, not_matched, returned, homeless, unreadable, of_others } = self;
        not_matched + returned + homeless + unreadable + of_others
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moved, not_matched, returned, homeless, unreadable, of_others } = self;
        write!(f, "{moved} messages moved, {} stay", self.held())?;
        let reasons = [
            (not_matched, "do not match the filter"),
            (returned, "became dead letters again"),
            (homeless, "have no queue to go to"),
            (unreadable, "cannot be read"),
            (of_others, "carry another user's user-id"),
        ];
        let mut separator = " (";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| **count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress.fmt(f)?;
        f.write_str(match self.end {
            End::Through => "; the queue was seen through",
            End::Limit => "; the limit was reached",
            End::TooManyHeld => {
                "; no more can be held, so what is behind them in the queue was not seen: use a filter that fewer fail"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_stays_and_why() {
        let progress = Progress { moved: 7, not_matched: 2, unreadable: 1, ..Progress::default() };
        assert_eq!(
            Report { progress, end: End::Through }.to_string(),
            "7 messages moved, 3 stay (2 do not match the filter, 1 cannot be read); the queue was seen through"
        );
        let progress = Progress { moved: 7, ..Progress::default() };
        assert_eq!(Report { progress, end: End::Limit }.to_string(), "7 messages moved, 0 stay; the limit was reached");
    }

    #[test]
    fn a_failure_says_what_was_done_before_it() {
        let failed = Failed { progress: Progress { moved: 7, ..Progress::default() }, error: Error::Released };
        assert!(failed.to_string().starts_with("7 messages moved, 0 stay; then: released by the broker"), "{failed}");
    }
}
