//! A sign-in from code to token on a real authorization server, over HTTPS with a private CA: nothing but an issuer, a
//! client and a certificate is configured, everything else is found by discovery.

mod support;

use support::{daemon::Daemon, oidc_provider::OidcProvider};

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
    assert_eq!(server.resource(&first), 200);

    let refreshed = |event: &serde_json::Value| event["event"] == "token" && event["grant_type"] == "refresh_token";
    for _ in 0..3 {
        let event = server.wait_for(refreshed);
        assert!(event["refresh_token_sha256"].is_string(), "each refresh rotates: {event}");
    }
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
}

#[test]
fn a_confidential_client_proves_itself_in_the_configured_way_alone() {
    for (client, method) in [("appliance-basic", "client_secret_basic"), ("appliance-post", "client_secret_post")] {
        let server = OidcProvider::start(&["--interval", "1"]);
        let secret = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(secret.path(), "s3cret:+ /\n").expect("a secret");
        let more = format!("client_auth = \"{method}\"\nclient_secret_file = \"{}\"", secret.path().display());
        let daemon = Daemon::start(&config(&server, client, &more));
        let token = sign_in(&server, &daemon);
        assert_eq!(server.resource(&token), 200);
        let event = server.wait_for_event("token");
        assert_eq!(event["client_auth"], method, "{event}");
        assert!(!daemon.log().contains("s3cret"));
    }
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
