//! What a Topic may ask for.

use entente_crds::Topic;
use entente_crds::text::{ByteSize, DurationText, TextError};
use entente_crds::topic::{Retention, TopicSpec, Unrouted};

use crate::object::{Refusal, check_name_of_place, refuse_if_any};
use crate::taps::{self, Tap};

/// A Topic whose rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Copies to queues.
    pub taps: Vec<Tap>,
    /// What happens to a message that nobody subscribes to.
    pub unrouted: Unrouted,
    /// How much of the past is kept, if any.
    pub retained: Option<Retained>,
}

/// Bounds of what is kept; one of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// In seconds: a stream knows no finer unit. Rounded up, so that nothing goes too early.
    pub max_age: Option<u64>,
    /// In bytes.
    pub max_bytes: Option<u64>,
}

/// A stream drops whole segments, and one of less than this is no use.
const LEAST_BYTES: u64 = 1 << 20;

/// Checks a Topic. All problems are reported at once.
pub fn validate(topic: &Topic) -> Result<Settings, Refusal> {
    let name = topic.metadata.name.clone().unwrap_or_default();
    // Exhaustive: a new field cannot be skipped.
    let TopicSpec {
        broker_ref: _, // resolved elsewhere
        taps,
        unrouted,
        retention,
        grants: _,          // they concern Subscriptions and Clients
        deletion_policy: _, // it concerns the deletion
    } = &topic.spec;
    let mut problems = Vec::new();
    check_name_of_place("Topic", &name, &mut problems);
    let taps = taps::validate(taps, None, &mut problems);
    let retained = retention.as_ref().map(|retention| retained(retention, &mut problems));
    if retained.is_some() && *unrouted != Unrouted::Release {
        problems.push("unrouted: with retention every message is kept, so that none is unrouted; leave unrouted out".to_owned());
    }
    refuse_if_any(&problems)?;
    Ok(Settings { name, taps, unrouted: *unrouted, retained })
}

fn retained(retention: &Retention, problems: &mut Vec<String>) -> Retained {
    let Retention { max_age, max_bytes } = retention;
    if max_age.is_none() && max_bytes.is_none() {
        problems.push("retention: name a bound: maxAge, maxBytes or both".to_owned());
    }
    let mut read = |field: &str, value: Option<Result<u64, TextError>>, least: u64, word: &str| match value? {
        Ok(value) if value < least => {
            problems.push(format!("retention.{field}: at least {word}"));
            None
        }
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(format!("retention.{field}: {error}"));
            None
        }
    };
    let max_age = read("maxAge", max_age.as_ref().map(DurationText::as_millis), 1_000, "1s");
    let max_bytes = read("maxBytes", max_bytes.as_ref().map(ByteSize::as_bytes), LEAST_BYTES, "1Mi");
    Retained { max_age: max_age.map(|millis| millis.div_ceil(1_000)), max_bytes }
}

#[cfg(test)]
mod tests {
    use entente_crds::condition::reasons;
    use serde_json::{Value, json};

    use super::*;

    fn checked(spec: Value) -> Result<Settings, Refusal> {
        validate(&Topic::new("t", serde_json::from_value(spec).unwrap()))
    }

    #[test]
    fn bounds_of_retention_are_numbers_and_rounded_up() {
        let settings = checked(json!({"retention": {"maxAge": "1500ms", "maxBytes": "10Mi"}})).unwrap();
        assert_eq!(settings.retained, Some(Retained { max_age: Some(2), max_bytes: Some(10 << 20) }));
        assert_eq!(checked(json!({})).unwrap().retained, None);
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        for (spec, word) in [
            (json!({"retention": {}}), "name a bound"),
            (json!({"retention": {"maxAge": "999ms"}}), "retention.maxAge: at least 1s"),
            (json!({"retention": {"maxAge": "soon"}}), "retention.maxAge"),
            (json!({"retention": {"maxBytes": "1Ki"}}), "retention.maxBytes: at least 1Mi"),
            (json!({"retention": {"maxAge": "1h"}, "unrouted": "Discard"}), "none is unrouted"),
            (json!({"retention": {"maxAge": "1h"}, "unrouted": "DeadLetter"}), "none is unrouted"),
        ] {
            let refusal = checked(spec.clone()).unwrap_err();
            assert_eq!(refusal.reason, reasons::INVALID, "{spec}");
            assert!(refusal.message.contains(word), "{spec}: {refusal}");
        }
    }
}
