//! What the authorization server knows us as, and every request we can write to it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    client_auth::ClientAuth,
    exchange::{Endpoint, Form, Request},
    narrow::Narrow,
    profile::{Later, Profile},
};
use crate::secret::Secret;

/// One client at one authorization server: who it is and what it asks for.
#[derive(Clone, PartialEq, Default)]
pub struct Client {
    /// The issuer, byte for byte as configured; absent where every endpoint is given by hand.
    pub issuer: Option<String>,
    /// What its documents and ID tokens may name in place of it: `{…}` stands for one segment of a path.
    pub issuer_pin: Option<String>,
    /// Absent where the server has a default client for the device grant (Kinde).
    pub client_id: Option<String>,
    /// How the client proves who it is.
    pub auth: ClientAuth,
    /// `scope`, in the order of the configuration.
    pub scopes: Vec<String>,
    /// `audience`, a vendors' parameter of the device authorization request.
    pub audience: Vec<String>,
    /// `resource` (RFC 8707).
    pub resource: Vec<String>,
    /// Whether tokens are to be bound to a key (RFC 9449).
    pub dpop: bool,
    /// The way to tokens for other targets, where the server's usual one is not meant.
    pub narrow: Option<Narrow>,
    /// Further parameters, by request.
    pub extra: ExtraParameters,
    /// The endpoints that need no discovery.
    pub endpoints: Endpoints,
    /// How the provider differs from the standard; one for all its accounts.
    pub profile: Arc<Profile>,
}

/// Where the server's endpoints are, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// RFC 8628 §3.1.
    pub device_authorization: Option<Endpoint>,
    /// RFC 6749 §3.2.
    pub token: Option<Endpoint>,
    /// RFC 7009; logout is local where a server has none.
    pub revocation: Option<Endpoint>,
}

/// A server of which everything that a login needs is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// RFC 8628 §3.1.
    pub device_authorization: Endpoint,
    /// RFC 6749 §3.2.
    pub token: Endpoint,
    /// RFC 7009.
    pub revocation: Option<Endpoint>,
}

/// Parameters that a configuration adds to the requests of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtraParameters {
    /// To the device authorization request.
    pub device: BTreeMap<String, String>,
    /// To each poll.
    pub token: BTreeMap<String, String>,
    /// To each refresh.
    pub refresh: BTreeMap<String, String>,
}

/// What kind of token is being revoked (RFC 7009 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenType {
    /// `access_token`
    Access,
    /// `refresh_token`
    Refresh,
}

impl Endpoints {
    /// These, completed from `others` where one is missing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            device_authorization: self.device_authorization.or(others.device_authorization),
            token: self.token.or(others.token),
            revocation: self.revocation.or(others.revocation),
        }
    }

    /// The server, if what a login needs is known.
    pub fn complete(self) -> Option<Server> {
        let (device_authorization, token) = (self.device_authorization?, self.token?);
        Some(Server { device_authorization, token, revocation: self.revocation })
    }
}

impl Client {
    /// Whether the server is asked who signs in (OpenID Connect).
    pub fn wants_identity(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "openid")
    }

    /// Whether a document or token that names this issuer is by ours: the same to the byte (RFC 8414 §3.3), or as
    /// pinned. Any is, where none is configured.
    pub fn is_issuer(&self, named: &str) -> bool {
        let Some(issuer) = &self.issuer else { return true };
        named == issuer || self.issuer_pin.as_deref().is_some_and(|pin| fits(named, pin))
    }

    /// The device authorization request (RFC 8628 §3.1).
    pub fn device_authorization(&self, endpoint: &Endpoint) -> Request {
        let mut form = Form::new(None);
        self.name_scopes(&mut form);
        for audience in &self.audience {
            form.add("audience", audience);
        }
        form.add_all("resource", &self.resource);
        self.request(endpoint, form, &self.extra.device)
    }

    /// One poll (RFC 8628 §3.4).
    pub fn device_token(&self, endpoint: &Endpoint, device_code: &Secret) -> Request {
        let mut form = Form::new(Some("urn:ietf:params:oauth:grant-type:device_code"));
        form.set("device_code", device_code.expose());
        if self.profile.send_scope_with.contains(&Later::Poll) {
            self.name_scopes(&mut form);
        }
        form.add_all("resource", &self.resource);
        self.request(endpoint, form, &self.extra.token)
    }

    /// A refresh (RFC 6749 §6) of a grant for this `resource`. No scope: without one the server grants what it granted
    /// before; few insist on it.
    pub fn refresh(&self, endpoint: &Endpoint, refresh_token: &Secret, resource: &[String]) -> Request {
        self.request(endpoint, self.refresh_form(refresh_token, resource), &self.extra.refresh)
    }

    /// A revocation (RFC 7009 §2.1).
    pub fn revocation(&self, endpoint: &Endpoint, token: &Secret, token_type: TokenType) -> Request {
        self.authenticated(endpoint, revocation_form(token, token_type))
    }

    pub(super) fn refresh_form(&self, refresh_token: &Secret, resource: &[String]) -> Form {
        let mut form = Form::new(Some("refresh_token"));
        form.set("refresh_token", refresh_token.expose());
        if self.profile.send_scope_with.contains(&Later::Refresh) {
            self.name_scopes(&mut form);
        }
        form.add_all("resource", resource);
        form
    }

    fn name_scopes(&self, form: &mut Form) {
        form.set(self.scope_parameter(), &self.scopes.join(" "));
    }

    /// What this server calls the parameter `scope`.
    pub(super) fn scope_parameter(&self) -> &str {
        self.profile.scope_parameter.as_deref().unwrap_or("scope")
    }

    pub(super) fn request(&self, endpoint: &Endpoint, mut form: Form, extra: &BTreeMap<String, String>) -> Request {
        for (name, value) in extra {
            form.set(name, value);
        }
        self.authenticated(endpoint, form)
    }

    fn authenticated(&self, endpoint: &Endpoint, form: Form) -> Request {
        self.auth.request(self.client_id.as_deref(), self.issuer.as_deref(), endpoint, form)
    }
}

