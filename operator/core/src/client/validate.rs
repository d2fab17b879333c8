//! What a Client may ask for.
//!
//! Repeats each rule of the CRD, since admission may have been another version's, and adds what CEL does not say:
//! durations that parse, and that all entries are in one virtual host as far as the spec alone tells.

use std::collections::BTreeSet;
use std::time::Duration;

use entente_crds::Client;
use entente_crds::client::{Access, ClientSpec, ObjectRef, Rotation};
use entente_crds::grant::Verb;
use entente_crds::text::DurationText;

use crate::contract::reference::Reference;
use crate::object::{Refusal, check_name, refuse_if_any};

/// How long the password of before works, by default.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(1);
/// Kubernetes takes a minute and more to bring a changed Secret into a running pod.
const SHORTEST_EVERY: Duration = Duration::from_mins(1);
/// Ten years: more is a mistake, and would overflow times.
const LONGEST: Duration = Duration::from_hours(24 * 3650);
const MOST_ENTRIES: usize = 64;
/// Longest name of a Kubernetes object.
const LONGEST_NAME: usize = 253;

/// A spec whose texts are numbers and whose rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the Client.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What it asks for.
    pub entries: Vec<Entry>,
    /// How often the password changes.
    pub every: Option<Duration>,
    /// How long the one before works.
    pub overlap: Duration,
    /// Name of the Secret.
    pub secret: String,
}

/// One thing that a Client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What.
    pub target: Target,
    /// How.
    pub verbs: BTreeSet<Verb>,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A Queue.
    Queue {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Topic.
    Topic {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Subscription of the Client's namespace.
    Subscription {
        /// Its name.
        name: String,
    },
    /// An operation of a version of a ServiceContract.
    Contract(Reference),
}

/// Checks a Client. All problems are reported at once.
pub fn validate(client: &Client) -> Result<Settings, Refusal> {
    let name = client.metadata.name.clone().unwrap_or_default();
    let namespace = client.metadata.namespace.clone().unwrap_or_default();
    // Exhaustive: a new field cannot be skipped.
    let ClientSpec {
        broker_ref: _, // resolved elsewhere
        access,
        rotation: Rotation { every, overlap },
        secret_name,
    } = &client.spec;
    let mut problems = Vec::new();
    check_name("Client", &name, &mut problems);
    if access.len() > MOST_ENTRIES {
        problems.push(format!("access: at most {MOST_ENTRIES} entries; make another Client for the others"));
    }
    let mut names = BTreeSet::new();
    let entries: Vec<Entry> = access.iter().filter_map(|access| entry(access, &namespace, &mut names, &mut problems)).collect();
    one_virtual_host(&entries, &mut problems);
    let overlap = duration("rotation.overlap", overlap.as_ref(), &mut problems).unwrap_or(DEFAULT_OVERLAP);
    let every = duration("rotation.every", every.as_ref(), &mut problems);
    if let Some(every) = every {
        if every < SHORTEST_EVERY {
            problems.push("rotation.every must be at least 1m: a changed Secret takes so long to reach a running pod".to_owned());
        }
        if every <= overlap {
            problems.push(format!(
                "rotation.every must be longer than rotation.overlap ({} s): else a password would be changed while the one before still works",
                overlap.as_secs()
            ));
        }
    }
    let secret = secret_name.clone().unwrap_or_else(|| format!("{name}-binding"));
    check_secret_name(&secret, &mut problems);
    refuse_if_any(&problems)?;
    Ok(Settings { name, namespace, entries, every, overlap, secret })
}

fn entries(access: &[Access], namespace: &str, problems: &mut Vec<String>) -> Vec<Entry> {
    let mut names = BTreeSet::new();
    access.iter().filter_map(|access| entry(access, namespace, &mut names, problems)).collect()
}

/// What a Client names, whatever else is wrong with it: for taking away what is no longer granted.
pub fn named(client: &Client) -> Vec<Entry> {
    entries(&client.spec.access, client.metadata.namespace.as_deref().unwrap_or_default(), &mut Vec::new())
}

fn entry(access: &Access, namespace: &str, names: &mut BTreeSet<String>, problems: &mut Vec<String>) -> Option<Entry> {
    let Access { name, queue_ref, topic_ref, subscription_ref, contract_ref, verbs: listed } = access;
    let mut refuse = |text: &str| problems.push(format!("access {name}: {text}"));
    if !is_label(name) {
        refuse("the entry's name must be at most 63 lower-case letters, digits and '-'");
    }
    if !names.insert(name.clone()) {
        refuse("the entry's name is there twice");
    }
    let verbs: BTreeSet<Verb> = listed.iter().copied().collect();
    if verbs.is_empty() {
        refuse("name at least one verb: Send, Receive or Browse");
    }
    let place = |reference: &ObjectRef| {
        let ObjectRef { name, namespace: other } = reference;
        (other.clone().unwrap_or_else(|| namespace.to_owned()), name.clone())
    };
    let target = match (queue_ref, topic_ref, subscription_ref, contract_ref) {
        (Some(queue), None, None, None) => {
            let (namespace, name) = place(queue);
            Target::Queue { namespace, name }
        }
        (None, Some(topic), None, None) => {
            if verbs.iter().any(|verb| *verb != Verb::Send) {
                refuse("of a Topic a Client may Send; to receive, make a Subscription and refer to that");
            }
            let (namespace, name) = place(topic);
            Target::Topic { namespace, name }
        }
        (None, None, Some(subscription), None) => {
            if verbs.iter().any(|verb| *verb != Verb::Receive) {
                refuse("of a Subscription a Client may Receive; to send, refer to the Topic");
            }
            Target::Subscription { name: subscription.name.clone() }
        }
        (None, None, None, Some(contract)) => {
            if verbs.iter().any(|verb| *verb != Verb::Send) {
                refuse("of a ServiceContract a Client may Send; to receive, make a Subscription and refer to that");
            }
            Target::Contract(Reference::of(contract, namespace))
        }
        _ => {
            refuse("choose one: queueRef, topicRef, subscriptionRef or contractRef");
            return None;
        }
    };
    let good = match &target {
        Target::Queue { namespace, name } | Target::Topic { namespace, name } => is_label(namespace) && is_label(name),
        Target::Subscription { name } => is_label(name),
        Target::Contract(Reference { namespace, contract, version, operation }) => {
            [namespace, contract, version, operation].into_iter().all(|name| is_label(name))
        }
    };
    if !good {
        refuse(
            "names and namespaces are at most 63 lower-case letters, digits and '-'; nothing can have the name that it refers to",
        );
    }
    Some(Entry { name: name.clone(), target, verbs })
}

/// A connection is to one virtual host. Where a Subscription's is, its Topic tells: see [`super::access::place`].
fn one_virtual_host(entries: &[Entry], problems: &mut Vec<String>) {
    let hosts: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| match &entry.target {
            Target::Queue { namespace, .. } | Target::Topic { namespace, .. } => Some(namespace.as_str()),
            Target::Contract(reference) => Some(reference.namespace.as_str()),
            Target::Subscription { .. } => None,
        })
        .collect();
    if hosts.len() > 1 {
        problems.push(several_hosts(hosts));
    }
}

