//! The programs that the demo starts, so that none outlives it.

use std::{
    io,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::Duration,
};

/// Every child that was started. Dropping this stops those that still run.
#[derive(Default)]
pub struct Children {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: Vec<Child>,
    stopped: bool,
}

impl Children {
    /// Starts a program; from [`Children::stop`] on none is started any more. Returns its process id.
    pub fn start(&self, command: &mut Command) -> io::Result<u32> {
        let mut state = self.lock();
        if state.stopped {
            return Err(io::Error::other("the demo is ending"));
        }
        let child = command.spawn()?;
        let pid = child.id();
        state.started.push(child);
        Ok(pid)
    }

    /// Takes the standard output of a child that was started with a pipe for it.
    pub fn stdout(&self, pid: u32) -> Option<std::process::ChildStdout> {
        self.lock().started.iter_mut().find(|child| child.id() == pid)?.stdout.take()
    }

    /// How a child ended; `None` while it runs.
    pub fn ended(&self, pid: u32) -> Option<ExitStatus> {
        self.lock().started.iter_mut().find(|child| child.id() == pid)?.try_wait().ok()?
    }

    /// Waits for the end of a child.
    pub fn wait(&self, pid: u32) -> ExitStatus {
        loop {
            if let Some(status) = self.ended(pid) {
                return status;
            }
            pause();
        }
    }

    /// Asks every child to end, the last one first, and kills those that do not within five seconds.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        while let Some(mut child) = state.started.pop() {
            if !matches!(child.try_wait(), Ok(None)) {
                continue;
            }
            // The shell's own `kill`, since a small system has no other and std can only kill hard.
            let term = Command::new("sh").args(["-c", "kill \"$1\"", "sh", &child.id().to_string()]).status();
            if term.is_err() || !ends_soon(&mut child) {
                drop(child.kill());
                drop(child.wait());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a program can be found.
pub fn is_installed(program: &str) -> bool {
    let mut search = Command::new("sh");
    search.args(["-c", "command -v \"$1\"", "sh", program]).stdout(Stdio::null()).stderr(Stdio::null());
    search.status().is_ok_and(|status| status.success())
}

/// A word as the shell takes it whole.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:=,@+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn ends_soon(child: &mut Child) -> bool {
    for _ in 0..250 {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        pause();
    }
    false
}

/// The pause between two looks at something that cannot be waited for.
#[allow(clippy::disallowed_methods, reason = "std has no other way to wait for a child and a signal")]
pub fn pause() {
    sleep(Duration::from_millis(20));
}
