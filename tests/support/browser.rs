//! A real Chromium, and the way to the daemon that `ssh -L` would make for it.

use std::{
    fs,
    io::{BufRead, BufReader, Write, copy},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use serde_json::{Value, json};

/// A browser with one window. It ends when this is dropped.
pub struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Browser {
    pub fn start() -> Self {
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
        let mut command = Command::new("node");
        command.arg(servers.join("browser.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node runs");
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("an output"));
        Self { child, commands, answers }
    }

    /// One command of `tests/servers/browser.mjs`.
    pub fn ask(&mut self, command: &Value) -> Value {
        let commands = self.commands.as_mut().expect("an input");
        writeln!(commands, "{command}").expect("the browser listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{command}: {error} in {line:?}"));
        assert!(answer.get("error").is_none(), "{command}: {}", answer["error"].as_str().unwrap_or_default());
        answer
    }

    pub fn open(&mut self, url: &str) -> Value {
        self.ask(&json!({ "do": "open", "url": url }))
    }

    pub fn click(&mut self, account: &str, button: &str) {
        self.ask(&json!({ "do": "click", "account": account, "button": button }));
    }

    /// Waits until a text is shown in an account's part of the page.
    pub fn wait(&mut self, account: &str, text: &str) {
        self.ask(&json!({ "do": "wait", "account": account, "text": text }));
    }

    /// The text of the whole page.
    pub fn text(&mut self) -> String {
        self.ask(&json!({ "do": "text" }))["text"].as_str().expect("a text").to_owned()
    }

    pub fn evaluate(&mut self, script: &str) -> Value {
        self.ask(&json!({ "do": "evaluate", "script": script }))["value"].take()
    }

    /// Waits until the script's value is true.
    pub fn until(&mut self, script: &str) {
        self.ask(&json!({ "do": "until", "script": script }));
    }

    /// Nothing that axe-core would complain about, and nothing in the browser's own console.
    pub fn is_accessible(&mut self, what: &str) {
        let found = self.ask(&json!({ "do": "accessibility" }));
        assert!(found["passes"].as_u64().is_some_and(|passes| passes > 15), "{what}: {found}");
        assert_eq!(found["violations"], json!([]), "{what}");
        self.is_quiet(what);
    }

    /// Nothing in the browser's console: no script error, nothing that the policy stopped, no dialog.
    pub fn is_quiet(&mut self, what: &str) {
        assert_eq!(self.ask(&json!({ "do": "state" }))["complaints"], json!([]), "{what}");
    }

    /// A picture of the page, kept below `target`, and in a folder besides if somebody asked for it with
    /// SCREENSHOTS=FOLDER.
    pub fn keep_picture(&mut self, name: &str) {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        let asked_for = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
        for folder in [Some(target), asked_for].into_iter().flatten() {
            fs::create_dir_all(&folder).expect("a folder");
            self.ask(&json!({ "do": "screenshot", "path": folder.join(format!("{name}.png")), "full": true }));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.commands.take();
        let _ = self.child.wait();
    }
}

/// Forwards a TCP port on 127.0.0.1 to a Unix socket, as `ssh -L` does, and returns the page's address.
pub fn forward(socket: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
    let socket = socket.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(other) = UnixStream::connect(&socket) else { continue };
            pass_on(stream, other);
        }
    });
    url
}

fn pass_on(stream: TcpStream, other: UnixStream) {
    let (mut from, mut to) = (stream.try_clone().expect("a stream"), other.try_clone().expect("a stream"));
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (other, stream);
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// What a phone's camera reads in a picture.
pub fn decode_qr(picture: &Path) -> String {
    let read = Command::new("zbarimg").args(["--quiet", "--raw"]).arg(picture).output().expect("zbarimg runs");
    String::from_utf8_lossy(&read.stdout).trim_end().to_owned()
}
