//! What a Topic may ask for.

use entente_crds::Topic;
use entente_crds::topic::{TopicSpec, Unrouted};

use crate::object::{Refusal, check_name_of_place, not_served, refuse_if_any};
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
}

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
    refuse_if_any(&problems)?;
    not_served(&[("retention", retention.is_some())])?;
    Ok(Settings { name, taps, unrouted: *unrouted })
}
