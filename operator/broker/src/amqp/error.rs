//! What an AMQP operation may come to.

use std::{io, time::Duration};

use fe2o3_amqp::{
    connection::{ConnectionStopReason, OpenError},
    link::{
        DetachError, DispositionError, LinkStateError, ReceiverAttachError, RecvError, SendError, SenderAttachError,
        SessionStopReason,
    },
    session::BeginError,
};
use fe2o3_amqp_types::definitions::{self, AmqpError, ConnectionError, ErrorCondition};
use fe2o3_amqp_types::primitives::Symbol;

const NO_AMQP: &str = "the peer does not speak AMQP 1.0 here; is this port the right one, with or without TLS?";

/// What the engine says of every connection that did not end in order.
pub(super) const OVER: &str = "connection is over";

/// Condition of a refusal for which the broker gave no condition.
pub(super) const NOT_OPENED: &str = "entente:not-opened";

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer is there but does not answer.
    #[error("{what}: no answer within {after:?}")]
    Timeout {
        /// The operation that was waited for.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended before the operation did.
    #[error("connection ended: {reason}")]
    Closed {
        /// As told by the peer or by the network.
        reason: String,
    },
    /// The broker answered, and the answer is no.
    #[error("refused by the broker ({condition}): {description}")]
    Refused {
        /// AMQP error condition, such as `amqp:not-found`.
        condition: String,
        /// The broker's own words.
        description: String,
    },
    /// Wrong credentials, or right ones without the permission.
    #[error("not authorized: {description}")]
    Unauthorized {
        /// The broker's own words, where it has any.
        description: String,
    },
    /// No trusted connection could be made.
    #[error("TLS: {0}")]
    Tls(String),
    /// The network failed.
    #[error("network: {message}")]
    Io {
        /// Class of the failure.
        kind: io::ErrorKind,
        /// The system's message.
        message: String,
    },
    /// The broker gave the message back: nothing takes messages at this address now.
    #[error("released by the broker: nothing is bound where this message was sent")]
    Released,
    /// The broker refuses this message, for instance because a queue is full.
    #[error("rejected by the broker ({condition}): {description}")]
    Rejected {
        /// AMQP error condition; empty if the broker gave none.
        condition: String,
        /// The broker's own words.
        description: String,
    },
    /// The broker gave the message back changed.
    #[error("given back by the broker as modified")]
    Modified,
    /// The options or the message cannot be used at all.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The peer broke the protocol, or this side used a link that is over.
    #[error("protocol: {0}")]
    Protocol(String),
}

