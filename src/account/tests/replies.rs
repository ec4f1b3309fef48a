//! What servers, proxies and broken networks say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::oauth::exchange::{Response, Unreachable};

pub fn answer(status: u16, body: &Value) -> Result<Response, Unreachable> {
    Ok(Response { status, retry_after: None, body: body.to_string().into_bytes() })
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

/// An OAuth error.
pub fn error(word: &str) -> Result<Response, Unreachable> {
    answer(400, &json!({"error": word}))
}

/// A page of HTML, as a proxy or a captive portal sends.
pub fn page(status: u16) -> Result<Response, Unreachable> {
    Ok(Response { status, retry_after: None, body: b"<!doctype html><title>Sign in to the Wi-Fi</title>".to_vec() })
}

/// A status without a body that says anything.
pub fn busy(status: u16, retry_after: Option<u64>) -> Result<Response, Unreachable> {
    Ok(Response { status, retry_after: retry_after.map(Duration::from_secs), body: Vec::new() })
}

/// The request went out and no reply came.
pub fn lost() -> Result<Response, Unreachable> {
    Err(Unreachable::lost("timed out"))
}

/// The request never left.
pub fn unsent() -> Result<Response, Unreachable> {
    Err(Unreachable::unsent("no route to host"))
}
