//! However many callers want a token at the same moment, the server sees one refresh.

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::Daemon,
};

#[test]
fn a_thousand_callers_at_expiry_cause_one_refresh() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&format!(
        "[daemon]\nconnections_per_user = 1001\n\
         [accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\nrefresh_margin = \"1s\"\n",
        server.issuer()
    ));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let first = daemon.get("/v1/token?wait=120").text("access_token");

    // Every caller says that the token was refused, which makes it as good as expired, while the answer to the refresh
    // is held back until all of them have asked.
    let rejected = fingerprint(&first);
    server.reply_next(Endpoint::Refresh, Reply::usual().after(Duration::from_secs(3)));
    let mut callers: Vec<UnixStream> = (0..1000).map(|_| ask(&daemon, &rejected)).collect();
    let answers: Vec<String> = callers.iter_mut().map(answer).collect();

    assert_eq!(server.count(Endpoint::Refresh), 1);
    let second = daemon.get("/v1/token").text("access_token");
    assert_ne!(second, first);
    assert!(
        answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains(&second)),
        "{}",
        answers[0]
    );
}

#[test]
fn the_refresh_goes_on_when_every_caller_has_hung_up() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n", server.issuer()));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let first = daemon.get("/v1/token?wait=120").text("access_token");
    server.reply_next(Endpoint::Refresh, Reply::usual().after(Duration::from_secs(1)));
    let caller = ask(&daemon, &fingerprint(&first));
    server.wait_for(Endpoint::Refresh, 1);
    drop(caller);
    let second = daemon.get(&format!("/v1/token?rejected={}", fingerprint(&first))).text("access_token");
    assert_ne!(second, first);
    assert_eq!(server.count(Endpoint::Refresh), 1);
}

fn ask(daemon: &Daemon, rejected: &str) -> UnixStream {
    let mut stream = UnixStream::connect(daemon.socket()).expect("a connection");
    let request = format!("GET /v1/token?rejected={rejected} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

fn answer(stream: &mut UnixStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// As `sha256sum` writes it.
fn fingerprint(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
