//! What of an account survives a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    discovery::StoredServer, grant::StoredGrant, identity::Identity, revocation::StoredRevocation, snapshot::Reason,
    waiting::StoredLogin,
};
use crate::time::{Instant, Now, UnixTime};

/// The durable state of one account.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The boot in which the moments on the boot clock were written down.
    pub boot_id: Option<String>,
    /// The wall clock when this was written.
    pub saved_at: u64,
    /// Tokens ever obtained.
    pub generation: u64,
    /// The grant, while there is one.
    pub grant: Option<StoredGrant>,
    /// A refresh had begun and its reply was not in yet: the refresh token may have been replaced meanwhile.
    pub refreshing: bool,
    /// Why there is no grant.
    pub reason: Option<Reason>,
    /// Who signed in, and nobody else may without being asked for.
    pub identity: Option<Identity>,
    /// What the server's metadata said last, for a login while they cannot be had.
    pub server: Option<StoredServer>,
    /// The login that waits for a person; only in a record that is sealed.
    pub login: Option<StoredLogin>,
    /// Before this no login begins by itself.
    pub gate: Option<StoredMoment>,
    /// Codes that lapsed unattended, in a row.
    pub lapses: u32,
    /// Tokens that nobody needs any more and that the server has still to be told of.
    pub revocations: Vec<StoredRevocation>,
}

/// A moment as it is written down: on both clocks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StoredMoment {
    boot_ms: u64,
    wall: u64,
}

impl StoredMoment {
    /// Writes a moment down.
    pub(super) fn new(moment: Instant, now: Now) -> Self {
        let boot_ms = u64::try_from(moment.since_boot().as_millis()).unwrap_or(u64::MAX);
        Self { boot_ms, wall: now.wall_at(moment).0 }
    }
}

/// The clocks at the reading of a record, and what they had been at its writing.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    same_boot: bool,
    saved_at: UnixTime,
    now: Now,
}

impl Clocks {
    pub fn new(record: &Record, boot_id: Option<&str>, now: Now) -> Self {
        let same_boot = boot_id.is_some() && record.boot_id.as_deref() == boot_id;
        Self { same_boot, saved_at: UnixTime(record.saved_at), now }
    }

    /// The boot clock now.
    pub fn now(&self) -> Instant {
        self.now.boot
    }

    /// Whether the record was written in the running boot.
    pub fn is_same_boot(&self) -> bool {
        self.same_boot
    }

    /// A moment of the record on the boot clock of today; one that has passed is now. In the same boot the boot clock
    /// counts; after a reboot the wall clock does, unless it cannot be believed or is behind the moment of writing, for
    /// then nothing is known of the time between: `None`.
    pub fn moment(&self, stored: StoredMoment) -> Option<Instant> {
        if self.same_boot {
            return Some(Instant::from_boot(Duration::from_millis(stored.boot_ms)).max(self.now.boot));
        }
        let known = self.now.synchronised && self.now.wall >= self.saved_at;
        known.then(|| self.now.boot + Duration::from_secs(stored.wall.saturating_sub(self.now.wall.0)))
    }

    /// The same, as if no time had passed between where nobody knows how much did.
    pub fn moment_at_the_latest(&self, stored: StoredMoment) -> Instant {
        let left = Duration::from_secs(stored.wall.saturating_sub(self.saved_at.0));
        self.moment(stored).unwrap_or(self.now.boot + left)
    }
}
