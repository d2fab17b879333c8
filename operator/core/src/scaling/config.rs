//! What may be asked for, with texts turned into numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use entente_crds::scaling::{Behavior, Scaling, Schedule as Declared, TargetRef};
use entente_crds::text::DurationText;
use jiff::Timestamp;

use super::decision::HeldBack;
use super::schedule::Schedule;

/// The longest time that a setting may name: a week. Longer ones are mistakes, and sums of them must not overflow.
const MAX_MILLIS: i64 = 7 * 86_400_000;
const DEFAULT_IDLE: i64 = 120_000;
const DEFAULT_DOWN_WINDOW: i64 = 60_000;
const DEFAULT_DOWN_PERCENT: u32 = 50;
/// The most replicas anything may ask for.
pub(super) const MOST_REPLICAS: i32 = 10_000;
/// Each is looked at in each step.
const MOST_SCHEDULES: usize = 8;

/// Why more consumers than this would get no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// `singleActiveConsumer`: one at a time.
    SingleActiveConsumer,
    /// So many partitions, each with one consumer.
    Partitions(u32),
}

/// What the queue itself says about how many consumers can work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// `singleActiveConsumer` of the queue.
    pub single_active_consumer: bool,
    /// `partitions.count` of the queue.
    pub partitions: Option<u32>,
}

/// Settings of the autoscaler. Durations are milliseconds, rates messages per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The fewest replicas.
    pub min: u32,
    /// The most replicas: `maxReplicas`, or what can work if that is less; never below `min`.
    pub max: u32,
    /// Times at which the fewest are more.
    pub schedules: Arc<[Schedule]>,
    /// What made `max` less than `maxReplicas`.
    pub cap: Option<Cap>,
    /// Objective: messages for each replica.
    pub messages_per_replica: Option<f64>,
    /// Objective: time until the backlog is drained.
    pub drain_within: Option<i64>,
    /// Objective: age of the oldest message.
    pub max_age: Option<i64>,
    /// How long empty and idle before zero.
    pub idle_after: i64,
    /// Service rate of one replica, where it was given.
    pub service_rate: Option<f64>,
    /// Down follows the highest need of this window.
    pub down_window: i64,
    /// Share of the replicas that may go in a minute, in percent.
    pub down_percent_per_minute: u32,
    /// Replicas that may come in a minute.
    pub up_per_minute: Option<u32>,
}

impl Config {
    /// Checks `spec.scaling`. Repeats each rule of the CRD, since admission may have been another version's.
    ///
    /// `None` if something is wrong; what it is was then added to `problems`.
    pub fn new(scaling: &Scaling, caps: Caps, problems: &mut Vec<String>) -> Option<Self> {
        // Exhaustive: a new field cannot be skipped.
        let Scaling {
            target_ref,
            min_replicas,
            max_replicas,
            schedules,
            messages_per_replica,
            drain_within,
            max_age,
            idle_after,
            service_rate,
            behavior,
        } = scaling;
        let Behavior { scale_down_window, scale_down_percent_per_minute, scale_up_replicas_per_minute } =
            behavior.clone().unwrap_or_default();
        let before = problems.len();
        check_target(target_ref, problems);
        let mut refuse = |refused: bool, text: &str| {
            if refused {
                problems.push(format!("scaling: {text}"));
            }
        };
        refuse(!(0..=MOST_REPLICAS).contains(min_replicas), "minReplicas must be 0 to 10000");
        refuse(!(1..=MOST_REPLICAS).contains(max_replicas), "maxReplicas must be 1 to 10000");
        refuse(min_replicas > max_replicas, "minReplicas must not exceed maxReplicas");
        refuse(
            messages_per_replica.is_none() && drain_within.is_none() && max_age.is_none(),
            "name at least one objective: messagesPerReplica, drainWithin or maxAge",
        );
        refuse(messages_per_replica.is_some_and(|count| count < 1), "messagesPerReplica must be at least 1");
        refuse(service_rate.is_some_and(|rate| rate < 1), "serviceRate must be at least 1");
        refuse(
            scale_down_percent_per_minute.is_some_and(|percent| !(1..=100).contains(&percent)),
            "behavior.scaleDownPercentPerMinute must be 1 to 100",
        );
        refuse(
            scale_up_replicas_per_minute.is_some_and(|count| count < 1),
            "behavior.scaleUpReplicasPerMinute must be at least 1",
        );
        let second = 1000;
        let drain_within = millis("drainWithin", drain_within.as_ref(), second, problems);
        let max_age = millis("maxAge", max_age.as_ref(), second, problems);
        let idle_after = millis("idleAfter", idle_after.as_ref(), 0, problems);
        let down_window = millis("behavior.scaleDownWindow", scale_down_window.as_ref(), 0, problems);
        let schedules = scheduled(schedules, problems);
        if problems.len() > before {
            return None;
        }
        let min = u32::try_from(*min_replicas).ok()?;
        let (max, cap) = capped(u32::try_from(*max_replicas).ok()?, caps);
        Some(Self {
            min,
            // Standbys of a single active consumer are a good reason for a higher minimum.
            max: max.max(min),
            schedules,
            cap,
            messages_per_replica: messages_per_replica.map(exact),
            drain_within,
            max_age,
            idle_after: idle_after.unwrap_or(DEFAULT_IDLE),
            service_rate: service_rate.map(exact),
            down_window: down_window.unwrap_or(DEFAULT_DOWN_WINDOW),
            down_percent_per_minute: match scale_down_percent_per_minute {
                Some(percent) => u32::try_from(percent).ok()?,
                None => DEFAULT_DOWN_PERCENT,
            },
            up_per_minute: scale_up_replicas_per_minute.and_then(|count| u32::try_from(count).ok()),
        })
    }

