//! Schemas that are not understood: equal by their hash, or not.

use sha2::{Digest, Sha256};

use super::{Change, Comparison, Effect, Report};

pub(super) fn check(old: &str, new: &str, how: Comparison) -> Report {
    let (before, after) = (hash(old), hash(new));
    if before == after {
        return Report::default();
    }
    let changes = how.direction.ways().iter().map(|way| Change {
        path: "/".into(),
        rule: "opaque",
        effect: Effect::Unproven,
        way: Some(*way),
        before: Some(before.clone()),
        after: Some(after.clone()),
        why: "the content of an opaque schema is not understood, so that any change of it counts as a break".into(),
        mend: "keep the bytes of the old version, or declare the format: JsonSchema, Avro or Protobuf".into(),
    });
    Report::new(changes.collect(), Vec::new())
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
