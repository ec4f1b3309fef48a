//! How a client proves who it is (RFC 6749 §2.3): one way, configured, never probed.

use base64::{Engine, prelude::BASE64_STANDARD};
use form_urlencoded::byte_serialize;
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::StrDeserializer},
};
use url::Url;

use super::{
    assertion::{Assertion, AssertionKey, JWT_BEARER},
    exchange::{Endpoint, Form, Request},
};
use crate::secret::Secret;

/// The client authentication methods, by their registered names (RFC 7591 §2, OpenID Connect Core 1.0 §9, RFC 8705 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Method {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
}

/// A method with what it needs.
#[derive(Clone, Default)]
pub enum ClientAuth {
    /// `none`: a public client, known by its `client_id`.
    #[default]
    None,
    /// `client_secret_basic`: in the `Authorization` header.
    Basic(Secret, BasicHalves),
    /// `client_secret_post`: in the form.
    Post(Secret),
    /// `client_secret_jwt` and `private_key_jwt`: by a signed assertion.
    Assertion(AssertionKey, AssertionAudience),
    /// `tls_client_auth` and `self_signed_tls_client_auth`: by the certificate of the connection, which is here with its
    /// private key, in PEM. The two are the same but for what the server compares it with.
    Certificate(Secret),
}

/// What a server makes of the two halves of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasicHalves {
    /// They are form-encoded (RFC 6749 §2.3.1).
    #[default]
    FormEncoded,
    /// They are taken as they stand (RFC 7617 alone).
    Verbatim,
}

/// Whom an assertion is for, its `aud`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum AssertionAudience {
    /// The issuer, which every endpoint of the server may take; where none is configured, the endpoint.
    #[default]
    Issuer,
    /// The endpoint that it is sent to.
    Endpoint,
    /// This address.
    Other(String),
}

impl Method {
    /// The method of that registered name.
    pub fn read(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).ok()
    }

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether it needs a client secret.
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt)
    }

    /// Whether it needs a private key.
    pub const fn needs_key(self) -> bool {
        matches!(self, Self::PrivateKeyJwt) || self.needs_certificate()
    }

    /// Whether it needs a certificate.
    pub const fn needs_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

impl ClientAuth {
    /// The request with this form, by the client of this identity.
    pub fn request(
        &self,
        client_id: Option<&str>,
        issuer: Option<&str>,
        endpoint: &Endpoint,
        mut form: Form,
    ) -> Request {
        let id = client_id.unwrap_or_default();
        let (mut authorization, mut assertion) = (None, None);
        match self {
            Self::Basic(secret, halves) => authorization = Some(basic(id, secret, *halves)),
            Self::None | Self::Certificate(_) => form.set("client_id", id),
            Self::Post(secret) => {
                form.set("client_id", id);
                form.set("client_secret", secret.expose());
            }
            Self::Assertion(key, audience) => {
                // Not needed beside an assertion (RFC 7521 §4.2), but some servers look the key up by it.
                form.set("client_id", id);
                form.set("client_assertion_type", JWT_BEARER);
                let audience = audience.of(issuer, endpoint).to_owned();
                assertion = Some(Assertion { key: key.clone(), client_id: id.to_owned(), audience });
            }
        }
        Request { endpoint: endpoint.clone(), form: Some(form), json: None, authorization, proof: None, assertion }
    }

    /// The secret that goes with each request as it is, to be kept out of every text.
    pub fn sent_secret(&self) -> Option<&Secret> {
        match self {
            Self::Basic(secret, _) | Self::Post(secret) => Some(secret),
            Self::None | Self::Certificate(_) | Self::Assertion(..) => None,
        }
    }

    /// The certificate of the connections, and its private key, in PEM.
    pub fn identity(&self) -> Option<&Secret> {
        match self {
            Self::Certificate(identity) => Some(identity),
            Self::None | Self::Basic(..) | Self::Post(_) | Self::Assertion(..) => None,
        }
    }
}

impl PartialEq for ClientAuth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Basic(one, as_it), Self::Basic(two, as_this)) => one.same_as(two) && as_it == as_this,
            (Self::Post(one), Self::Post(two)) | (Self::Certificate(one), Self::Certificate(two)) => one.same_as(two),
            (Self::Assertion(one, at), Self::Assertion(two, and_at)) => one == two && at == and_at,
            _ => false,
        }
    }
}

