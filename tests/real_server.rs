//! A sign-in from code to token on a real authorization server, over HTTPS with a private CA: nothing but an issuer, a
//! client and a certificate is configured, everything else is found by discovery.

mod support;

use serde_json::json;
use support::{daemon::Daemon, oidc_provider::OidcProvider, seen::seen};

fn saw(feature: &str) {
    seen("oidc-provider", feature, "yes");
}

fn config(server: &OidcProvider, client: &str, more: &str) -> String {
    format!(
        "[accounts.box]\nissuer = \"{}\"\nclient_id = \"{client}\"\nca_file = \"{}\"\n\
         scopes = [\"openid\", \"offline_access\", \"api:read\"]\n{more}\n",
        server.issuer,
        server.ca().display()
    )
}

fn sign_in(server: &OidcProvider, daemon: &Daemon) -> String {
    let prompt = daemon.post("/v1/accounts/box/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    server.decide(&prompt.text("verification_uri_complete"), true);
    let token = daemon.get("/v1/accounts/box/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    token.text("access_token")
}

#[test]
fn a_person_signs_in_once_and_the_token_stays_fresh() {
    let server = OidcProvider::start(&["--interval", "1", "--access-ttl", "5"]);
    let mut daemon = Daemon::start(&config(&server, "appliance", ""));
    let first = sign_in(&server, &daemon);
    ["discovery", "sign-in", "public client"].into_iter().for_each(saw);
    assert_eq!(server.resource(&first), 200);
    saw("the token opens a resource");

    let refreshed = |event: &serde_json::Value| event["event"] == "token" && event["grant_type"] == "refresh_token";
    for _ in 0..3 {
        let event = server.wait_for(refreshed);
        assert!(event["refresh_token_sha256"].is_string(), "each refresh rotates: {event}");
    }
    saw("three refreshes with rotation");
    let later = daemon.get("/v1/token").text("access_token");
    assert_ne!(later, first, "nobody asked, and yet it is another token");
    assert_eq!(server.resource(&later), 200);

    assert!(daemon.stop().success());
    assert!(!daemon.log().contains(&first) && !daemon.log().contains(&later), "a token stands in the log");
}

#[test]
fn a_restart_needs_no_new_sign_in() {
    let server = OidcProvider::start(&["--interval", "1"]);
    let mut daemon = Daemon::start(&config(&server, "appliance", ""));
    let token = sign_in(&server, &daemon);
    daemon.kill();
    daemon.start_again();
    assert_eq!(daemon.get("/v1/token").text("access_token"), token);
    let refreshed = daemon.post("/v1/accounts/box/refresh");
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let fresh = daemon.get("/v1/token").text("access_token");
    assert_ne!(fresh, token);
    assert_eq!(server.resource(&fresh), 200);
    saw("restart without a new sign-in");
}

#[test]
fn logout_ends_the_grant_at_the_server_too() {
    let server = OidcProvider::start(&["--interval", "1"]);
    let daemon = Daemon::start(&config(&server, "appliance", ""));
    let token = sign_in(&server, &daemon);
    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    let first = server.wait_for_event("revocation");
    assert_eq!(first["token_type_hint"], "refresh_token", "{first}");
    assert_eq!(server.resource(&token), 401);
    saw("revocation");
    let account = daemon.get("/v1/accounts/box");
    assert_eq!((account.text("state"), account.text("reason")), ("signed_out".into(), "logged_out".into()));
    assert_eq!(daemon.get("/v1/token").status, 409);
}

#[test]
fn a_person_can_say_no() {
    let server = OidcProvider::start(&["--interval", "1"]);
    let mut daemon = Daemon::start(&config(&server, "appliance", ""));
    let prompt = daemon.post("/v1/accounts/box/login");
    server.decide(&prompt.text("verification_uri_complete"), false);
    daemon.wait_for_status("the sign-in was denied");
    let account = daemon.get("/v1/accounts/box");
    assert_eq!((account.text("state"), account.text("reason")), ("signed_out".into(), "denied".into()));
    saw("denial");
}

#[test]
fn a_server_of_another_ca_gets_nothing() {
    let server = OidcProvider::start(&["--interval", "1"]);
    let config = format!("[accounts.box]\nissuer = \"{}\"\nclient_id = \"appliance\"\n", server.issuer);
    let daemon = Daemon::start(&config);
    let refused = daemon.post("/v1/accounts/box/login");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.text("error"), "provider_unreachable");
    assert!(refused.body.contains("certificate"), "{}", refused.body);
}

#[test]
fn one_sign_in_brings_a_token_for_each_resource_and_each_narrower_scope() {
    let server = OidcProvider::start(&["--interval", "1", "--access-ttl", "600"]);
    let (one, two) = ("https://one.example/", "https://two.example/");
    let config = format!(
        "[accounts.box]\nissuer = \"{}\"\nclient_id = \"appliance\"\nca_file = \"{}\"\nresource = [\"{one}\", \"{two}\"]\n\
         scopes = [\"openid\", \"offline_access\", \"api:read\", \"api:write\"]\n",
        server.issuer,
        server.ca().display()
    );
    let daemon = Daemon::start(&config);
    let own = sign_in(&server, &daemon);
    let signed_in = server.wait_for_event("token");
    assert_eq!((&signed_in["audience"], &signed_in["scope"]), (&json!(one), &json!("api:read api:write")));

    let grant = &signed_in["grant_id"];
    let mut tokens = vec![own.clone()];
    for (query, audience, scope) in [
        ("resource=https://two.example/", two, "api:read api:write"),
        ("scope=api:read", one, "api:read"),
        ("scope=api:read&resource=https://two.example/", two, "api:read"),
    ] {
        let answer = daemon.get(&format!("/v1/token?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let token = answer.text("access_token");
        let issued = server.wait_for_event("token");
        assert_eq!((&issued["audience"], &issued["scope"]), (&json!(audience), &json!(scope)), "{query}");
        assert_eq!((&issued["grant_id"], answer.text("scope").as_str()), (grant, scope), "{query}");
        assert!(issued["refresh_token_sha256"].is_string(), "each refresh rotates: {issued}");
        assert_eq!(daemon.get(&format!("/v1/token?{query}")).text("access_token"), token, "the same while it lives");
        tokens.push(token);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    for token in &tokens {
        assert_eq!(server.resource(token), 200, "one does not end the other");
    }

    for (query, status, error) in
        [("scope=admin", 403, "insufficient_scope"), ("resource=https://three.example/", 400, "invalid_option")]
    {
        let refused = daemon.get(&format!("/v1/token?{query}"));
        assert_eq!((refused.status, refused.text("error").as_str()), (status, error), "{}", refused.body);
    }
    // Had the server been asked, it would have replaced the refresh token before it refused, and kept the new one.
    let account = daemon.get("/v1/accounts/box");
    assert_eq!((account.text("state").as_str(), account.json().get("last_error")), ("active", None));
    assert_eq!(daemon.get("/v1/token").text("access_token"), own, "the account's own is as it was");

    for _ in 0..3 {
        assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
        let event = server.wait_for_event("token");
        assert_eq!((&event["grant_id"], &event["audience"]), (grant, &json!(one)), "{event}");
    }
    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    server.wait_for_event("revocation");
    for token in &tokens {
        assert_eq!(server.resource(token), 401, "all of them end with the grant");
    }
    ["resource indicators", "narrower scope"].into_iter().for_each(saw);
}

/// A request with a token that is bound to a key, to an endpoint where the server checks the proof itself.
fn userinfo(server: &OidcProvider, headers: &[&str]) -> (u16, Option<String>) {
    let mut command = std::process::Command::new("curl");
    command.args(["--silent", "--dump-header", "-", "--output", "/dev/null", "--cacert"]).arg(server.ca());
    for header in headers {
        command.args(["--header", header]);
    }
    let answer = command.arg(format!("{}/me", server.issuer)).output().expect("curl runs");
    let head = String::from_utf8_lossy(&answer.stdout).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let nonce = head.lines().find_map(|line| line.strip_prefix("dpop-nonce: ")).map(|nonce| nonce.trim().to_owned());
    (status, nonce)
}

#[test]
fn a_token_that_is_bound_to_a_key_is_worth_nothing_without_the_daemon() {
    let server = OidcProvider::start(&["--interval", "1", "--dpop-nonces"]);
    let mut daemon = Daemon::start(&config(&server, "appliance-dpop", "dpop = true"));
    sign_in(&server, &daemon);
    let refused = server.wait_for_event("token_refused");
    assert_eq!(refused["error"], "use_dpop_nonce", "{refused}");
    let refreshed = |event: &serde_json::Value| event["event"] == "token" && event["grant_type"] == "refresh_token";
    for _ in 0..3 {
        assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
        let event = server.wait_for(refreshed);
        assert_eq!(event["token_type"], "DPoP", "{event}");
        assert!(event["refresh_token_sha256"].is_string(), "each refresh rotates: {event}");
    }
    assert!(daemon.stop().success());
    daemon.start_again();
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200, "the key outlives a restart");
    server.wait_for(refreshed);

    // What a thief has: the token, and nothing to prove it with.
    let answer = daemon.get("/v1/token");
    assert_eq!(answer.text("token_type"), "DPoP");
    let token = answer.text("access_token");
    assert_eq!(userinfo(&server, &[&format!("Authorization: Bearer {token}")]).0, 401);
    let header = format!("Authorization: DPoP {token}");
    assert_eq!(userinfo(&server, &[&header]).0, 400);

    // What a program on this machine does: it asks the daemon for a proof, and again with the API's nonce.
    let hash = token_hash(&token);
    let htu = form_urlencoded::byte_serialize(format!("{}/me", server.issuer).as_bytes()).collect::<String>();
    let proof = |more: &str| {
        let reply = daemon.post(&format!("/v1/accounts/box/dpop?htm=GET&htu={htu}&ath={hash}{more}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.text("ath"), hash);
        format!("DPoP: {}", reply.text("proof"))
    };
    let (status, nonce) = userinfo(&server, &[&header, &proof("")]);
    let nonce = nonce.expect("the API has nonces too");
    assert_eq!(status, 401, "a proof without a nonce");
    let good = proof(&format!("&nonce={nonce}"));
    assert_eq!(userinfo(&server, &[&header, &good]).0, 200);
    assert_eq!(userinfo(&server, &[&header, &good]).0, 401, "a proof serves once");
    saw("DPoP with forced nonces");
    assert!(!daemon.log().contains(&token), "a token stands in the log");
}

fn token_hash(token: &str) -> String {
    bearerd::oauth::dpop::token_hash(&bearerd::secret::Secret::new(token))
}
