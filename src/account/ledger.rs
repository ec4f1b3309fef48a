//! Which version of the account is on disk, which one should be, and when to try again.

use std::time::Duration;

use super::backoff::Backoff;
use crate::time::Instant;

/// Durable writes, one at a time and always of the newest state. A version that was superseded before its turn is
/// never written.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    wanted: u64,
    stored: u64,
    writing: Option<u64>,
    retry_at: Option<Instant>,
    backoff: Backoff,
    trouble: Option<String>,
}

impl Ledger {
    /// Asks for the state as it is now to be made durable, and returns the version to wait for.
    pub fn want(&mut self) -> u64 {
        self.wanted += 1;
        self.retry_at = None;
        self.wanted
    }

    /// Does not wait for the pause after a failed write.
    pub fn hurry(&mut self) {
        self.retry_at = None;
    }

    /// Whether that version, or a later one, is on disk.
    pub fn is_stored(&self, version: u64) -> bool {
        self.stored >= version
    }

    /// The version to write now, if there is something to write and nobody is writing.
    pub fn begin(&mut self, now: Instant) -> Option<u64> {
        let due = self.retry_at.is_none_or(|at| at <= now);
        if self.writing.is_some() || self.stored >= self.wanted || !due {
            return None;
        }
        self.writing = Some(self.wanted);
        self.writing
    }

    /// Takes the result of the write in progress.
    pub fn end(&mut self, version: u64, result: Result<(), String>, now: Instant, rng: &mut fastrand::Rng) {
        self.writing = None;
        match result {
            Ok(()) => {
                self.stored = self.stored.max(version);
                self.backoff.reset();
                self.trouble = None;
            }
            Err(trouble) => {
                self.retry_at = Some(now + self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng));
                self.trouble = Some(trouble);
            }
        }
    }

    /// What the disk said, while the newest state is not on it.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().filter(|_| self.stored < self.wanted)
    }

    /// Whether a write is in progress.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// When the next write is to be tried.
    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.writing.is_none() && self.stored < self.wanted)
    }
}

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(50);
