//! What servers, proxies and broken networks say.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::oauth::exchange::{Response, Stage, Unreachable};

pub fn answer(status: u16, body: &Value) -> Result<Response, Unreachable> {
    Ok(Response { status, body: body.to_string().into_bytes(), ..Response::default() })
}

/// A device code.
pub fn code(interval: u64, expires_in: u64) -> Result<Response, Unreachable> {
    named_code("dc", interval, expires_in)
}

pub fn named_code(device_code: &str, interval: u64, expires_in: u64) -> Result<Response, Unreachable> {
    let uri = "https://as.example/activate";
    let body = json!({"device_code": device_code, "user_code": "WDJB-MJHT", "verification_uri": uri,
                      "interval": interval, "expires_in": expires_in});
    answer(200, &body)
}

pub fn tokens(access: &str, refresh: Option<&str>, expires_in: Option<u64>) -> Result<Response, Unreachable> {
    answer(200, &json!({"access_token": access, "refresh_token": refresh, "expires_in": expires_in}))
}

/// Tokens, and an ID token for `box` that says who signed in.
pub fn tokens_of(subject: &str, number: u64) -> Result<Response, Unreachable> {
    tokens_with(number, &json!({"iss": "https://as.example", "aud": "box", "sub": subject}))
}

pub fn tokens_with(number: u64, claims: &Value) -> Result<Response, Unreachable> {
    let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
    let body = json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600, "id_token": jwt(claims)});
    answer(200, &body)
}

pub fn jwt(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(&json!({"alg": "RS256"})), part(claims))
}

/// An OAuth error.
pub fn error(word: &str) -> Result<Response, Unreachable> {
    answer(400, &json!({"error": word}))
}

/// A page of HTML, as a proxy or a captive portal sends.
pub fn page(status: u16) -> Result<Response, Unreachable> {
    let body = b"<!doctype html><title>Sign in to the Wi-Fi</title>".to_vec();
    Ok(Response { status, body, ..Response::default() })
}

/// A status without a body that says anything.
pub fn busy(status: u16, retry_after: Option<u64>) -> Result<Response, Unreachable> {
    Ok(Response { status, retry_after: retry_after.map(Duration::from_secs), ..Response::default() })
}

/// The request went out and no reply came.
pub fn lost() -> Result<Response, Unreachable> {
    Err(Unreachable::lost("timed out"))
}

/// The server's certificate is out of its time, as far as a clock that is not set can tell.
pub fn out_of_time() -> Result<Response, Unreachable> {
    Err(Unreachable { stage: Stage::ClockUnset, cause: "invalid peer certificate: NotValidYet".into() })
}

/// The request never left.
pub fn unsent() -> Result<Response, Unreachable> {
    Err(Unreachable::unsent("no route to host"))
}
