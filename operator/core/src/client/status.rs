//! What the status of a Client says.

use entente_crds::client::{Binding, ClientStatus, Previous};
use entente_crds::condition::{reasons, types};
use entente_crds::{Broker, Client};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::access::Summary;
use super::rotation::Kept;
use super::secret::Record;
use crate::conditions::{self, Status, whole_second};
use crate::object::{Outcome, broker_key};

/// What a visit found and left behind, as far as it came.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The Broker.
    pub broker: &'a Broker,
    /// The virtual host.
    pub virtual_host: &'a str,
    /// The Secret, and what it says, once it is written.
    pub binding: Option<(&'a str, &'a Record, &'a Kept)>,
    /// Versions of contracts that its users may send under, once they may.
    pub contracts: Option<&'a std::collections::BTreeSet<String>>,
}

/// The new status. Equal to the old one if nothing changed, so that nothing is written (invariant I6).
pub fn status(client: &Client, outcome: &Outcome, facts: Option<&Facts<'_>>, now: Timestamp) -> ClientStatus {
    let mut status = client.status.clone().unwrap_or_default();
    let generation = client.metadata.generation;
    status.observed_generation = generation;
    conditions::set_paused(&mut status.conditions, *outcome == Outcome::Paused, generation, now);
    let (ready, reason, message) = match outcome {
        // What was seen before the pause is still the best knowledge; it only gets no newer.
        Outcome::Paused => return status,
        Outcome::Ready => (Status::True, reasons::READY, ready_message(facts)),
        Outcome::NotReady { reason, message } => (Status::False, *reason, message.clone()),
        Outcome::Unseen { reason, message } => (Status::Unknown, *reason, message.clone()),
    };
    conditions::set(&mut status.conditions, types::READY, ready, reason, message, generation, now);
    if let Some(Facts { broker, virtual_host, binding, contracts }) = facts {
        status.broker = Some(broker_key(broker));
        status.virtual_host = Some((*virtual_host).to_owned());
        if let Some(contracts) = contracts {
            status.contracts = contracts.iter().cloned().collect();
        }
        if let Some((secret, record, kept)) = binding {
            status.binding = Some(Binding { name: (*secret).to_owned() });
            status.username = Some(record.username.clone());
            status.rotated_at = Some(Time(whole_second(kept.rotated_at)));
            status.rotation_requested.clone_from(&record.request);
            let previous = |(username, until): &(String, Timestamp)| {
                // A time that is only counted anew is no news.
                let known = status.previous.as_ref().filter(|known| known.username == *username);
                let near = known.filter(|known| (known.until.0.as_second() - until.as_second()).abs() <= 1);
                near.cloned().unwrap_or(Previous { username: username.clone(), until: Time(whole_second(*until)) })
            };
            status.previous = kept.previous.as_ref().map(previous);
        }
    }
    status
}

fn ready_message(facts: Option<&Facts<'_>>) -> String {
    match facts.and_then(|facts| facts.binding.as_ref()) {
        Some((secret, _, Kept { waiting: true, previous: Some((user, until)), .. })) => format!(
            "the Secret {secret} tells how to connect; a new password is due and waits until {user} has had its overlap, {until:.0}"
        ),
        Some((secret, ..)) => format!("the Secret {secret} tells how to connect"),
        None => "the rights are as declared".to_owned(),
    }
}

/// What came of a visit whose users and Secret are as they should be.
pub fn outcome(summary: &Summary) -> Outcome {
    let Summary { unusable, missing, .. } = summary;
    if let Some(first) = unusable.first() {
        // What only waits is told only where nothing needs somebody's hand.
        let messages: Vec<&str> = unusable.iter().map(|unusable| unusable.message.as_str()).collect();
        let message = format!("{}. The other entries can be used", messages.join("; "));
        return Outcome::NotReady { reason: first.reason, message };
    }
    if !missing.is_empty() {
        let message = format!("not in the broker yet: {}; this goes on by itself", missing.join(", "));
        return Outcome::NotReady { reason: reasons::PROGRESSING, message };
    }
    Outcome::Ready
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