    /// The schedule that is on, and of several the one that asks for most.
    pub(super) fn scheduled(&self, now: Timestamp) -> Option<&Schedule> {
        self.schedules.iter().filter(|schedule| schedule.is_on(now)).max_by_key(|schedule| schedule.replicas)
    }

    /// What stands behind the upper bound.
    pub(super) fn bound(&self) -> HeldBack {
        match self.cap {
            None => HeldBack::Maximum,
            Some(Cap::SingleActiveConsumer) => HeldBack::SingleActiveConsumer,
            Some(Cap::Partitions(_)) => HeldBack::Partitions,
        }
    }
}

/// A Job has no `/scale`. Somebody who names one wants something else, which is told; whatever else has none is found out when it is scaled.
fn check_target(target: &TargetRef, problems: &mut Vec<String>) {
    let TargetRef { api_version, kind, name: _ } = target;
    // Without an apiVersion it is that of a Deployment.
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if matches!(kind.as_str(), "Job" | "CronJob") && matches!(group, "batch" | "apps") {
        problems.push(format!(
            "scaling.targetRef: a {kind} cannot be scaled: it ends, and its parallelism is no /scale; name a Deployment of consumers that go \
             on, and with minReplicas: 0 there are none while the queue is empty"
        ));
    }
}

fn scheduled(declared: &[Declared], problems: &mut Vec<String>) -> Arc<[Schedule]> {
    if declared.len() > MOST_SCHEDULES {
        problems.push(format!("scaling.schedules must be at most {MOST_SCHEDULES}"));
        return Arc::default();
    }
    let mut names = BTreeSet::new();
    for Declared { name, .. } in declared {
        if !(1..=63).contains(&name.chars().count()) {
            problems.push("scaling.schedules: a name must have 1 to 63 characters".to_owned());
        } else if !names.insert(name) {
            problems.push(format!("scaling.schedules {name:?} is there twice"));
        }
    }
    declared.iter().filter_map(|one| Schedule::new(one, problems)).collect()
}

fn capped(max: u32, caps: Caps) -> (u32, Option<Cap>) {
    let Caps { single_active_consumer, partitions } = caps;
    match partitions.filter(|count| *count >= 1) {
        // Each partition has its one active consumer.
        Some(count) if count < max => (count, Some(Cap::Partitions(count))),
        None if single_active_consumer && max > 1 => (1, Some(Cap::SingleActiveConsumer)),
        _ => (max, None),
    }
}

#[allow(clippy::cast_precision_loss)] // bounded by 10^9
fn exact(count: i64) -> f64 {
    count as f64
}

