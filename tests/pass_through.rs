//! Members of the token answer that a profile lets through: callers get them with the token, over refreshes and restarts.

mod support;

use serde_json::{Value, json};
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply, Settings},
    daemon::Daemon,
};

#[test]
fn the_address_of_the_api_comes_with_the_token_and_stays() {
    let server = AuthorizationServer::with(Settings { auto_approve: true, interval: 1, ..Settings::default() });
    let server = server.expect("a server");
    let issuer = server.issuer();
    let mut daemon = Daemon::start(&format!(
        "[accounts.box]\nprovider = \"salesforce\"\nissuer = \"{issuer}\"\nclient_id = \"appliance\"\n\
         device_authorization_endpoint = \"{issuer}/oauth2/device/auth\"\ntoken_endpoint = \"{issuer}/oauth2/token\"\n\
         scopes = [\"api\", \"offline\"]\n"
    ));
    // The shape of Salesforce's answer, whose refreshes may leave all of this out.
    let first = [
        ("instance_url", json!("https://acme.my.salesforce.com")),
        ("id", json!("https://login.salesforce.com/id/00D/005")),
        ("issued_at", json!("1800000000000")),
        ("signature", json!("c2lnbmF0dXJl")),
    ];
    let usual = Reply::usual().without("expires_in");
    server.reply_next(Endpoint::Poll, first.into_iter().fold(usual, |reply, (name, value)| reply.member(name, value)));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    let token = daemon.get("/v1/token?wait=60");
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(token.text("instance_url"), "https://acme.my.salesforce.com");
    for other in ["id", "issued_at", "signature"] {
        assert_eq!(token.json().get(other), None, "only what the profile names is let through");
    }
    let instance = |daemon: &Daemon| {
        let shown = daemon.run(&["token", "--json"]).stdout;
        serde_json::from_slice::<Value>(&shown).expect("JSON")["instance_url"].clone()
    };
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_eq!(instance(&daemon), "https://acme.my.salesforce.com", "a refresh need not say it again");
    daemon.kill();
    daemon.start_again();
    assert_eq!(instance(&daemon), "https://acme.my.salesforce.com", "a restart forgets nothing");
    server
        .reply_next(Endpoint::Refresh, Reply::usual().member("instance_url", json!("https://moved.my.salesforce.com")));
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_eq!(instance(&daemon), "https://moved.my.salesforce.com");
    assert!(!daemon.get("/v1/accounts/box").body.contains("salesforce.com"), "it comes with the token alone");
}
