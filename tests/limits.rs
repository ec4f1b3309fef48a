//! A program that wants to be in the way finds its own limits, and others are served as before.

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use support::{
    authorization_server::AuthorizationServer,
    bus::{NAME, OBJECT, PrivateBus},
    daemon::Daemon,
    stranger::{self, Stranger},
};

/// A daemon that is signed in, and whose socket everybody can open.
fn signed_in(server: &AuthorizationServer, before: &str, after: &str) -> Daemon {
    let issuer = server.issuer();
    let daemon =
        Daemon::start(&format!("{before}\n[accounts.box]\nissuer = \"{issuer}\"\nscopes = [\"offline\"]\n{after}"));
    fs::set_permissions(daemon.folder(), fs::Permissions::from_mode(0o755)).expect("a folder for everybody");
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o666)).expect("a socket for everybody");
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=120").status, 200);
    daemon
}

/// Sends this on a connection of its own, and returns what comes back until the daemon closes it.
fn exchange(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    // It may close before everything is sent.
    let _ = stream.write_all(request);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

/// What a caller found who wanted a token again and again.
#[derive(Debug)]
#[allow(dead_code, reason = "it is there to be printed")]
struct Service {
    calls: usize,
    failed: usize,
    median: Duration,
    p99: Duration,
    resident_kib: u64,
    descriptors: usize,
}

/// Calls that often, with a pause between two calls.
fn call(daemon: &Daemon, calls: usize, pause: Duration) -> Service {
    let mut times = Vec::new();
    let (mut failed, mut descriptors) = (0, 0);
    for _ in 0..calls {
        let start = Instant::now();
        let reply = exchange(
            &daemon.socket(),
            b"GET /v1/accounts/box/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        );
        times.push(start.elapsed());
        failed += usize::from(!reply.starts_with("HTTP/1.1 200"));
        descriptors = descriptors.max(open_descriptors(daemon));
        std::thread::sleep(pause);
    }
    times.sort_unstable();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let resident_kib = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    Service { calls, failed, median: times[calls / 2], p99: times[calls * 99 / 100], resident_kib, descriptors }
}

fn open_descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("a running daemon").count()
}

/// A few in the usual run, and as many as the threat model speaks of when `BEARERD_TORTURE` is set.
fn number(few: usize, many: usize) -> usize {
    if std::env::var_os("BEARERD_TORTURE").is_some() { many } else { few }
}

fn wait_for_log(daemon: &Daemon, line: &str) {
    let start = Instant::now();
    while !daemon.log().contains(line) {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody logs {line}");
        std::thread::yield_now();
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "", "");
    let token = daemon.get("/v1/token").text("access_token");
    let second = "GET /v1/token HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let host = "Host: localhost\r\n";
    for (what, head) in [
        (
            "both lengths",
            format!(
                "POST /v1/health HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "both lengths, the other way round",
            format!(
                "POST /v1/health HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
            ),
        ),
        ("chunks", format!("GET /v1/token HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("another encoding", format!("GET /v1/token HTTP/1.1\r\n{host}Transfer-Encoding: chunked, identity\r\n\r\n")),
        ("an encoding in 1.0", format!("GET /v1/token HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n")),
        ("two lengths", format!("POST /v1/health HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: 5\r\n\r\n")),
        ("a length that is none", format!("GET /v1/token HTTP/1.1\r\n{host}Content-Length: +0\r\n\r\n")),
        ("a long body", format!("POST /v1/health HTTP/1.1\r\n{host}Content-Length: 16385\r\n\r\n")),
        ("a space before the colon", format!("GET /v1/token HTTP/1.1\r\n{host}X : y\r\n\r\n")),
        ("a folded line", format!("GET /v1/token HTTP/1.1\r\n{host}X: y\r\n z\r\n\r\n")),
        ("a NUL", format!("GET /v1/token HTTP/1.1\r\n{host}X: \0\r\n\r\n")),
        ("a proxy's request", format!("GET http://localhost/v1/token HTTP/1.1\r\n{host}\r\n")),
        ("a tunnel", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n".to_owned()),
        ("two hosts", format!("GET /v1/token HTTP/1.1\r\n{host}{host}Connection: close\r\n\r\n")),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("too long a head", format!("GET /v1/token HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(8 * 1024))),
        ("too many headers", format!("GET /v1/token HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(32))),
    ] {
        let reply = exchange(&daemon.socket(), format!("{head}{second}").as_bytes());
        assert!(reply.starts_with("HTTP/1.1 4") || reply.is_empty(), "{what}: {reply}");
        assert!(!reply.contains(&token), "{what}: {reply}");
        assert!(reply.matches("HTTP/1.1").count() < 2, "{what}: what follows was answered: {reply}");
    }
    let upgrade = format!("GET /v1/health HTTP/1.1\r\n{host}Connection: close, upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert!(exchange(&daemon.socket(), upgrade.as_bytes()).starts_with("HTTP/1.1 200"), "an upgrade is not taken up");
    assert_eq!(daemon.get("/v1/token").text("access_token"), token);
}

#[test]
fn connections_on_which_nothing_happens_are_closed_and_those_of_who_waits_are_not() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "", "");
    let open = |request: &str| {
        let mut stream = UnixStream::connect(daemon.socket()).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request, or a part of it");
        stream
    };
    let tag = daemon.get("/v1/accounts/box").header("etag").expect("a revision").to_owned();
    // Longer than the longest rest there is.
    let head = format!("Host: localhost\r\nIf-None-Match: {tag}\r\nPrefer: wait=65\r\n\r\n");
    let mut waiting = open(&format!("GET /v1/accounts/box HTTP/1.1\r\n{head}"));
    let mut listening = open("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut slow = open("GET /v1/health HTTP/1.1\r\nHost: lo");
    let mut idle = open("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // These reads end when the daemon closes.
    let (mut nothing, mut answer) = (Vec::new(), String::new());
    let _ = slow.read_to_end(&mut nothing);
    idle.read_to_string(&mut answer).expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    let mut status = [0; 12];
    waiting.read_exact(&mut status).expect("an answer");
    assert_eq!(status, *b"HTTP/1.1 304", "whoever waits is answered");
    listening.set_nonblocking(true).expect("a mode");
    let mut told = Vec::new();
    let end = listening.read_to_end(&mut told).expect_err("whoever listens is not at the end");
    assert!(end.kind() == ErrorKind::WouldBlock && told.starts_with(b"HTTP/1.1 200"), "{end}");
}

/// Holds that many half-open connections, and opens another for each that is closed.
#[test]
fn half_open() {
    let Some(given) = stranger::given() else { return };
    let (socket, count) = given.split_once(' ').expect("a socket and a number");
    let count: usize = count.parse().expect("a number");
    let open = || {
        let mut stream = UnixStream::connect(socket).ok()?;
        let _ = stream.write_all(b"GET /v1/token HTTP/1.1\r\nHost: local");
        Some(stream)
    };
    let mut streams: Vec<_> = (0..count).map(|_| open()).collect();
    println!("\nopened {}", streams.iter().flatten().count());
    for at in (0..count).cycle() {
        let closed = streams[at].as_ref().is_none_or(|stream| {
            stream.set_nonblocking(true).expect("a mode");
            !matches!((&*stream).read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        if closed {
            streams[at] = open();
        }
    }
}

#[test]
fn one_user_who_takes_every_connection_is_in_nobodys_way() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let server = AuthorizationServer::start();
    // As it is installed: a log of everything costs more than turning somebody away does.
    let daemon = signed_in(&server, "[daemon]\nlog = \"info\"\n", "");
    let quiet = call(&daemon, number(20, 200), Duration::ZERO);
    let given = format!("{} {}", daemon.socket().display(), number(500, 10_000));
    let mut attack = Stranger::start("daemon", "half_open", &given);
    println!("half-open connections: {}", attack.wait_for("opened "));
    let victim = call(&daemon, number(20, 300), Duration::from_millis(100));
    println!("alone: {quiet:?}\nbeside them: {victim:?}");
    assert_eq!((victim.failed, quiet.failed), (0, 0));
    assert!(
        victim.descriptors <= quiet.descriptors + 66,
        "one user may have 64 connections, and one is at the door: {victim:?}"
    );
    assert!(victim.resident_kib < 32 * 1024, "{victim:?}");
    let log = daemon.log();
    assert!(log.contains("user 1 has 64 connections and gets no more"), "{log}");
    assert!(log.matches("gets no more").count() < 20, "the log is flooded too: {log}");
}

#[test]
fn a_user_whom_no_rule_names_has_eight_connections() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "", "[[accounts.box.allow]]\nuser = \"root\"\n");
    let _attack = Stranger::start("daemon", "half_open", &format!("{} 100", daemon.socket().display()));
    wait_for_log(&daemon, "user 1 has 8 connections");
    assert_eq!(daemon.get("/v1/token").status, 200);
}

#[test]
fn out_of_descriptors_it_waits_and_comes_back() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "", "");
    let limit = |soft: usize| {
        let process = daemon.pid().to_string();
        let set = Command::new("prlimit").args(["--pid", &process, &format!("--nofile={soft}:")]).status();
        assert!(set.expect("prlimit runs").success());
    };
    // Those that are open stay open.
    limit(3);
    let mut waiting = UnixStream::connect(daemon.socket()).expect("a connection");
    waiting.write_all(b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    wait_for_log(&daemon, "no connection can be accepted for a moment");
    let before = ticks(&daemon);
    std::thread::sleep(Duration::from_secs(1));
    let spent = ticks(&daemon) - before;
    assert!(spent < 25, "it turned at full speed: {spent} hundredths of a second of one");
    limit(1024);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    println!("out of descriptors it took {spent} hundredths of a second a second");
}

/// The processor time it has used, in hundredths of a second.
fn ticks(daemon: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("a running daemon");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// Calls `GetToken` of an account that nobody has signed in to, all at once, and says how many calls were refused. Then
/// it calls for as long as it is let.
#[tokio::test]
async fn bus_flood() {
    let Some(given) = stranger::given() else { return };
    let (address, calls) = given.split_once(' ').expect("an address and a number");
    let connection = zbus::connection::Builder::address(address).build().await.expect("a connection");
    let manager = zbus::proxy::Proxy::new(&connection, NAME, OBJECT, "io.github.bearerd.Bearerd1.Manager");
    let manager = manager.await.expect("a proxy");
    let options = |wait: u32| HashMap::from([("wait", zbus::Variant::from(wait))]);
    let waiting = (0..calls.parse::<usize>().expect("a number")).map(|_| {
        let manager = manager.clone();
        async move { manager.call_method("GetToken", &("nobody", options(20))).await.err() }
    });
    let mut waiting: FuturesUnordered<_> = waiting.collect();
    // Those that wait are answered after 20 s: what comes first is refused.
    let mut refused = 0;
    while let Ok(Some(Some(error))) = tokio::time::timeout(Duration::from_secs(2), waiting.next()).await {
        assert!(error.to_string().contains("LimitsExceeded"), "{error}");
        refused += 1;
    }
    println!("\nrefused {refused}");
    loop {
        let _ = manager.call_method("GetToken", &("nobody", options(0))).await;
    }
}

#[test]
fn one_user_who_calls_without_end_is_in_nobodys_way() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let issuer = server.issuer();
    let config = format!(
        "[daemon]\nbus = \"{}\"\n[accounts.box]\nissuer = \"{issuer}\"\nscopes = [\"offline\"]\n\
         [accounts.nobody]\nissuer = \"{issuer}\"\nlogin = \"manual\"\n",
        bus.address()
    );
    let daemon = Daemon::start_with(&config, &["--bus", &bus.address()]);
    bus.wait_for_name();
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/accounts/box/token?wait=120").text("access_token");
    let given = format!("{} 100", bus.address());
    let mut first = Stranger::start("games", "bus_flood", &given);
    assert_eq!(first.wait_for("refused "), "36", "64 of 100 calls wait");
    let _more: Vec<_> = (0..number(0, 7)).map(|_| Stranger::start("games", "bus_flood", &given)).collect();
    let manager = "io.github.bearerd.Bearerd1.Manager";
    for _ in 0..number(5, 100) {
        let output = bus.call(None, &["call", NAME, OBJECT, manager, "GetToken", "sa{sv}", "box", "0"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&token), "{said} {}", String::from_utf8_lossy(&output.stderr));
    }
    let beside = call(&daemon, number(20, 300), Duration::from_millis(20));
    println!("beside a flood on the bus: {beside:?}");
    assert_eq!(beside.failed, 0, "{beside:?}");
    assert!(beside.resident_kib < 32 * 1024, "{beside:?}");
}
