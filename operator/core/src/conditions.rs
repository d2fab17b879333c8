//! The condition list of a status.
//!
//! Follows the Kubernetes API conventions: one entry a type, and `lastTransitionTime`
//! moves only when `status` does.

use entente_crds::condition::{reasons, types};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It could not be seen.
    Unknown,
}

impl Status {
    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// The API server refuses a condition whose message has more than 32,768 characters.
const MESSAGE_LIMIT: usize = 4096;

/// Sets one condition, keeping `lastTransitionTime` unless the status changes.
///
/// The list stays sorted by type, so that an unchanged set compares equal to what is stored.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut message = message.into();
    if message.len() > MESSAGE_LIMIT {
        let end = (0..=MESSAGE_LIMIT).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
    }
    let mut condition = Condition {
        type_: type_.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(whole_second(now)),
    };
    match conditions.iter_mut().find(|known| known.type_ == type_) {
        Some(known) => {
            if known.status == condition.status {
                condition.last_transition_time = known.last_transition_time.clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// Removes a condition that no longer says anything.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|known| known.type_ != type_);
}

/// Finds a condition.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|known| known.type_ == type_)
}

/// Whether a condition is there and `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Says in the conditions that an object is paused, or that it no longer is.
pub fn set_paused(conditions: &mut Vec<Condition>, paused: bool, generation: Option<i64>, now: Timestamp) {
    if paused {
        let message = format!("reconciling stops while the annotation {} is \"true\"", entente_crds::meta::PAUSED_ANNOTATION);
        set(conditions, types::RECONCILING, Status::False, reasons::PAUSED, message, generation, now);
    } else {
        remove(conditions, types::RECONCILING);
    }
}

/// The API stores whole seconds; keeping more would make a fresh value differ from its stored self.
pub fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        set(&mut list, "Ready", Status::False, "Starting", "a", Some(1), at(10));
        set(&mut list, "Ready", Status::False, "Progressing", "b", Some(2), at(20));
        assert_eq!(list[0].last_transition_time.0, at(10));
        assert_eq!(list[0].reason, "Progressing");
        assert_eq!(list[0].observed_generation, Some(2));
        set(&mut list, "Ready", Status::True, "Ready", "", Some(2), at(30));
        assert_eq!(list[0].last_transition_time.0, at(30));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn order_does_not_depend_on_the_order_of_setting() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for type_ in ["B", "A"] {
            set(&mut one, type_, Status::True, "R", "", None, at(1));
        }
        for type_ in ["A", "B"] {
            set(&mut other, type_, Status::True, "R", "", None, at(1));
        }
        assert_eq!(one, other);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut list = Vec::new();
        set(&mut list, "Ready", Status::True, "R", "ü".repeat(MESSAGE_LIMIT), None, at(1));
        assert_eq!(list[0].message.len(), MESSAGE_LIMIT);
    }

    #[test]
    fn pausing_is_said_and_unsaid() {
        let mut list = Vec::new();
        set_paused(&mut list, true, Some(1), at(1));
        assert_eq!(get(&list, "Reconciling").unwrap().reason, "Paused");
        set_paused(&mut list, false, Some(1), at(2));
        assert!(list.is_empty());
    }
}