impl Error {
    /// Whether the same attempt may succeed later without anybody doing anything.
    /// A refusal may also go away (a queue is being declared, a credential being
    /// rotated), but not by waiting alone.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Closed { .. } | Self::Io { .. } | Self::Protocol(_) => true,
            Self::Refused { condition, .. } => !matches!(
                condition.as_str(),
                NOT_OPENED
                    | "amqp:not-found"
                    | "amqp:not-allowed"
                    | "amqp:invalid-field"
                    | "amqp:not-implemented"
                    | "amqp:precondition-failed"
            ),
            Self::Unauthorized { .. }
            | Self::Tls(_)
            | Self::Released
            | Self::Rejected { .. }
            | Self::Modified
            | Self::Invalid(_) => false,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

/// Splits an AMQP error into the condition's name and the peer's words.
pub(super) fn condition(error: &definitions::Error) -> (String, String) {
    let condition = match &error.condition {
        ErrorCondition::AmqpError(c) => Symbol::from(c),
        ErrorCondition::ConnectionError(c) => Symbol::from(c),
        ErrorCondition::SessionError(c) => Symbol::from(c),
        ErrorCondition::LinkError(c) => Symbol::from(c),
        ErrorCondition::Custom(c) => c.clone(),
    };
    (condition.0, error.description.clone().unwrap_or_default())
}

impl From<definitions::Error> for Error {
    fn from(error: definitions::Error) -> Self {
        let (name, description) = condition(&error);
        match &error.condition {
            ErrorCondition::AmqpError(AmqpError::UnauthorizedAccess) => Self::Unauthorized { description },
            // The broker is shutting down or an operator closed the connection: come back.
            ErrorCondition::ConnectionError(ConnectionError::ConnectionForced) => {
                Self::Closed { reason: format!("{name}: {description}") }
            }
            _ => Self::Refused { condition: name, description },
        }
    }
}

impl From<ConnectionStopReason> for Error {
    fn from(reason: ConnectionStopReason) -> Self {
        match reason {
            ConnectionStopReason::RemoteClosedWithError(error) => error.into(),
            ConnectionStopReason::ClosedWithError(error) => {
                let (name, description) = condition(&error);
                Self::Closed { reason: format!("closed by this side: {name} {description}") }
            }
            ConnectionStopReason::Closed => Self::Closed { reason: OVER.to_owned() },
            ConnectionStopReason::RemoteClosed => Self::Closed { reason: "closed by the broker".to_owned() },
        }
    }
}

impl From<SessionStopReason> for Error {
    fn from(reason: SessionStopReason) -> Self {
        match reason {
            SessionStopReason::RemoteEndedWithError(error) => error.into(),
            SessionStopReason::ConnectionStopped(reason) => reason.into(),
            SessionStopReason::EndedWithError(error) => {
                let (name, description) = condition(&error);
                Self::Closed { reason: format!("session ended by this side: {name} {description}") }
            }
            SessionStopReason::Ended => Self::Closed { reason: "session is over".to_owned() },
            SessionStopReason::RemoteEnded => Self::Closed { reason: "session ended by the broker".to_owned() },
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            // The framing layer's word for bytes that are no AMQP.
            OpenError::Io(error) if error.kind() == io::ErrorKind::Other => Self::Protocol(NO_AMQP.to_owned()),
            OpenError::Io(error) => error.into(),
            OpenError::SaslError { .. } => {
                Self::Unauthorized { description: "the broker does not accept this user name and password".to_owned() }
            }
            OpenError::RemoteClosed => Self::Closed { reason: "closed by the broker while opening".to_owned() },
            OpenError::RemoteClosedWithError(error) => error.into(),
            OpenError::TransportError(error) => Self::Closed { reason: error.to_string() },
            OpenError::ProtocolHeaderMismatch(_) => Self::Protocol(NO_AMQP.to_owned()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<BeginError> for Error {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::ConnectionStopped(reason) => reason.into(),
            BeginError::RemoteEndedWithError(error) => error.into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<SenderAttachError> for Error {
    fn from(error: SenderAttachError) -> Self {
        match error {
            SenderAttachError::SessionStopped(reason) => reason.into(),
            SenderAttachError::RemoteClosedWithError(error) => error.into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<ReceiverAttachError> for Error {
    fn from(error: ReceiverAttachError) -> Self {
        match error {
            ReceiverAttachError::SessionStopped(reason) => reason.into(),
            ReceiverAttachError::RemoteClosedWithError(error) => error.into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<LinkStateError> for Error {
    fn from(error: LinkStateError) -> Self {
        match error {
            LinkStateError::SessionStopped(reason) => reason.into(),
            LinkStateError::RemoteDetachedWithError(error) | LinkStateError::RemoteClosedWithError(error) => error.into(),
            LinkStateError::RemoteDetached | LinkStateError::RemoteClosed => {
                Self::Closed { reason: "link closed by the broker".to_owned() }
            }
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<DetachError> for Error {
    fn from(error: DetachError) -> Self {
        LinkStateError::from(error).into()
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::LinkStateError(error) => error.into(),
            SendError::Detached(error) => error.into(),
            SendError::MessageSizeExceeded(error) => Self::Invalid(error.to_string()),
            SendError::MessageEncodeError => Self::Invalid("message cannot be encoded".to_owned()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<RecvError> for Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::LinkStateError(error) => error.into(),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<DispositionError> for Error {
    fn from(error: DispositionError) -> Self {
        match error {
            DispositionError::SessionStopped(reason) => reason.into(),
            DispositionError::IllegalState => Self::Protocol(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amqp(condition: impl Into<ErrorCondition>) -> Error {
        definitions::Error::new(condition, Some("why".to_owned()), None).into()
    }

    #[test]
    fn a_refusal_keeps_condition_and_words() {
        let error = amqp(AmqpError::NotFound);
        assert_eq!(error, Error::Refused { condition: "amqp:not-found".into(), description: "why".into() });
        assert!(!error.is_transient());
        assert_eq!(error.to_string(), "refused by the broker (amqp:not-found): why");
    }

    #[test]
    fn a_refusal_for_lack_of_resources_may_pass() {
        assert!(amqp(AmqpError::ResourceLimitExceeded).is_transient());
        assert!(amqp(AmqpError::InternalError).is_transient());
    }

    #[test]
    fn missing_permission_is_told_from_other_refusals() {
        assert_eq!(amqp(AmqpError::UnauthorizedAccess), Error::Unauthorized { description: "why".into() });
    }

    #[test]
    fn a_broker_that_shuts_down_is_a_closed_connection() {
        assert!(matches!(amqp(ConnectionError::ConnectionForced), Error::Closed { .. }));
    }

    #[test]
    fn unknown_conditions_are_kept() {
        let error = amqp(ErrorCondition::Custom(Symbol::from("vendor:thing")));
        assert!(matches!(error, Error::Refused { condition, .. } if condition == "vendor:thing"));
    }

    #[test]
    fn reasons_inside_reasons_are_found() {
        let inner = definitions::Error::new(AmqpError::NotFound, None, None);
        let stop = SessionStopReason::ConnectionStopped(ConnectionStopReason::RemoteClosedWithError(inner));
        assert!(matches!(Error::from(stop), Error::Refused { condition, .. } if condition == "amqp:not-found"));
    }
}