impl AssertionAudience {
    fn of<'a>(&'a self, issuer: Option<&'a str>, endpoint: &'a Endpoint) -> &'a str {
        match self {
            Self::Issuer => issuer.unwrap_or(endpoint.as_str()),
            Self::Endpoint => endpoint.as_str(),
            Self::Other(address) => address,
        }
    }
}

impl TryFrom<String> for AssertionAudience {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "issuer" => Ok(Self::Issuer),
            "endpoint" => Ok(Self::Endpoint),
            _ if Url::parse(&text).is_ok() => Ok(Self::Other(text)),
            _ => Err("the audience of an assertion is \"issuer\", \"endpoint\" or an address"),
        }
    }
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined, unless the server knows nothing of that.
fn basic(client_id: &str, secret: &Secret, halves: BasicHalves) -> Secret {
    let half = |text: &str| match halves {
        BasicHalves::FormEncoded => byte_serialize(text.as_bytes()).collect::<String>(),
        BasicHalves::Verbatim => text.to_owned(),
    };
    let pair = format!("{}:{}", half(client_id), half(secret.expose()));
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::parse("https://as.example/token").expect("an endpoint")
    }

    fn sent(auth: &ClientAuth, client_id: Option<&str>) -> (Request, String) {
        let request = auth.request(client_id, Some("https://as.example"), &endpoint(), Form::new(None));
        let body = request.form.as_ref().map(|form| form.encode().expose().to_owned());
        (request, body.unwrap_or_default())
    }

    #[test]
    fn basic_encodes_before_it_joins_unless_the_server_does_not_decode() {
        for (halves, id, joined) in
            [(BasicHalves::FormEncoded, "a:b", "a%3Ab:p+w%3A%2B%2F"), (BasicHalves::Verbatim, "a b", "a b:p w:+/")]
        {
            let (request, body) = sent(&ClientAuth::Basic(Secret::new("p w:+/"), halves), Some(id));
            let expected = format!("Basic {}", BASE64_STANDARD.encode(joined));
            assert_eq!(request.authorization.map(|header| header.expose().to_owned()), Some(expected));
            assert_eq!(body, "", "one authentication method a request (RFC 6749 §2.3)");
        }
    }

    #[test]
    fn a_public_client_without_an_id_sends_nothing() {
        let (request, body) = sent(&ClientAuth::None, None);
        assert!(request.authorization.is_none() && request.assertion.is_none());
        assert_eq!(body, "");
    }

    #[test]
    fn a_certificate_proves_what_the_form_says() {
        let (request, body) = sent(&ClientAuth::Certificate(Secret::new("PEM")), Some("abc"));
        assert!(request.authorization.is_none() && request.assertion.is_none());
        assert_eq!(body, "client_id=abc");
    }

    #[test]
    fn an_assertion_is_for_the_issuer_unless_it_is_for_the_endpoint() {
        let audience = |written: &str, issuer| {
            let audience = AssertionAudience::try_from(written.to_owned()).unwrap_or_else(|error| panic!("{error}"));
            let auth = ClientAuth::Assertion(AssertionKey::shared(&Secret::new("s3cret")), audience);
            let request = auth.request(Some("abc"), issuer, &endpoint(), Form::new(None));
            let body = request.form.map(|form| form.encode().expose().to_owned()).unwrap_or_default();
            assert!(body.starts_with("client_id=abc&client_assertion_type=urn%3Aietf%3A"), "{body}");
            assert!(request.authorization.is_none() && !body.contains("s3cret"));
            request.assertion.map(|assertion| assertion.audience).unwrap_or_default()
        };
        assert_eq!(audience("issuer", Some("https://as.example")), "https://as.example");
        assert_eq!(audience("issuer", None), "https://as.example/token");
        assert_eq!(audience("endpoint", Some("https://as.example")), "https://as.example/token");
        assert_eq!(audience("https://other.example/", Some("https://as.example")), "https://other.example/");
        assert!(AssertionAudience::try_from("isuer".to_owned()).is_err());
    }
}
