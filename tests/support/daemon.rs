//! The real program, started as systemd would: it tells when it is ready, and what it shows in `systemctl status`.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::secrets;

/// A running daemon with a folder of its own, which logs as much as it can. It is killed when this is dropped, and what
/// it has logged and shown is searched for secrets.
pub struct Daemon {
    folder: TempDir,
    child: Child,
    notify: UnixDatagram,
    /// Every `STATUS=` so far.
    statuses: Vec<String>,
}

/// What came back over the socket.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Daemon {
    /// Starts the program with this configuration and waits until it says that it is ready.
    pub fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), config, &[])
    }

    /// The same with further arguments.
    pub fn start_with(config: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), config, arguments)
    }

    /// The same in a folder that is there already. What is in its `credentials` are those that systemd would pass.
    pub fn start_in(folder: TempDir, config: &str, arguments: &[&str]) -> Self {
        fs::write(folder.path().join("bearerd.toml"), at_trace(config)).expect("a configuration");
        let notify = UnixDatagram::bind(folder.path().join("notify.sock")).expect("a notify socket");
        // Far above what any step takes, so that only a real hang ends a test.
        notify.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let child = spawn(folder.path(), arguments);
        let mut daemon = Self { folder, child, notify, statuses: Vec::new() };
        daemon.wait_for_notify("READY=1");
        daemon
    }

    /// Waits until the daemon has sent systemd a line that starts so, and returns the line.
    pub fn wait_for_notify(&mut self, start: &str) -> String {
        loop {
            let mut buffer = [0; 8192];
            let length = self.notify.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("no {start} in time ({error}); the log says:\n{}", self.log());
            });
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.statuses.extend(message.lines().filter_map(|line| line.strip_prefix("STATUS=")).map(str::to_owned));
            if let Some(line) = message.lines().find(|line| line.starts_with(start)) {
                return line.to_owned();
            }
        }
    }

    /// Waits until `systemctl status` would show a text with this in it.
    pub fn wait_for_status(&mut self, part: &str) -> String {
        if let Some(status) = self.statuses.last().filter(|status| status.contains(part)) {
            return status.clone();
        }
        loop {
            let status = self.wait_for_notify("STATUS=");
            if status.contains(part) {
                return status;
            }
        }
    }

    /// From now on reads by itself what the daemon sends to systemd, and keeps it there. A daemon whose notices nobody reads
    /// waits once there are some hundred; a test in which that much happens needs this.
    pub fn collect_notices(&self) -> Arc<Mutex<String>> {
        let notify = self.notify.try_clone().expect("a socket");
        let collected: Arc<Mutex<String>> = Arc::default();
        let notices = collected.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length) = notify.recv(&mut buffer) {
                let mut notices = notices.lock().expect("a lock");
                notices.push_str(&String::from_utf8_lossy(&buffer[..length]));
                notices.push('\n');
            }
        });
        collected
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "")
    }

    pub fn post(&self, path: &str) -> Reply {
        self.request("POST", path, "")
    }

    /// One request on a connection of its own; `headers` are whole lines.
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Reply {
        request(&self.socket(), method, path, headers)
    }

    /// Runs a verb of the program against this daemon.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// The same, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env("BEARERD_SOCKET", self.socket()).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as `systemctl stop` does, and waits for it.
    pub fn stop(&mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.pid().to_string()).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("an exit status")
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub fn kill(&mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an exit status");
    }

    /// Starts the program again in the same folder.
    pub fn start_again(&mut self) {
        self.launch(&[]);
        self.wait_for_notify("READY=1");
    }

    /// Starts the program again under another one, which has to become it (`strace -D` does), and does not wait.
    pub fn launch(&mut self, under: &[&str]) {
        self.forget_notifies();
        self.child = spawn_under(under, self.folder.path(), &[]);
    }

    /// What has become of the process, without waiting.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.child.wait().expect("an exit status")
    }

    /// Whether the process gets ready; `false` when it ends before that.
    pub fn gets_ready(&mut self) -> bool {
        self.notify.set_read_timeout(Some(Duration::from_millis(5))).expect("a limit");
        let ready = loop {
            let mut buffer = [0; 8192];
            match self.notify.recv(&mut buffer) {
                Ok(length) if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") => break true,
                Ok(_) => {}
                Err(_) if self.ended().is_some() => break false,
                Err(_) => {}
            }
        };
        self.notify.set_read_timeout(Some(PATIENCE)).expect("a limit");
        ready
    }

    /// Forgets what an earlier process has sent to systemd.
    fn forget_notifies(&mut self) {
        self.notify.set_nonblocking(true).expect("a socket");
        while self.notify.recv(&mut [0; 8192]).is_ok() {}
        self.notify.set_nonblocking(false).expect("a socket");
        self.statuses.clear();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            return eprintln!("--- the daemon's log ---\n{}", self.log());
        }
        let shown = [self.log(), self.statuses.join("\n")].concat();
        assert!(
            secrets::first_in(&shown).is_none(),
            "{:?} is in the log or the status:\n{shown}",
            secrets::first_in(&shown)
        );
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// A member of the JSON body, as text.
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One request to a socket.
pub fn request(socket: &Path, method: &str, path: &str, headers: &str) -> Reply {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not a reply: {reply:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

/// The program under test.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_bearerd")
}

/// The same configuration at the level at which most is logged, unless it says how much.
fn at_trace(config: &str) -> String {
    match config.split_once("[daemon]\n") {
        _ if config.contains("\nlog = ") => config.to_owned(),
        Some((before, after)) => format!("{before}[daemon]\nlog = \"trace\"\n{after}"),
        None => format!("{config}\n[daemon]\nlog = \"trace\"\n"),
    }
}

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    spawn_under(&[], folder, arguments)
}

fn spawn_under(under: &[&str], folder: &Path, arguments: &[&str]) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let words: Vec<&str> = under.iter().copied().chain([program()]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("run").arg("--config").arg(folder.join("bearerd.toml"));
    command.arg("--state-dir").arg(folder.join("state")).arg("--socket").arg(folder.join("api.sock"));
    if !arguments.contains(&"--bus") {
        command.args(["--bus", "none"]);
    }
    if folder.join("credentials").is_dir() {
        command.env("CREDENTIALS_DIRECTORY", folder.join("credentials"));
    }
    // A wall clock of its own, which a test sets by writing the file again.
    if folder.join("clock").is_file() {
        command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    command.args(arguments).env("NOTIFY_SOCKET", folder.join("notify.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the program starts")
}

// `$LIB` is the loader's own word for the library folder of this machine.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";
const PATIENCE: Duration = Duration::from_secs(120);
