//! What a stream has kept, into a queue.
//!
//! Two parts, and what they are parts of: [`Past`] copies the stream into a queue up to its end, again and again, until little
//! is left; [`give_rest`] then gives what came to neither. Why that is each message once is told in
//! `entente_core::subscription::replay`.
//!
//! The end of a stream is found by a mark: a message that is sent to it, and read. Marks are nobody's messages and are not
//! replayed.
//!
//! A copy is the message as its sender sent it, as far as the protocol library can read and write it (see
//! [`super::redrive`]), with one annotation more: `x-opt-entente-offset`, its offset in the stream. What cannot be read is left
//! out and counted.

mod log;
mod message;
mod past;
mod rest;

use std::sync::atomic::{AtomicU64, Ordering};

pub use past::Past;
pub use rest::{Places, give_rest};

/// What was done so far.
#[derive(Debug, Default)]
pub struct Progress {
    replayed: AtomicU64,
    unreadable: AtomicU64,
}

impl Progress {
    /// Goes on from so many.
    pub fn from(replayed: u64) -> Self {
        Self { replayed: AtomicU64::new(replayed), unreadable: AtomicU64::default() }
    }

    /// Messages that the broker has accepted for the queue.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }

    /// Messages that cannot be read, and were left out.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.replayed.store(0, Ordering::Relaxed);
        self.unreadable.store(0, Ordering::Relaxed);
    }

    fn was_replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    fn was_unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }
}
