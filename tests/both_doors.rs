//! The real program on a private message bus with the shipped policy: both doors give the same token, to the same
//! people, and the bus may come and go.

mod support;

use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    bus::{NAME, OBJECT, PrivateBus},
    daemon::Daemon,
};

fn signed_in(bus: &PrivateBus, server: &AuthorizationServer, more: &str) -> Daemon {
    let config = format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n{more}", server.issuer());
    let daemon = Daemon::start_with(&config, &["--bus", &bus.address()]);
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    server.wait_for_answer(Endpoint::Poll, 1);
    // Whoever may not have the token himself still sees when it is there.
    while daemon.get("/v1/accounts/box").text("state") != "active" {
        std::thread::yield_now();
    }
    bus.wait_for_name();
    daemon
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn both_doors_give_the_same_token() {
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let by_http = daemon.request("GET", "/v1/token", "Accept: text/plain\r\n").body;
    assert_eq!(bus.get_token(None), Ok(by_http));
}

#[test]
fn the_policy_file_lets_the_group_in_and_nobody_else() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let token = daemon.get("/v1/token").text("access_token");
    assert_eq!(bus.get_token(Some("games")), Ok(token), "a member of the group");
    let refused = bus.get_token(Some("daemon")).expect_err("a stranger has a token");
    assert!(refused.contains("denied") || refused.contains("rejected"), "{refused}");

    let account = format!("{OBJECT}/accounts/box");
    let logout = ["call", NAME, &account, "io.github.bearerd.Bearerd1.Account", "Logout", "a{sv}", "0"];
    let output = bus.call(Some("games"), &logout);
    assert!(!output.status.success(), "a member of the group may not log out");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no rule allows this caller (uid 5"), "it says what was seen: {said}");
    assert_eq!(daemon.get("/v1/token").status, 200);
}

#[test]
fn rules_hold_on_both_doors() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let rule = "[[accounts.box.allow]]\nuser = \"games\"\nactions = [\"token\"]\n";
    let daemon = signed_in(&bus, &server, rule);
    assert!(bus.get_token(Some("games")).is_ok());
    assert!(bus.get_token(None).is_err(), "root is not named");
    let by_http = daemon.get("/v1/token");
    assert_eq!((by_http.status, by_http.text("error")), (403, "not_authorized".into()));
    assert_eq!(by_http.json()["uid"], 0, "it says what was seen");
}

#[test]
fn the_bus_may_come_and_go() {
    let (mut bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let token = daemon.get("/v1/token").text("access_token");
    bus.stop();
    assert_eq!(daemon.get("/v1/token").text("access_token"), token, "HTTP needs no bus");
    bus.start_again();
    bus.wait_for_name();
    assert_eq!(bus.get_token(None), Ok(token));
}

#[test]
fn a_bus_that_is_not_there_stops_nothing() {
    let server = AuthorizationServer::start();
    let config = format!("[accounts.box]\nissuer = \"{}\"\n", server.issuer());
    let daemon = Daemon::start_with(&config, &["--bus", "unix:path=/nonexistent/bus"]);
    assert_eq!(daemon.get("/v1/health").status, 200);
}
