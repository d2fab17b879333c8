//! A ServiceContract's words in the API, as what the engines and the state machine take, and back.

use entente_crds::service_contract::{
    Action as DeclaredAction, Compatibility, DesiredState, Lifecycle, Policy as DeclaredPolicy, SchemaFormat, Version,
    VersionState, VersionStatus,
};
use entente_crds::text::{DurationText, TextError};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::lifecycle::{self, Desired, Record, Rules, State};
use super::{Action, Comparison, Format, Policy};

impl From<SchemaFormat> for Format {
    fn from(format: SchemaFormat) -> Self {
        match format {
            SchemaFormat::JsonSchema => Self::JsonSchema,
            SchemaFormat::Avro => Self::Avro,
            SchemaFormat::Protobuf => Self::Protobuf,
            SchemaFormat::Opaque => Self::Opaque,
        }
    }
}

impl From<DeclaredAction> for Action {
    fn from(action: DeclaredAction) -> Self {
        match action {
            DeclaredAction::Send => Self::Send,
            DeclaredAction::Receive => Self::Receive,
        }
    }
}

impl From<DeclaredPolicy> for Policy {
    fn from(policy: DeclaredPolicy) -> Self {
        match policy {
            DeclaredPolicy::Lenient => Self::Lenient,
            DeclaredPolicy::Strict => Self::Strict,
        }
    }
}

impl From<DesiredState> for lifecycle::DesiredState {
    fn from(state: DesiredState) -> Self {
        match state {
            DesiredState::Draft => Self::Draft,
            DesiredState::Active => Self::Active,
            DesiredState::Deprecated => Self::Deprecated,
            DesiredState::Retired => Self::Retired,
        }
    }
}

impl From<VersionState> for State {
    fn from(state: VersionState) -> Self {
        match state {
            VersionState::Draft => Self::Draft,
            VersionState::Active => Self::Active,
            VersionState::Deprecated => Self::Deprecated,
            VersionState::Sunset => Self::Sunset,
            VersionState::Retired => Self::Retired,
        }
    }
}

impl From<State> for VersionState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Active => Self::Active,
            State::Deprecated => Self::Deprecated,
            State::Sunset => Self::Sunset,
            State::Retired => Self::Retired,
        }
    }
}

/// Whether messages of a version in this state pass the broker.
pub fn is_offered(state: VersionState) -> bool {
    matches!(state, VersionState::Active | VersionState::Deprecated | VersionState::Sunset)
}

/// How schemas of an operation are compared.
pub fn comparison(how: &Compatibility, action: DeclaredAction, format: SchemaFormat) -> Comparison {
    let Compatibility { policy, transitive: _, json_encoding } = how;
    let policy = Policy::from(*policy);
    let direction = Action::from(action).direction();
    Comparison { format: format.into(), direction, policy, json_encoding: *json_encoding }
}

/// Ten years: more is a mistake, and would overflow times.
const LONGEST_MILLIS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

/// A contract's `lifecycle` as numbers.
///
/// # Errors
/// A text that is no duration, or too long; the field is named.
pub fn rules(lifecycle: &Lifecycle) -> Result<Rules, String> {
    let Lifecycle { max_supported_versions, minimum_deprecation_notice, quiet_period, brownouts: _ } = lifecycle;
    Ok(Rules {
        max_supported: usize::try_from(*max_supported_versions).unwrap_or_default(),
        notice: length("lifecycle.minimumDeprecationNotice", minimum_deprecation_notice)?,
        quiet: length("lifecycle.quietPeriod", quiet_period)?,
    })
}

/// A field that is a length of time.
///
/// # Errors
/// It is no duration, or too long.
pub fn length(field: &str, text: &DurationText) -> Result<SignedDuration, String> {
    match text.as_millis() {
        Ok(millis) if millis > LONGEST_MILLIS => Err(format!("{field}: at most 3650d")),
        Ok(_) => signed(text).map_err(|error| format!("{field}: {error}")),
        Err(error) => Err(format!("{field}: {error}")),
    }
}

/// What the owner asks for.
pub fn desired(version: &Version) -> Desired {
    let Version { name: _, desired_state, sunset_at, successor, reason, retire_in_use: _, messages: _ } = version;
    Desired {
        state: (*desired_state).into(),
        sunset_at: sunset_at.as_ref().map(|at| at.0),
        successor: successor.clone(),
        reason: reason.clone(),
    }
}

/// What the status recorded of a version's life.
pub fn record(status: &VersionStatus) -> Record {
    let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    // A text that somebody else wrote and that is none counts as nothing: the notice gets longer, not shorter.
    let length = |text: &Option<DurationText>| text.as_ref().and_then(|text| signed(text).ok()).unwrap_or_default();
    Record {
        state: status.state.into(),
        since: status.since.0,
        activated_at: at(&status.activated_at),
        deprecated_at: at(&status.deprecated_at),
        sunset_at: at(&status.sunset_at),
        notice: length(&status.notice),
        noticed: length(&status.noticed),
        quiet: length(&status.quiet),
        watched_at: status.watched_at.0,
        retirable: status.retirable,
        retired_at: at(&status.retired_at),
    }
}

