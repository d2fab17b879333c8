//! What became of a message that was sent.

use fe2o3_amqp_types::messaging;

use super::error::{Error, condition};

/// The broker's settlement of one sent message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker took responsibility. From a quorum queue: a majority has it on disk.
    Accepted,
    /// Not taken, may be sent again: nothing is bound where it was sent.
    Released,
    /// Not taken, and the same message will not be.
    Rejected {
        /// AMQP error condition; empty if the broker gave none.
        condition: String,
        /// The broker's own words.
        description: String,
    },
    /// Not taken, may be sent again, perhaps elsewhere.
    Modified {
        /// The broker counts this as a failed delivery.
        delivery_failed: bool,
        /// Not to be tried here again.
        undeliverable_here: bool,
    },
}

impl Outcome {
    /// True if the broker took responsibility for the message.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// For callers to whom everything but acceptance is a failure.
    pub fn accepted(self) -> Result<(), Error> {
        match self {
            Self::Accepted => Ok(()),
            Self::Released => Err(Error::Released),
            Self::Rejected { condition, description } => Err(Error::Rejected { condition, description }),
            Self::Modified { .. } => Err(Error::Modified),
        }
    }
}

impl From<messaging::Outcome> for Outcome {
    fn from(outcome: messaging::Outcome) -> Self {
        match outcome {
            messaging::Outcome::Accepted(_) => Self::Accepted,
            messaging::Outcome::Released(_) => Self::Released,
            messaging::Outcome::Rejected(rejected) => {
                let (condition, description) = rejected.error.as_ref().map(condition).unwrap_or_default();
                Self::Rejected { condition, description }
            }
            messaging::Outcome::Modified(modified) => Self::Modified {
                delivery_failed: modified.delivery_failed.unwrap_or(false),
                undeliverable_here: modified.undeliverable_here.unwrap_or(false),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acceptance_is_a_success() {
        assert_eq!(Outcome::Accepted.accepted(), Ok(()));
        assert_eq!(Outcome::Released.accepted(), Err(Error::Released));
        let rejected = Outcome::Rejected { condition: "c".into(), description: "d".into() };
        assert_eq!(rejected.accepted(), Err(Error::Rejected { condition: "c".into(), description: "d".into() }));
        let modified = Outcome::Modified { delivery_failed: true, undeliverable_here: false };
        assert_eq!(modified.accepted(), Err(Error::Modified));
    }

    #[test]
    fn a_rejection_without_a_reason_is_still_one() {
        let outcome = messaging::Outcome::Rejected(messaging::Rejected { error: None });
        assert_eq!(Outcome::from(outcome), Outcome::Rejected { condition: String::new(), description: String::new() });
    }
}
