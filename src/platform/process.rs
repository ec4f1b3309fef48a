//! This process: what others may see of it, and what it may have.

use std::fs;

use nix::sys::prctl;

/// Takes memory, environment and descriptors out of the reach of other processes of this user, and keeps them out of a
/// core dump (`PR_SET_DUMPABLE`). To be called first of all, before a secret is read: what was attached before stays.
pub fn close_memory() {
    // LimitCORE=0 does not hold where cores are piped to a program (core(5)), and the watchdog ends a hang by SIGABRT.
    // It fails only for values that the kernel does not know.
    let _ = prctl::set_dumpable(false);
}

/// How many descriptors this process may have open.
pub fn descriptors() -> usize {
    // The unit's filter refuses prlimit(2), which is behind getrlimit.
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(USUAL_DESCRIPTORS)
}

const USUAL_DESCRIPTORS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_that_memory_is_closed() {
        assert_eq!(prctl::get_dumpable(), Ok(true));
        close_memory();
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert!(descriptors() > 0, "a closed process still reads its limits");
    }
}
