//! The scripted authorization server keeps its own promises: the other tests lean on them.

#![allow(clippy::disallowed_methods, reason = "a client that keeps an interval waits")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::authorization_server::{AuthorizationServer, Discovery, Endpoint, Reply, Settings};

const DEVICE: &str = "/oauth2/device/auth";
const TOKEN: &str = "/oauth2/token";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The status, the headers and the body; `None` where no whole answer came.
fn exchange(server: &AuthorizationServer, head: &str, body: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(server.issuer().strip_prefix("http://")?).ok()?;
    write!(stream, "{head}Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let whole = !head.contains("chunked") || body.ends_with("0\r\n\r\n");
    let status = head.split(' ').nth(1)?.parse().ok()?;
    whole.then(|| (status, head.to_ascii_lowercase(), body.to_owned()))
}

fn get(server: &AuthorizationServer, target: &str, header: &str) -> (u16, String) {
    let (status, _, body) = exchange(server, &format!("GET {target} HTTP/1.1\r\n{header}"), "").expect("an answer");
    (status, body)
}

fn try_post(server: &AuthorizationServer, path: &str, form: &[(&str, &str)]) -> Option<(u16, Value)> {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let (status, _, body) = exchange(server, &head, &body)?;
    Some((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

fn post(server: &AuthorizationServer, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    try_post(server, path, form).expect("an answer")
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned()
}

fn poll(server: &AuthorizationServer, code: &str) -> (u16, Value) {
    post(server, TOKEN, &[("grant_type", DEVICE_GRANT), ("device_code", code)])
}

fn refresh(server: &AuthorizationServer, token: &str) -> Option<(u16, Value)> {
    try_post(server, TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// Waits as a client that keeps an interval of one second does.
fn pause() {
    std::thread::sleep(Duration::from_millis(1010));
}

fn signed_in(settings: Settings) -> (AuthorizationServer, Value) {
    let server = AuthorizationServer::with(Settings { auto_approve: true, ..settings }).expect("a free port");
    let (_, prompt) = post(&server, DEVICE, &[("scope", "openid offline")]);
    pause();
    let (status, tokens) = poll(&server, &text(&prompt, "device_code"));
    assert_eq!(status, 200, "{tokens}");
    (server, tokens)
}

#[test]
fn the_quick_start_goes_as_kinde_describes_it() {
    let server = AuthorizationServer::start();
    let (status, prompt) = post(&server, DEVICE, &[]);
    assert_eq!((status, &prompt["interval"], &prompt["expires_in"]), (200, &json!(1), &json!(600)));
    assert_eq!(text(&prompt, "verification_uri"), format!("{}/device", server.issuer()));
    assert!(text(&prompt, "verification_uri_complete").ends_with(&format!("?user_code={}", server.user_codes()[0])));
    assert!(text(&prompt, "qr_code").starts_with("data:image/png;base64,iVBORw0KGgo"));

    let code = text(&prompt, "device_code");
    pause();
    assert_eq!(poll(&server, &code).1["error"], "authorization_pending");
    server.approve();
    pause();
    let (status, tokens) = poll(&server, &code);
    assert_eq!((status, &tokens["scope"], &tokens["token_type"]), (200, &json!(""), &json!("bearer")));
    assert_eq!((&tokens["expires_in"], &tokens["refresh_token"]), (&json!(86_400), &Value::Null));

    let header = format!("Authorization: Bearer {}\r\n", text(&tokens, "access_token"));
    assert_eq!(get(&server, "/resource", &header).0, 200);
    assert_eq!(get(&server, "/resource", "Authorization: Bearer other\r\n").0, 401);
    assert_eq!(server.issued_secrets(), [code, text(&tokens, "access_token")]);
    assert_eq!(server.wait_for(Endpoint::Poll, 2).parameter("grant_type"), Some(DEVICE_GRANT));
    assert_eq!(server.wait_for_answer(Endpoint::Resource, 2).status, Some(401));
}

#[test]
fn refresh_tokens_rotate_and_a_second_use_kills_the_grant() {
    let (server, tokens) = signed_in(Settings::default());
    let first = text(&tokens, "refresh_token");
    let (status, renewed) = refresh(&server, &first).expect("an answer");
    assert_eq!(status, 200);
    let second = text(&renewed, "refresh_token");
    assert_ne!((&first, &tokens["access_token"]), (&second, &renewed["access_token"]));
    assert!(server.accepts(&text(&renewed, "access_token")));
    assert_eq!(server.violations(), Vec::<String>::new());

    assert_eq!(refresh(&server, &first).expect("an answer").1["error"], "invalid_grant");
    assert_eq!(refresh(&server, &second).expect("an answer").1["error"], "invalid_grant");
    assert!(!server.accepts(&text(&renewed, "access_token")));
    let violations = server.take_violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert!(violations[0].contains("not the current one"), "{violations:?}");
    assert!(violations[1].contains("told that the grant is dead"), "{violations:?}");
}

#[test]
fn a_lost_reply_has_rotated_and_its_retry_is_no_violation() {
    for lost in [Reply::lost(), Reply::cut_short(), Reply::html(502, "<p>Bad gateway</p>").acting()] {
        let (server, tokens) = signed_in(Settings::default());
        let first = text(&tokens, "refresh_token");
        server.reply_next(Endpoint::Refresh, lost);
        assert!(refresh(&server, &first).is_none_or(|(status, _)| status == 502));
        let (_, retried) = refresh(&server, &first).expect("an answer");
        assert_eq!(retried["error"], "invalid_grant");
        assert_eq!(server.violations(), Vec::<String>::new());
    }
}

#[test]
fn a_grace_period_forgives_a_lost_reply() {
    let (server, tokens) = signed_in(Settings { rotation_grace: Duration::from_secs(60), ..Settings::default() });
    server.reply_next(Endpoint::Refresh, Reply::lost());
    assert!(refresh(&server, &text(&tokens, "refresh_token")).is_none());
    assert_eq!(refresh(&server, &text(&tokens, "refresh_token")).expect("an answer").0, 200);
}

#[test]
fn a_reply_before_the_server_acts_rotates_nothing() {
    let (server, tokens) = signed_in(Settings::default());
    let current = text(&tokens, "refresh_token");
    server.reply_next(Endpoint::Refresh, Reply::closed());
    server.reply_next(Endpoint::Refresh, Reply::error(503, "temporarily_unavailable").header("retry-after", "7"));
    assert!(refresh(&server, &current).is_none());
    assert_eq!(refresh(&server, &current).expect("an answer").0, 503);
    assert_eq!(refresh(&server, &current).expect("an answer").0, 200);
    let statuses: Vec<_> = server.requests(Endpoint::Refresh).iter().map(|received| received.status).collect();
    assert_eq!(statuses, [None, Some(503), Some(200)]);
}

#[test]
fn an_early_poll_is_noted_and_slows_the_client_down_for_good() {
    let server = AuthorizationServer::with(Settings { interval: 300, ..Settings::default() }).expect("a free port");
    let code = text(&post(&server, DEVICE, &[]).1, "device_code");
    assert_eq!(poll(&server, &code).1["error"], "slow_down");
    assert_eq!(poll(&server, &code).1["error"], "slow_down");
    let violations = server.take_violations();
    assert!(violations[0].contains("too early, the interval is 300s"), "{violations:?}");
    assert!(violations[1].contains("too early, the interval is 305s"), "{violations:?}");
}

#[test]
fn a_changed_interval_is_the_one_that_counts() {
    let server = AuthorizationServer::start();
    server.reply_next(
        Endpoint::DeviceAuthorization,
        Reply::usual().without("interval").member("user_code", json!("a b")),
    );
    let (_, prompt) = post(&server, DEVICE, &[]);
    assert_eq!((&prompt["interval"], &prompt["user_code"]), (&Value::Null, &json!("a b")));
    pause();
    poll(&server, &text(&prompt, "device_code"));
    assert!(server.take_violations()[0].contains("the interval is 5s"));
}

#[test]
fn a_decision_ends_the_polling() {
    type Decide = fn(&AuthorizationServer);
    let ends: [(Decide, &str); 2] =
        [(AuthorizationServer::deny, "access_denied"), (AuthorizationServer::expire_code, "expired_token")];
    for (decide, error) in ends {
        let server = AuthorizationServer::start();
        let code = text(&post(&server, DEVICE, &[]).1, "device_code");
        decide(&server);
        pause();
        assert_eq!(poll(&server, &code).1["error"], error);
        assert_eq!(server.violations(), Vec::<String>::new());
        pause();
        poll(&server, &code);
        assert!(server.take_violations()[0].contains("told to stop"));
    }
}

#[test]
fn what_a_request_must_not_be_is_noted() {
    let server = AuthorizationServer::start();
    server.reply_next(Endpoint::DeviceAuthorization, Reply::redirect("/elsewhere"));
    let twice = [("resource", "a"), ("resource", "b"), ("scope", "x"), ("scope", "y"), ("audience", "")];
    assert_eq!(post(&server, DEVICE, &twice).0, 302);
    get(&server, "/elsewhere", "");
    let head = "POST /oauth2/revoke HTTP/1.1\r\nContent-Type: application/json\r\nCookie: bait=1\r\n";
    exchange(&server, head, "token=t").expect("an answer");
    assert_eq!(get(&server, TOKEN, "").0, 405);
    refresh(&server, "never-issued");

    let violations = server.take_violations().join("\n");
    for expected in [
        "the parameter scope is repeated",
        "the parameter audience is empty",
        "a redirect was followed",
        "the content type is \"application/json\"",
        "carries a cookie",
        "the method is GET",
        "never issued",
    ] {
        assert!(violations.contains(expected), "{expected}: {violations}");
    }
    assert!(!violations.contains("resource is repeated"), "{violations}");
}

#[test]
#[should_panic(expected = "a client broke the rules")]
fn a_violation_ends_the_test_that_made_it() {
    refresh(&AuthorizationServer::start(), "never-issued");
}

#[test]
fn two_refreshes_of_one_grant_at_a_time_are_noted() {
    let (server, tokens) = signed_in(Settings::default());
    let token = text(&tokens, "refresh_token");
    server.reply_next(Endpoint::Refresh, Reply::hanging());
    std::thread::scope(|scope| {
        scope.spawn(|| refresh(&server, &token));
        server.wait_for(Endpoint::Refresh, 1);
        assert_eq!(refresh(&server, &token).expect("an answer").0, 200);
        server.set_reachable(false);
    });
    assert!(server.take_violations()[0].contains("under way"));
    assert!(refresh(&server, &token).is_none(), "nobody listens");
    server.set_reachable(true);
    assert!(refresh(&server, &token).is_some());
    server.take_violations();
}

#[test]
fn a_provider_may_return_the_token_it_has() {
    let (server, tokens) = signed_in(Settings { returns_same_token: true, ..Settings::default() });
    let (_, same) = refresh(&server, &text(&tokens, "refresh_token")).expect("an answer");
    assert_eq!(same["access_token"], tokens["access_token"]);
    assert_ne!(same["refresh_token"], tokens["refresh_token"]);
    server.revoke_access_tokens();
    let (_, new) = refresh(&server, &text(&same, "refresh_token")).expect("an answer");
    assert_ne!(new["access_token"], tokens["access_token"]);
}

#[test]
fn revoking_a_refresh_token_ends_all_that_came_of_it() {
    let (server, tokens) = signed_in(Settings::default());
    let revoked = [("token", &*text(&tokens, "refresh_token")), ("token_type_hint", "refresh_token")];
    assert_eq!(post(&server, "/oauth2/revoke", &revoked).0, 200);
    assert!(!server.accepts(&text(&tokens, "access_token")));
    assert_eq!(refresh(&server, &text(&tokens, "refresh_token")).expect("an answer").1["error"], "invalid_grant");
}

#[test]
fn metadata_is_where_it_is_said_to_be() {
    let (openid, oauth) = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server");
    let server = AuthorizationServer::start();
    let document: Value = serde_json::from_str(&get(&server, openid, "").1).expect("JSON");
    assert_eq!(document["issuer"], server.issuer());
    assert_eq!(document["device_authorization_endpoint"], format!("{}{DEVICE}", server.issuer()));
    server.change(|settings| settings.discovery = Discovery::WithoutDeviceEndpoint);
    assert!(!get(&server, openid, "").1.contains("device_authorization_endpoint"));
    server.change(|settings| settings.discovery = Discovery::OAuth);
    assert_eq!((get(&server, openid, "").0, get(&server, oauth, "").0), (404, 200));
    server.change(|settings| settings.discovery = Discovery::Missing);
    assert_eq!((get(&server, openid, "").0, get(&server, oauth, "").0), (404, 404));
}

#[test]
fn a_person_decides_on_the_page() {
    let server = AuthorizationServer::start();
    let code = text(&post(&server, DEVICE, &[]).1, "user_code");
    let (_, page) = get(&server, &format!("/device?user_code={code}"), "");
    assert!(page.contains(&format!("value=\"{code}\"")), "{page}");
    assert!(get(&server, "/device?user_code=%3Cb%3E", "").1.contains("&lt;b&gt;"));
    let lower = code.to_ascii_lowercase();
    let typed = format!("{}-{}", &lower[..4], &lower[4..]);
    assert_eq!(post(&server, "/device", &[("user_code", "WRONG"), ("decision", "approve")]).0, 404);
    assert_eq!(post(&server, "/device", &[("user_code", &typed), ("decision", "approve")]).0, 200);
    assert_eq!(post(&server, "/test/approve", &[]).0, 404, "only where it is switched on");
    server.change(|settings| settings.test_hooks = true);
    assert_eq!(post(&server, "/test/deny", &[]).0, 409, "no code is waiting any more");
}

#[test]
fn a_delayed_reply_comes_late() {
    let server = AuthorizationServer::start();
    let delay = Duration::from_millis(300);
    server.reply_next(Endpoint::DeviceAuthorization, Reply::usual().after(delay));
    let start = Instant::now();
    assert_eq!(post(&server, DEVICE, &[]).0, 200);
    assert!(start.elapsed() >= delay);
    assert!(server.try_wait_for(Endpoint::Poll, 1, Duration::ZERO).is_none());
}
