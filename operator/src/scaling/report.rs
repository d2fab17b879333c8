//! What the autoscaler tells: status, Events, figures.
//!
//! A decision is made twice a second; it is told when replicas change, when something new holds it back, and when what was learned
//! would be missed by the next process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_core::conditions::whole_second;
use entente_core::scaling::{Decision, HeldBack, State};
use entente_crds::scaling::{LastDecision, ScalingStatus};
use entente_crds::{Queue, Subscription};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use serde_json::{Value, json};

use super::subject::{Scaled, Subject};
use super::target::Unscaled;
use crate::metrics::Scaled as ScaledLabel;
use crate::objects::Shared;
use crate::objects::writes::OF_THE_AUTOSCALER;

/// Held back by: the Broker is not Entente's to read.
const EXTERNAL_BROKER: &str = "ExternalBroker";
/// What does not change replicas is told no more often.
const CALM: Duration = Duration::from_secs(10);

/// Tells of one subject.
pub struct Reporter {
    shared: Arc<Shared>,
    told: Option<ScalingStatus>,
    saved: State,
    told_at: Option<Instant>,
}

impl Reporter {
    /// `told` is what the status says by now.
    pub fn new(shared: Arc<Shared>, told: Option<ScalingStatus>, saved: State) -> Self {
        Self { shared, told, saved, told_at: None }
    }

    /// A number of replicas was written.
    pub fn scaled(&mut self, subject: &Subject, decision: &Decision) {
        let up = decision.desired > decision.inputs.spec_replicas;
        let (reason, direction) = if up { ("ScaledUp", "up") } else { ("ScaledDown", "down") };
        tracing::info!(
            namespace = subject.namespace,
            kind = subject.kind,
            name = subject.name,
            target = subject.target_text(),
            decision = decision.sentence,
            "scaled"
        );
        self.shared.metrics.scalings.get_or_create(&ScaledLabel { direction }).inc();
        self.event(subject, EventType::Normal, reason, &decision.sentence);
        self.told_at = None;
    }

    /// A decision was made.
    pub async fn decision(&mut self, subject: &Subject, decision: &Decision, state: &State) {
        let status = status(subject, decision, state);
        let news = self.told.as_ref().is_none_or(|told| told.is_news(&status)) || state.worth_saving(&self.saved);
        let replicas = self.told.as_ref().is_none_or(|told| told.desired_replicas != status.desired_replicas);
        if !(replicas || news && self.is_calm()) {
            return;
        }
        let warn = decision.held_back.filter(|reason| is_trouble(*reason));
        let known = self.told.as_ref().and_then(|told| told.last_decision.held_back.clone());
        if let Some(reason) = warn
            && known.as_deref() != Some(reason.as_str())
        {
            self.event(subject, EventType::Warning, reason.as_str(), &decision.sentence);
        }
        if self.write(subject, status).await {
            self.saved = state.clone();
        }
    }

    /// The target cannot be read or written.
    pub async fn failure(&mut self, subject: &Subject, error: &Unscaled) {
        let reason = match error {
            Unscaled::Missing(_) => "TargetNotFound",
            Unscaled::NoScale(_) => "TargetNotScalable",
            Unscaled::Forbidden(_) => "Forbidden",
            Unscaled::Conflict(_) | Unscaled::Api(..) => "TargetUnreachable",
        };
        self.trouble(subject, reason, error.to_string()).await;
    }

    /// An older object acts on the target.
    pub async fn rival(&mut self, subject: &Subject, rival: &str) {
        let message = format!("{rival} of this namespace scales {} already; give this one another target", subject.target_text());
        self.trouble(subject, HeldBack::ConflictingScaler.as_str(), message).await;
    }

    /// The queue is at a RabbitMQ that somebody else runs, whose depths are not read.
    pub async fn external(&mut self, subject: &Subject) {
        let message = format!(
            "{} is not scaled: its Broker is an external one, and depths are read from nodes that Entente runs; remove spec.scaling, and \
             scale it by KEDA's own scaler for RabbitMQ",
            subject.target_text()
        );
        self.trouble(subject, EXTERNAL_BROKER, message).await;
    }