/// A record as the status of a version. What else the status knows stays.
pub fn recorded(name: &str, record: &Record, before: Option<&VersionStatus>) -> VersionStatus {
    let Record {
        state,
        since,
        activated_at,
        deprecated_at,
        sunset_at,
        notice,
        noticed,
        quiet,
        watched_at,
        retirable,
        retired_at,
    } = record;
    let time = |at: &Option<Timestamp>| at.map(Time);
    let length = |length: &SignedDuration| (*length > SignedDuration::ZERO).then(|| text(*length));
    VersionStatus {
        name: name.to_owned(),
        state: (*state).into(),
        since: Time(*since),
        message: before.and_then(|before| before.message.clone()),
        activated_at: time(activated_at),
        deprecated_at: time(deprecated_at),
        sunset_at: time(sunset_at),
        retired_at: time(retired_at),
        notice: length(notice),
        noticed: length(noticed),
        quiet: length(quiet),
        watched_at: Time(*watched_at),
        retirable: *retirable,
        schemas_sha256: before.and_then(|before| before.schemas_sha256.clone()),
        feeds: before.map(|before| before.feeds.clone()).unwrap_or_default(),
        watched_since: before.and_then(|before| before.watched_since.clone()),
        brownouts: before.map(|before| before.brownouts.clone()).unwrap_or_default(),
        use_: before.and_then(|before| before.use_.clone()),
        refused: before.and_then(|before| before.refused.clone()),
        checks: before.and_then(|before| before.checks.clone()),
    }
}

pub(super) fn signed(text: &DurationText) -> Result<SignedDuration, TextError> {
    Ok(SignedDuration::from_millis(i64::try_from(text.as_millis()?).unwrap_or(i64::MAX)))
}

/// A length of time as people write it: `1d2h`, `90s` as `1m30s`.
pub fn text(length: SignedDuration) -> DurationText {
    let mut rest = length.as_millis().max(0);
    let mut text = String::new();
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = rest / millis;
        rest %= millis;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    DurationText(if text.is_empty() { "0s".to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn state() -> impl Strategy<Value = State> {
        proptest::sample::select(vec![State::Draft, State::Active, State::Deprecated, State::Sunset, State::Retired])
    }

    proptest! {
        /// What is read back is what was written: a record that lost something would start a notice anew, or end it early.
        #[test]
        fn a_record_survives_its_way_through_the_status(
            state in state(),
            times in proptest::collection::vec(proptest::option::of(0..4_000_000_000_i64), 4),
            lengths in proptest::collection::vec(0..10_000_000_000_i64, 3),
            retirable: bool,
        ) {
            let time = |index: usize| times[index].map(at);
            let record = Record {
                state,
                since: at(7),
                activated_at: time(0),
                deprecated_at: time(1),
                sunset_at: time(2),
                notice: SignedDuration::from_millis(lengths[0]),
                noticed: SignedDuration::from_millis(lengths[1]),
                quiet: SignedDuration::from_millis(lengths[2]),
                watched_at: at(9),
                retirable,
                retired_at: time(3),
            };
            let written = serde_json::to_string(&recorded("v1", &record, None)).unwrap();
            let read: VersionStatus = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(super::record(&read), record);
        }
    }

    #[test]
    fn lengths_are_written_for_people() {
        for (millis, expected) in [(0, "0s"), (90_000, "1m30s"), (30 * 86_400_000, "30d"), (1_500, "1s500ms"), (-1, "0s")] {
            assert_eq!(text(SignedDuration::from_millis(millis)).0, expected);
        }
    }

    #[test]
    fn a_length_has_an_end_and_a_field() {
        let with = |notice: &str| {
            let lifecycle = Lifecycle { minimum_deprecation_notice: DurationText(notice.into()), ..Lifecycle::default() };
            rules(&lifecycle).map(|rules| rules.notice.as_secs())
        };
        assert_eq!((with("90s"), with("3650d")), (Ok(90), Ok(3650 * 86_400)));
        assert_eq!(with("3651d"), Err("lifecycle.minimumDeprecationNotice: at most 3650d".to_owned()));
        assert!(with("soon").unwrap_err().starts_with("lifecycle.minimumDeprecationNotice: "));
    }

    #[test]
    fn a_text_that_is_none_counts_as_nothing() {
        let mut status = recorded("v1", &Record::draft(at(1)), None);
        status.noticed = Some(DurationText("soon".into()));
        assert_eq!(record(&status).noticed, SignedDuration::ZERO);
    }
}
