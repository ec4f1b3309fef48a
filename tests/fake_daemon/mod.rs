//! A daemon that answers by a script and notes what it was asked, one connection a request.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// What the daemon does with one request.
pub enum Step {
    /// Answers `head` (status line and headers) and the body, after a pause.
    Answer { request: &'static str, having: &'static [&'static str], pause: u64, head: String, body: String },
    /// Takes the request and closes the connection.
    HangUp { request: &'static str },
    /// Is away for that many milliseconds: the socket is gone.
    Restart(u64),
}

/// A good answer to a request, in JSON.
pub fn ok(request: &'static str, body: &str) -> Step {
    answer(request, "200 OK", body)
}

/// An answer with that status.
pub fn answer(request: &'static str, status: &str, body: &str) -> Step {
    let head = format!("{status}\r\nContent-Type: application/json");
    Step::Answer { request, having: &[], pause: 0, head, body: body.to_owned() }
}

/// A refusal: status, `error`, `error_description`.
pub fn problem(request: &'static str, status: &str, error: &str, description: &str) -> Step {
    let body = format!(r#"{{"type":"about:blank","error":"{error}","error_description":"{description}"}}"#);
    answer(request, status, &body)
}

/// The first look at the account `kinde`.
pub fn look(body: &str) -> Step {
    tagged(&[], "200 OK", body)
}

/// A later look, which waits for a change.
pub fn later(body: &str) -> Step {
    tagged(&["if-none-match: \"", "prefer: wait="], "200 OK", body)
}

/// The end of a long-poll without news.
pub fn unchanged() -> Step {
    tagged(&["if-none-match: \"", "prefer: wait="], "304 Not Modified", "")
}

/// Another body has another tag, if it is of another length.
fn tagged(having: &'static [&'static str], status: &str, body: &str) -> Step {
    let head = format!("{status}\r\nETag: \"{}\"", body.len());
    Step::Answer { request: "GET /v1/accounts/kinde", having, pause: 20, head, body: body.to_owned() }
}

pub struct FakeDaemon {
    folder: TempDir,
    thread: JoinHandle<Vec<String>>,
}

impl FakeDaemon {
    /// Plays the script, a request a step.
    pub fn start(script: Vec<Step>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("api.sock");
        let away = matches!(script.first(), Some(Step::Restart(_)));
        let listener = (!away).then(|| bind(&socket));
        let thread = thread::spawn(move || play(script, socket, listener));
        Self { folder, thread }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// The program, as a user of this daemon starts it.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("BEARERD_SOCKET", self.socket());
        command
    }

    /// Runs the program, and makes sure that the script was followed to its end.
    pub fn run(self, arguments: &[&str]) -> Ran {
        let ran = Ran::from(self.program(arguments).output().expect("the program runs"));
        self.finish(&ran);
        ran
    }

    /// Makes sure that the script was followed to its end.
    pub fn finish(self, ran: &Ran) {
        let deviations = self.thread.join().expect("the script was played");
        assert!(deviations.is_empty(), "{deviations:#?}\n{ran:#?}");
    }
}

/// The program without a daemon, and without what the developer's own environment says.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bearerd"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Asserts the exit code, and that nothing was said on stderr.
    #[track_caller]
    pub fn quietly(self, code: i32) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(code), ""), "{}", self.out);
        self.out
    }

    /// Asserts the exit code, and that nothing was printed but a sentence on stderr.
    #[track_caller]
    pub fn complains(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        self.err
    }
}

fn bind(socket: &PathBuf) -> UnixListener {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).expect("a socket");
    listener.set_nonblocking(true).expect("a setting");
    listener
}

fn play(script: Vec<Step>, socket: PathBuf, mut listener: Option<UnixListener>) -> Vec<String> {
    let mut deviations = Vec::new();
    for step in script {
        let (request, having, pause, reply) = match step {
            Step::Restart(away) => {
                drop(listener.take());
                let _ = fs::remove_file(&socket);
                thread::sleep(Duration::from_millis(away));
                listener = Some(bind(&socket));
                continue;
            }
            Step::HangUp { request } => (request, [].as_slice(), 0, None),
            Step::Answer { request, having, pause, head, body } => (request, having, pause, Some((head, body))),
        };
        let Some(mut stream) = accept(listener.as_ref().expect("bound")) else {
            deviations.push(format!("nobody asked {request}"));
            break;
        };
        let asked = read_head(&mut stream);
        let first = format!("{request} HTTP/1.1\r\n");
        let wrong = !asked.starts_with(&first) || !asked.contains("\r\nhost: localhost\r\n");
        if wrong || having.iter().any(|header| !asked.contains(header)) {
            deviations.push(format!("{request} {having:?} was expected, not {asked}"));
        }
        thread::sleep(Duration::from_millis(pause));
        if let Some((head, body)) = reply {
            let length = if head.starts_with("204") || head.starts_with("304") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            // A client that has gone is no matter of the script.
            let _ = write!(stream, "HTTP/1.1 {head}\r\n{length}\r\n{body}");
        }
    }
    deviations
}

fn accept(listener: &UnixListener) -> Option<UnixStream> {
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a setting");
                return Some(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
    None
}

fn read_head(stream: &mut UnixStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).expect("a head in UTF-8")
}
