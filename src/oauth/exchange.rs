//! One HTTP request and its response, stripped to what OAuth needs.

use std::{fmt, time::Duration};

use url::{Host, Url};

use super::{assertion::Assertion, dpop::ProofKey};
use crate::secret::Secret;

/// An address we may send a secret to: `https`, or `http` on a loopback host; no fragment (RFC 6749 §3.2), no user name.
/// A query, if there is one, is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an [`Endpoint`]. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It cannot be read as a URL at all.
    #[error("this is not a URL; write it in full, as in https://login.example.com/token")]
    NotAUrl,
    /// Neither https nor http on loopback.
    #[error("only https:// is accepted (http:// for loopback hosts alone): tokens would travel in clear")]
    NotEncrypted,
    /// A fragment or a user name.
    #[error("a URL with a fragment (#…), a user name or a password is not an endpoint")]
    Decorated,
}

impl Endpoint {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, BadEndpoint> {
        let url = Url::parse(text).map_err(|_| BadEndpoint::NotAUrl)?;
        if !is_protected(&url) {
            return Err(BadEndpoint::NotEncrypted);
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(BadEndpoint::Decorated);
        }
        Ok(Self(url))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether both are on the same scheme, host and port: a grant never goes to another.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The scheme, host and port as text: `https://login.example.com`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address as a URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether what is sent to this URL cannot be read on the way.
pub fn is_protected(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost" || name.ends_with(".localhost"),
        _ => false,
    }
}

/// A request, ready to send. It carries secrets and so has no `Debug`.
#[derive(Clone)]
pub struct Request {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The form to POST; where there is neither this nor `json`, it is a GET.
    pub form: Option<Form>,
    /// The JSON to POST where there is no form; nothing secret is in it.
    pub json: Option<String>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret>,
    /// The key that the request has to prove possession of, by a proof made when it is sent.
    pub proof: Option<Proof>,
    /// By what the client proves who it is, in a parameter of the form that is made when it is sent.
    pub assertion: Option<Assertion>,
}

impl Request {
    /// A GET of what anybody may have.
    pub fn get(endpoint: Endpoint) -> Self {
        Self { endpoint, form: None, json: None, authorization: None, proof: None, assertion: None }
    }
}

/// What a proof of possession that goes with a request is made of (RFC 9449 §4).
#[derive(Clone)]
pub struct Proof {
    /// The key.
    pub key: ProofKey,
    /// The nonce that the server gave out last (RFC 9449 §8).
    pub nonce: Option<String>,
}

/// What came back, whatever its status. The body is at most [`MAX_BODY`] bytes long.
#[derive(Clone, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, already turned into a pause.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
    /// `DPoP-Nonce`: what the next proof for this server has to carry (RFC 9449 §8).
    pub dpop_nonce: Option<String>,
}

/// No usable response came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// How far it came.
    pub stage: Stage,
    /// What went wrong, for people.
    pub cause: String,
}

/// How far an exchange came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing left this machine but, at most, the attempt to connect.
    Unsent,
    /// The server's certificate is out of its time, and so may be our clock: it has not been set yet.
    ClockUnset,
    /// The server may have received the request and acted on it.
    Sent,
}

impl Unreachable {
    /// The request never left.
    pub fn unsent(cause: impl Into<String>) -> Self {
        Self { stage: Stage::Unsent, cause: cause.into() }
    }

    /// The request may have arrived, the response did not.
    pub fn lost(cause: impl Into<String>) -> Self {
        Self { stage: Stage::Sent, cause: cause.into() }
    }
}

/// The parameters of a request in `application/x-www-form-urlencoded`, each at most once but for `resource`
/// (RFC 8707), none of them empty (RFC 6749 §3.1).
#[derive(Clone)]
pub struct Form(Vec<(String, Secret)>);

impl Form {
    /// A form with its grant type, or without one for the requests that have none.
    pub fn new(grant_type: Option<&str>) -> Self {
        let mut form = Self(Vec::new());
        form.set("grant_type", grant_type.unwrap_or_default());
        form
    }

    /// Sets a parameter, in place of an earlier value; an empty value takes it out.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.add(name, value);
    }

    /// Adds a parameter that may be repeated: `resource`, and `audience` where a server knows more than one.
    pub fn add(&mut self, name: &str, value: &str) {
        if !name.is_empty() && !value.is_empty() {
            self.0.push((name.to_owned(), Secret::new(value)));
        }
    }

    /// Adds a parameter once for each value.
    pub fn add_all(&mut self, name: &str, values: &[String]) {
        for value in values {
            self.add(name, value);
        }
    }

    /// The encoded body.
    pub fn encode(&self) -> Secret {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            serializer.append_pair(name, value.expose());
        }
        Secret::new(serializer.finish())
    }
}

/// More than this is never read of a response.
pub const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_encrypted_or_on_this_machine() {
        for good in ["https://a.example/token?x=1", "http://127.0.0.1:9/t", "http://[::1]/t", "http://localhost/t"] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://a.example/token", BadEndpoint::NotEncrypted),
            ("http://127.0.0.1.example/token", BadEndpoint::NotEncrypted),
            ("ftp://localhost/", BadEndpoint::NotEncrypted),
            ("token", BadEndpoint::NotAUrl),
            ("https://a.example/#frag", BadEndpoint::Decorated),
            ("https://user:pw@a.example/", BadEndpoint::Decorated),
        ] {
            assert_eq!(Endpoint::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_form_has_no_empty_and_no_repeated_parameter() {
        let mut form = Form::new(Some("refresh_token"));
        form.set("scope", "");
        form.set("client_id", "one");
        form.set("client_id", "two");
        form.add("resource", "https://a/");
        form.add("resource", "https://b/");
        form.add("resource", "");
        assert_eq!(
            form.encode().expose(),
            "grant_type=refresh_token&client_id=two&resource=https%3A%2F%2Fa%2F&resource=https%3A%2F%2Fb%2F"
        );
    }
}
