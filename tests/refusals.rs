//! What a server refuses, and what is wrong about what it gives, becomes a sentence with what to do: the same one for
//! `bearerd status`, `bearerd doctor` and the log, in the words of the provider's profile.

mod support;

use serde_json::json;
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply, Settings},
    daemon::Daemon,
};

/// An account at a server that is as this provider is, and at these addresses.
fn account(server: &AuthorizationServer, provider: &str) -> String {
    let issuer = server.issuer();
    format!(
        "[daemon]\nbus = \"none\"\n[accounts.box]\nprovider = \"{provider}\"\nissuer = \"{issuer}\"\nclient_id = \"appliance\"\n\
         device_authorization_endpoint = \"{issuer}/oauth2/device/auth\"\ntoken_endpoint = \"{issuer}/oauth2/token\"\n\
         revocation_endpoint = \"{issuer}/oauth2/revoke\"\n"
    )
}

/// These are together in one line at each of the three places.
fn assert_told(daemon: &Daemon, parts: &[&str]) {
    let text = |arguments: &[&str]| String::from_utf8(daemon.run(arguments).stdout).expect("UTF-8");
    let config = daemon.folder().join("bearerd.toml");
    let doctor = text(&["doctor", "box", "--config", config.to_str().expect("UTF-8")]);
    // Each finding as one line, the remedy behind the text.
    let doctor = doctor.replace("\n                   → ", "; ");
    for (place, told) in [("status", text(&["status", "box"])), ("doctor", doctor), ("log", daemon.log())] {
        let found = told.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?} are not in one line of {place}:\n{told}");
    }
}

#[test]
fn a_page_that_is_not_the_servers_is_shown_with_a_warning_and_not_refused() {
    let server = AuthorizationServer::with(Settings { interval: 1, ..Settings::default() }).expect("a server");
    let elsewhere = |reply: Reply| reply.member("verification_uri", json!("https://login.evil.example/device"));
    server.reply_next(Endpoint::DeviceAuthorization, elsewhere(Reply::usual()));
    let mut daemon = Daemon::start(&account(&server, "generic"));
    let prompt = daemon.post("/v1/accounts/box/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    let parts = ["login.evil.example, which is not the server's own host", "code_pages"];
    daemon.wait_for_status(parts[0]);
    assert!(prompt.text("warning").contains(parts[0]), "{}", prompt.body);
    assert_told(&daemon, &parts);
    assert!(daemon.log().lines().any(|line| line.contains("WARN") && line.contains(parts[0])), "{}", daemon.log());
    let shown = daemon.run(&["login", "box", "--no-wait"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains(parts[0]), "a person at the terminal is told");
    for kind in ["text/plain", "text/html"] {
        let path = if kind == "text/html" { "/" } else { "/v1/accounts/box/login" };
        let page = daemon.request("GET", path, &format!("Accept: {kind}\r\n"));
        assert!(page.body.contains("login.evil.example, which is not the server"), "{kind}: {}", page.body);
    }
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200, "it is a hint, and the sign-in goes on");
    assert!(!daemon.get("/v1/accounts/box").body.contains("evil"), "and it ends with the code");

    server.reply_next(Endpoint::DeviceAuthorization, elsewhere(Reply::usual()));
    let known = Daemon::start(&(account(&server, "generic") + "code_pages = [\"evil.example\"]\n"));
    let prompt = known.post("/v1/accounts/box/login");
    assert_eq!((prompt.status, prompt.json().get("warning")), (202, None), "{}", prompt.body);
    assert!(!known.log().contains("own host"), "{}", known.log());
    server.take_violations();
}
