//! Queues as tests make and judge them.

use anyhow::{Context, Result};
use entente_crds::Queue;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;

/// A Queue with this spec.
pub fn queue(name: &str, spec: Value) -> Result<Queue> {
    Ok(Queue::new(name, serde_json::from_value(spec).context("the spec of the test itself is wrong")?))
}

/// One condition of a Queue.
pub fn condition<'a>(queue: &'a Queue, type_: &str) -> Option<&'a Condition> {
    queue.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

/// Ready, as it is declared now and not as it was declared earlier.
pub fn is_ready(queue: &Queue) -> bool {
    let status = queue.status.as_ref();
    status.and_then(|status| status.observed_generation) == queue.metadata.generation
        && condition(queue, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Not Ready for this reason, as it is declared now.
pub fn is_refused(queue: &Queue, reason: &str) -> bool {
    let status = queue.status.as_ref();
    status.and_then(|status| status.observed_generation) == queue.metadata.generation
        && condition(queue, "Ready").is_some_and(|ready| ready.status == "False" && ready.reason == reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_of_an_earlier_generation_is_not_ready() {
        let mut seen = queue("q", json!({})).unwrap();
        seen.metadata.generation = Some(2);
        let status = |generation: i64| {
            serde_json::from_value(json!({"observedGeneration": generation, "conditions": [{"type": "Ready", "status": "True",
                "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}))
            .unwrap()
        };
        seen.status = Some(status(1));
        assert!(!is_ready(&seen));
        seen.status = Some(status(2));
        assert!(is_ready(&seen));
    }
}
