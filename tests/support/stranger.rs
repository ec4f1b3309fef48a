//! A part of a test that runs as another user: the test's own program, started again with one test of it to run.

use std::{
    env, fs,
    io::{BufRead, BufReader, Lines},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

/// A running part. It ends when this is dropped.
pub struct Stranger {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    // Where another user can reach the program.
    _folder: TempDir,
}

impl Stranger {
    /// Runs the test `part` of this program as that user. `given` is what [`given`] returns there.
    pub fn start(user: &str, part: &str, given: &str) -> Self {
        let user = nix::unistd::User::from_name(user).expect("a user database").expect("a user");
        let folder = tempfile::tempdir().expect("a folder");
        let everybody = || fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), everybody()).expect("a folder for everybody");
        let program = folder.path().join("test");
        fs::copy(env::current_exe().expect("this program"), &program).expect("a copy");
        fs::set_permissions(&program, everybody()).expect("a program for everybody");
        let mut command = Command::new(&program);
        command.args(["--exact", part, "--nocapture", "--test-threads=1"]).env(GIVEN, given);
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts as another user");
        let lines = BufReader::new(child.stdout.take().expect("an output")).lines();
        Self { child, lines, _folder: folder }
    }

    /// Waits until it has said a line that begins so, and returns the rest of it.
    pub fn wait_for(&mut self, start: &str) -> String {
        let told =
            self.lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix(start).map(str::to_owned));
        told.unwrap_or_else(|| panic!("it ended without saying {start}"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What such a part was given; `None` where it runs as an ordinary test, and has nothing to do.
pub fn given() -> Option<String> {
    env::var(GIVEN).ok()
}

const GIVEN: &str = "TEST_STRANGER_GIVEN";
