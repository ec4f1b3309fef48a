//! Whatever a far end answers, at whichever endpoint: the daemon lives, within its memory, nobody else is kept waiting, no
//! sign-in is lost, nothing of it reaches a screen, and no secret goes anywhere else.

#[path = "../support/mod.rs"]
mod support;

mod far_end;
mod tricks;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use far_end::{Elsewhere, Endpoint, FarEnd};
use serde_json::Value;
use support::{
    daemon::{Daemon, Reply},
    secrets,
};
use tricks::Trick;

/// One account, and what its server does to it.
struct Life<'a> {
    daemon: &'a Daemon,
    far: &'a FarEnd,
    account: String,
    trick: Trick,
    at: &'a [Endpoint],
}

impl Life<'_> {
    /// From nothing to a sign-in, a refresh and the end, with the trick wherever it is to be played.
    fn live(&self) {
        self.sign_in();
        self.refresh();
        self.arm(Endpoint::Revocation);
        assert_eq!(self.post("logout").status, 204, "{}", self.account);
        if self.at.contains(&Endpoint::Revocation) {
            self.far.wait_until_played(&self.account, 1);
        } else {
            self.far.wait_until_revoked(&self.account);
        }
    }

    fn sign_in(&self) {
        for endpoint in [Endpoint::Discovery, Endpoint::Device] {
            if self.arm(endpoint) && !self.trick.is_answered() {
                let reply = self.post("login");
                assert!((500..505).contains(&reply.status), "{}: {endpoint:?}: {}", self.account, reply.body);
                self.look(&reply, endpoint);
                assert_eq!(self.state()["state"], "signed_out", "{}: {endpoint:?}", self.account);
                self.far.disarm(&self.account);
            }
        }
        let answered = self.trick.is_answered();
        self.arm(Endpoint::Poll);
        let reply = self.post("login");
        assert_eq!(reply.status, 202, "{}: {}", self.account, reply.body);
        self.look(&reply, Endpoint::Poll);
        if self.at.contains(&Endpoint::Poll) {
            self.far.wait_until_played(&self.account, 1);
            let account = self.state();
            assert!(answered || account["state"] == "authorizing", "{}: {account}", self.account);
            self.look(&self.get(""), Endpoint::Poll);
        }
        self.far.disarm(&self.account);
        self.token();
    }

    fn refresh(&self) {
        let old = self.token();
        if self.arm(Endpoint::Refresh) && !self.trick.is_answered() {
            let reply = self.post("refresh");
            assert!((500..505).contains(&reply.status), "{}: {}", self.account, reply.body);
            self.look(&reply, Endpoint::Refresh);
            // The next attempt may be on its way already.
            let account = self.state();
            let known = ["degraded", "refreshing"].into_iter().any(|state| account["state"] == state);
            assert!(known && account["last_error"] != Value::Null, "{}: {account}", self.account);
            self.look(&self.get(""), Endpoint::Refresh);
            assert_eq!(self.token(), old, "{}: what there is goes on being served", self.account);
            self.far.disarm(&self.account);
        }
        // An attempt that was on its way when the server came to its senses may fail yet.
        let healed = (0..5).any(|_| self.post("refresh").status == 200);
        let account = self.state();
        assert!(healed && account["state"] == "active", "{}: {account}", self.account);
        assert_ne!(self.token(), old, "{}", self.account);
        self.look(&self.get(""), Endpoint::Refresh);
    }

    fn arm(&self, endpoint: Endpoint) -> bool {
        let armed = self.at.contains(&endpoint);
        if armed {
            self.far.arm(&self.account, endpoint, self.trick);
        }
        armed
    }

    fn token(&self) -> String {
        let reply = self.get("/token?wait=120");
        assert_eq!(reply.status, 200, "{}: {}", self.account, reply.body);
        reply.text("access_token")
    }

    fn state(&self) -> Value {
        self.get("").json()
    }

    fn get(&self, what: &str) -> Reply {
        self.daemon.get(&format!("/v1/accounts/{}{what}", self.account))
    }

    fn post(&self, verb: &str) -> Reply {
        self.daemon.post(&format!("/v1/accounts/{}/{verb}", self.account))
    }

    /// Looks through everything that shows this account.
    fn look(&self, reply: &Reply, endpoint: Endpoint) {
        let what = |surface: &str| format!("{surface} of {} at {endpoint:?}", self.account);
        clean(&what("the answer"), &reply.body);
        strings(&reply.json(), &|text| clean(&what("a text"), text));
        if !SAYS_SOMETHING.contains(&self.trick) {
            return;
        }
        for arguments in [vec!["status", self.account.as_str()], vec!["status", "--json"], vec!["status"]] {
            let Output { stdout, stderr, .. } = self.daemon.run(&arguments);
            clean(&what("the table"), &String::from_utf8(stdout).expect("UTF-8"));
            clean(&what("the warnings"), &String::from_utf8(stderr).expect("UTF-8"));
        }
        let page = self.daemon.get("/").body;
        clean(&what("the page"), &page);
        assert!(!page.contains("<script>alert"), "{page}");
        clean(&what("the metrics"), &self.daemon.get("/metrics").body);
        let login = format!("/v1/accounts/{}/login", self.account);
        clean(&what("the prompt"), &self.daemon.request("GET", &login, "Accept: text/plain\r\n").body);
        clean(&what("the console"), &fs::read_to_string(self.daemon.folder().join("issue")).unwrap_or_default());
    }
}

