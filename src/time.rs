//! Time as a value: nothing on this floor or the next reads a clock, time is handed in.

use std::time::Duration;

/// A moment on the boot clock (`CLOCK_BOOTTIME`): it never steps and goes on counting in suspend.
/// Every deadline and every expiry is kept in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment `since_boot` after the machine started.
    pub const fn from_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Time since the machine started.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to here; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from here until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, pause: Duration) -> Self {
        Self(self.0.saturating_add(pause))
    }
}

/// Seconds since 1970 by the wall clock: for people and for the time across a reboot, never for a deadline,
/// because this clock steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

/// Both clocks, read at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The boot clock.
    pub boot: Instant,
    /// The wall clock.
    pub wall: UnixTime,
    /// Whether the wall clock can be believed: a box without a battery starts in the past until the network sets it.
    pub synchronised: bool,
}

impl Now {
    /// What the wall clock will show at `moment`, as far as is known now.
    pub fn wall_at(self, moment: Instant) -> UnixTime {
        let ahead = self.boot.until(moment).as_secs();
        let behind = self.boot.since(moment).as_secs();
        UnixTime(self.wall.0.saturating_add(ahead).saturating_sub(behind))
    }
}
