//! The event stream: what changes is told as it happens, once, in an order that a client can take up again after a break,
//! and never more than the caller may know.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::Daemon,
};

/// A client of the stream. It goes when this is dropped.
struct Events {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// The `id` of the last event that had one.
    last_id: u64,
    /// Everything that came.
    all: String,
}

impl Events {
    fn of(daemon: &Daemon, since: Option<u64>) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--unix-socket"]).arg(daemon.socket());
        if let Some(id) = since {
            curl.args(["--header", &format!("Last-Event-ID: {id}")]);
        }
        let mut child = curl.arg("http://localhost/v1/events").stdout(Stdio::piped()).spawn().expect("curl runs");
        let lines = BufReader::new(child.stdout.take().expect("an output"));
        Self { child, lines, last_id: 0, all: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            self.all.push_str(&line);
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).expect("JSON"),
                Some(("id", text)) => {
                    let id: u64 = text.parse().expect("a number");
                    assert!(id >= self.last_id, "{id} after {}", self.last_id);
                    self.last_id = id;
                }
                _ if line.trim().is_empty() && !name.is_empty() => return Some((name, data)),
                _ => {}
            }
        }
    }

    /// The next event, which has this name.
    fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next().unwrap_or_else(|| panic!("the stream has ended, no {name}"));
        assert_eq!(found, name, "{data}");
        assert_eq!(data["account"], "box");
        data
    }

    /// Reads on until the account has that state, and returns the names of the events before it.
    fn until(&mut self, state: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let (name, data) = self.next().expect("an event");
            if name == "state" && data["state"] == state {
                return before;
            }
            before.push(name);
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn account(server: &AuthorizationServer) -> String {
    format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", server.issuer())
}

#[test]
fn a_sign_in_is_told_from_code_to_token() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    let mut events = Events::of(&daemon, None);
    assert_eq!(events.expect("state")["state"], "signed_out");
    let prompt = daemon.post("/v1/accounts/box/login").json();
    let before = events.until("authorizing");
    assert_eq!(before.last().map(String::as_str), Some("prompt"), "{before:?}");
    assert!(events.all.contains(prompt["user_code"].as_str().expect("a code")));
    server.approve();
    let before = events.until("active");
    assert!(before.iter().any(|name| name == "token") && before.iter().any(|name| name == "prompt"), "{before:?}");
    assert!(events.all.contains("\"withdrawn\":true"), "{}", events.all);

    let first = daemon.get("/v1/token").text("access_token");
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    let renewed = loop {
        let (name, data) = events.next().expect("an event");
        if name == "token" {
            break data;
        }
    };
    assert_eq!(renewed["generation"], 2);
    assert_ne!(daemon.get("/v1/token").text("access_token"), first);
    for secret in server.issued_secrets() {
        assert!(!events.all.contains(&secret), "a secret in the stream");
    }
}

#[test]
fn a_client_that_comes_back_has_missed_nothing_and_hears_nothing_twice() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&account(&server));
    let mut events = Events::of(&daemon, None);
    events.expect("state");
    daemon.post("/v1/accounts/box/login");
    events.until("authorizing");
    let seen = events.last_id;
    drop(events);

    // Nothing has happened: the first thing that is heard is what happens next.
    let mut events = Events::of(&daemon, Some(seen));
    assert_eq!(daemon.request("DELETE", "/v1/accounts/box/login", "").status, 204);
    assert_eq!(events.expect("prompt")["withdrawn"], true);
    assert_eq!(events.expect("state")["state"], "signed_out");
    assert!(events.last_id > seen);
    drop(events);

    // The same while nobody listened.
    let mut events = Events::of(&daemon, Some(seen));
    assert_eq!(events.expect("prompt")["withdrawn"], true);
    assert_eq!(events.expect("state")["state"], "signed_out");
    let last = events.last_id;
    drop(events);

    daemon.kill();
    daemon.start_again();
    let mut events = Events::of(&daemon, Some(last));
    assert_eq!(events.expect("prompt")["withdrawn"], true);
    assert_eq!(events.expect("state")["state"], "signed_out", "after a restart everything is news");
    assert!(events.last_id > last, "ids grow over restarts");
    let mut from_the_future = Events::of(&daemon, Some(u64::MAX));
    assert_eq!(from_the_future.expect("state")["state"], "signed_out");
}

#[test]
fn accounts_come_and_go_and_a_stop_ends_the_stream() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&account(&server));
    let mut events = Events::of(&daemon, None);
    events.expect("state");
    let config = |text: &str| std::fs::write(daemon.folder().join("bearerd.toml"), text).expect("a configuration");
    config(&account(&server).replace("accounts.box", "accounts.other"));
    assert_eq!(daemon.post("/v1/reload").status, 200);
    let (name, data) = events.next().expect("an event");
    assert_eq!((name.as_str(), data["account"].as_str()), ("state", Some("other")));
    events.expect("removed");
    assert!(daemon.stop().success());
    assert!(events.next().is_none());
}

#[test]
fn trouble_and_recovery_are_told_and_a_long_poll_says_the_same() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    daemon.post("/v1/accounts/box/login");
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    let mut events = Events::of(&daemon, None);
    events.expect("token");
    assert_eq!(events.expect("state")["state"], "active");

    let etag = daemon.get("/v1/accounts/box").header("etag").expect("an ETag").to_owned();
    let known = format!("If-None-Match: {etag}\r\nPrefer: wait=0\r\n");
    assert_eq!(daemon.request("GET", "/v1/accounts/box", &known).status, 304);
    let socket = daemon.socket();
    let poll = std::thread::spawn(move || {
        let headers = format!("If-None-Match: {etag}\r\nPrefer: wait=60\r\n");
        support::daemon::request(&socket, "GET", "/v1/accounts/box", &headers)
    });
    server.reply_next(Endpoint::Refresh, Reply::error(503, "temporarily_unavailable"));
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 502);
    events.until("degraded");
    let answer = poll.join().expect("an answer");
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=60")));
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    let before = events.until("active");
    assert!(before.iter().any(|name| name == "token"), "{before:?}");
}

#[test]
fn who_may_not_sign_in_sees_no_code() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run here: needs root");
        return;
    }
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    for (path, mode) in [(daemon.folder().to_owned(), 0o755), (daemon.socket(), 0o666)] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    }
    let code = daemon.post("/v1/accounts/box/login").text("user_code");
    let seen_by = |user: &str, path: &str| {
        let curl = Command::new("setpriv")
            .args(["--reuid", user, "--regid", user, "--clear-groups", "curl", "--silent", "--max-time", "2"])
            .arg("--unix-socket")
            .arg(daemon.socket())
            .arg(format!("http://localhost{path}"))
            .output();
        String::from_utf8_lossy(&curl.expect("setpriv runs").stdout).into_owned()
    };
    for path in ["/v1/events", "/"] {
        let (ours, theirs) = (seen_by("root", path), seen_by("daemon", path));
        assert!(ours.contains(&code), "{path}: {ours}");
        assert!(theirs.contains("box") && !theirs.contains(&code), "{path}: {theirs}");
        assert!(!theirs.contains("event: prompt") && !theirs.contains("<form"), "{path}: {theirs}");
    }
}
