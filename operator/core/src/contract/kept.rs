//! Schemas that stand in ConfigMaps: what is taken from them, how much of it is held, and what is said of one that cannot be had.
//!
//! The webhook, the controller, documents and the kubectl plugin take them by [`Gathering`]: from the same places, within the same
//! bounds. A contract is written by others and may name 320 keys of a mebibyte each, which would fill the operator's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use entente_crds::service_contract::{ConfigMapKey, MessageSchema, Version};
use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest, Sha256};

use super::MAX_BYTES;
use super::schemas::{hex, sha256};

/// Most ConfigMaps that the schemas of a contract may be in.
pub const MOST_MAPS: usize = 64;
/// Most bytes that the schemas of a contract may have in ConfigMaps, all together.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Where a schema is that is not in the contract: a ConfigMap of its namespace and a key.
pub type Place = (String, String);

/// Schemas of ConfigMaps, or why there is none. A place that is not here at all was not read.
pub type Kept = BTreeMap<Place, Result<String, Missing>>;

/// Why a schema of a ConfigMap is not at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no such ConfigMap, or no text under its key.
    Absent,
    /// Whether it is there could not be found out.
    Unread,
    /// It is longer than a schema may be.
    TooLong,
    /// With it the schemas would have more bytes than are held for a contract.
    TooMuch,
    /// The contract names more ConfigMaps than are read for one.
    TooMany,
}

/// The places that versions name.
pub fn places<'a>(versions: impl IntoIterator<Item = &'a Version>) -> BTreeSet<Place> {
    let messages = versions.into_iter().flat_map(|version| &version.messages);
    let references = messages.filter_map(|message| message.config_map_ref.as_ref());
    references.map(|ConfigMapKey { name, key }| (name.clone(), key.clone())).collect()
}

/// The text of a schema.
///
/// # Errors
/// Why there is none. A ConfigMap that is absent and one that holds something else get one answer: whoever asks may not be allowed
/// to read it.
pub fn text<'a>(message: &'a MessageSchema, kept: &'a Kept) -> Result<&'a str, String> {
    let MessageSchema { operation: _, format: _, schema, config_map_ref, sha256: wanted } = message;
    if let Some(schema) = schema {
        return Ok(schema);
    }
    let Some(reference) = config_map_ref else { return Err("it has neither a schema nor a configMapRef".into()) };
    let ConfigMapKey { name, key } = reference;
    let missing = match kept.get(&(name.clone(), key.clone())) {
        Some(Ok(text)) if wanted.as_deref() == Some(sha256(text).as_str()) => return Ok(text),
        Some(Ok(_)) => Missing::Absent,
        Some(Err(missing)) => *missing,
        None => Missing::Unread,
    };
    Err(match missing {
        Missing::Absent => format!("ConfigMap {name} has no key {key} with that sha256"),
        Missing::Unread => format!("ConfigMap {name} could not be read"),
        Missing::TooLong => {
            format!("key {key} of ConfigMap {name} is longer than {} KiB, the most of a schema", MAX_BYTES / 1024)
        }
        Missing::TooMuch => {
            format!(
                "schemas in ConfigMaps exceed {} MiB, the most of a contract; left out: {name} {key}",
                MOST_BYTES / 1024 / 1024
            )
        }
        Missing::TooMany => {
            format!("schemas are in more than {MOST_MAPS} ConfigMaps; put several in one, each under its key; left out: {name}")
        }
    })
}

/// What stands for all that was read, without being as large.
pub fn digest(kept: &Kept) -> String {
    let mut hash = Sha256::new();
    let mut line = String::new();
    for (place, found) in kept {
        line.clear();
        // Writing to a String does not fail.
        let _ = match found {
            Ok(text) => writeln!(line, "{place:?} {}", sha256(text)),
            Err(missing) => writeln!(line, "{place:?} {missing:?}"),
        };
        hash.update(&line);
    }
    hex(&hash.finalize())
}

/// Takes schemas out of ConfigMaps, until there are as many as are held.
///
/// Expected flow: [`names`](Self::names) says what to read; each ConfigMap is given to [`take`](Self::take) in that order, so that the same
/// schemas are left out whoever reads them; once it [`is_full`](Self::is_full) the rest need not be read; [`end`](Self::end) gives what came of it.
#[derive(Debug)]
pub struct Gathering {
    wanted: BTreeMap<String, BTreeSet<String>>,
    kept: Kept,
    bytes: usize,
    full: bool,
}

impl Gathering {
    /// Of these places.
    pub fn of(places: impl IntoIterator<Item = Place>) -> Self {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, key) in places {
            wanted.entry(name).or_default().insert(key);
        }
        let mut gathering = Self { wanted: BTreeMap::new(), kept: Kept::new(), bytes: 0, full: false };
        for (index, (name, keys)) in wanted.into_iter().enumerate() {
            if index < MOST_MAPS {
                gathering.wanted.insert(name, keys);
            } else {
                gathering.miss(&name, keys, Missing::TooMany);
            }
        }
        gathering
    }

    /// The ConfigMaps to read.
    pub fn names(&self) -> Vec<String> {
        self.wanted.keys().cloned().collect()
    }

    /// Takes what is wanted of a ConfigMap: nothing where there is no such ConfigMap.
    pub fn take(&mut self, name: &str, map: Option<ConfigMap>) {
        let Some(keys) = self.wanted.remove(name) else { return };
        let mut map = map.unwrap_or_default();
        for key in keys {
            let mut found = found(&mut map, &key);
            if let Ok(text) = &found {
                if self.full || self.bytes + text.len() > MOST_BYTES {
                    self.full = true;
                    found = Err(Missing::TooMuch);
                } else {
                    self.bytes += text.len();
                }
            }
            self.kept.insert((name.to_owned(), key), found);
        }
    }

    /// A ConfigMap could not be read.
    pub fn unread(&mut self, name: &str) {
        if let Some(keys) = self.wanted.remove(name) {
            self.miss(name, keys, Missing::Unread);
        }
    }

    /// Whether no more is held.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// What came of it.
    pub fn end(mut self) -> Kept {
        let missing = if self.full { Missing::TooMuch } else { Missing::Unread };
        for (name, keys) in std::mem::take(&mut self.wanted) {
            self.miss(&name, keys, missing);
        }
        self.kept
    }

    fn miss(&mut self, name: &str, keys: BTreeSet<String>, missing: Missing) {
        self.kept.extend(keys.into_iter().map(|key| ((name.to_owned(), key), Err(missing))));
    }
}

/// The text under a key, which the API server lets stand in either part of a ConfigMap.
fn found(map: &mut ConfigMap, key: &str) -> Result<String, Missing> {
    let bytes = match map.data.as_mut().and_then(|data| data.remove(key)) {
        Some(text) => text.into_bytes(),
        None => map.binary_data.as_mut().and_then(|data| data.remove(key)).ok_or(Missing::Absent)?.0,
    };
    if bytes.len() > MAX_BYTES {
        return Err(Missing::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Missing::Absent)
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
