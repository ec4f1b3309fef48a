//! What each endpoint does, as Kinde's do where that is documented.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    grants::{AccessToken, Code, Decision, Grant, marker},
    provider::{Provider, is_within},
    qr_png,
    received::{Endpoint, Received},
    reply::Answer,
    settings::Discovery,
};

impl Provider {
    /// The usual answer.
    pub fn act(&mut self, received: &Received) -> Answer {
        let answer = match received.endpoint {
            _ if received.path.starts_with("/oauth2/") && received.method != "POST" => {
                Answer::error(405, "invalid_request", "POST only").with("allow", "POST")
            }
            Endpoint::DeviceAuthorization => self.device_authorization(received),
            Endpoint::Poll => self.poll(received),
            Endpoint::Refresh => self.refresh(received),
            Endpoint::Exchange => self.exchange(received),
            Endpoint::Revocation => self.revoke(received),
            Endpoint::Discovery => self.discovery(&received.path),
            Endpoint::Resource => self.resource(received),
            Endpoint::Page => self.page(received),
            Endpoint::Other if received.path == "/oauth2/token" => {
                Answer::error(400, "unsupported_grant_type", "neither a device code nor a refresh token")
            }
            Endpoint::Other => Answer::text(404, "text/plain", "There is nothing here.\n"),
        };
        // Kinde's custom domains set one; a client that sends it back is noted.
        if received.path.starts_with("/oauth2/") { answer.with("set-cookie", "bait=1; Path=/") } else { answer }
    }

    fn device_authorization(&mut self, received: &Received) -> Answer {
        if let Some(refusal) = self.refuse_client(received) {
            return refusal;
        }
        let now = Instant::now();
        let interval = Duration::from_secs(self.settings.interval);
        let code = Code {
            device_code: marker("dc"),
            user_code: std::iter::repeat_with(fastrand::uppercase).take(8).collect(),
            client: received.client().map(str::to_owned),
            scope: received.parameter("scope").unwrap_or_default().to_owned(),
            interval,
            next_poll: now + interval,
            expires: now + Duration::from_secs(self.settings.code_lifetime),
            decision: if self.settings.auto_approve { Decision::Approved } else { Decision::Open },
            over: false,
        };
        let page = format!("{}/device", self.issuer);
        let complete = format!("{page}?user_code={}", code.user_code);
        let answer = json!({
            "device_code": code.device_code,
            "user_code": code.user_code,
            "verification_uri": page,
            "verification_uri_complete": complete,
            "expires_in": self.settings.code_lifetime,
            "interval": self.settings.interval,
            "qr_code": qr_png::data_url(&complete),
        });
        self.secrets.push(code.device_code.clone());
        self.codes.push(code);
        Answer::json(200, answer)
    }

    fn poll(&mut self, received: &Received) -> Answer {
        let given = received.parameter("device_code").unwrap_or_default();
        let unknown = Answer::error(400, "invalid_grant", "no such device code");
        let Some(code) = self.codes.iter_mut().find(|code| code.device_code == given) else { return unknown };
        if code.client.as_deref() != received.client() {
            return unknown;
        }
        let early = received.at < code.next_poll;
        code.next_poll = received.at + code.interval;
        match code.decision {
            Decision::Redeemed => Answer::error(400, "invalid_grant", "the device code was used already"),
            Decision::Denied => Answer::error(403, "access_denied", "the request was denied"),
            Decision::Expired => Answer::error(400, "expired_token", "the device code has expired"),
            _ if received.at >= code.expires => Answer::error(400, "expired_token", "the device code has expired"),
            _ if early => Answer::error(400, "slow_down", "polled too early"),
            Decision::Open => Answer::error(400, "authorization_pending", "nobody has decided yet"),
            Decision::Approved => {
                code.decision = Decision::Redeemed;
                self.grants.push(Grant::new(code.client.clone(), code.scope.clone()));
                self.issue(self.grants.len() - 1, None)
            }
        }
    }

    fn issue(&mut self, grant: usize, narrowed: Option<&str>) -> Answer {
        let answer = self.grants[grant].issue(&self.settings, &self.issuer, narrowed, Instant::now());
        let issued = ["access_token", "refresh_token", "id_token"].map(|name| answer.text_member(name));
        self.secrets.extend(issued.into_iter().flatten().map(str::to_owned));
        answer
    }

