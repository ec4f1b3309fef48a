//! The page for people, in a real Chromium, through a forwarded port as `ssh -L` makes it.

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    browser::{Browser, decode_qr, forward},
    daemon::Daemon,
};

fn config(server: &AuthorizationServer) -> String {
    let account =
        |name| format!("[accounts.{name}]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", server.issuer());
    account("fleet") + &account("telemetry")
}

fn prompt(daemon: &Daemon, account: &str) -> Value {
    daemon.get(&format!("/v1/accounts/{account}/login")).json()
}

fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn a_person_signs_in_without_reloading() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&config(&server));
    let url = forward(&daemon.socket());
    let mut browser = Browser::start();
    browser.open(&url);
    browser.ask(&json!({ "do": "wait", "text": "Live" }));
    browser.is_accessible("signed out");
    browser.keep_picture("page-signed-out");

    browser.click("fleet", "Sign in");
    browser.wait("fleet", "Waiting for you");
    let shown = prompt(&daemon, "fleet");
    browser.wait("fleet", shown["user_code"].as_str().expect("a code"));
    let spoken = browser.evaluate("document.querySelector('[aria-live]').textContent");
    assert!(spoken.as_str().is_some_and(|spoken| spoken.contains("fleet: Waiting for you")), "{spoken}");
    assert_eq!(browser.evaluate("document.activeElement.textContent"), "Cancel sign-in", "the focus stays");
    browser.is_accessible("waiting");
    browser.keep_picture("page-waiting");
    let code = picture("page-qr.png");
    browser.ask(&json!({ "do": "screenshot", "account": "fleet", "path": code }));
    assert_eq!(decode_qr(&code), shown["verification_uri_complete"]);

    server.approve();
    browser.wait("fleet", "Signed in, token valid for");
    assert_eq!(browser.ask(&json!({ "do": "state" }))["loads"], 1, "it was never loaded again");
    browser.is_accessible("signed in");
    browser.keep_picture("page-signed-in");
    let html = browser.evaluate("document.documentElement.outerHTML").to_string();
    for secret in server.issued_secrets() {
        assert!(!html.contains(&secret), "a secret on the page");
    }

    assert!(daemon.stop().success());
    browser.ask(&json!({ "do": "wait", "text": "connection to the device is lost" }));
    daemon.start_again();
    browser.ask(&json!({ "do": "wait", "text": "Live" }));
}

#[test]
fn cancel_denial_expiry_and_failure_are_shown() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    let mut browser = Browser::start();
    browser.open(&forward(&daemon.socket()));
    let begin = |browser: &mut Browser| {
        browser.click("telemetry", "Sign in");
        browser.wait("telemetry", "Waiting for you");
    };
    begin(&mut browser);
    browser.click("telemetry", "Cancel sign-in");
    browser.wait("telemetry", "Sign-in needed");
    begin(&mut browser);
    server.deny();
    browser.wait("telemetry", "The sign-in was denied");
    begin(&mut browser);
    server.expire_code();
    browser.wait("telemetry", "The code was not entered in time");
    browser.is_quiet("so far");

    server.reply_next(Endpoint::DeviceAuthorization, Reply::error(400, "invalid_client"));
    browser.click("telemetry", "Sign in");
    browser.ask(&json!({ "do": "wait", "text": "invalid_client" }));
    assert!(browser.text().contains("telemetry"));
}

#[test]
fn in_the_dark_on_a_phone_and_by_keyboard() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    let url = forward(&daemon.socket());
    let mut browser = Browser::start();
    browser.ask(&json!({ "do": "open", "url": url, "scheme": "dark" }));
    browser.ask(&json!({ "do": "wait", "text": "Live" }));
    browser.is_accessible("signed out, dark");
    browser.ask(&json!({ "do": "press", "key": "Tab" }));
    assert_eq!(browser.evaluate("document.activeElement.textContent"), "Sign in");
    browser.ask(&json!({ "do": "press", "key": "Enter" }));
    browser.wait("fleet", "Waiting for you");
    browser.is_accessible("waiting, dark");
    browser.keep_picture("page-waiting-dark");
    let shown = prompt(&daemon, "fleet");
    let code = picture("page-qr-dark.png");
    browser.ask(&json!({ "do": "screenshot", "account": "fleet", "path": code }));
    assert_eq!(decode_qr(&code), shown["verification_uri_complete"]);
    server.approve();
    browser.wait("fleet", "Signed in, token valid for");
    browser.is_accessible("signed in, dark");
    browser.ask(&json!({ "do": "open", "url": url, "width": 320, "height": 640 }));
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "nothing sticks out");
}

