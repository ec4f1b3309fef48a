//! What no safe wrapper asks of the kernel yet. The only unsafe code of the program.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::libc;
use tokio::io::unix::AsyncFd;

/// What `PIDFD_GET_INFO` tells of a process that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its effective user id.
    pub euid: u32,
    /// The number of its control group in the unified tree: the inode of the group's directory.
    pub cgroup: u64,
}

/// A descriptor of which the runtime says when it can be read. The caller has to be in a runtime.
pub fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor is open until it is dropped, names the same file all the time, and is in nobody else's
    // hands; the result has it until it is dropped itself.
    unsafe { AsyncFd::register(descriptor) }.map_err(Into::into)
}

/// The supplementary groups that the peer of a Unix socket had when it connected (`SO_PEERGROUPS`, Linux 4.13).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // NGROUPS_MAX of the kernel; a second call with the right size would be a second chance to get it wrong.
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice())).unwrap_or(libc::socklen_t::MAX);
        // SAFETY: the pointer and the length describe the vector's own memory, which is initialised and outlives the
        // call; the kernel writes at most `length` bytes into it, and any bytes are valid u32.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PEERGROUPS,
                groups.as_mut_ptr().cast::<libc::c_void>(),
                &raw mut length,
            )
        };
        let needed = usize::try_from(length).unwrap_or(usize::MAX) / size_of::<u32>();
        if outcome == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || needed <= groups.len() || needed > MOST_GROUPS {
            return Err(error);
        }
        groups.resize(needed, 0);
    }
}

/// What the kernel says of the process behind a pidfd (`PIDFD_GET_INFO`, Linux 6.13). A process that has ended is an
/// error: the kernel answers for it too, with zeros where the user and the control group would be.
pub fn process_info(pidfd: BorrowedFd<'_>) -> io::Result<ProcessInfo> {
    let wanted = PIDFD_INFO_PID | PIDFD_INFO_CREDS | PIDFD_INFO_CGROUPID;
    let mut info = PidfdInfo { mask: wanted, ..PidfdInfo::default() };
    // SAFETY: the request's number contains the size of the struct that the pointer leads to (`_IOWR`), the struct is
    // initialised and outlives the call, and all its members are integers, for which any bytes are valid.
    let outcome = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    if info.mask & wanted != wanted || info.pid == 0 || info.cgroup == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(ProcessInfo { euid: info.euid, cgroup: info.cgroup })
}

/// `struct pidfd_info` of `linux/pidfd.h`, in its first version of 64 bytes.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    exit_code: i32,
}

const _: () = assert!(size_of::<PidfdInfo>() == 64, "the number of the request says 64");
const SO_PEERGROUPS: libc::c_int = 59;
const PIDFD_INFO_PID: u64 = 1;
const PIDFD_INFO_CREDS: u64 = 1 << 1;
const PIDFD_INFO_CGROUPID: u64 = 1 << 2;
/// `_IOWR(0xFF, 11, struct pidfd_info)`; the same on every architecture with the generic numbers.
const PIDFD_GET_INFO: libc::Ioctl = nix::request_code_readwrite!(0xFF, 11, 64) as libc::Ioctl;
/// `NGROUPS_MAX` of the kernel.
const MOST_GROUPS: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::net::UnixStream};

    use nix::{
        sys::socket::{getsockopt, sockopt},
        unistd,
    };

    use super::*;

    #[test]
    fn the_groups_are_those_that_the_process_has() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let own: Vec<u32> = unistd::getgroups().expect("groups").into_iter().map(unistd::Gid::as_raw).collect();
        assert_eq!(peer_groups(ours.as_fd()).expect("groups"), own);
        assert!(peer_groups(io::stdin().as_fd()).is_err(), "that is no socket");
    }

    #[test]
    fn a_process_that_has_ended_is_nobody() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let Ok(pidfd) = getsockopt(&ours, sockopt::PeerPidfd) else { return eprintln!("not run here: an old kernel") };
        match process_info(pidfd.as_fd()) {
            Ok(info) => assert_eq!(info.euid, unistd::geteuid().as_raw()),
            Err(error) => return eprintln!("not run here: {error}"),
        }
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("a pidfd");
        child.wait().expect("an end");
        assert!(process_info(pidfd.as_fd()).is_err(), "the kernel would say that it was root");
    }
}
