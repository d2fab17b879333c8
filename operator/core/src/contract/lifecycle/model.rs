//! What the state machine takes and gives.

use jiff::{SignedDuration, Timestamp};

/// The states, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// May change; nobody may rely on it.
    Draft,
    /// Offered; its schema is fixed.
    Active,
    /// Offered for a while yet; dependents are told.
    Deprecated,
    /// The notice is over: no new bindings, those there are go on.
    Sunset,
    /// Closed, for ever.
    Retired,
}

/// What the owner asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DesiredState {
    /// A draft.
    Draft,
    /// Offered.
    Active,
    /// To end at a date.
    Deprecated,
    /// Closed.
    Retired,
}

/// A version in the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The state asked for.
    pub state: DesiredState,
    /// When the notice ends.
    pub sunset_at: Option<Timestamp>,
    /// The version to move to.
    pub successor: Option<String>,
    /// Why it ends.
    pub reason: Option<String>,
}

/// What the status keeps of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The state.
    pub state: State,
    /// Since when, by the clock of then.
    pub since: Timestamp,
    /// When it was activated.
    pub activated_at: Option<Timestamp>,
    /// When it was deprecated.
    pub deprecated_at: Option<Timestamp>,
    /// When the notice ends at the earliest. It never moves earlier.
    pub sunset_at: Option<Timestamp>,
    /// The notice owed. It never gets shorter.
    pub notice: SignedDuration,
    /// The part of the notice that was watched.
    pub noticed: SignedDuration,
    /// Watched time without use, in Sunset.
    pub quiet: SignedDuration,
    /// When it was last looked at.
    pub watched_at: Timestamp,
    /// Whether it may be retired now. Admission reads it.
    pub retirable: bool,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

impl Record {
    /// A new version.
    pub fn draft(now: Timestamp) -> Self {
        Self {
            state: State::Draft,
            since: now,
            activated_at: None,
            deprecated_at: None,
            sunset_at: None,
            notice: SignedDuration::ZERO,
            noticed: SignedDuration::ZERO,
            quiet: SignedDuration::ZERO,
            watched_at: now,
            retirable: false,
            retired_at: None,
        }
    }
}

/// The contract's `lifecycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Versions that are neither Draft nor Retired, at most.
    pub max_supported: usize,
    /// Least notice.
    pub notice: SignedDuration,
    /// Time without use before retirement.
    pub quiet: SignedDuration,
}

/// Use of a version, as observed at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Could not be read, or not of all of it. Never taken for none.
    Unknown,
    /// No links, no durable subscriptions, no backlog.
    None,
    /// Somebody relies on it.
    Seen {
        /// Consumers and producers.
        links: u64,
        /// Messages that wait.
        backlog: u64,
    },
}

/// Retirement in spite of use, by somebody who answers for it. It does not shorten the notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What is around a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// The contract's rules.
    pub rules: Rules,
    /// Why its schemas do not allow it to be activated: no schema, or breaks. Nothing if they do.
    pub schema_problem: Option<String>,
    /// Other versions that are neither Draft nor Retired.
    pub others_supported: usize,
    /// Whether the successor that the spec names is Active and another version.
    pub successor_active: bool,
    /// Use, as observed.
    pub use_: Use,
    /// An override for retirement.
    pub override_: Option<Override>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Rests,
    /// It moved, by one state.
    Moved {
        /// From here.
        from: State,
        /// To here.
        to: State,
    },
    /// It will move by itself, or when use ends.
    Waits(Wait),
    /// It will not move until somebody changes the spec.
    Refused(Refusal),
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// The notice is not over.
    #[error("notice until {until} at the earliest; {watched:#} of {notice:#} watched")]
    Notice {
        /// The date.
        until: Timestamp,
        /// What was watched.
        watched: SignedDuration,
        /// Of how much.
        notice: SignedDuration,
    },
    /// Somebody still relies on it.
    #[error("in use: {links} links, {backlog} messages wait; move the dependents to the successor")]
    InUse {
        /// Links.
        links: u64,
        /// Messages.
        backlog: u64,
    },
    /// It is not known whether somebody relies on it.
    #[error("use could not be observed; it is not taken for none")]
    UseUnknown,
    /// Not quiet for long enough.
    #[error("quiet for {quiet:#} of {period:#}")]
    Quiet {
        /// So long.
        quiet: SignedDuration,
        /// Of so much.
        period: SignedDuration,
    },
}

/// Why a version does not get to the state asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// States have an order.
    #[error("{from:?} does not become {to:?}: the way is Draft, Active, Deprecated, Retired, one after the other and never back")]
    NoWay {
        /// From here.
        from: State,
        /// To here.
        to: DesiredState,
    },
    /// The schemas do not allow it.
    #[error("not activated: {0}")]
    Schema(String),
    /// Too many versions.
    #[error(
        "not activated: {supported} versions are supported already, the most are {max}; retire one, or raise lifecycle.maxSupportedVersions"
    )]
    TooMany {
        /// Supported now.
        supported: usize,
        /// At most.
        max: usize,
    },
    /// Dependents must have somewhere to go.
    #[error("not deprecated: it needs a successor that is Active")]
    Successor,
    /// Dependents must be told why.
    #[error("not deprecated: it needs a reason")]
    Reason,
    /// Dependents must have time.
    #[error("not deprecated: sunsetAt must be {earliest} or later, the notice being {notice:#}")]
    TooSoon {
        /// The earliest date.
        earliest: Timestamp,
        /// The notice.
        notice: SignedDuration,
    },
}
