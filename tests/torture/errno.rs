//! A disk that refuses: every call of a save fails with every error, before the refresh and in the middle of it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    box_of::{Box, Strace},
    counts::Counts,
    support::authorization_server::{Endpoint, Reply},
};

const CALLS: [&str; 4] = ["openat", "write", "fsync", "rename"];
const ERRORS: [&str; 6] = ["EIO", "ENOSPC", "EROFS", "EDQUOT", "EMFILE", "EINTR"];
pub const WORKERS: usize = 4;

/// When the disk begins to refuse.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// Before the intent to refresh is on it.
    Intent,
    /// When the server has already replaced the refresh token.
    Reply,
}

#[test]
fn a_disk_that_refuses_costs_nobody_a_token_and_no_grant() {
    let mut cells = Vec::new();
    for (row, call) in CALLS.into_iter().enumerate() {
        for (column, error) in ERRORS.into_iter().enumerate() {
            for moment in [Moment::Intent, Moment::Reply] {
                let sampled = (row + column) % 4 == usize::from(moment == Moment::Reply);
                if Counts::get().whole_matrix || sampled {
                    cells.push((call, error, moment));
                }
            }
        }
    }
    let tried = cells.len();
    let healed = each(cells, |(call, error, moment)| cell(call, error, moment));
    let longest = healed.into_iter().max().unwrap_or_default();
    println!(
        "errno: cells {tried}, token served in {tried}, healed in {tried}, the slowest {longest:.1?} after the cause"
    );
}

/// Returns how long after its cause the trouble was over.
fn cell(call: &str, error: &str, moment: Moment) -> Duration {
    let mut this = Box::new(error.len().is_multiple_of(2), Duration::ZERO);
    let name = format!("{call} {error} {moment:?}");
    let token = this.daemon.get("/v1/token").text("access_token");
    // Whoever is interrupted tries again at once: a call that is interrupted for ever is none.
    let times = if error == "EINTR" && call != "rename" { ":when=1..3" } else { "" };
    let inject = format!("inject={call}:error={error}{times}");
    // The pause after the sign-in must be over, so that the refresh comes when it is asked for.
    thread::sleep(Duration::from_millis(1100));
    let (fault, asked) = match moment {
        Moment::Intent => {
            let fault = refuse(&this, &inject);
            (fault, this.ask_for_refresh())
        }
        Moment::Reply => {
            this.server.reply_next(Endpoint::Refresh, Reply::usual().after(Duration::from_secs(2)));
            let asked = this.ask_for_refresh();
            this.server.wait_for(Endpoint::Refresh, 1);
            let fault = refuse(&this, &inject);
            assert!(!this.server.requests(Endpoint::Refresh)[0].done, "{name}: strace came too late");
            this.server.wait_for_answer(Endpoint::Refresh, 1);
            (fault, asked)
        }
    };
    if times.is_empty() {
        this.wait_for_state(&["degraded"]);
        let account = this.daemon.get("/v1/accounts/box").body;
        assert!(account.contains("storage"), "{name}: {account}");
        if moment == Moment::Intent {
            assert_eq!(this.server.count(Endpoint::Refresh), 0, "{name}: spent while that could not be written down");
        }
    }
    let served = this.daemon.get("/v1/token");
    assert_eq!(served.status, 200, "{name}: {}", served.body);
    assert!(times.is_empty() || asked.was_answered(), "{name}");
    drop(fault);
    let gone = Instant::now();
    this.server.wait_for_answer(Endpoint::Refresh, 1);
    this.wait_for_state(&["active"]);
    let healed = gone.elapsed();
    this.daemon.kill();
    this.daemon.start_again();
    let after = this.daemon.get("/v1/token").text("access_token");
    assert!(after != token && this.server.accepts(&after), "{name}: healed, and not on the disk");
    assert!(!this.unreadable(), "{name}: {}", this.daemon.log());
    healed
}

/// Makes the calls of a save fail.
fn refuse(this: &Box, inject: &str) -> Strace {
    Strace::attach(this.daemon.pid(), &["-o", "/dev/null", "-e", inject], &saved_files(this), this.daemon.folder())
}

/// All that a save touches.
pub fn saved_files(this: &Box) -> Vec<PathBuf> {
    let mut files: Vec<_> = [".box.a.new", ".box.b.new", "box.a", "box.b"].map(|name| this.state_file(name)).into();
    files.push(this.daemon.folder().join("state"));
    files
}

/// Does the work for each, some at a time.
pub fn each<T: Send + 'static, R: Send + 'static>(
    work: Vec<T>,
    act: impl Fn(T) -> R + Send + Copy + 'static,
) -> Vec<R> {
    let queue = Arc::new(Mutex::new(work));
    let workers = (0..WORKERS).map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            let mut results = Vec::new();
            loop {
                let next = queue.lock().expect("a lock").pop();
                let Some(next) = next else { return results };
                results.push(act(next));
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    workers.into_iter().flat_map(|worker| worker.join().expect("all went well")).collect()
}
