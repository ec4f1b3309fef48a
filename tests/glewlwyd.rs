//! The same promises on a second real authorization server, so that none of them holds for the first one's sake: Debian's
//! `glewlwyd`, over HTTPS with a private CA. What is peculiar to it stands in its profile alone.

mod support;

use std::{fs, thread};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use support::{daemon::Daemon, glewlwyd::Glewlwyd, seen::seen};

fn saw(feature: &str, result: &str) {
    seen("glewlwyd", feature, result);
}

fn config(server: &Glewlwyd, client: &str, more: &str) -> String {
    format!(
        "[accounts.box]\nprovider = \"glewlwyd\"\nissuer = \"{}\"\nclient_id = \"{client}\"\nca_file = \"{}\"\n\
         scopes = [\"openid\", \"api\"]\n{more}\n",
        server.issuer,
        server.ca().display()
    )
}

/// A line that names one of the files that the test's own authority has made.
fn file(server: &Glewlwyd, key: &str, name: &str) -> String {
    format!("{key} = \"{}\"\n", server.file(name).display())
}

fn sign_in(server: &Glewlwyd, daemon: &Daemon, client: &str) -> String {
    let prompt = daemon.post("/v1/accounts/box/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    server.approve(client, &prompt.text("verification_uri_complete"));
    let token = daemon.get("/v1/accounts/box/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    token.text("access_token")
}

fn refresh(daemon: &Daemon) -> String {
    let refreshed = daemon.post("/v1/accounts/box/refresh");
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    daemon.get("/v1/token").text("access_token")
}

fn opens(server: &Glewlwyd, token: &str) -> bool {
    server.userinfo(&[&format!("Authorization: Bearer {token}")]).0 == 200
}

#[test]
fn a_person_signs_in_once_and_the_token_stays_fresh() {
    let server = Glewlwyd::start(json!({ "access-token-duration": 5 }));
    server.add_client("box", json!({}));
    let mut daemon = Daemon::start(&config(&server, "box", ""));
    let first = sign_in(&server, &daemon, "box");
    for feature in ["discovery", "sign-in", "public client"] {
        saw(feature, "yes");
    }
    assert!(opens(&server, &first));
    saw("the token opens a resource", "yes");
    for _ in 0..4 {
        server.wait_for("Refresh token generated for client 'box'");
    }
    assert!(daemon.stop().success());
    let (all, good) = server.refresh_tokens("box");
    assert!(all >= 4 && good == 1, "each refresh rotates: {good} of {all} are good");
    saw("three refreshes with rotation", "yes");

    daemon.start_again();
    let later = daemon.get("/v1/accounts/box/token?wait=120").text("access_token");
    assert_ne!(later, first, "nobody asked, and yet it is another token");
    assert!(opens(&server, &later), "and nobody signed in again");
    saw("restart without a new sign-in", "yes");
    assert!(!daemon.log().contains(&first) && !daemon.log().contains(&later), "a token stands in the log");

    // What its profile is about: a refresh token that is not good, and a public client that wants to revoke one.
    let refused = server.post("/token", "grant_type=refresh_token&client_id=box&refresh_token=unknown");
    assert_eq!(refused, (400, String::new()));
    assert_eq!(server.post("/revoke", "client_id=box&token=unknown").0, 401);
}

/// What becomes of a sign-in to which the person has said nothing, when the status says this.
fn outcome(server: &Glewlwyd, meanwhile: impl Fn(&Glewlwyd), status: &str) -> String {
    server.add_client("box", json!({}));
    let mut daemon = Daemon::start(&config(server, "box", ""));
    let prompt = daemon.post("/v1/accounts/box/login");
    server.look_at("box", &prompt.text("verification_uri_complete"));
    meanwhile(server);
    daemon.wait_for_status(status);
    let account = daemon.get("/v1/accounts/box");
    assert_eq!(account.text("state"), "signed_out");
    assert_eq!(server.refresh_tokens("box"), (0, 0));
    account.text("reason")
}

#[test]
fn a_person_who_says_no_closes_the_page_and_the_code_runs_out() {
    let server = Glewlwyd::start(json!({ "device-authorization-expiration": 6 }));
    assert_eq!(outcome(&server, |_| (), "not entered in time"), "code_expired");
    saw("denial", "no word for it, the code runs out");
}

#[test]
fn a_code_that_an_administrator_takes_back_was_denied() {
    let server = Glewlwyd::start(json!({}));
    assert_eq!(outcome(&server, Glewlwyd::disable_codes, "the sign-in was denied"), "denied");
}

/// Signs in, refreshes three times, restarts, signs out, by a client that proves who it is.
fn whole_life(server: &Glewlwyd, client: &str, account: &str) {
    let mut daemon = Daemon::start(&config(server, client, account));
    sign_in(server, &daemon, client);
    for round in 2..=4 {
        assert!(opens(server, &refresh(&daemon)));
        assert_eq!(server.refresh_tokens(client), (round, 1), "each refresh rotates");
    }
    assert!(daemon.stop().success());
    daemon.start_again();
    let token = refresh(&daemon);
    assert_eq!(server.refresh_tokens(client), (5, 1), "the same grant after a restart");
    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    server.wait_for(&format!("Refresh token generated for client '{client}' revoked"));
    server.wait_for(&format!("generated for client '{client}' revoked"));
    assert_eq!(server.refresh_tokens(client), (5, 0), "none is good any more");
    assert!(!opens(server, &token));
    let log = daemon.log();
    for secret in ["eyJ", "PRIVATE KEY", "s3cret"] {
        assert!(!log.contains(secret), "an assertion, a key or a secret stands in the log: {secret}");
    }
    saw("revocation", "yes, by confidential clients");
}

fn life_by_secret((method, secret): (&str, &str)) {
    let server = Glewlwyd::start(json!({}));
    server.add_client("box", confidential(method, "client_secret", secret));
    fs::write(server.file("secret"), format!("{secret}\n")).expect("a secret");
    let account = file(&server, "client_secret_file", "secret") + &format!("client_auth = \"{method}\"");
    whole_life(&server, "box", &account);
    saw(method, "yes");
}

fn life_by_key(key: &str) {
    let server = Glewlwyd::start(json!({}));
    server.add_client("box", confidential("private_key_jwt", "pubkey", &server.public_key(key)));
    whole_life(&server, "box", &file(&server, "private_key_file", key));
}

fn life_by_certificate() {
    let server = Glewlwyd::start(json!({}));
    server.add_client("box", confidential("tls_client_auth", "tls_client_auth_san_dns", "box.example"));
    let account = "client_auth = \"tls_client_auth\"\n".to_owned()
        + &file(&server, "certificate_file", "client.pem")
        + &file(&server, "private_key_file", "client.key");
    whole_life(&server, "box", &account);
    saw("tls_client_auth", "yes");
}

/// What the server knows of a client with a means of its own.
fn confidential(method: &str, means: &str, value: &str) -> Value {
    json!({ "confidential": true, "token_endpoint_auth_method": [method], means: value })
}

/// Each at a server of its own, side by side: a daemon takes its time between refreshes.
#[test]
fn a_client_that_proves_who_it_is_ends_its_tokens_at_the_server_too() {
    thread::scope(|scope| {
        for secret in [
            ("client_secret_basic", "s3cret:+ /"),
            ("client_secret_post", "s3cret:+ /"),
            ("client_secret_jwt", "s3cret:+ / of 32 bytes, or even more"),
        ] {
            scope.spawn(move || life_by_secret(secret));
        }
        let keys = ["es256.key", "eddsa.key", "rsa.key"].map(|key| scope.spawn(move || life_by_key(key)));
        scope.spawn(life_by_certificate);
        assert!(keys.into_iter().all(|life| life.join().is_ok()));
    });
    saw("private_key_jwt", "yes");
}

#[test]
fn a_sign_in_is_for_one_resource_and_for_the_whole_scope() {
    let server = Glewlwyd::start(json!({}));
    server.add_client("box", json!({}));
    let (one, two) = ("https://one.example/", "https://two.example/");
    let daemon = Daemon::start(&config(&server, "box", &format!("resource = [\"{one}\"]")));
    let token = sign_in(&server, &daemon, "box");
    for token in [token, refresh(&daemon), refresh(&daemon)] {
        assert_eq!((&claims(&token)["aud"], &claims(&token)["scope"]), (&json!(one), &json!("openid api")));
    }
    let given = server.refresh_tokens("box");
    for query in [format!("resource={two}"), "scope=api".to_owned()] {
        let refused = daemon.get(&format!("/v1/token?{query}"));
        assert_eq!((refused.status, refused.text("error").as_str()), (400, "invalid_option"), "{}", refused.body);
    }
    assert_eq!(server.refresh_tokens("box"), given, "the server is not asked");
    saw("resource indicators", "yes, one a sign-in");

    // What it would say.
    let insisting = Daemon::start(&config(&server, "box", "narrow = \"refresh\""));
    sign_in(&server, &insisting, "box");
    let refused = insisting.get("/v1/token?scope=api");
    assert_eq!(refused.status, 403, "{}", refused.body);
    saw("narrower scope", "no, a refresh brings the whole scope");
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("claims")
}

#[test]
fn a_token_that_is_bound_to_a_key_is_worth_nothing_without_the_daemon() {
    let server = Glewlwyd::start(json!({
        "oauth-dpop-allowed": true, "oauth-dpop-iat-duration": 60,
        "oauth-dpop-nonce-mandatory": true, "oauth-dpop-nonce-counter": 2,
    }));
    server.add_client("box", json!({}));
    let mut daemon = Daemon::start(&config(&server, "box", "dpop = true"));
    sign_in(&server, &daemon, "box");
    for round in 2..=4 {
        refresh(&daemon);
        assert_eq!(server.refresh_tokens("box"), (round, 1), "each refresh rotates");
    }
    assert!(daemon.stop().success());
    daemon.start_again();
    let token = refresh(&daemon);
    assert_eq!(server.refresh_tokens("box"), (5, 1), "the key outlives a restart");

    assert_eq!(daemon.get("/v1/token").text("token_type"), "DPoP");
    let header = format!("Authorization: DPoP {token}");
    assert!(!opens(&server, &token));
    assert_eq!(server.userinfo(&[&header]).0, 401);
    let hash = bearerd::oauth::dpop::token_hash(&bearerd::secret::Secret::new(&token));
    let htu = form_urlencoded::byte_serialize(format!("{}/userinfo", server.issuer).as_bytes()).collect::<String>();
    let proof = |more: &str| {
        let reply = daemon.post(&format!("/v1/accounts/box/dpop?htm=GET&htu={htu}&ath={hash}{more}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        format!("DPoP: {}", reply.text("proof"))
    };
    let (status, nonce) = server.userinfo(&[&header, &proof("")]);
    assert_eq!(status, 401, "a proof without a nonce");
    let nonce = nonce.expect("the API has nonces too");
    let good = proof(&format!("&nonce={nonce}"));
    assert_eq!(server.userinfo(&[&header, &good]).0, 200);
    assert_eq!(server.userinfo(&[&header, &good]).0, 401, "a proof serves once");
    saw("DPoP with forced nonces", "yes");
}
