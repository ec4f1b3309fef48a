//! What a server refuses, and what is wrong about what it gives, becomes a sentence with what to do: the same one for
//! `bearerd status`, `bearerd doctor` and the log, in the words of the provider's profile.

mod support;

use serde_json::{Value, json};
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

fn login(daemon: &Daemon) -> u16 {
    daemon.post("/v1/accounts/box/login").status
}

#[test]
fn a_client_that_may_not_use_the_device_grant_is_said_how_it_may() {
    for (provider, status, body, parts) in [
        (
            "generic",
            400,
            json!({"error": "unauthorized_client"}),
            ["unauthorized_client", "allow this client the device grant"],
        ),
        (
            "generic",
            400,
            json!({"error": "unsupported_grant_type"}),
            ["unsupported_grant_type", "switch the device grant on"],
        ),
        (
            "github",
            200,
            json!({"error": "device_flow_disabled"}),
            ["unauthorized_client", "tick \"Enable Device Flow\""],
        ),
        (
            "keycloak",
            400,
            json!({"error": "unauthorized_client", "error_description": "Client is not allowed to initiate it."}),
            ["Client is not allowed", "switch on \"OAuth 2.0 Device Authorization Grant\""],
        ),
        (
            "auth0",
            403,
            json!({"error": "unauthorized_client"}),
            ["unauthorized_client", "with the grant \"Device Code\""],
        ),
        (
            "kinde",
            400,
            json!({"error": "unauthorized_client"}),
            ["unauthorized_client", "of the type \"Device and IoT\""],
        ),
        (
            "entra",
            400,
            json!({"error": "invalid_client", "error_description": "AADSTS7000218: The request body must contain …"}),
            ["AADSTS7000218", "\"Allow public client flows\""],
        ),
        ("wso2", 401, json!({"error": "invalid_client"}), ["invalid_client", "\"Public client\" ticked"]),
        (
            "okta",
            400,
            json!({"error": "invalid_scope"}),
            ["invalid_scope", "offline_access needs the grant \"Refresh Token\""],
        ),
    ] {
        let server = AuthorizationServer::start();
        server.reply_next(Endpoint::DeviceAuthorization, Reply::json(status, body));
        let daemon = Daemon::start(&account(&server, provider));
        assert_eq!(login(&daemon), 500, "{provider}");
        assert_eq!(daemon.get("/v1/accounts/box").text("state"), "misconfigured", "{provider}");
        assert_told(&daemon, &parts);
    }
}

#[test]
fn a_tenant_that_forbids_it_is_said_whom_to_ask() {
    for (provider, status, body, state, parts) in [
        (
            "google",
            400,
            json!({"error": "admin_policy_enforced"}),
            "misconfigured",
            ["the server refused", "the organisation's administrator has to allow"],
        ),
        (
            "google",
            403,
            json!({"error": "org_internal"}),
            "misconfigured",
            ["the server refused", "members of the application's organisation"],
        ),
        (
            "entra",
            400,
            json!({"error": "invalid_grant", "error_description": "AADSTS53003: Access has been blocked by Conditional Access policies."}),
            "signed_out",
            ["the sign-in was denied", "exclude this application or account"],
        ),
        (
            "okta",
            400,
            json!({"error": "access_denied", "error_description": "Policy evaluation failed"}),
            "signed_out",
            ["the sign-in was denied", "a policy of the authorization server in Okta"],
        ),
    ] {
        let server = AuthorizationServer::with(Settings { interval: 1, ..Settings::default() }).expect("a server");
        let mut daemon = Daemon::start(&account(&server, provider));
        server.reply_next(Endpoint::Poll, Reply::json(status, body));
        assert_eq!(login(&daemon), 202, "{provider}");
        daemon.wait_for_status(parts[1]);
        assert_eq!(daemon.get("/v1/accounts/box").text("state"), state, "{provider}");
        assert_told(&daemon, &parts);
        server.take_violations();
    }
}

#[test]
fn a_grant_without_a_refresh_token_names_the_scope_that_brings_one() {
    for (provider, scopes, part) in [
        ("kinde", "[\"openid\"]", "\"offline\""),
        ("generic", "[\"openid\"]", "\"offline_access\""),
        ("entra", "[\"openid\"]", "\"offline_access\""),
        ("salesforce", "[\"api\"]", "\"refresh_token\""),
        ("github", "[\"repo\"]", "there is no refresh token"),
    ] {
        let server = AuthorizationServer::with(Settings { auto_approve: true, interval: 1, ..Settings::default() });
        let server = server.expect("a server");
        server.reply_next(Endpoint::Poll, Reply::usual().without("refresh_token"));
        let daemon = Daemon::start(&(account(&server, provider) + &format!("scopes = {scopes}\n")));
        assert_eq!(login(&daemon), 202, "{provider}");
        assert_eq!(daemon.get("/v1/token?wait=60").status, 200, "{provider}");
        assert_told(&daemon, &["no refresh token", "new sign-in", part]);
        server.take_violations();
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

#[test]
fn a_limit_is_said_with_how_long_to_wait() {
    let limited = |status, body: Value| Reply::json(status, body);
    for (provider, reply, parts) in [
        ("authentik", limited(429, json!({"error": "slow_down"})), ["slow_down", "20 sign-ins an hour"]),
        (
            "google",
            limited(403, json!({"error_code": "rate_limit_exceeded"})),
            ["the server refused", "raise the quota"],
        ),
        ("generic", limited(429, json!({})), ["HTTP 429", "wait some minutes"]),
        ("kinde", limited(429, json!({})).header("ratelimit-reset", "120"), ["HTTP 429", "asks for a pause of 2 min"]),
        (
            "rauthy",
            limited(429, json!({"error": {"TooManyRequests": 1}})).header("retry-after", "3600"),
            ["HTTP 429", "asks for a pause of 1 h"],
        ),
    ] {
        let server = AuthorizationServer::start();
        server.reply_next(Endpoint::DeviceAuthorization, reply.clone());
        let daemon = Daemon::start(&account(&server, provider));
        assert_ne!(login(&daemon), 202, "{provider}");
        assert_told(&daemon, &parts);
        server.reply_next(Endpoint::DeviceAuthorization, reply);
        assert_ne!(login(&daemon), 202, "{provider}");
        let told = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert_eq!(daemon.log().lines().filter(told).count(), 1, "the same once more is no news: {}", daemon.log());
        server.take_violations();
    }
}
