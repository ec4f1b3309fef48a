//! Tokens that are bound to a key (RFC 9449), seen from the wire: what each proof states, and that a box whose clock was never
//! set states the server's time.

mod support;

use std::{collections::HashSet, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bearerd::{oauth::dpop::token_hash, secret::Secret};
use serde_json::Value;
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Received, Reply},
    daemon::Daemon,
};

fn config(server: &AuthorizationServer, more: &str) -> String {
    format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n{more}\n", server.issuer())
}

fn bound(server: &AuthorizationServer, daemon: &Daemon) -> String {
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.reply_next(Endpoint::Poll, Reply::usual().member("token_type", "DPoP".into()));
    server.approve();
    let token = daemon.get("/v1/token?wait=120");
    assert_eq!((token.status, token.text("token_type").as_str()), (200, "DPoP"), "{}", token.body);
    token.text("access_token")
}

/// Header and claims of a proof.
fn read(proof: &str) -> (Value, Value) {
    let part = |text: &str| {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        serde_json::from_slice::<Value>(&json).expect("JSON")
    };
    let parts: Vec<_> = proof.split('.').collect();
    assert_eq!(parts.len(), 3, "{proof}");
    (part(parts[0]), part(parts[1]))
}

fn proof_of(received: &Received) -> (Value, Value) {
    read(received.header("dpop").unwrap_or_else(|| panic!("no proof came with {:?}", received.endpoint)))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs()
}

#[test]
fn every_request_is_proven_and_nonces_are_answered_at_once() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server, "dpop = true"));
    bound(&server, &daemon);
    server.reply_next(Endpoint::Refresh, Reply::error(401, "use_dpop_nonce").header("dpop-nonce", "nonce-1"));
    let next = Reply::usual().member("token_type", "DPoP".into()).header("dpop-nonce", "nonce-2");
    server.reply_next(Endpoint::Refresh, next.clone());
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200, "that is no failure");
    server.reply_next(Endpoint::Refresh, next);
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);

    let device = server.wait_for(Endpoint::DeviceAuthorization, 1);
    let refreshes = server.requests(Endpoint::Refresh);
    let (header, _) = proof_of(&device);
    let mut ids = HashSet::new();
    for received in [&device, &server.wait_for(Endpoint::Poll, 1)].into_iter().chain(&refreshes) {
        let (other, claims) = proof_of(received);
        assert_eq!(other, header, "one key for all of them");
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], format!("{}{}", server.issuer(), received.path));
        assert!(now().abs_diff(claims["iat"].as_u64().expect("a time")) < 120, "{claims}");
        assert!(ids.insert(claims["jti"].as_str().expect("an id").to_owned()), "each proof serves once");
    }
    let nonces: Vec<_> = refreshes.iter().map(|refresh| proof_of(refresh).1["nonce"].clone()).collect();
    assert_eq!(nonces, [Value::Null, "nonce-1".into(), "nonce-2".into()]);
    let thumbprint = device.parameter("dpop_jkt").expect("the key's thumbprint");
    assert_eq!(thumbprint.len(), 43);
    assert!(header["jwk"].get("d").is_none(), "the private half stays here");
}

#[test]
fn programs_have_their_proofs_signed_and_are_told_what_to_do() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server, "dpop = true"));
    let token = bound(&server, &daemon);
    let said = |arguments: &[&str]| {
        let output = daemon.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    assert_eq!(said(&["token", "--header"]), format!("Authorization: DPoP {token}"));
    let (_, claims) = read(&said(&["proof", "PUT", "https://api.example/things?x=1"]));
    assert_eq!((&claims["htm"], &claims["htu"]), (&"PUT".into(), &"https://api.example/things".into()));
    assert_eq!(claims["ath"], token_hash(&Secret::new(token.as_str())));
    let header = said(&["proof", "GET", "https://api.example/", "box", "--nonce", "n", "--header"]);
    let (_, claims) = read(header.strip_prefix("DPoP: ").expect("a header"));
    assert_eq!(claims["nonce"], "n");
    assert_eq!(daemon.get("/v1/accounts/box").text("token_type"), "DPoP");

    // git and its like can send bearer tokens alone.
    let git = daemon.run(&["kubectl-credential"]);
    assert!(!git.status.success());
    assert!(String::from_utf8_lossy(&git.stderr).contains("bound to a key"), "{git:?}");
    for (query, parameter) in [("", "htm"), ("htm=GET", "htu"), ("htm=GET&htu=x", "htu"), ("hmt=GET", "hmt")] {
        let refused = daemon.post(&format!("/v1/accounts/box/dpop?{query}"));
        assert_eq!((refused.status, refused.text("parameter").as_str()), (400, parameter), "{}", refused.body);
    }
}

#[test]
fn who_may_have_little_cannot_make_a_greater_token_usable() {
    let server = AuthorizationServer::start();
    let rule = "dpop = true\n[[accounts.box.allow]]\nuser = \"root\"\nscopes = [\"openid\"]\nactions = [\"token\"]";
    let rule =
        rule.replace("root", &nix::unistd::User::from_uid(nix::unistd::getuid()).expect("users").expect("a user").name);
    let daemon = Daemon::start(&config(&server, &rule));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.reply_next(Endpoint::Poll, Reply::usual().member("token_type", "DPoP".into()));
    server.reply_next(Endpoint::Refresh, Reply::usual().member("token_type", "DPoP".into()));
    server.approve();
    let narrow = daemon.get("/v1/token?wait=120");
    assert_eq!((narrow.status, narrow.text("scope").as_str()), (200, "openid"), "{}", narrow.body);
    let own = server.wait_for(Endpoint::Poll, 1);
    assert!(own.header("dpop").is_some());

    let hash = token_hash(&Secret::new(narrow.text("access_token")));
    let asked = "/v1/accounts/box/dpop?htm=GET&htu=https://api.example/";
    assert_eq!(daemon.post(asked).text("ath"), hash);
    assert_eq!(daemon.post(&format!("{asked}&ath={hash}")).status, 200);
    let greater = token_hash(&Secret::new("the account's own"));
    let refused = daemon.post(&format!("{asked}&ath={greater}"));
    assert_eq!((refused.status, refused.text("parameter").as_str()), (400, "ath"), "{}", refused.body);
}

#[test]
fn a_bearer_token_is_called_one() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&config(&server, "dpop = true"));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=120").text("token_type"), "Bearer");
    daemon.wait_for_status("the server did not bind it to a key");
    let refused = daemon.post("/v1/accounts/box/dpop?htm=GET&htu=https://api.example/");
    assert_eq!((refused.status, refused.text("parameter").as_str()), (400, "dpop"), "{}", refused.body);
}

#[test]
fn a_box_whose_clock_was_never_set_proves_itself_by_the_servers_time() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("clock"), "@2020-01-01 00:00:00").expect("a clock");
    let server = AuthorizationServer::start();
    let daemon = Daemon::start_in(folder, &config(&server, "dpop = true"), &[]);
    bound(&server, &daemon);
    // Discovery came first, and told the time.
    let (_, claims) = proof_of(&server.wait_for(Endpoint::DeviceAuthorization, 1));
    assert!(now().abs_diff(claims["iat"].as_u64().expect("a time")) < 120, "{claims}");
    let reply = daemon.post("/v1/accounts/box/dpop?htm=GET&htu=https://api.example/");
    let (_, claims) = read(&reply.text("proof"));
    assert!(now().abs_diff(claims["iat"].as_u64().expect("a time")) < 120, "{claims}");
}