    async fn trouble(&mut self, subject: &Subject, reason: &str, message: String) {
        let known = self.told.as_ref();
        if known.is_some_and(|told| told.last_decision.message == message) || !self.is_calm() {
            return;
        }
        self.event(subject, EventType::Warning, reason, &message);
        let last = known.map(|told| told.last_decision.clone());
        let status = ScalingStatus {
            target: subject.target_text(),
            desired_replicas: known.map_or(0, |told| told.desired_replicas),
            schedule: known.and_then(|told| told.schedule.clone()),
            last_decision: LastDecision {
                at: now(),
                objective: None,
                held_back: Some(reason.to_owned()),
                ready: last.as_ref().map_or(0, |last| last.ready),
                unacknowledged: last.as_ref().map_or(0, |last| last.unacknowledged),
                ready_replicas: last.as_ref().map_or(0, |last| last.ready_replicas),
                arrival_rate: last.map_or_else(|| rate(0.0), |last| last.arrival_rate),
                service_rate: None,
                message,
            },
            memory: known.and_then(|told| told.memory.clone()),
        };
        self.write(subject, status).await;
    }

    fn is_calm(&self) -> bool {
        self.told_at.is_none_or(|at| at.elapsed() >= CALM)
    }

    async fn write(&mut self, subject: &Subject, status: ScalingStatus) -> bool {
        self.told_at = Some(Instant::now());
        let patch = json!({"metadata": {"uid": subject.uid}, "status": {OF_THE_AUTOSCALER: whole(&status)}});
        let _pass = self.shared.lanes.enter(&subject.namespace).await;
        let written = patch_status(&self.shared, subject.kind, &subject.namespace, &subject.name, patch).await;
        if written {
            self.told = Some(status);
        }
        written
    }

    fn event(&self, subject: &Subject, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.chars().take(250).collect()),
            action: "Scale".to_owned(),
            secondary: None,
        };
        let (recorder, reference) = (self.shared.recorder.clone(), subject.reference.clone());
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(%error, "an Event was not published");
            }
        });
    }
}

/// With null for what a decision does not have: a merge patch would leave there what the one before had.
fn whole(status: &ScalingStatus) -> Value {
    let mut patch = json!(status);
    if let Some(fields) = patch.as_object_mut() {
        fields.entry("schedule").or_insert(Value::Null);
    }
    if let Some(decision) = patch["lastDecision"].as_object_mut() {
        for field in ["objective", "heldBack", "serviceRate"] {
            decision.entry(field).or_insert(Value::Null);
        }
    }
    patch
}

/// Takes the autoscaler's part of a status away where `spec.scaling` is gone.
pub fn clear<K: Scaled>(shared: &Arc<Shared>, object: &K, subjects: &BTreeSet<&str>) {
    let uid = object.uid().unwrap_or_default();
    if object.scaling().is_some() || object.told().is_none() || subjects.contains(uid.as_str()) {
        return;
    }
    let patch = json!({"metadata": {"uid": uid}, "status": {OF_THE_AUTOSCALER: null}});
    let (shared, namespace, name) = (Arc::clone(shared), object.namespace().unwrap_or_default(), object.name_any());
    tokio::spawn(async move { patch_status(&shared, K::KIND, &namespace, &name, patch).await });
}

async fn patch_status(shared: &Shared, kind: &'static str, namespace: &str, name: &str, patch: Value) -> bool {
    let resource = match kind {
        "Queue" => ApiResource::erase::<Queue>(&()),
        _ => ApiResource::erase::<Subscription>(&()),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(shared.client.clone(), namespace, &resource);
    shared.metrics.api_writes.get_or_create(&crate::metrics::Kind { kind }).inc();
    match api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, kind, namespace, name, "the autoscaler's status was not written");
            false
        }
    }
}

/// What people should hear of as a warning.
fn is_trouble(reason: HeldBack) -> bool {
    matches!(
        reason,
        HeldBack::Stale
            | HeldBack::CapacityLimited
            | HeldBack::DownstreamSaturated
            | HeldBack::Paused
            | HeldBack::ConflictingScaler
    )
}

