//! `bearerd doctor` says what is wrong and what to do about it: for each thing that can break, it is broken here.

mod support;

use std::{fs, process::Output};

use serde_json::Value;
use support::{
    authorization_server::{AuthorizationServer, Discovery, Endpoint, Reply, Settings},
    daemon::{Daemon, program},
};

fn account(server: &AuthorizationServer) -> String {
    format!(
        "[daemon]\nbus = \"none\"\n[accounts.box]\nissuer = \"{}\"\nclient_id = \"appliance\"\nscopes = [\"openid\", \"offline_access\"]\n",
        server.issuer()
    )
}

fn examine(daemon: &Daemon, more: &[&str]) -> Output {
    let config = daemon.folder().join("bearerd.toml");
    let mut arguments = vec!["doctor", "--config", config.to_str().expect("UTF-8")];
    arguments.extend(more);
    daemon.run(&arguments)
}

/// The findings, and whether the exit code says that something failed.
fn findings(daemon: &Daemon) -> (Vec<Value>, bool) {
    let output = examine(daemon, &["--json"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = report["findings"].as_array().expect("findings").clone();
    let failed = all.iter().filter(|finding| finding["result"] == "failed").count();
    assert_eq!((report["failed"].as_u64(), output.status.code()), (Some(failed as u64), Some(i32::from(failed > 0))));
    for finding in all.iter().filter(|finding| finding["result"] != "ok") {
        assert!(finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "no remedy: {finding}");
    }
    (all, failed > 0)
}

/// Whether a check has that result, with that in its text or its remedy.
fn assert_found(all: &[Value], check: &str, result: &str, part: &str) {
    let of_check: Vec<&Value> = all.iter().filter(|finding| finding["check"] == check).collect();
    let found = |finding: &&&Value| finding["result"] == result && finding.to_string().contains(part);
    assert!(of_check.iter().any(|finding| found(&finding)), "{check} is not {result} with {part:?}: {of_check:#?}");
}

#[test]
fn a_healthy_account_has_a_line_for_everything_and_none_that_failed() {
    let server = AuthorizationServer::with(Settings { auto_approve: true, ..Settings::default() }).expect("a server");
    let daemon = Daemon::start(&account(&server));
    let (before, failed) = findings(&daemon);
    assert!(!failed, "{before:#?}");
    assert_found(&before, "client", "ok", "the server knows it");
    assert_found(&before, "scopes", "ok", "offline_access");
    assert_found(&before, "sealing", "warning", "statekey enable");
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    let (after, failed) = findings(&daemon);
    assert!(!failed, "{after:#?}");
    let polls = server.count(Endpoint::Poll);
    for check in ["config", "socket", "bus", "clock", "connect", "tls", "discovery", "endpoints", "store"] {
        assert_found(&after, check, "ok", "");
    }
    assert_found(&after, "client", "ok", "has accepted it");
    findings(&daemon);
    assert_eq!(server.count(Endpoint::Poll), polls, "a client that has proved itself is not tried");

    let shown = examine(&daemon, &["box"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.lines().any(|line| line.starts_with("ok      discovery  the server describes itself")), "{shown}");
    let secrets = server.issued_secrets();
    assert!(secrets.iter().all(|secret| !shown.contains(secret)));
    server.take_violations();
}

#[test]
fn what_is_broken_at_the_server_is_told_apart() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    server.reply_next(Endpoint::Poll, Reply::error(401, "invalid_client"));
    let (all, failed) = findings(&daemon);
    assert!(failed);
    assert_found(&all, "client", "failed", "invalid_client");
    assert_found(&all, "tls", "ok", "");

    server.set_reachable(false);
    let (all, failed) = findings(&daemon);
    assert!(failed);
    assert_found(&all, "connect", "failed", "firewall");
    assert_found(&all, "discovery", "failed", "cannot be had");
    assert_found(&all, "client", "warning", "");
    server.take_violations();
}

#[test]
fn an_issuer_without_metadata_and_a_name_without_address_are_told_apart() {
    let settings = Settings { discovery: Discovery::Missing, ..Settings::default() };
    let server = AuthorizationServer::with(settings).expect("a server");
    let config = account(&server) + "[accounts.other]\nissuer = \"https://box.invalid\"\nclient_id = \"x\"\n";
    let daemon = Daemon::start(&config);
    let (all, failed) = findings(&daemon);
    assert!(failed);
    let of = |name: &str| all.iter().filter(|finding| finding["account"] == name).cloned().collect::<Vec<_>>();
    assert_found(&of("box"), "discovery", "failed", "check the issuer");
    assert_found(&of("box"), "endpoints", "failed", "device_authorization_endpoint");
    assert_found(&of("other"), "dns", "failed", "resolvectl query box.invalid");
    assert_found(&of("other"), "scopes", "warning", "add \\\"offline_access\\\"");
}

#[test]
fn without_a_daemon_it_still_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("bearerd.toml");
    fs::write(&config, "[daemon]\nbus = \"none\"\n[accounts.box]\nisuer = \"x\"\n").expect("a configuration");
    let output = std::process::Command::new(program())
        .args(["doctor", "--socket", "/nonexistent/api.sock", "--config"])
        .arg(&config)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed  config") && said.contains("unknown field `isuer`"), "{said}");
    assert!(said.contains("→ bearerd check shows the place"), "{said}");
    assert!(said.contains("failed  socket") && said.contains("systemctl start bearerd"), "{said}");
    assert!(!said.contains('\x1b'), "no colour in a pipe");
}

#[test]
fn only_who_may_manage_an_account_may_have_it_probed() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    let reply = daemon.get("/v1/accounts/box/probe");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(daemon.post("/v1/accounts/nobody/probe").status, 404);
    let probed = daemon.post("/v1/accounts/box/probe").json();
    assert_eq!(probed["account"], "box");
    server.take_violations();
}
