//! What all kinds that stand for something in a virtual host have in common.

use std::fmt::Debug;

use entente_crds::Broker;
use entente_crds::condition::{reasons, types};
use entente_crds::meta::PAUSED_ANNOTATION;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::conditions::{self, Status};
use crate::topology::diff::{Desired, foreign};
use crate::topology::names::{RESERVED, exactly};
use crate::topology::observed::ObservedVirtualHost;
use crate::topology::plan::Plan;

/// A kind whose objects have a status with conditions.
pub trait Reported:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The status.
    type Status: Clone + Debug + Default + PartialEq + Serialize + Send + Sync;
    /// The kind, as people write it.
    const KIND: &'static str;

    /// The status that was last written.
    fn last_status(&self) -> Option<&Self::Status>;

    /// Puts a status in the place of the last one.
    fn set_last_status(&mut self, status: Option<Self::Status>);

    /// The conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];
}

/// A kind whose objects stand for something in a virtual host: Queue, Topic, Subscription.
///
/// Each step of the pipeline is a function of values; the operator does the I/O between them.
pub trait Object: Reported {
    /// A spec whose texts are numbers and whose rules hold.
    type Settings: Clone + Debug + Send + Sync;

    /// Checks the spec. All problems are reported at once.
    fn validate(&self) -> Result<Self::Settings, Refusal>;

    /// The broker objects that these settings stand for. Total: whatever passed validation has a translation.
    fn desired(settings: &Self::Settings) -> Stages;

    /// What others must do before it can be used, after its own plan has run.
    fn blocked(_settings: &Self::Settings, _observed: &ObservedVirtualHost) -> Option<Refusal> {
        None
    }

    /// What its deletion does at the broker with all that bears its names. Asked by [`deletion`] alone.
    fn deletion(&self, observed: &ObservedVirtualHost) -> Decision;

    /// The queue that is closed to new messages before the last look at whether it is empty.
    fn closes(&self) -> String;

    /// A regular expression that matches it: the queues that are closed.
    fn closing_pattern(&self) -> String {
        exactly(&self.closes())
    }

    /// Whether deletion leaves everything in the broker.
    fn is_retained(&self) -> bool;

    /// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
    fn next_status(&self, outcome: &Outcome, place: Option<Place<'_, Self::Settings>>, now: Timestamp) -> Self::Status;

    /// The Broker that a status names.
    fn broker_of(status: &Self::Status) -> Option<&str>;
}

/// What the deletion of an object does at the broker. `observed` must be fresh.
///
/// What it was in conflict with, a queue of its name with other fixed settings, was never its own: it stays as it is, and
/// holds nothing up (invariants I2, I4).
pub fn deletion<O: Object>(object: &O, observed: &ObservedVirtualHost) -> Decision {
    // Refused as it stands now, it was served as it was; then what is there is its own.
    let Ok(settings) = object.validate() else { return object.deletion(observed) };
    let Stages { usable, complete } = O::desired(&settings);
    let theirs = foreign(&[&usable, &complete], observed);
    if theirs.is_empty() {
        return object.deletion(observed);
    }
    if theirs.queues.contains(&object.closes()) {
        return Decision::Release;
    }
    object.deletion(&theirs.left_out_of(observed))
}

/// Why an object is not served as it stands. Only a change of its spec helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `Invalid` or `NotSupported`.
    pub reason: &'static str,
    /// What is wrong and what to do, all of it.
    pub message: String,
}

/// What an object wants in its virtual host, in two stages.
///
/// What may come later is not waited for: an object is `Ready` after the first stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// Needed before anybody may use the object.
    pub usable: Desired,
    /// Needed soon after.
    pub complete: Desired,
}

/// What came of one visit to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as declared and usable.
    Ready,
    /// Reconciling is switched off by annotation: the status stays as it was last seen.
    Paused,
    /// It is not, for this reason.
    NotReady {
        /// A reason of [`reasons`].
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// The broker could not be asked.
    Unseen {
        /// A reason of [`reasons`].
        reason: &'static str,
        /// Why.
        message: String,
    },
}

/// Where an object lives and what is there.
#[derive(Debug)]
pub struct Place<'a, S> {
    /// The Broker.
    pub broker: &'a Broker,
    /// Its virtual host.
    pub virtual_host: &'a str,
    /// The settings that were applied, where the spec is valid.
    pub settings: Option<&'a S>,
    /// What the broker last reported of the virtual host.
    pub observed: Option<&'a ObservedVirtualHost>,
}

// Not derived: that would ask the same of the settings.
impl<S> Clone for Place<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Place<'_, S> {}

/// What to do with an object that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing at the broker is held by the finalizer: remove it.
    Release,
    /// Run this plan, then remove the finalizer.
    Delete {
        /// What to do.
        plan: Plan,
        /// Whether a message in [`Object::closes`] must stop it.
        only_if_empty: bool,
    },
    /// Something must happen first; keep the finalizer. The text says what, and what to do.
    Wait(String),
    /// Whether messages are left is not known; keep the finalizer. Unknown is not zero (invariant I5).
    Unknown,
}

/// Whether an object is to be left alone, as its annotation says.
pub fn is_paused(object: &impl Resource) -> bool {
    let annotations = object.meta().annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(PAUSED_ANNOTATION)).is_some_and(|value| value == "true")
}

/// The Broker as status names it: `namespace/name`.
pub fn broker_key(broker: &Broker) -> String {
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", word(&broker.metadata.namespace), word(&broker.metadata.name))
}

/// Sets the conditions that each kind has. False while paused: what was seen before the pause is still the best
/// knowledge, and nothing else of the status changes.
pub fn set_outcome(
    conditions: &mut Vec<Condition>,
    outcome: &Outcome,
    ready_message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    conditions::set_paused(conditions, *outcome == Outcome::Paused, generation, now);
    let (ready, reason, message) = match outcome {
        Outcome::Paused => return false,
        Outcome::Ready => (Status::True, reasons::READY, ready_message.to_owned()),
        Outcome::NotReady { reason, message } => (Status::False, *reason, message.clone()),
        Outcome::Unseen { reason, message } => (Status::Unknown, *reason, message.clone()),
    };
    conditions::set(conditions, types::READY, ready, reason, message, generation, now);
    true
}

/// What is wrong with a name, if anything.
pub fn check_name(kind: &str, name: &str, problems: &mut Vec<String>) {
    let label = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !label {
        problems.push(format!(
            "the name {name:?} is not a DNS label of at most 63 lower-case letters, digits and '-'; create a {kind} of such a name"
        ));
    }
}

/// The same for a Queue or Topic, whose name is part of others.
pub fn check_name_of_place(kind: &str, name: &str, problems: &mut Vec<String>) {
    check_name(kind, name, problems);
    if name == RESERVED {
        problems
            .push(format!("the name {RESERVED:?} is reserved for what Entente itself makes; create a {kind} of another name"));
    }
}

/// Refuses fields of the API that a later version serves. Saying so beats accepting and ignoring them.
pub fn not_served(fields: &[(&str, bool)]) -> Result<(), Refusal> {
    let fields: Vec<&str> = fields.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
    if fields.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        reason: reasons::NOT_SUPPORTED,
        message: format!(
            "this version of Entente does not serve {} yet; nothing was changed in the broker. Remove the field, or upgrade to a version that serves it",
            fields.join(", ")
        ),
    })
}

/// All problems as one refusal.
pub fn refuse_if_any(problems: &[String]) -> Result<(), Refusal> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Refusal { reason: reasons::INVALID, message: problems.join("; ") })
}