/// The message about entries in several virtual hosts.
pub fn several_hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> String {
    let hosts: Vec<&str> = hosts.into_iter().collect();
    format!(
        "access: all entries must be in one virtual host, since a connection is to one, and these are in {}; make a Client for each",
        hosts.join(", ")
    )
}

fn is_label(name: &str) -> bool {
    let mut problems = Vec::new();
    check_name("", name, &mut problems);
    problems.is_empty()
}

fn check_secret_name(name: &str, problems: &mut Vec<String>) {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(part) {
        problems.push(format!(
            "secretName: {name:?} cannot be the name of a Secret: at most {LONGEST_NAME} lower-case letters, digits, '-' and '.'"
        ));
    }
}

fn duration(field: &str, text: Option<&DurationText>, problems: &mut Vec<String>) -> Option<Duration> {
    match text?.as_duration() {
        Ok(duration) if duration <= LONGEST => Some(duration),
        Ok(_) => {
            problems.push(format!("{field}: at most 3650d"));
            None
        }
        Err(error) => {
            problems.push(format!("{field}: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_crds::condition::reasons;
    use serde_json::{Value, json};

    use super::*;

    fn checked(spec: Value) -> Result<Settings, Refusal> {
        let mut client = Client::new("web", serde_json::from_value(spec).unwrap());
        client.metadata.namespace = Some("shop".into());
        validate(&client)
    }

    #[allow(clippy::needless_pass_by_value)] // a json! literal goes in
    fn access(entry: Value) -> Value {
        json!({"access": [entry]})
    }

    #[test]
    fn a_client_without_a_word_is_valid() {
        let settings = checked(json!({})).unwrap();
        assert_eq!(settings.secret, "web-binding");
        assert_eq!((settings.every, settings.overlap), (None, DEFAULT_OVERLAP));
        assert!(settings.entries.is_empty());
    }

    #[test]
    fn references_are_of_the_own_namespace_unless_they_say_otherwise() {
        let settings = checked(json!({"access": [
            {"name": "a", "queueRef": {"name": "q"}, "verbs": ["Send", "Receive", "Send"]},
            {"name": "b", "topicRef": {"name": "t", "namespace": "shop"}, "verbs": ["Send"]},
            {"name": "c", "subscriptionRef": {"name": "s"}, "verbs": ["Receive"]},
        ]}))
        .unwrap();
        assert_eq!(settings.entries[0].target, Target::Queue { namespace: "shop".into(), name: "q".into() });
        assert_eq!(settings.entries[0].verbs.len(), 2);
        assert_eq!(settings.entries[2].target, Target::Subscription { name: "s".into() });
    }

    #[test]
    fn each_rule_refuses_and_says_why() {
        let queue = json!({"name": "q"});
        let contract = json!({"name": "c", "version": "v1", "operation": "o"});
        let odd = json!({"name": "c", "version": "v1|.*", "operation": "o"});
        for (spec, word) in [
            (access(json!({"name": "a", "verbs": ["Send"]})), "choose one"),
            (access(json!({"name": "a", "queueRef": queue, "topicRef": queue, "verbs": ["Send"]})), "choose one"),
            (access(json!({"name": "a", "queueRef": queue, "verbs": []})), "at least one verb"),
            (access(json!({"name": "A", "queueRef": queue, "verbs": ["Send"]})), "entry's name"),
            (access(json!({"name": "a.dead", "queueRef": queue, "verbs": ["Send"]})), "entry's name"),
            (access(json!({"name": "a", "topicRef": queue, "verbs": ["Receive"]})), "make a Subscription"),
            (access(json!({"name": "a", "topicRef": queue, "verbs": ["Send", "Browse"]})), "make a Subscription"),
            (access(json!({"name": "a", "subscriptionRef": queue, "verbs": ["Send"]})), "refer to the Topic"),
            (access(json!({"name": "a", "subscriptionRef": queue, "verbs": ["Browse"]})), "refer to the Topic"),
            (access(json!({"name": "a", "contractRef": contract, "verbs": ["Receive"]})), "make a Subscription"),
            (access(json!({"name": "a", "contractRef": contract, "queueRef": queue, "verbs": ["Send"]})), "choose one"),
            (access(json!({"name": "a", "contractRef": odd, "verbs": ["Send"]})), "nothing can have the name"),
            (access(json!({"name": "a", "queueRef": {"name": "q.dead"}, "verbs": ["Receive"]})), "nothing can have the name"),
            (access(json!({"name": "a", "queueRef": {"name": ".*"}, "verbs": ["Receive"]})), "nothing can have the name"),
            (access(json!({"name": "a", "queueRef": {"name": "q", "namespace": "/"}, "verbs": ["Receive"]})), "nothing can have"),
            (access(json!({"name": "a", "subscriptionRef": {"name": "x.s"}, "verbs": ["Receive"]})), "nothing can have"),
            (json!({"secretName": "No"}), "secretName"),
            (json!({"secretName": "a..b"}), "secretName"),
            (json!({"rotation": {"every": "soon"}}), "rotation.every"),
            (json!({"rotation": {"every": "30s", "overlap": "1s"}}), "at least 1m"),
            (json!({"rotation": {"every": "30m"}}), "longer than rotation.overlap (3600 s)"),
            (json!({"rotation": {"overlap": "4000d"}}), "at most 3650d"),
        ] {
            let refusal = checked(spec.clone()).unwrap_err();
            assert_eq!(refusal.reason, reasons::INVALID);
            assert!(refusal.message.contains(word), "{spec}: {}", refusal.message);
        }
    }

    #[test]
    fn entries_have_one_virtual_host_and_names_of_their_own() {
        let entry = |name: &str, namespace: &str| json!({"name": name, "queueRef": {"name": "q", "namespace": namespace}, "verbs": ["Send"]});
        let message = |spec: Value| checked(spec).unwrap_err().message;
        assert!(message(json!({"access": [entry("a", "shop"), entry("b", "other")]})).contains("in other, shop; make a Client"));
        assert!(message(json!({"access": [entry("a", "other"), entry("a", "other")]})).contains("twice"));
        assert!(checked(json!({"access": [entry("a", "other"), entry("b", "other")]})).is_ok());
        let many: Vec<Value> = (0..65).map(|number| entry(&format!("e{number}"), "shop")).collect();
        assert!(message(json!({"access": many})).contains("at most 64 entries"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let message = checked(json!({"secretName": "No", "rotation": {"overlap": "x"}})).unwrap_err().message;
        assert!(message.contains("secretName") && message.contains("overlap"));
    }
}
