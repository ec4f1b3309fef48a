//! What others may see of this process's memory: nothing.

use nix::sys::prctl;

/// Takes memory, environment and descriptors out of the reach of other processes of this user, and keeps them out of a
/// core dump (`PR_SET_DUMPABLE`). To be called first of all, before a secret is read: what was attached before stays.
pub fn close() {
    // LimitCORE=0 does not hold where cores are piped to a program (core(5)), and the watchdog ends a hang by SIGABRT.
    // It fails only for values that the kernel does not know.
    let _ = prctl::set_dumpable(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_that_it_is_closed() {
        assert_eq!(prctl::get_dumpable(), Ok(true));
        close();
        assert_eq!(prctl::get_dumpable(), Ok(false));
    }
}
