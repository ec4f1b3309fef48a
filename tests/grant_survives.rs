//! A grant outlives the daemon: a stop waits for the refresh in flight, a kill in the middle of one is made up for, and
//! only the person who signed in before comes in again unasked.

mod support;

use std::time::Duration;

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply, Settings},
    daemon::Daemon,
};

fn server(settings: Settings) -> AuthorizationServer {
    AuthorizationServer::with(settings).expect("a server")
}

fn signed_in(server: &AuthorizationServer) -> (Daemon, String) {
    let daemon = Daemon::start(&format!(
        "[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n",
        server.issuer()
    ));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/token?wait=120").text("access_token");
    (daemon, token)
}

/// Asks for a refresh and goes away, once the server has it.
fn refresh_in_flight(server: &AuthorizationServer, daemon: &Daemon) {
    let mut asking =
        daemon.command(&["refresh"]).stderr(std::process::Stdio::null()).spawn().expect("the program runs");
    server.wait_for(Endpoint::Refresh, 1);
    asking.kill().expect("a kill");
    asking.wait().expect("an exit status");
}

#[test]
fn a_stop_waits_for_the_refresh_in_flight_and_saves_it() {
    let server = server(Settings::default());
    let (mut daemon, first) = signed_in(&server);
    server.reply_next(Endpoint::Refresh, Reply::usual().after(Duration::from_secs(2)));
    refresh_in_flight(&server, &daemon);
    assert!(daemon.stop().success());
    server.wait_for_answer(Endpoint::Refresh, 1);
    daemon.start_again();
    let second = daemon.get("/v1/token").text("access_token");
    assert!(second != first && server.accepts(&second));
    assert_eq!(server.count(Endpoint::Refresh), 1, "the server forgives nothing, and nothing had to be forgiven");
}

#[test]
fn a_stop_after_a_lost_reply_waits_for_the_next_try_and_saves_it() {
    let server = server(Settings { rotation_grace: Duration::from_secs(60), ..Settings::default() });
    let (mut daemon, first) = signed_in(&server);
    for reply in [Reply::lost().after(Duration::from_secs(1)), Reply::lost(), Reply::lost()] {
        server.reply_next(Endpoint::Refresh, reply);
    }
    refresh_in_flight(&server, &daemon);
    assert!(daemon.stop().success());
    assert_eq!(server.count(Endpoint::Refresh), 4, "three that were lost, and the one that brought the token");
    daemon.start_again();
    let second = daemon.get("/v1/token").text("access_token");
    assert!(second != first && server.accepts(&second));
    assert_eq!(server.count(Endpoint::Refresh), 4, "nothing is left to be made up for");
}

#[test]
fn a_kill_with_the_refresh_in_flight_is_made_up_for_at_once() {
    let server = server(Settings { rotation_grace: Duration::from_secs(60), ..Settings::default() });
    let (mut daemon, first) = signed_in(&server);
    server.reply_next(Endpoint::Refresh, Reply::usual().after(Duration::from_secs(30)));
    refresh_in_flight(&server, &daemon);
    daemon.kill();
    daemon.start_again();
    let sent = server.wait_for_answer(Endpoint::Refresh, 2);
    assert_eq!(sent.form, server.wait_for(Endpoint::Refresh, 1).form, "all that was known");
    let second = daemon.get(&format!("/v1/token?rejected={}&wait=60", fingerprint(&first))).text("access_token");
    assert!(second != first && server.accepts(&second), "the grant lives");
    server.take_violations();
}

#[test]
fn somebody_else_is_let_in_only_when_asked_for() {
    let server = server(Settings::default());
    let (mut daemon, first) = signed_in(&server);
    server.change(|settings| settings.subject = "kp_somebody_else".to_owned());
    sign_in(&server, &mut daemon, "");
    daemon.wait_for_status("somebody else than before");
    assert_eq!(daemon.get("/v1/token").text("access_token"), first, "the session goes on");
    assert_eq!(daemon.post("/v1/accounts/box/login?replace=perhaps").status, 400);
    sign_in(&server, &mut daemon, "?replace=true");
    daemon.wait_for_status("signed in");
    // The new token shows once it is on disk.
    while daemon.get("/v1/accounts/box").text("state") != "active" {}
    let second = daemon.get("/v1/token").text("access_token");
    assert!(second != first && server.accepts(&second));
}

fn sign_in(server: &AuthorizationServer, daemon: &mut Daemon, query: &str) {
    let prompt = daemon.post(&format!("/v1/accounts/box/login{query}"));
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    daemon.wait_for_status("waiting for sign-in");
    server.approve();
}

/// As `sha256sum` writes it.
fn fingerprint(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_stop_right_after_the_start_is_a_stop() {
    let server = server(Settings::default());
    let mut daemon = Daemon::start(&format!("[accounts.box]\nissuer = \"{}\"\n", server.issuer()));
    for _ in 0..20 {
        assert!(daemon.stop().success(), "a signal found nobody who heard it");
        daemon.start_again();
    }
}
