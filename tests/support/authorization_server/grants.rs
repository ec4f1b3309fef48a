//! What the server has issued: device codes, and grants with their rotating refresh tokens.

use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{reply::Answer, settings::Settings};

/// One device code, from its issue to its end.
pub(super) struct Code {
    pub device_code: String,
    pub user_code: String,
    pub client: Option<String>,
    pub scope: String,
    /// As the client was told it, and as `slow_down` has lengthened it.
    pub interval: Duration,
    /// A poll before this is too early.
    pub next_poll: Instant,
    pub expires: Instant,
    pub decision: Decision,
    /// The client has received an answer after which it must not poll again.
    pub over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Open,
    Approved,
    Denied,
    /// Ended before its time, by a test.
    Expired,
    Redeemed,
}

/// What one approval gave: a family of refresh tokens and its access tokens.
pub(super) struct Grant {
    pub client: Option<String>,
    pub scope: String,
    pub alive: bool,
    /// The client knows that it is dead.
    pub buried: bool,
    /// A refresh is being answered.
    pub under_way: bool,
    pub access: Vec<AccessToken>,
    pub refresh: Vec<RefreshToken>,
}

pub(super) struct AccessToken {
    pub value: String,
    pub expires: Option<Instant>,
    pub revoked: bool,
}

/// A refresh token; all but the last of a grant are spent.
pub(super) struct RefreshToken {
    pub value: String,
    pub spent: Option<Instant>,
    /// The client has received the one that came after it.
    pub superseded: bool,
}

impl Code {
    pub fn is_open(&self, now: Instant) -> bool {
        self.decision == Decision::Open && now < self.expires
    }
}

impl Grant {
    pub fn new(client: Option<String>, scope: String) -> Self {
        Self { client, scope, alive: true, buried: false, under_way: false, access: vec![], refresh: vec![] }
    }

    pub fn kill(&mut self) {
        self.alive = false;
        self.access.iter_mut().for_each(|token| token.revoked = true);
    }

    fn has(&self, wanted: &[&str]) -> bool {
        self.scope.split(' ').any(|word| wanted.contains(&word))
    }

    /// Issues tokens: the first ones, or the next ones after a refresh.
    pub fn issue(&mut self, settings: &Settings, issuer: &str, narrowed: Option<&str>, now: Instant) -> Answer {
        let first = self.access.is_empty();
        let same = self.access.last().filter(|token| settings.returns_same_token && token.is_valid(now)).is_some();
        if !same {
            let expires = settings.token_lifetime.map(|seconds| now + Duration::from_secs(seconds));
            self.access.push(AccessToken { value: marker("at"), expires, revoked: false });
        }
        let token = self.access.last().expect("one was issued just now");
        let mut body = json!({
            "access_token": token.value,
            "scope": narrowed.unwrap_or_default(),
            "token_type": if first { "bearer" } else { "Bearer" },
        });
        if let Some(expires) = token.expires {
            body["expires_in"] = Value::from((expires - now).as_secs());
        }
        if self.has(&["openid"]) {
            body["id_token"] = Value::from(id_token(self.client.as_deref(), settings, issuer));
        }
        if self.has(&["offline", "offline_access"]) {
            let next = RefreshToken { value: marker("rt"), spent: None, superseded: false };
            body["refresh_token"] = Value::from(next.value.clone());
            self.refresh.iter_mut().for_each(|token| token.spent = token.spent.or(Some(now)));
            self.refresh.push(next);
        }
        Answer::json(200, body)
    }
}

impl AccessToken {
    pub fn is_valid(&self, now: Instant) -> bool {
        !self.revoked && self.expires.is_none_or(|expires| now < expires)
    }
}

/// A value that no other text contains, so that it can be looked for in logs.
pub(super) fn marker(kind: &str) -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    format!("{kind}-{random}")
}

/// An ID token whose signature is a marker and nothing else.
fn id_token(client: Option<&str>, settings: &Settings, issuer: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "iss": issuer,
        "sub": settings.subject,
        "aud": [client.unwrap_or("default-device-application")],
        "iat": now,
        "exp": now + 3600,
    });
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(marker("it"));
    format!("{}.{}.{signature}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims))
}
