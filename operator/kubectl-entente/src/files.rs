//! Files of contracts, and which belong together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use entente_core::contract::{Format, MAX_BYTES};

/// Most files of a directory, and how deep it is gone into: a wrong argument must not read a whole disk.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 32;

/// Two files of one name, or one of them.
#[derive(Debug)]
pub struct Pair {
    /// Relative to the directories; of two files the new one's name.
    pub name: String,
    pub old: Option<PathBuf>,
    pub new: Option<PathBuf>,
}

/// The pairs of two files or two directories.
///
/// # Errors
/// One is not there, or one is a file and the other a directory; the text says so.
pub fn pairs(old: &Path, new: &Path, every: bool) -> Result<Vec<Pair>, String> {
    let is_dir =
        |path: &Path| fs::metadata(path).map(|found| found.is_dir()).map_err(|error| format!("{}: {error}", path.display()));
    match (is_dir(old)?, is_dir(new)?) {
        (false, false) => Ok(vec![Pair { name: new.display().to_string(), old: Some(old.into()), new: Some(new.into()) }]),
        (true, true) => {
            let mut pairs = BTreeMap::<String, Pair>::new();
            let empty = |name: &String| Pair { name: name.clone(), old: None, new: None };
            for (name, path) in listed(old, every)? {
                pairs.entry(name.clone()).or_insert_with(|| empty(&name)).old = Some(path);
            }
            for (name, path) in listed(new, every)? {
                pairs.entry(name.clone()).or_insert_with(|| empty(&name)).new = Some(path);
            }
            if pairs.is_empty() {
                return Err(format!("no .json, .avsc or .proto file in {} nor in {}", old.display(), new.display()));
            }
            Ok(pairs.into_values().collect())
        }
        _ => Err(format!("{} and {} must both be files, or both be directories", old.display(), new.display())),
    }
}

/// The files below a directory that are contracts by their names, or every one.
fn listed(root: &Path, every: bool) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        let failed = |error: io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // What a link leads to may lead back.
            let kind = entry.file_type().map_err(failed)?;
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                if depth >= MAX_DEPTH {
                    return Err(format!("{}: nested deeper than {MAX_DEPTH} directories", path.display()));
                }
                waiting.push((path, depth + 1));
            } else if path.is_file() && (every || Format::of_file(&name).is_some()) {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((relative, path));
            }
            if found.len() > MAX_FILES {
                return Err(format!("{}: more than {MAX_FILES} files", root.display()));
            }
        }
    }
    Ok(found)
}

/// The text of a file. Of one that is no text, and is only compared, its bytes spelt out.
///
/// # Errors
/// It cannot be read, is too large, or is no text where it has to be one.
pub fn read(path: &Path, format: Format) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{}: larger than {MAX_BYTES} bytes", path.display()));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if format == Format::Opaque => Ok(error.as_bytes().escape_ascii().to_string()),
        Err(_) => Err(format!("{}: no UTF-8 text", path.display())),
    }
}
