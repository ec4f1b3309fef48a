//! Clients that prove who they are, in each of the ways there are, on a real authorization server: a sign-in, refreshes and
//! a revocation each, and what becomes of those whose key is another.

mod support;

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use support::{daemon::Daemon, oidc_provider::OidcProvider, seen::seen};

fn saw(method: &str) {
    seen("oidc-provider", method, "yes");
}

fn config(server: &OidcProvider, client: &str, more: &str) -> String {
    format!(
        "[accounts.box]\nissuer = \"{}\"\nclient_id = \"{client}\"\nca_file = \"{}\"\n\
         scopes = [\"openid\", \"offline_access\", \"api:read\"]\n{more}\n",
        server.issuer,
        server.ca().display()
    )
}

/// A line that names one of the files that the test's own authority has made.
fn file(server: &OidcProvider, key: &str, name: &str) -> String {
    format!("{key} = \"{}\"\n", server.file(name).display())
}

/// Signs in, refreshes three times, signs out. Returns what the server has seen of it.
fn whole_life(server: &OidcProvider, config: &str) -> Vec<Value> {
    let mut daemon = Daemon::start(config);
    let prompt = daemon.post("/v1/accounts/box/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    let mut seen = vec![server.wait_for_event("device_authorization")];
    server.decide(&prompt.text("verification_uri_complete"), true);
    let token = daemon.get("/v1/accounts/box/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(server.resource(&token.text("access_token")), 200);
    seen.push(server.wait_for_event("token"));
    for _ in 0..3 {
        let refreshed = daemon.post("/v1/accounts/box/refresh");
        assert_eq!(refreshed.status, 200, "{}", refreshed.body);
        let event = server.wait_for_event("token");
        assert_eq!(event["grant_type"], "refresh_token", "{event}");
        assert!(event["refresh_token_sha256"].is_string(), "each refresh rotates: {event}");
        seen.push(event);
    }
    let token = daemon.get("/v1/token").text("access_token");
    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    let event = server.wait_for_event("revocation");
    assert_eq!(event["revoked"], "RefreshToken", "{event}");
    seen.push(event);
    assert_eq!(server.resource(&token), 401);
    assert!(daemon.stop().success());
    let log = daemon.log();
    // Any JWT begins so, whatever its header.
    for secret in ["eyJ", "PRIVATE KEY", "s3cret"] {
        assert!(!log.contains(secret), "an assertion, a key or a secret stands in the log: {secret}");
    }
    seen
}

#[test]
fn a_private_key_signs_each_request_anew() {
    let server = OidcProvider::start_for_keys(&["--interval", "1"]);
    let mut used = BTreeSet::new();
    for (client, key, more, alg) in [
        ("appliance-es256", "es256.key", "private_key_id = \"key-es256\"", "ES256"),
        ("appliance-eddsa", "eddsa.key", "", "EdDSA"),
        ("appliance-rsa", "rsa.key", "client_auth = \"private_key_jwt\"", "RS256"),
        ("appliance-rsa", "rsa.key", "assertion_algorithm = \"PS256\"\nassertion_audience = \"endpoint\"", "PS256"),
    ] {
        let seen = whole_life(&server, &config(&server, client, &(file(&server, "private_key_file", key) + more)));
        assert_eq!(seen.len(), 6);
        for event in &seen {
            assert_eq!((event["client_auth"].as_str(), event["alg"].as_str()), (Some("private_key_jwt"), Some(alg)));
            assert_eq!(event["kid"].as_str(), (alg == "ES256").then_some("key-es256"), "{event}");
            let id = event["jti"].as_str().expect("an identifier").to_owned();
            assert!(used.insert(id), "an assertion was sent twice: {event}");
            let audience = event["aud"].as_str().expect("an audience");
            assert_eq!(audience == server.issuer, alg != "PS256", "{event}");
        }
    }
    saw("private_key_jwt");
}

#[test]
fn a_secret_is_used_in_the_configured_way_alone() {
    let server = OidcProvider::start_for_keys(&["--interval", "1"]);
    for (client, secret, method) in [
        ("appliance-basic", "s3cret:+ /", "client_secret_basic"),
        ("appliance-post", "s3cret:+ /", "client_secret_post"),
        ("appliance-shared", "s3cret:+ / of 32 bytes, or even more", "client_secret_jwt"),
    ] {
        fs::write(server.file("secret"), format!("{secret}\n")).expect("a secret");
        let more = file(&server, "client_secret_file", "secret") + &format!("client_auth = \"{method}\"");
        for event in whole_life(&server, &config(&server, client, &more)) {
            assert_eq!(event["client_auth"], method, "{event}");
            assert_eq!(event["alg"].as_str(), (method == "client_secret_jwt").then_some("HS256"), "{event}");
        }
        saw(method);
    }
}

#[test]
fn a_certificate_is_shown_where_the_server_asks_for_it() {
    let server = OidcProvider::start_for_keys(&["--interval", "1"]);
    for (client, name, method) in [
        ("appliance-tls", "client", "tls_client_auth"),
        ("appliance-self-signed", "self-signed", "self_signed_tls_client_auth"),
    ] {
        let more = format!("client_auth = \"{method}\"\n")
            + &file(&server, "certificate_file", &format!("{name}.pem"))
            + &file(&server, "private_key_file", &format!("{name}.key"));
        for event in whole_life(&server, &config(&server, client, &more)) {
            assert_eq!(event["client_auth"], method, "{event}");
        }
        saw(method);
    }
}

#[test]
fn another_key_is_refused_and_shown_with_what_to_do() {
    let server = OidcProvider::start_for_keys(&["--interval", "1"]);
    let identity = |name: &str| {
        file(&server, "certificate_file", &format!("{name}.pem"))
            + &file(&server, "private_key_file", &format!("{name}.key"))
    };
    for (client, more) in [
        ("appliance-es256", file(&server, "private_key_file", "client.key")),
        ("appliance-rsa", file(&server, "private_key_file", "es256.key")),
        ("appliance-tls", identity("self-signed")),
        ("appliance-self-signed", identity("client")),
        ("appliance-es256", file(&server, "private_key_file", "es256.key") + "private_key_id = \"another\"\n"),
        (
            "appliance-es256",
            file(&server, "private_key_file", "es256.key") + "assertion_audience = \"https://b.example/\"\n",
        ),
    ] {
        let daemon = Daemon::start(&config(&server, client, &more));
        let refused = daemon.post("/v1/accounts/box/login");
        assert_eq!((refused.status, refused.text("error").as_str()), (500, "configuration"), "{}", refused.body);
        let event = server.wait_for_event("device_authorization_error");
        assert_eq!(event["error"], "invalid_client", "{event}");
        let account = daemon.get("/v1/accounts/box");
        assert_eq!(account.text("state"), "misconfigured", "{}", account.body);
        for part in ["invalid_client", "the secret, key or certificate"] {
            assert!(account.body.contains(part), "{part} is not in {}", account.body);
        }
        assert!(!daemon.log().contains("eyJ"), "an assertion stands in the log");
    }
}

#[test]
fn a_key_that_changed_at_the_server_keeps_the_sign_in() {
    let server = OidcProvider::start_for_keys(&["--interval", "1"]);
    let right = fs::read(server.file("es256.key")).expect("a key");
    let wrong = fs::read(server.file("client.key")).expect("another key");
    fs::write(server.file("own.key"), &right).expect("a key");
    let own = file(&server, "private_key_file", "own.key");
    let daemon = Daemon::start(&config(&server, "appliance-es256", &own));
    let prompt = daemon.post("/v1/accounts/box/login");
    server.decide(&prompt.text("verification_uri_complete"), true);
    assert_eq!(daemon.get("/v1/accounts/box/token?wait=120").status, 200);

    fs::write(server.file("own.key"), &wrong).expect("another key");
    assert_eq!(daemon.post("/v1/reload").status, 200);
    assert_ne!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_eq!(server.wait_for_event("token_refused")["error"], "invalid_client");
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "misconfigured");
    assert_eq!(daemon.get("/v1/token").status, 200, "the token is good while it lives");

    fs::write(server.file("own.key"), &right).expect("the first key");
    assert_eq!(daemon.post("/v1/reload").status, 200, "a file that changed is a configuration that changed");
    let refreshed = daemon.post("/v1/accounts/box/refresh");
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "active");
}