#[test]
fn without_javascript_it_can_be_read_and_used() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    let url = forward(&daemon.socket());
    let mut browser = Browser::start();
    let open = json!({ "do": "open", "url": url, "javascript": false });
    browser.ask(&open);
    assert!(browser.text().contains("Nobody has signed in yet"));
    browser.click("fleet", "Sign in");
    browser.wait("fleet", "Waiting for you");
    let shown = prompt(&daemon, "fleet");
    browser.wait("fleet", shown["user_code"].as_str().expect("a code"));
    server.approve();
    assert_eq!(daemon.get("/v1/accounts/fleet/token?wait=60").status, 200);
    browser.ask(&open);
    browser.wait("fleet", "Signed in, token valid for");
}

#[test]
fn hostile_text_stays_text() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    let mut browser = Browser::start();
    browser.open(&forward(&daemon.socket()));
    let code = "<img src=x onerror=alert(1)>{{title}}'\"&";
    server.reply_next(Endpoint::DeviceAuthorization, Reply::usual().member("user_code", json!(code)));
    browser.click("fleet", "Sign in");
    browser.wait("fleet", "Waiting for you");
    assert_eq!(browser.evaluate("document.querySelector('.code').textContent"), code);
    assert_eq!(browser.evaluate("document.querySelectorAll('main img').length"), 1, "the QR code alone");
    daemon.request("DELETE", "/v1/accounts/fleet/login", "");
    browser.wait("fleet", "Sign-in needed");
    let text = "</p><script>alert(1)</script>\u{202e}";
    let refusal = json!({ "error": "invalid_client", "error_description": text });
    server.reply_next(Endpoint::DeviceAuthorization, Reply::json(400, refusal));
    browser.evaluate("document.querySelector('#account-fleet button').click()");
    browser.ask(&json!({ "do": "wait", "text": "invalid_client" }));
    assert_eq!(browser.evaluate("document.scripts.length"), 1);
    let complaints = browser.ask(&json!({ "do": "state" }))["complaints"].to_string();
    assert!(!complaints.contains("dialog") && !complaints.contains("Content Security Policy"), "{complaints}");
}

#[test]
fn every_picture_of_a_code_opens_the_same_address() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    let shown = daemon.post("/v1/accounts/fleet/login").json();
    for (media_type, ending) in [("image/svg+xml", "svg"), ("image/png", "png")] {
        let path = picture(&format!("code.{ending}"));
        let fetched = std::process::Command::new("curl")
            .args(["--silent", "--fail", "--header", &format!("Accept: {media_type}"), "--unix-socket"])
            .arg(daemon.socket())
            .args(["http://localhost/v1/accounts/fleet/login", "--output"])
            .arg(&path)
            .status();
        assert!(fetched.expect("curl runs").success(), "{media_type}");
        let mut seen = path.clone();
        if ending == "svg" {
            // As a browser draws it.
            seen = picture("code-svg.png");
            let mut browser = Browser::start();
            browser.open(&format!("file://{}", path.display()));
            browser.ask(&json!({ "do": "screenshot", "path": seen }));
        }
        assert_eq!(decode_qr(&seen), shown["verification_uri_complete"], "{media_type}");
    }
}

#[test]
fn pages_of_others_cannot_press_its_buttons() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&config(&server));
    for path in ["/accounts/fleet/login", "/accounts/fleet/cancel"] {
        for foreign in ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
            assert_eq!(daemon.request("POST", path, foreign).status, 403, "{foreign}");
        }
        assert_eq!(daemon.get(path).status, 405);
        let own = daemon.request("POST", path, "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!((own.status, own.header("location")), (303, Some("/")));
    }
    assert_eq!(server.count(Endpoint::DeviceAuthorization), 1);
    let page = daemon.get("/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(daemon.get("/?x=1").status, 400);
    assert_eq!(daemon.post("/accounts/nothing/login").status, 404);
}
