//! Which systemd unit a process belongs to, by its control group, among the units that rules name.
//!
//! The question is never "which unit is this?" but "is it that one?": the group of `/sys/fs/cgroup/system.slice/UNIT`,
//! which root alone can make, has a number, and the kernel says the number of the group that the process is in. So
//! nothing is parsed, a group that a user makes below their own is another one whatever its name, and it works where
//! `ProtectProc=invisible` hides other processes.

use std::{
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::kernel;

/// The names of the units that rules name.
pub type Units = Arc<[Arc<str>]>;

/// The unit of the process behind a pidfd, if it is one of `units` and runs as `uid`. Any error, a process that has
/// ended, and a kernel before 6.5 mean: none.
pub fn of(pidfd: BorrowedFd<'_>, uid: u32, units: &Units) -> Option<Arc<str>> {
    match kernel::process_info(pidfd) {
        // Whoever changes user, by a set-user-id program, is not any more who connected.
        Ok(info) => units.iter().find(|unit| info.euid == uid && number(unit) == Some(info.cgroup)).cloned(),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTTY) => by_path(pidfd, units),
        Err(_) => None,
    }
}

/// Where the unit's control group is, below the root of the unified tree (systemd.slice(5)): an instance of a template
/// has a slice of the template's own in between.
pub fn path(unit: &str) -> PathBuf {
    let slice = Path::new("system.slice");
    match unit.split_once('@') {
        Some((template, _)) => slice.join(format!("system-{}.slice", template.replace('-', "\\x2d"))).join(unit),
        None => slice.join(unit),
    }
}

/// The invocation of a unit (systemd.exec(5), `$INVOCATION_ID`), which tells one run of it from the next: 32 hexadecimal
/// digits. Nothing where the service manager does not say.
pub fn invocation(unit: &str) -> Option<String> {
    let id =
        fs::read_link(format!("/run/systemd/units/invocation:{unit}")).ok()?.into_os_string().into_string().ok()?;
    (id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
}

/// Whether this can be the name of a unit that runs programs (systemd.unit(5)).
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let stem = text.strip_suffix(".service").or_else(|| text.strip_suffix(".scope"));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with(['@', '.'])) && text.chars().all(plain)
}

fn number(unit: &str) -> Option<u64> {
    let group = fs::symlink_metadata(Path::new(TREE).join(path(unit))).ok()?;
    group.is_dir().then(|| group.ino())
}

/// Linux 6.5 to 6.12: the pid of the pidfd, the path of that pid, and then a look whether the process was there all the
/// time, for otherwise the pid may have become somebody else's.
fn by_path(pidfd: BorrowedFd<'_>, units: &Units) -> Option<Arc<str>> {
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid: u32 = told.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let found = units.iter().find(|unit| path(unit) == Path::new(group)).cloned();
    let mut ended = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut ended, PollTimeout::ZERO), Ok(0)).then_some(found)?
}

const TREE: &str = "/sys/fs/cgroup";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_at_one_place() {
        assert_eq!(path("a.service"), Path::new("system.slice/a.service"));
        assert_eq!(path("a-b@1.service"), Path::new("system.slice/system-a\\x2db.slice/a-b@1.service"));
    }

    #[test]
    fn names_of_units_lead_nowhere_else() {
        for name in ["a.service", "a-b@c.service", "run-r1.scope", "a\\x2db.service"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".service", "a", "a.slice", "../a.service", "a/b.service", "@x.service", "a b.service"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_process_is_in_no_unit_that_is_not_there() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let Ok(pidfd) = nix::sys::socket::getsockopt(&ours, nix::sys::socket::sockopt::PeerPidfd) else { return };
        let uid = nix::unistd::geteuid().as_raw();
        assert_eq!(of(pidfd.as_fd(), uid, &Arc::from(["no-unit-of-this-name.service".into()])), None);
    }
}
