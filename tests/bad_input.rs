//! Whatever comes in wrong gets a clear answer, and nothing is lost by it.

mod support;

use std::{fs, process::Command};

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::{Daemon, Reply as Answer, program},
};

fn config(server: &AuthorizationServer) -> String {
    format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n", server.issuer())
}

fn signed_in(server: &AuthorizationServer) -> Daemon {
    let daemon = Daemon::start(&config(server));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=120").status, 200);
    daemon
}

/// Runs the program with a configuration that it does not start with.
fn refused(config: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("bearerd.toml"), config).expect("a file");
    let output = Command::new(program())
        .args(["run", "--config", "bearerd.toml", "--state-dir", "state"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_configuration_that_cannot_be_used_is_shown_with_its_place() {
    let (code, said) = refused("[accounts.box]\nissuer = \"http://login.example.com\"\n", &NOWHERE);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("bearerd.toml:2:10:") && said.contains("only https://"), "{said}");
    let (code, said) = refused("[accounts.box\n", &NOWHERE);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("bearerd.toml:1:"), "{said}");
    let (code, said) = refused("", &["--bus", "tram", "--socket", "api.sock"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_second_daemon_on_the_same_state_is_kept_out() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server);
    let state = daemon.folder().join("state");
    let output = Command::new(program())
        .args(["run", "--bus", "none", "--config"])
        .arg(daemon.folder().join("bearerd.toml"))
        .arg("--state-dir")
        .arg(&state)
        .arg("--socket")
        .arg(daemon.folder().join("other.sock"))
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another bearerd"), "{said}");
    assert_eq!(daemon.get("/v1/token").status, 200, "the first one goes on");
}

#[test]
fn a_socket_path_that_is_taken_is_left_alone() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server);
    let socket = daemon.socket().display().to_string();
    let (code, said) = refused("", &["--bus", "none", "--socket", &socket]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another program is serving at"), "{said}");
    assert_eq!(daemon.get("/v1/health").status, 200);

    let precious = daemon.folder().join("bearerd.toml").display().to_string();
    let before = fs::read_to_string(&precious).expect("a file");
    let (code, said) = refused("", &["--bus", "none", "--socket", &precious]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&precious).expect("a file"), before);
}

#[test]
fn unknown_accounts_options_paths_and_methods_are_named() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server);
    let error = |answer: &Answer| (answer.status, answer.text("error"));
    assert_eq!(error(&daemon.get("/v1/accounts/nobody/token")), (404, "no_such_account".into()));
    assert_eq!(error(&daemon.get("/v1/accounts/nobody")), (404, "no_such_account".into()));
    let misspelt = daemon.get("/v1/token?min_validty=300");
    assert_eq!(error(&misspelt), (400, "invalid_option".into()));
    assert_eq!(misspelt.text("parameter"), "min_validty");
    for query in ["scope=a%22b", "resource=api", "resource=https://api.example/%23part", "audience=%07"] {
        assert_eq!(error(&daemon.get(&format!("/v1/token?{query}"))), (400, "invalid_option".into()), "{query}");
    }
    assert_eq!(error(&daemon.get("/v1/accounts?verbose=1")), (400, "invalid_option".into()));
    assert_eq!(daemon.get("/v1/tokens").status, 404);
    let wrong = daemon.post("/v1/token");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    let head = daemon.request("HEAD", "/v1/token", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(daemon.request("GET", "/v1/token", "Accept: image/webp\r\n").status, 406);
    for header in ["Origin: https://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(daemon.request("GET", "/v1/token", header).status, 403, "{header}");
    }
    assert_eq!(daemon.get("/v1/token").status, 200);
}

#[test]
fn a_captive_portal_neither_signs_in_nor_out() {
    let server = AuthorizationServer::start();
    server.reply_next(Endpoint::DeviceAuthorization, Reply::html(200, "<html>Welcome to the hotel</html>"));
    let daemon = Daemon::start(&format!("[accounts.box]\nprovider = \"kinde\"\nissuer = \"{}\"\n", server.issuer()));
    let portal = daemon.post("/v1/accounts/box/login");
    assert_eq!((portal.status, portal.text("error")), (502, "provider_error".into()));
    assert!(portal.text("error_description").contains("web page"), "{}", portal.body);

    // The page in place of a refresh: the token that is there is served, and the grant lives on.
    let daemon = signed_in(&server);
    let before = daemon.get("/v1/token").text("access_token");
    server.reply_next(Endpoint::Refresh, Reply::html(200, "<html>Pay for more minutes</html>"));
    server.reply_next(Endpoint::Refresh, Reply::redirect("http://127.0.0.1:1/login"));
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 503);
    assert_eq!(daemon.get("/v1/token").text("access_token"), before);
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "degraded");
    server.wait_for_answer(Endpoint::Refresh, 3);
}

#[test]
fn a_reload_that_is_wrong_changes_nothing() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server);
    let path = daemon.folder().join("bearerd.toml");
    let token = daemon.get("/v1/token").text("access_token");
    fs::write(&path, "nonsense").expect("a file");
    let wrong = daemon.post("/v1/reload");
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(wrong.text("error_description").contains(":1:"), "{}", wrong.body);
    assert_eq!(daemon.get("/v1/token").text("access_token"), token);

    fs::write(&path, config(&server) + "[accounts.other]\nissuer = \"https://login.example.com\"\n").expect("a file");
    assert_eq!(daemon.post("/v1/reload").status, 200);
    assert_eq!(daemon.get("/v1/accounts/box/token").text("access_token"), token, "the account that did not change");
    assert_eq!(daemon.get("/v1/accounts/other/token").status, 409, "the new one");
    fs::write(&path, "[accounts.other]\nissuer = \"https://login.example.com\"\n").expect("a file");
    assert_eq!(daemon.post("/v1/reload").status, 200);
    assert_eq!(daemon.get("/v1/accounts/box/token").status, 404, "the one that went");
}

const NOWHERE: [&str; 4] = ["--bus", "none", "--socket", "api.sock"];
