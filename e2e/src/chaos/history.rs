//! What clients saw: one line of JSON an event, in files that the broker cannot touch.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Which message: who sent it, and its number among those of that producer, which grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Number of the producer, unique in a run.
    pub producer: u32,
    /// Counts from 0.
    pub sequence: u64,
}

impl Identity {
    /// Producer of what bears no identity that can be read.
    pub const NOBODY: u32 = u32::MAX;

    /// Reads the message-id that `Display` writes.
    pub fn parse(message_id: &str) -> Option<Self> {
        let (producer, sequence) = message_id.split_once('-')?;
        Some(Self { producer: producer.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.producer, self.sequence)
    }
}

/// What happened to a message, as one client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It is about to be sent.
    Invoke,
    /// The broker took responsibility for it.
    Ok,
    /// The broker refused it.
    Fail,
    /// The connection ended, or the time was up, before the broker answered: it may have the message.
    Unknown,
    /// It was received.
    Received,
    /// It was received with a content that was not sent.
    Corrupt,
    /// Its acceptance was handed to the connection.
    Accepted,
    /// Its rejection was handed to the connection: it becomes a dead letter.
    Rejected,
    /// It was given back as failed, and that was handed to the connection: it comes again, or becomes a dead letter.
    GivenBack,
    /// Its settlement could not be handed over: it comes again.
    Unsettled,
}

/// One line of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds since the run began, by a clock that never goes back.
    pub at: u64,
    /// What happened.
    pub event: Event,
    /// To which message.
    #[serde(flatten)]
    pub message: Identity,
}

/// The clock of a run: the same for all of its clients, so that their times can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since it began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Writes the history of one client. A copy writes to the same file.
#[derive(Clone)]
pub struct Recorder {
    clock: Clock,
    file: Arc<Mutex<BufWriter<File>>>,
}

impl Recorder {
    /// Begins a file; one of that name is overwritten.
    pub fn create(path: &Path, clock: Clock) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { clock, file: Arc::new(Mutex::new(BufWriter::new(file))) })
    }

    /// Writes down that something happened now.
    pub fn note(&self, event: Event, message: Identity) -> Result<()> {
        let entry = Entry { at: self.clock.now(), event, message };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)?;
        Ok(())
    }

    /// Hands what was written to the system.
    pub fn flush(&self) -> Result<()> {
        Ok(self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
    }
}

/// Reads a history. A line that cannot be read is an error: a verdict over half a history would be none.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut entries = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let wrong = || format!("{}, line {}", path.display(), number + 1);
        entries.push(serde_json::from_str(&line.with_context(wrong)?).with_context(wrong)?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("entente-history-{}.jsonl", std::process::id()));
        let recorder = Recorder::create(&path, Clock::start()).unwrap();
        let message = Identity { producer: 3, sequence: 17 };
        recorder.note(Event::Invoke, message).unwrap();
        recorder.note(Event::Ok, message).unwrap();
        recorder.flush().unwrap();
        let entries = read(&path).unwrap();
        let seen: Vec<_> = entries.iter().map(|entry| (entry.event, entry.message)).collect();
        assert_eq!(seen, [(Event::Invoke, message), (Event::Ok, message)]);
        assert!(entries[0].at <= entries[1].at);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\"event\":\"ok\",\"producer\":3,\"sequence\":17}\n"), "{text}");
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_identity_is_a_message_id() {
        let message = Identity { producer: 3, sequence: 17 };
        assert_eq!(Identity::parse(&message.to_string()), Some(message));
        for wrong in ["", "3", "3-", "-17", "3-17-1", "x-1"] {
            assert_eq!(Identity::parse(wrong), None, "{wrong}");
        }
    }
}
