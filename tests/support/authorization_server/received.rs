//! What a client sent.

use std::{collections::BTreeSet, time::Instant};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, body::Incoming};

/// What a request is for. Polls and refreshes share an address, not a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /oauth2/device/auth`
    DeviceAuthorization,
    /// `POST /oauth2/token` with a device code
    Poll,
    /// `POST /oauth2/token` with a refresh token
    Refresh,
    /// `POST /oauth2/token` with an access token to be exchanged (RFC 8693)
    Exchange,
    /// `POST /oauth2/revoke`
    Revocation,
    /// `GET /.well-known/…`
    Discovery,
    /// `GET /resource`
    Resource,
    /// `/device` and `/test/…`: people and scripts
    Page,
    /// Anything else
    Other,
}

/// One request, as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub endpoint: Endpoint,
    /// When its body had been read.
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    /// The status it was answered with; `None` as long as it was not, or for good where the reply was lost.
    pub status: Option<u16>,
    /// Whether the server is done with it: answered, or closed on it.
    pub done: bool,
}

impl Received {
    pub(super) async fn read(request: Request<Incoming>) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, 64 * 1024).collect().await.ok()?.to_bytes();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut received = Self {
            endpoint: Endpoint::Other,
            at: Instant::now(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            form: form_urlencoded::parse(&body).into_owned().collect(),
            status: None,
            done: false,
        };
        received.endpoint = received.purpose();
        Some(received)
    }

    /// The first value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The address without the host.
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// Who the client says it is, by whatever means.
    pub(super) fn client(&self) -> Option<&str> {
        self.parameter("client_id").or_else(|| self.header("authorization"))
    }

    fn purpose(&self) -> Endpoint {
        match self.path.as_str() {
            "/oauth2/device/auth" => Endpoint::DeviceAuthorization,
            "/oauth2/token" => match self.parameter("grant_type") {
                Some(DEVICE_GRANT) => Endpoint::Poll,
                Some("refresh_token") => Endpoint::Refresh,
                Some(TOKEN_EXCHANGE) => Endpoint::Exchange,
                _ => Endpoint::Other,
            },
            "/oauth2/revoke" => Endpoint::Revocation,
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => Endpoint::Discovery,
            "/resource" => Endpoint::Resource,
            "/device" | "/test/approve" | "/test/deny" => Endpoint::Page,
            _ => Endpoint::Other,
        }
    }

    /// What is wrong with the request whatever its purpose.
    pub(super) fn faults(&self, repeatable: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.header("cookie").is_some() && self.endpoint != Endpoint::Page {
            faults.push("it carries a cookie".to_owned());
        }
        if !self.path.starts_with("/oauth2/") {
            return faults;
        }
        if self.endpoint == Endpoint::Other {
            faults.push(format!("the grant type is {:?}", self.parameter("grant_type")));
        }
        if self.method != "POST" {
            faults.push(format!("the method is {}", self.method));
        }
        let kind = self.header("content-type").unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            faults.push(format!("the content type is {kind:?}"));
        }
        if self.header("authorization").is_some() && self.parameter("client_secret").is_some() {
            faults.push("the client authenticates in two ways (RFC 6749 §2.3)".to_owned());
        }
        let mut seen = BTreeSet::new();
        for (name, value) in &self.form {
            if value.is_empty() {
                faults.push(format!("the parameter {name} is empty"));
            }
            if !seen.insert(name) && !repeatable.contains(&name.as_str()) {
                faults.push(format!("the parameter {name} is repeated"));
            }
        }
        faults
    }
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