/// A revocation for another client than the configured one, known by its id alone: secrets go nowhere else.
pub fn foreign_revocation(
    client_id: Option<&str>,
    endpoint: &Endpoint,
    token: &Secret,
    token_type: TokenType,
) -> Request {
    ClientAuth::None.request(client_id, None, endpoint, revocation_form(token, token_type))
}

/// Whether a text is the pattern, or the pattern with something for each `{…}` that has no slash in it.
fn fits(text: &str, pattern: &str) -> bool {
    let (mut texts, mut patterns) = (text.split('/'), pattern.split('/'));
    loop {
        match (texts.next(), patterns.next()) {
            (None, None) => return true,
            (Some(text), Some(gap)) if gap.starts_with('{') && gap.ends_with('}') && !text.is_empty() => {}
            (Some(text), Some(part)) if text == part => {}
            _ => return false,
        }
    }
}

fn revocation_form(token: &Secret, token_type: TokenType) -> Form {
    let mut form = Form::new(None);
    form.set("token", token.expose());
    form.set("token_type_hint", token_type.as_str());
    form
}

impl TokenType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn kinde(client_id: Option<&str>) -> Client {
        Client {
            issuer: Some("https://acme.kinde.com".into()),
            issuer_pin: None,
            client_id: client_id.map(str::to_owned),
            auth: ClientAuth::None,
            scopes: vec![],
            audience: vec![],
            resource: vec![],
            dpop: false,
            narrow: None,
            extra: ExtraParameters::default(),
            endpoints: Endpoints::default(),
            profile: Profile::generic().into(),
        }
    }

    pub fn body(request: &Request) -> String {
        request.form.as_ref().map(|form| form.encode().expose().to_owned()).unwrap_or_default()
    }

    #[test]
    fn kindes_quick_start_without_a_client_id() {
        let endpoint = Endpoint::parse("https://acme.kinde.com/oauth2/token").expect("an endpoint");
        let client = kinde(None);
        assert_eq!(body(&client.device_authorization(&endpoint)), "");
        assert_eq!(
            body(&client.device_token(&endpoint, &Secret::new("kinde_dc_x"))),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=kinde_dc_x"
        );
    }

    #[test]
    fn an_issuer_is_the_same_to_the_byte_or_as_pinned() {
        let mut client = kinde(None);
        assert!(client.is_issuer("https://acme.kinde.com") && !client.is_issuer("https://acme.kinde.com/"));
        client.issuer_pin = Some("https://login.example/{tenant}/v2.0".into());
        for ours in ["https://acme.kinde.com", "https://login.example/{tenant}/v2.0", "https://login.example/7/v2.0"] {
            assert!(client.is_issuer(ours), "{ours}");
        }
        for other in ["https://login.example//v2.0", "https://login.example/7/8/v2.0", "https://evil.example/7/v2.0"] {
            assert!(!client.is_issuer(other), "{other}");
        }
    }

    #[test]
    fn some_servers_want_the_scopes_again_and_by_another_name() {
        let endpoint = Endpoint::parse("https://id.example/token").expect("an endpoint");
        let mut client = kinde(Some("abc"));
        client.scopes = vec!["a".into(), "b".into()];
        let profile = Arc::make_mut(&mut client.profile);
        profile.scope_parameter = Some("scopes".into());
        profile.send_scope_with = vec![Later::Poll, Later::Refresh];
        assert_eq!(body(&client.device_authorization(&endpoint)), "scopes=a+b&client_id=abc");
        assert!(body(&client.device_token(&endpoint, &Secret::new("d"))).contains("&scopes=a+b&"));
        assert!(body(&client.refresh(&endpoint, &Secret::new("r"), &[])).contains("&scopes=a+b&"));
    }

    #[test]
    fn everything_that_is_configured_is_sent_where_it_belongs() {
        let endpoint = Endpoint::parse("https://acme.kinde.com/x").expect("an endpoint");
        let mut client = kinde(Some("abc"));
        client.scopes = vec!["openid".into(), "offline".into()];
        client.audience = vec!["https://api/".into()];
        client.resource = vec!["https://r1/".into(), "https://r2/".into()];
        client.extra.device.insert("org".into(), "7".into());
        assert_eq!(
            body(&client.device_authorization(&endpoint)),
            "scope=openid+offline&audience=https%3A%2F%2Fapi%2F&resource=https%3A%2F%2Fr1%2F&resource=https%3A%2F%2Fr2%2F&org=7&client_id=abc"
        );
        assert_eq!(
            body(&client.refresh(&endpoint, &Secret::new("r"), &client.resource)),
            "grant_type=refresh_token&refresh_token=r&resource=https%3A%2F%2Fr1%2F&resource=https%3A%2F%2Fr2%2F&client_id=abc"
        );
        assert_eq!(
            body(&client.refresh(&endpoint, &Secret::new("r"), &[])),
            "grant_type=refresh_token&refresh_token=r&client_id=abc"
        );
        assert_eq!(
            body(&client.revocation(&endpoint, &Secret::new("r"), TokenType::Refresh)),
            "token=r&token_type_hint=refresh_token&client_id=abc"
        );
    }
}