fn millis(field: &str, text: Option<&DurationText>, least: i64, problems: &mut Vec<String>) -> Option<i64> {
    let parsed = match text?.as_millis() {
        Ok(parsed) => i64::try_from(parsed).unwrap_or(i64::MAX),
        Err(error) => {
            problems.push(format!("scaling.{field}: {error}"));
            return None;
        }
    };
    if parsed < least {
        problems.push(format!("scaling.{field} must be at least {least}ms"));
    }
    if parsed > MAX_MILLIS {
        problems.push(format!("scaling.{field} must be at most 7d"));
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(spec: &Value, caps: Caps) -> Result<Config, String> {
        let mut whole = json!({"targetRef": {"name": "worker"}});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let mut problems = Vec::new();
        let config = Config::new(&serde_json::from_value(whole).unwrap(), caps, &mut problems);
        config.ok_or(problems.join("; "))
    }

    #[test]
    fn what_is_left_out_has_its_documented_default() {
        let config = checked(&json!({"messagesPerReplica": 5}), Caps::default()).unwrap();
        assert_eq!((config.min, config.max, config.cap), (0, 10, None));
        assert_eq!((config.idle_after, config.down_window, config.down_percent_per_minute), (120_000, 60_000, 50));
        assert_eq!(config.up_per_minute, None);
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        for (spec, word) in [
            (json!({}), "at least one objective"),
            (json!({"maxAge": "1s", "minReplicas": -1}), "minReplicas must be 0"),
            (json!({"maxAge": "1s", "maxReplicas": 0}), "maxReplicas must be 1"),
            (json!({"maxAge": "1s", "minReplicas": 5, "maxReplicas": 2}), "must not exceed"),
            (json!({"messagesPerReplica": 0}), "messagesPerReplica must be"),
            (json!({"maxAge": "1s", "serviceRate": 0}), "serviceRate must be"),
            (json!({"maxAge": "soon"}), "scaling.maxAge: \"soon\" is not a duration"),
            (json!({"maxAge": "0s"}), "maxAge must be at least 1000ms"),
            (json!({"drainWithin": "999ms"}), "drainWithin must be at least"),
            (json!({"maxAge": "8d"}), "at most 7d"),
            (json!({"maxAge": "1s", "idleAfter": "x"}), "idleAfter"),
            (json!({"maxAge": "1s", "behavior": {"scaleDownWindow": "x"}}), "scaleDownWindow"),
            (json!({"maxAge": "1s", "behavior": {"scaleDownPercentPerMinute": 0}}), "1 to 100"),
            (json!({"maxAge": "1s", "behavior": {"scaleUpReplicasPerMinute": 0}}), "scaleUpReplicasPerMinute"),
        ] {
            let problem = checked(&spec, Caps::default()).unwrap_err();
            assert!(problem.contains(word), "{spec}: {problem}");
        }
    }

    #[test]
    fn a_job_is_refused_with_what_to_do_instead() {
        let with = |target: Value| checked(&json!({"maxAge": "1s", "targetRef": target}), Caps::default());
        for target in [
            json!({"kind": "Job", "name": "w"}),
            json!({"apiVersion": "batch/v1", "kind": "Job", "name": "w"}),
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "w"}),
        ] {
            let problem = with(target).unwrap_err();
            assert!(problem.contains("name a Deployment") && problem.contains("minReplicas: 0"), "{problem}");
        }
        // Somebody else's kind may have a /scale.
        assert!(with(json!({"apiVersion": "jobs.example.com/v1", "kind": "Job", "name": "w"})).is_ok());
        assert!(with(json!({"kind": "StatefulSet", "name": "w"})).is_ok());
    }

    #[test]
    fn schedules_are_checked_one_by_one_and_together() {
        let schedule = |name: &str| json!({"name": name, "cron": "0 8 * * *", "duration": "1h", "minReplicas": 20});
        let spec = |schedules: Vec<Value>| json!({"maxAge": "1s", "maxReplicas": 5, "schedules": schedules});
        let config = checked(&spec(vec![schedule("a"), schedule("b")]), Caps::default()).unwrap();
        // The most replicas bound it when it is on.
        assert_eq!((config.schedules.len(), config.schedules[0].replicas, config.max), (2, 20, 5));
        let nine = (0..9).map(|number| schedule(&number.to_string())).collect();
        for (schedules, word) in [
            (vec![schedule("a"), schedule("a")], "\"a\" is there twice"),
            (vec![schedule("")], "1 to 63"),
            (vec![schedule(&"n".repeat(64))], "1 to 63"),
            (nine, "at most 8"),
        ] {
            let problem = checked(&spec(schedules), Caps::default()).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        let mut wrong = schedule("office");
        wrong["cron"] = json!("0 8 * *");
        let problem = checked(&spec(vec![wrong]), Caps::default()).unwrap_err();
        assert!(problem.starts_with("scaling.schedules \"office\": cron \"0 8 * *\" has 4 fields"), "{problem}");
    }

    #[test]
    fn no_more_consumers_than_can_work() {
        let spec = json!({"maxAge": "30s", "maxReplicas": 8});
        let single = Caps { single_active_consumer: true, partitions: None };
        let config = checked(&spec, single).unwrap();
        assert_eq!((config.max, config.cap), (1, Some(Cap::SingleActiveConsumer)));
        let parts = Caps { single_active_consumer: true, partitions: Some(4) };
        let config = checked(&spec, parts).unwrap();
        assert_eq!((config.max, config.cap), (4, Some(Cap::Partitions(4))));
        let many = Caps { single_active_consumer: false, partitions: Some(16) };
        let config = checked(&spec, many).unwrap();
        assert_eq!((config.max, config.cap), (8, None));
    }

    #[test]
    fn standbys_of_a_single_active_consumer_may_be_asked_for() {
        let spec = json!({"maxAge": "30s", "minReplicas": 2, "maxReplicas": 8});
        let config = checked(&spec, Caps { single_active_consumer: true, partitions: None }).unwrap();
        assert_eq!((config.min, config.max), (2, 2));
    }
}