/// Nothing that a terminal or a reader acts on, and no secret.
fn clean(what: &str, text: &str) {
    let bad = |c: &char| {
        c.is_control() && *c != '\n'
            || "\u{feff}\u{061c}\u{2028}\u{2029}".contains(*c)
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert_eq!(text.chars().find(bad), None, "{what}: {text:?}");
    assert_eq!(secrets::first_in(text), None, "{what}: {text}");
}

fn strings(value: &Value, look: &dyn Fn(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, look)),
        Value::Object(members) => members.values().for_each(|member| strings(member, look)),
        _ => {}
    }
}

/// Everything that the event stream says until the daemon ends.
fn listen(daemon: &Daemon) -> thread::JoinHandle<String> {
    let mut stream = UnixStream::connect(daemon.socket()).expect("a connection");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    thread::spawn(move || {
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard));
        String::from_utf8(heard).expect("UTF-8")
    })
}

fn peak_in_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn no_answer_costs_a_sign_in_or_anybody_elses_patience() {
    let elsewhere = Elsewhere::start();
    let far = FarEnd::start(elsewhere.address);
    let every = [Endpoint::Discovery, Endpoint::Device, Endpoint::Poll, Endpoint::Refresh, Endpoint::Revocation];
    let name = |trick: Trick, at: &str| format!("{trick:?}{at}").to_ascii_lowercase();
    let quick = Trick::QUICK.into_iter().map(|trick| (name(trick, ""), trick, &every[..]));
    // Each takes all the time that a request may take: once in each account.
    let slow = Trick::SLOW
        .into_iter()
        .flat_map(|trick| every.chunks(1).map(move |at| (name(trick, &format!("-{:?}", at[0])), trick, at)));
    let lives: Vec<_> = quick.chain(slow).collect();
    let names = lives.iter().map(|(name, ..)| name.as_str()).chain(["neighbour"]);
    let accounts =
        names.map(|name| format!("[accounts.{name}]\nissuer = \"{}\"\nscopes = [\"openid\"]\n", far.issuer(name)));
    let config =
        format!("[daemon]\nconnections_per_user = 250\n[display]\nconsole = true\n{}", accounts.collect::<String>());
    let daemon = Daemon::start(&config);
    let (events, notices) = (listen(&daemon), daemon.collect_notices());

    let neighbour = Life { daemon: &daemon, far: &far, account: "neighbour".into(), trick: Trick::Silence, at: &[] };
    neighbour.sign_in();
    let (over, start) = (AtomicBool::new(false), Instant::now());
    let served = thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                neighbour.token();
                // Refreshes that follow hard on another are put off.
                if served < 3 {
                    neighbour.refresh();
                }
                thread::sleep(Duration::from_millis(20));
                served += 1;
            }
            served
        });
        let running: Vec<_> = lives
            .iter()
            .map(|(account, trick, at)| {
                let life = Life { daemon: &daemon, far: &far, account: account.clone(), trick: *trick, at };
                scope.spawn(move || life.live())
            })
            .collect();
        let failed = running.into_iter().filter_map(|life| life.join().err()).count();
        println!("the last one after {:?}", start.elapsed());
        over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0, "lives that took another course");
        serving.join().expect("the neighbour")
    });

    let peak = peak_in_kib(&daemon);
    println!("{} accounts, a neighbour was served {served} times, at most {peak} KiB", lives.len());
    assert!(peak <= 32 * 1024, "{peak} KiB");
    assert_eq!(elsewhere.visits(), 0, "somebody followed a redirect");
    assert_eq!(far.objections(), Vec::<String>::new());
    clean("the log", &daemon.log());
    clean("the status", &notices.lock().expect("a lock"));
    drop(daemon);
    clean("the events", &events.join().expect("the events").replace("\r\n", "\n"));
}

/// The others bring nothing of their own to a screen.
const SAYS_SOMETHING: [Trick; 4] = [Trick::Escapes, Trick::EscapesInWord, Trick::Dressed, Trick::Garbage];
