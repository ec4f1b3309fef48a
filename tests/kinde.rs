//! Kinde's quick start, with nothing configured but where the tenant is: its exact requests and answers, and a token
//! that opens a protected resource.

mod support;

use std::process::Command;

use serde_json::json;
use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    daemon::Daemon,
};

fn config(server: &AuthorizationServer, more: &str) -> String {
    format!("[accounts.kinde]\nprovider = \"kinde\"\nissuer = \"{}\"\n{more}", server.issuer())
}

fn sign_in(server: &AuthorizationServer, daemon: &Daemon) -> String {
    assert_eq!(daemon.post("/v1/accounts/kinde/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    token.text("access_token")
}

/// The form of a request, as pairs.
fn form(server: &AuthorizationServer, endpoint: Endpoint, n: usize) -> Vec<(String, String)> {
    server.wait_for(endpoint, n).form
}

#[test]
fn the_quick_start_works_without_a_client_id() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&config(&server, ""));

    let prompt = daemon.post("/v1/accounts/kinde/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    assert_eq!(form(&server, Endpoint::DeviceAuthorization, 1), [], "nothing is configured, so nothing is sent");
    assert_eq!(prompt.text("user_code"), server.user_codes()[0], "shown as the server wrote it");
    assert!(prompt.text("qr_code").starts_with("data:image/png;base64,"), "the server's own picture");
    daemon.wait_for_status(&format!("/device and enter {}", server.user_codes()[0]));

    let poll = form(&server, Endpoint::Poll, 1);
    assert_eq!(poll[0], ("grant_type".into(), "urn:ietf:params:oauth:grant-type:device_code".into()));
    assert_eq!((poll.len(), poll[1].0.as_str()), (2, "device_code"), "and neither client_id nor scope");

    server.approve();
    let token = daemon.get("/v1/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    let body = token.json();
    assert_eq!((&body["token_type"], &body["account"]), (&json!("Bearer"), &json!("kinde")));
    assert!((86_000..=86_400).contains(&body["expires_in"].as_u64().expect("a number")), "{body}");
    assert!(body.get("refresh_token").is_none());

    let resource = Command::new("curl")
        .args(["--silent", "--header", &format!("Authorization: Bearer {}", token.text("access_token"))])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}", &format!("{}/resource", server.issuer())])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&resource.stdout), "200", "the token opens the resource");
}

#[test]
fn status_says_what_brings_a_refresh_token() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&config(&server, ""));
    sign_in(&server, &daemon);
    daemon.wait_for_status("there is no refresh token, so a new sign-in is due then: add the scope \"offline\"");
    assert_eq!(daemon.get("/v1/accounts/kinde").text("missing_scope"), "offline");

    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&config(&server, "scopes = [\"openid\", \"offline\"]\n"));
    sign_in(&server, &daemon);
    let status = daemon.wait_for_status("signed in");
    assert!(!status.contains("no refresh token"), "{status}");
    assert_eq!(daemon.get("/v1/accounts/kinde").json()["refresh_token"], true);
}

#[test]
fn the_two_endpoints_do_instead_of_the_profile() {
    let server = AuthorizationServer::start();
    let issuer = server.issuer();
    let daemon = Daemon::start(&format!(
        "[accounts.kinde]\ntoken_endpoint = \"{issuer}/oauth2/token\"\n\
         device_authorization_endpoint = \"{issuer}/oauth2/device/auth\"\n"
    ));
    let token = sign_in(&server, &daemon);
    assert!(server.accepts(&token));
    assert_eq!(server.count(Endpoint::Discovery), 0, "no discovery is needed");
}

#[test]
fn curl_in_a_shell_gets_the_bare_token() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server, ""));
    let token = sign_in(&server, &daemon);
    let script = "TOKEN=$(curl -s --unix-socket \"$BEARERD_SOCKET\" -H 'Accept: text/plain' http://localhost/v1/token); \
                  printf %s \"$TOKEN\"";
    let output =
        Command::new("sh").args(["-c", script]).env("BEARERD_SOCKET", daemon.socket()).output().expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), token);
}

#[test]
fn no_secret_is_in_the_log_at_any_level() {
    let server = AuthorizationServer::start();
    server.change(|settings| settings.token_lifetime = Some(4));
    let mut daemon = Daemon::start(&config(&server, "scopes = [\"openid\", \"offline\"]\n[daemon]\nlog = \"trace\"\n"));
    sign_in(&server, &daemon);
    server.wait_for_answer(Endpoint::Refresh, 2);
    assert_eq!(daemon.post("/v1/accounts/kinde/logout").status, 204);
    server.wait_for_answer(Endpoint::Revocation, 1);
    assert!(daemon.stop().success());
    let log = daemon.log();
    assert!(log.contains("signed in"), "{log}");
    for secret in server.issued_secrets() {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
    for code in server.user_codes() {
        assert!(!log.contains(&code), "the code is in the log, although display.log is off:\n{log}");
    }
}
