//! What KEDA is answered when it asks for the depth of a queue.
//!
//! One metric: the messages, ready and unacknowledged, with as many of them for one replica as the trigger says. What was not seen is no
//! answer at all: KEDA and the HPA leave replicas as they are then, and zero would take them away (invariant I5).

use std::collections::HashMap;

use super::number;
use super::sample::{Reading, Seen};

/// Name of the metric.
pub const METRIC: &str = "messages";
/// As `spec.scaling.messagesPerReplica` has it.
const MOST: u32 = 1_000_000_000;

/// A kind that KEDA may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Queue.
    Queue,
    /// A Subscription.
    Subscription,
}

impl Kind {
    /// As it stands in the trigger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "Queue",
            Self::Subscription => "Subscription",
        }
    }
}

/// What a trigger asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The kind.
    pub kind: Kind,
    /// The namespace: that of the ScaledObject, and no other (invariant I3).
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Messages for one replica.
    pub messages_per_replica: u32,
}

impl Question {
    /// Reads a trigger of a ScaledObject of `namespace`. Its metadata are a tenant's text; `namespace` is KEDA's own word.
    ///
    /// Fails with what is wrong with it. Keys that are not known are KEDA's, such as `scalerAddress`.
    pub fn parse(namespace: &str, metadata: &HashMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| metadata.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let kind = match text("kind") {
            None | Some("Queue") => Kind::Queue,
            Some("Subscription") => Kind::Subscription,
            Some(other) => return Err(format!("kind is {other:?}; it must be Queue or Subscription")),
        };
        if text("namespace").is_some_and(|named| named != namespace) || namespace.is_empty() {
            return Err(
                "namespace, if it is given, must be that of the ScaledObject: what is scaled and its queue are in one namespace"
                    .to_owned(),
            );
        }
        let name = text("name").ok_or_else(|| format!("name is missing: that of the {}", kind.as_str()))?;
        let each = text("messagesPerReplica").ok_or("messagesPerReplica is missing: how many messages are for one replica")?;
        let messages_per_replica = each.parse().ok().filter(|each| (1..=MOST).contains(each));
        let messages_per_replica = messages_per_replica
            .ok_or_else(|| format!("messagesPerReplica is {each:?}; it must be a whole number from 1 to {MOST}"))?;
        Ok(Self { kind, namespace: namespace.to_owned(), name: name.to_owned(), messages_per_replica })
    }
}

/// Whether anything waits or is worked on; `None` if that is not known.
pub fn is_active(reading: &Reading) -> Option<bool> {
    match reading {
        Reading::Seen(seen) if messages(seen) > 0 => Some(true),
        Reading::Seen(seen) if !seen.is_lower_bound => Some(false),
        Reading::Seen(_) | Reading::Failed | Reading::Stale => None,
    }
}

/// How many messages there are, whole and as a number of the metric; `None` if that is not known.
pub fn depth(reading: &Reading) -> Option<(i64, f64)> {
    match reading {
        Reading::Seen(seen) if !seen.is_lower_bound => {
            Some((i64::try_from(messages(seen)).unwrap_or(i64::MAX), number::of_count(messages(seen))))
        }
        Reading::Seen(_) | Reading::Failed | Reading::Stale => None,
    }
}

fn messages(seen: &Seen) -> u64 {
    seen.ready.saturating_add(seen.unacknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(metadata: &[(&str, &str)]) -> Result<Question, String> {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Question::parse("shop", &metadata)
    }

    fn seen(ready: u64, unacknowledged: u64, is_lower_bound: bool) -> Reading {
        Reading::Seen(Seen { ready, unacknowledged, is_lower_bound, ..Seen::default() })
    }

    #[test]
    fn a_trigger_names_a_queue_and_how_much_is_for_one_replica() {
        let asked = parse(&[("name", "orders"), ("messagesPerReplica", " 20"), ("scalerAddress", "x:1")]).unwrap();
        assert_eq!((asked.kind, asked.namespace.as_str(), asked.name.as_str()), (Kind::Queue, "shop", "orders"));
        assert_eq!(asked.messages_per_replica, 20);
        let asked = parse(&[("kind", "Subscription"), ("name", "mail"), ("namespace", "shop"), ("messagesPerReplica", "1")]);
        assert_eq!(asked.unwrap().kind, Kind::Subscription);
    }

    #[test]
    fn what_is_wrong_with_a_trigger_is_told() {
        for (metadata, word) in [
            (vec![("messagesPerReplica", "5")], "name is missing"),
            (vec![("name", "a")], "messagesPerReplica is missing"),
            (vec![("name", "a"), ("messagesPerReplica", "0")], "from 1"),
            (vec![("name", "a"), ("messagesPerReplica", "-3")], "from 1"),
            (vec![("name", "a"), ("messagesPerReplica", "many")], "whole number"),
            (vec![("kind", "Topic"), ("name", "a"), ("messagesPerReplica", "5")], "Queue or Subscription"),
        ] {
            let told = parse(&metadata).unwrap_err();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn i3_a_trigger_reaches_no_other_namespace_than_its_own() {
        assert!(parse(&[("namespace", "bank"), ("name", "a"), ("messagesPerReplica", "5")]).unwrap_err().contains("namespace"));
        assert!(Question::parse("", &HashMap::new()).is_err());
    }

    #[test]
    fn i5_what_was_not_seen_is_no_answer() {
        for unknown in [Reading::Failed, Reading::Stale, seen(0, 0, true)] {
            assert_eq!((is_active(&unknown), depth(&unknown)), (None, None), "{unknown:?}");
        }
        // At least one message is there, and perhaps more than were seen.
        assert_eq!((is_active(&seen(1, 0, true)), depth(&seen(1, 0, true))), (Some(true), None));
    }

    #[test]
    fn messages_that_are_worked_on_count() {
        assert_eq!((is_active(&seen(0, 1, false)), depth(&seen(2, 1, false))), (Some(true), Some((3, 3.0))));
        assert_eq!((is_active(&seen(0, 0, false)), depth(&seen(0, 0, false))), (Some(false), Some((0, 0.0))));
        assert_eq!(depth(&seen(u64::MAX, 1, false)).unwrap().0, i64::MAX);
    }
}
