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

/// What the kernel says of a mapping, as far as it matters here.
fn mapping(range: &str, flags: &str, file: &str, anonymous: u32, swap: u32) -> String {
    format!(
        "{range} {flags} 00001000 fe:00 7    {file}\nSize: 8 kB\nAnonymous: {anonymous} kB\nSwap: {swap} kB\n\
         SwapPss: 0 kB\nVmFlags: rd mr\n"
    )
}

#[test]
fn what_was_let_go_of_is_there_when_it_is_needed() {
    let resident = || {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("mappings");
        let code = smaps.lines().skip_while(|line| !line.contains(" r-xp "));
        let size = code.into_iter().find_map(|line| line.strip_prefix("Rss:")).expect("a size");
        size.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let before = resident();
    release_program().expect("the kernel does it");
    assert!(resident() < before, "less than {before} KiB of the first code");
    the_groups_are_those_that_the_process_has();
}

#[test]
fn what_was_written_to_is_not_let_go_of() {
    let us = "/usr/bin/bearerd";
    let alone = |flags, file, anonymous, swap| unwritten(&mapping("7f00-7f80", flags, file, anonymous, swap), us);
    assert_eq!(alone("r-xp", us, 0, 0), [(0x7f00, 0x7f80)]);
    assert_eq!(alone("r--p", us, 0, 0), [(0x7f00, 0x7f80)]);
    assert_eq!(alone("r--p", us, 4, 0), [], "pointers in it were set when the program was started");
    assert_eq!(alone("r--p", us, 0, 4), [], "the same, and the kernel has put them away");
    for flags in ["rw-p", "rwxp", "r-xs", "---p"] {
        assert_eq!(alone(flags, us, 0, 0), [], "{flags}");
    }
    assert_eq!(alone("r-xp", "/usr/lib/libc.so.6", 0, 0), []);
    let both = mapping("10-20", "r--p", us, 4, 0) + &mapping("20-30", "r-xp", us, 0, 0);
    assert_eq!(unwritten(&both, us), [(0x20, 0x30)]);
    assert_eq!(unwritten(&both.replace("Swap: 0 kB\n", ""), us), [], "a kernel that does not say");
}