fn status(subject: &Subject, decision: &Decision, state: &State) -> ScalingStatus {
    let Decision { desired, wanted: _, schedule, objective, held_back, inputs, sentence } = decision;
    ScalingStatus {
        target: subject.target_text(),
        desired_replicas: i32::try_from(*desired).unwrap_or(i32::MAX),
        schedule: schedule.clone(),
        last_decision: LastDecision {
            at: now(),
            objective: objective.map(|objective| objective.as_str().to_owned()),
            held_back: held_back.map(|reason| reason.as_str().to_owned()),
            ready: i64::try_from(inputs.ready).unwrap_or(i64::MAX),
            unacknowledged: i64::try_from(inputs.unacknowledged).unwrap_or(i64::MAX),
            ready_replicas: i32::try_from(inputs.ready_replicas).unwrap_or(i32::MAX),
            arrival_rate: rate(inputs.arrival_rate),
            service_rate: inputs.service_rate.map(rate),
            message: sentence.clone(),
        },
        memory: Some(state.encode()),
    }
}

/// The API has no floats that survive every client.
fn rate(per_second: f64) -> String {
    format!("{per_second:.2}")
}

fn now() -> Time {
    Time(whole_second(Timestamp::now()))
}

/// Whether something differs that people act on. Figures alone are not worth a write.
trait News {
    fn is_news(&self, other: &Self) -> bool;
}

impl News for ScalingStatus {
    fn is_news(&self, other: &Self) -> bool {
        // Passing reasons come and go with each tick; those that are trouble stay until somebody helps.
        let trouble = |status: &Self| {
            let reason = status.last_decision.held_back.as_deref();
            HeldBack::ALL.into_iter().find(|known| reason == Some(known.as_str()) && is_trouble(*known))
        };
        // A reason that is none of the decision's own is that of a failure, which is over.
        let failed = |status: &Self| {
            let reason = status.last_decision.held_back.as_deref();
            reason.is_some_and(|reason| HeldBack::ALL.iter().all(|known| known.as_str() != reason))
        };
        self.target != other.target
            || self.desired_replicas != other.desired_replicas
            || self.schedule != other.schedule
            || trouble(self) != trouble(other)
            || failed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(held_back: Option<&str>, desired: i32) -> ScalingStatus {
        ScalingStatus {
            target: "Deployment/worker".to_owned(),
            desired_replicas: desired,
            schedule: None,
            last_decision: LastDecision {
                at: Time(Timestamp::UNIX_EPOCH),
                objective: None,
                held_back: held_back.map(str::to_owned),
                ready: 0,
                unacknowledged: 0,
                ready_replicas: 0,
                arrival_rate: rate(0.0),
                service_rate: None,
                message: String::new(),
            },
            memory: None,
        }
    }

    #[test]
    fn i10_what_no_longer_holds_back_is_taken_away() {
        assert_eq!(whole(&told(None, 2))["lastDecision"]["heldBack"], Value::Null);
        assert!(whole(&told(None, 2))["lastDecision"].as_object().unwrap().contains_key("heldBack"));
        assert_eq!(whole(&told(Some("Stale"), 2))["lastDecision"]["heldBack"], "Stale");
    }

    #[test]
    fn i6_what_passes_is_no_news() {
        for (before, after) in [(None, Some("DeadBand")), (Some("DownWindow"), None), (Some("NotIdle"), Some("DownWindow"))] {
            assert!(!told(before, 2).is_news(&told(after, 2)), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_schedule_that_starts_or_ends_is_news_and_taken_away() {
        let scheduled = ScalingStatus { schedule: Some("office".to_owned()), ..told(None, 2) };
        assert!(told(None, 2).is_news(&scheduled) && scheduled.is_news(&told(None, 2)));
        assert_eq!(whole(&scheduled)["schedule"], "office");
        assert!(whole(&told(None, 2)).as_object().unwrap().get("schedule").is_some_and(Value::is_null));
    }

    #[test]
    fn replicas_and_trouble_are_news() {
        assert!(told(None, 2).is_news(&told(None, 3)));
        assert!(told(None, 2).is_news(&told(Some("Stale"), 2)));
        assert!(told(Some("CapacityLimited"), 2).is_news(&told(None, 2)));
        assert!(told(Some("TargetNotFound"), 2).is_news(&told(None, 2)));
    }
}