    fn refresh(&mut self, received: &Received) -> Answer {
        if let Some(refusal) = self.refuse_client(received) {
            return refusal;
        }
        let dead = |why| Answer::error(400, "invalid_grant", why);
        let Some((index, place)) = self.find_refresh(received.parameter("refresh_token")) else {
            return dead("no such refresh token");
        };
        let grace = self.settings.rotation_grace;
        let grant = &mut self.grants[index];
        let scope = received.parameter("scope");
        if !grant.alive || grant.client.as_deref() != received.client() {
            return dead("the grant is no longer valid");
        }
        if grant.refresh[place].spent.is_some_and(|spent| received.at >= spent + grace) {
            grant.kill();
            return dead("the refresh token was used before; the grant is revoked");
        }
        if !is_within(scope.unwrap_or_default(), &grant.scope) {
            return Answer::error(400, "invalid_scope", "more than was granted");
        }
        self.issue(index, scope)
    }

    /// Token exchange (RFC 8693): of an access token that lives for one with less scope, and without a refresh token.
    fn exchange(&mut self, received: &Received) -> Answer {
        if let Some(refusal) = self.refuse_client(received) {
            return refusal;
        }
        for name in ["subject_token_type", "requested_token_type"] {
            if received.parameter(name) != Some("urn:ietf:params:oauth:token-type:access_token") {
                self.object(received, &format!("{name} is {:?}", received.parameter(name)));
            }
        }
        let (now, subject) = (Instant::now(), received.parameter("subject_token"));
        let lives = |token: &AccessToken| Some(token.value.as_str()) == subject && token.is_valid(now);
        let Some(grant) = self.grants.iter_mut().find(|grant| grant.access.iter().any(lives)) else {
            self.object(received, "the subject token is not one that lives");
            return Answer::error(400, "invalid_request", "the subject token is not valid");
        };
        let expires = Some(now + Duration::from_secs(300));
        let token = AccessToken { value: marker("at"), expires, revoked: false };
        let answer = json!({
            "access_token": token.value,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": received.parameter("scope"),
        });
        self.secrets.push(token.value.clone());
        grant.access.push(token);
        Answer::json(200, answer)
    }

    fn revoke(&mut self, received: &Received) -> Answer {
        if let Some(refusal) = self.refuse_client(received) {
            return refusal;
        }
        let token = received.parameter("token");
        if token.is_none() {
            self.object(received, "there is no token to revoke");
            return Answer::error(400, "invalid_request", "token is missing");
        }
        if let Some((index, _)) = self.find_refresh(token) {
            self.grants[index].kill();
        }
        for access in self.grants.iter_mut().flat_map(|grant| &mut grant.access) {
            access.revoked |= Some(access.value.as_str()) == token;
        }
        Answer::text(200, "text/plain", "")
    }

    fn refuse_client(&self, received: &Received) -> Option<Answer> {
        let expected = self.settings.client_id.as_deref()?;
        let known = received.client() == Some(expected);
        (!known).then(|| Answer::error(401, "invalid_client", "no such client"))
    }

    fn discovery(&self, path: &str) -> Answer {
        let place = match self.settings.discovery {
            Discovery::Full | Discovery::WithoutDeviceEndpoint => "/.well-known/openid-configuration",
            Discovery::OAuth => "/.well-known/oauth-authorization-server",
            Discovery::Missing => "",
        };
        if path != place {
            return Answer::text(404, "text/plain", "There is no metadata here.\n");
        }
        let at = |path: &str| Value::from(format!("{}{path}", self.issuer));
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/oauth2/auth"),
            "token_endpoint": at("/oauth2/token"),
            "revocation_endpoint": at("/oauth2/revoke"),
            "jwks_uri": at("/.well-known/jwks"),
            "scopes_supported": ["openid", "profile", "email", "offline"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        });
        if self.settings.discovery != Discovery::WithoutDeviceEndpoint {
            document["device_authorization_endpoint"] = at("/oauth2/device/auth");
        }
        Answer::json(200, document)
    }

    /// A resource server in miniature (RFC 6750 §3).
    fn resource(&self, received: &Received) -> Answer {
        let Some(token) = received.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
            return Answer::json(401, json!({"message": "a bearer token is needed"}))
                .with("www-authenticate", "Bearer realm=\"resource\"");
        };
        let now = Instant::now();
        let tokens = self.grants.iter().flat_map(|grant| &grant.access);
        let Some(token) = tokens.into_iter().find(|known| known.value == token && known.is_valid(now)) else {
            return Answer::json(401, json!({"message": "this token is not valid (any more)"}))
                .with("www-authenticate", "Bearer realm=\"resource\", error=\"invalid_token\"");
        };
        let left = token.expires.map(|expires| (expires - now).as_secs());
        Answer::json(200, json!({"message": "welcome", "token_valid_for": left}))
    }
}
