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
            groups.shrink_to_fit();
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

/// Lets go of what the program has read of its own file, code and constants: most of it the start alone needed, and it
/// counts as this process's memory until somebody takes it away. What is needed again comes back from the file
/// (`MADV_DONTNEED`). What was freed goes back too.
pub fn release_program() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    for (start, end) in unwritten(&std::fs::read_to_string("/proc/self/smaps")?, &program.to_string_lossy()) {
        // SAFETY: the kernel says that this is a part of the program's file that cannot be written and of which no page
        // was, so what is there is what the file holds, and nobody unmaps the program that runs. A page that is gone is
        // read from the file when somebody looks at it.
        if unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: it takes no pointer, and gives away only what the allocator knows to be free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    Ok(())
}

/// The parts of that file that cannot be written and of which no page was, each from its first address to its last.
fn unwritten(smaps: &str, file: &str) -> Vec<(usize, usize)> {
    let (mut found, mut mapping, mut proofs) = (Vec::new(), None, 0);
    for line in smaps.lines() {
        if let Some((range, rest)) = line.split_once(' ').filter(|(first, _)| first.contains('-')) {
            let ours = line.ends_with(file) && (rest.starts_with("r--p ") || rest.starts_with("r-xp "));
            let address = |text| usize::from_str_radix(text, 16).ok();
            mapping = range.split_once('-').filter(|_| ours).and_then(|(a, b)| Some((address(a)?, address(b)?)));
            proofs = 0;
        } else if line.starts_with("Anonymous:") || line.starts_with("Swap:") {
            proofs += usize::from(line.split_whitespace().nth(1) == Some("0"));
        } else if line.starts_with("VmFlags:") && proofs == 2 {
            // The last line of each.
            found.extend(mapping.take());
        }
    }
    found
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
mod tests;
