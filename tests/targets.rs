//! Tokens of a caller's own scope, audience or resource, all from one sign-in, at a server that asserts what it receives: a
//! refresh token that is used twice, or two refreshes at once, would be held against the program.

mod support;

use std::{process::Stdio, thread};

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::Daemon,
};

fn signed_in(server: &AuthorizationServer, more: &str) -> Daemon {
    let daemon = Daemon::start(&format!(
        "[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\", \"read\", \"write\"]\naudience = [\"https://a/\", \"https://b/\"]\n{more}\n",
        server.issuer()
    ));
    server.change(|settings| settings.repeatable.push("audience"));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=120").status, 200);
    daemon
}

#[test]
fn many_callers_with_many_targets_make_one_refresh_for_each() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "");
    let own = daemon.get("/v1/token").text("access_token");
    let queries = ["scope=read", "scope=write", "audience=https://a/", "scope=read&audience=https://b/"];
    let tokens: Vec<(usize, String)> = thread::scope(|scope| {
        let ask = |n: usize| {
            let reply = daemon.get(&format!("/v1/token?{}", queries[n % 4]));
            assert_eq!(reply.status, 200, "{}", reply.body);
            (n % 4, reply.text("access_token"))
        };
        let asking: Vec<_> = (0..40).map(|n| scope.spawn(move || ask(n))).collect();
        asking.into_iter().map(|caller| caller.join().expect("an answer")).collect()
    });
    for (kind, query) in queries.iter().enumerate() {
        let mut same: Vec<_> = tokens.iter().filter(|(other, _)| *other == kind).map(|(_, token)| token).collect();
        same.dedup();
        assert_eq!(same.len(), 1, "{query}");
        assert!(server.accepts(same[0]) && *same[0] != own);
    }
    assert_eq!(server.count(Endpoint::Refresh), 4);
    assert_eq!(daemon.get("/v1/token").text("access_token"), own);
    // In a shell, and with words in another order.
    let said = daemon.run(&["token", "--scope", "read read", "--audience", "https://b/"]);
    let expected = tokens.iter().find(|(kind, _)| *kind == 3).map(|(_, token)| format!("{token}\n"));
    assert_eq!(Some(String::from_utf8_lossy(&said.stdout).into_owned()), expected);
    assert_eq!(server.count(Endpoint::Refresh), 4);
}

#[test]
fn a_refusal_is_the_callers_alone() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "");
    let own = daemon.get("/v1/token").text("access_token");
    for (reply, query, status, error) in [
        (Reply::error(400, "invalid_scope"), "scope=read", 403, "insufficient_scope"),
        (Reply::error(400, "invalid_target"), "audience=https://a/", 400, "invalid_option"),
        (Reply::error(400, "access_denied"), "audience=https://b/", 502, "provider_error"),
        (Reply::usual().member("scope", "read write".into()), "scope=write", 403, "insufficient_scope"),
    ] {
        server.reply_next(Endpoint::Refresh, reply);
        let refused = daemon.get(&format!("/v1/token?{query}"));
        assert_eq!((refused.status, refused.text("error").as_str()), (status, error), "{}", refused.body);
        let before = server.count(Endpoint::Refresh);
        assert_eq!(daemon.get(&format!("/v1/token?{query}")).status, status, "the same answer again");
        assert_eq!(server.count(Endpoint::Refresh), before, "and the server is not asked for it");
        let account = daemon.get("/v1/accounts/box");
        assert_eq!((account.text("state").as_str(), account.json().get("last_error")), ("active", None));
        assert_eq!(daemon.get("/v1/token").text("access_token"), own);
    }
    let before = server.count(Endpoint::Refresh);
    for (query, status, error) in [
        ("scope=admin", 403, "insufficient_scope"),
        ("audience=https://c/", 400, "invalid_option"),
        ("resource=https://r/", 400, "invalid_option"),
    ] {
        let refused = daemon.get(&format!("/v1/token?{query}"));
        assert_eq!((refused.status, refused.text("error").as_str()), (status, error), "{}", refused.body);
    }
    assert_eq!(server.count(Endpoint::Refresh), before, "what the sign-in was not for is not asked for");
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200, "the grant is well");
}

#[test]
fn where_a_refresh_cannot_narrow_the_token_is_exchanged() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "narrow = \"exchange\"");
    let own = daemon.get("/v1/token").text("access_token");
    let query = "scope=read&audience=https://a/&resource=https://r/";
    let narrow = daemon.get(&format!("/v1/token?{query}"));
    assert_eq!((narrow.status, narrow.text("scope").as_str()), (200, "read"), "{}", narrow.body);
    assert!(narrow.json()["expires_in"].as_u64().is_some_and(|left| left <= 300));
    let sent = server.wait_for(Endpoint::Exchange, 1);
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", own.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", "read"),
        ("audience", "https://a/"),
        ("resource", "https://r/"),
    ] {
        assert_eq!(sent.parameter(name), Some(value), "{name}");
    }
    assert_eq!(sent.parameter("refresh_token"), None);
    assert!(server.accepts(&narrow.text("access_token")) && server.accepts(&own));

    server.reply_next(Endpoint::Exchange, Reply::error(400, "invalid_target"));
    let refused = daemon.get("/v1/token?audience=https://b/");
    assert_eq!((refused.status, refused.text("parameter").as_str()), (400, "audience"), "{}", refused.body);
    server.reply_next(Endpoint::Exchange, Reply::lost());
    let in_the_end = daemon.get("/v1/token?scope=write");
    assert_eq!(in_the_end.status, 200, "a lost reply costs nothing: {}", in_the_end.body);
    assert_eq!((server.count(Endpoint::Refresh), server.count(Endpoint::Exchange)), (0, 4));
    assert_eq!(daemon.get("/v1/token").text("access_token"), own);
}

#[test]
fn never_means_never() {
    let server = AuthorizationServer::start();
    let daemon = signed_in(&server, "narrow = \"never\"");
    let refused = daemon.get("/v1/token?scope=read");
    assert_eq!((refused.status, refused.text("error").as_str()), (400, "invalid_option"), "{}", refused.body);
    let own = daemon.get("/v1/token?scope=write%20read%20offline");
    assert_eq!(own.status, 200, "what the account asks for anyway is its own token: {}", own.body);
    let said = daemon.command(&["token", "--scope", "read"]).stdout(Stdio::null()).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&said.stderr).contains("narrow"), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(server.count(Endpoint::Refresh), 0);
}
