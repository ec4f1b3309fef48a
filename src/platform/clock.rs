//! The one place that reads clocks.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use nix::time::{ClockId, clock_gettime};

use crate::{
    platform::systemd,
    time::{Instant, Now, UnixTime},
};

/// Both clocks, now. The boot clock is `CLOCK_BOOTTIME`, which goes on in suspend; the wall clock is only for people
/// and for the time across a reboot.
pub fn now() -> Now {
    Now { boot: boot(), wall: wall(), synchronised: is_synchronised() }
}

/// The wall clock alone.
pub fn wall() -> UnixTime {
    UnixTime(since_1970().as_secs())
}

/// Whether the wall clock can be believed. `adjtimex` would know, but the unit forbids the clock's system calls; so
/// systemd-timesyncd's flag counts where it runs, and elsewhere any time after this program was written.
pub fn is_synchronised() -> bool {
    let timesync = Path::new("/run/systemd/timesync");
    since_1970() >= WRITTEN && (!timesync.exists() || timesync.join("synchronized").exists())
}

/// The boot clock alone.
pub fn boot() -> Instant {
    // The clock exists since Linux 2.6.39; without it nothing here could be right, so zero is as good as anything.
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Instant::from_boot(since_boot)
}

/// Time since 1970 by the wall clock.
pub fn since_1970() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The id of the running boot: moments on the boot clock mean nothing in another one. The unit hides the kernel's file
/// (`ProcSubset=pid`) and passes the id along instead.
pub fn boot_id() -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = kernel.or_else(systemd::boot_id)?;
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    (digits.len() == 32).then_some(digits)
}

/// 2026-01-01: no clock that is set shows less.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_runs_and_the_boot_has_an_id() {
        let before = boot();
        assert!(boot() >= before && before > Instant::from_boot(Duration::ZERO));
        assert_eq!(boot_id().map(|id| id.len()), Some(32));
    }
}
