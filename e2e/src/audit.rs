//! The API server's audit log: who wrote what.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::SYSTEM;

const AUDIT_LOG: &str = "/var/lib/entente-e2e/log/audit.log";

/// A moment in the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Verb, such as `patch`.
    pub verb: String,
    /// Resource, with its subresource.
    pub resource: String,
    /// `namespace/name`.
    pub object: String,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.resource, self.object)
    }
}

/// The user that the operator is.
pub fn operator_user() -> String {
    format!("system:serviceaccount:{SYSTEM}:entente-operator")
}

fn path() -> String {
    std::env::var("AUDIT_LOG").unwrap_or_else(|_| AUDIT_LOG.to_owned())
}

/// Now. The log holds only complete requests, each written before its answer is sent.
pub fn mark() -> Result<Mark> {
    let path = path();
    Ok(Mark(std::fs::metadata(&path).with_context(|| format!("{path}: is there an audit log?"))?.len()))
}

/// What a user wrote since then, leases aside.
pub fn writes_since(mark: Mark, user: &str) -> Result<Vec<Write>> {
    let mut file = File::open(path())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(writes(&text, user))
}

/// When the API server received the first write of this user to this resource and object since then.
pub fn first_write_since(mark: Mark, user: &str, resource: &str, object: &str) -> Result<Option<Timestamp>> {
    let mut file = File::open(path())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(first_write(&text, user, resource, object))
}

fn first_write(text: &str, user: &str, resource: &str, object: &str) -> Option<Timestamp> {
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wanted = |event: &Value| {
        let write = write_of(event);
        event["user"]["username"] == user && write.resource == resource && write.object == object
    };
    events.filter(wanted).find_map(|event| event["requestReceivedTimestamp"].as_str()?.parse().ok())
}

fn writes(text: &str, user: &str) -> Vec<Write> {
    // The last line may be half written.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["user"]["username"] == user)
        .map(|event| write_of(&event))
        .filter(|write| write.resource != "leases")
        .collect()
}

fn write_of(event: &Value) -> Write {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &event["objectRef"];
    let mut resource = word(&reference["resource"]);
    if let Some(sub) = reference["subresource"].as_str() {
        resource = format!("{resource}/{sub}");
    }
    Write {
        verb: word(&event["verb"]),
        resource,
        object: format!("{}/{}", word(&reference["namespace"]), word(&reference["name"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_to_an_object_has_its_time() {
        let line = |second: u32, object: &str| {
            format!(
                r#"{{"verb":"patch","requestReceivedTimestamp":"2026-11-26T10:00:{second:02}.250000Z","user":{{"username":"op"}},"objectRef":{{"resource":"deployments","subresource":"scale","namespace":"a","name":"{object}"}}}}"#
            )
        };
        let text = [line(1, "other"), line(2, "work"), line(3, "work")].join("\n");
        let first = first_write(&text, "op", "deployments/scale", "a/work");
        assert_eq!(first, "2026-11-26T10:00:02.25Z".parse().ok());
        assert_eq!(first_write(&text, "somebody", "deployments/scale", "a/work"), None);
    }

    #[test]
    fn writes_of_one_user_without_leases() {
        let text = r#"{"verb":"patch","user":{"username":"op"},"objectRef":{"resource":"queues","subresource":"status","namespace":"a","name":"q"}}
{"verb":"update","user":{"username":"op"},"objectRef":{"resource":"leases","namespace":"a","name":"l"}}
{"verb":"update","user":{"username":"kubelet"},"objectRef":{"resource":"pods","namespace":"a","name":"p"}}
{"verb":"upd"#;
        let seen: Vec<String> = writes(text, "op").iter().map(ToString::to_string).collect();
        assert_eq!(seen, ["patch queues/status a/q"]);
    }
}
