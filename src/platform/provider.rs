//! The way to the authorization server: one request at a time, within limits that hold against a hostile one.
//!
//! A repeated POST of a rotating refresh token can end the grant, and so can one that a redirect takes elsewhere.
//! Therefore nothing is retried, followed, or sent over a connection that was used before.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{Certificate, Identity, header, redirect, retry};

use super::{clock, headers, proof};
use crate::{
    oauth::{
        dpop::Statement,
        error::harmless,
        exchange::{Endpoint, MAX_BODY, Proof, Request, Response, Stage, Unreachable},
    },
    secret::Secret,
    time::UnixTime,
};

/// An HTTP client for one set of trusted certificates. Cloning it is cheap, and it is built at the first request:
/// reading the system's certificates takes time and memory that an idle daemon need not spend.
#[derive(Clone, Default)]
pub struct Provider {
    ca: Option<Arc<[u8]>>,
    identity: Option<Secret>,
    client: Arc<OnceLock<Result<reqwest::Client, String>>>,
}

impl Provider {
    /// A client that trusts the system's certificates, and those in `ca` (PEM) besides. Where a server asks for one, it
    /// shows the certificate in `identity` (PEM, with its private key).
    pub fn new(ca: Option<Arc<[u8]>>, identity: Option<Secret>) -> Self {
        Self { ca, identity, client: Arc::default() }
    }

    /// Whether `ca` can be read as certificates; the text says what is wrong with it.
    pub fn check_ca(ca: &[u8]) -> Result<(), String> {
        match Certificate::from_pem_bundle(ca) {
            Ok(found) if found.is_empty() => Err("there is no PEM certificate in it".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(cause(&error)),
        }
    }

    /// Whether `identity` can be read as a certificate with its own private key; the text says what is wrong with it.
    pub fn check_identity(identity: &Secret) -> Result<(), String> {
        let identity = Identity::from_pem(identity.expose().as_bytes()).map_err(|error| cause(&error))?;
        // Only here are the two compared. Nothing is sent, so there is nobody to trust.
        let built = reqwest::Client::builder().tls_certs_only([]).identity(identity).build();
        built.map(|_| ()).map_err(|error| cause(&error))
    }

    /// Asks for anything at all at that address, and returns what time the server says it is. Whatever else it answers,
    /// it was reached.
    pub async fn greet(&self, endpoint: &Endpoint) -> Result<Option<UnixTime>, Unreachable> {
        let client = self.client()?;
        let response = client.get(endpoint.url().clone()).send().await.map_err(|error| unreachable(&error))?;
        let since_1970 = text(response.headers(), "date").and_then(headers::date);
        Ok(since_1970.map(|since| UnixTime(since.as_secs())))
    }

    /// Sends a request and reads the response, whatever its status, within 30 s in all. A shorter time would lose
    /// replies that are on their way.
    pub async fn send(&self, mut request: Request) -> Result<Response, Unreachable> {
        if let (Some(assertion), Some(form)) = (&request.assertion, &mut request.form) {
            let signed = proof::assert(assertion).ok_or_else(|| Unreachable::unsent("no assertion can be signed"))?;
            form.set("client_assertion", signed.expose());
        }
        let client = self.client()?;
        let url = request.endpoint.url().clone();
        let body = match (&request.form, request.json) {
            (Some(form), _) => Some(("application/x-www-form-urlencoded", form.encode().expose().to_owned())),
            (None, Some(json)) => Some(("application/json", json)),
            (None, None) => None,
        };
        let mut builder = match body {
            Some((kind, body)) => client.post(url).header(header::CONTENT_TYPE, kind).body(body),
            None => client.get(url),
        };
        if let Some(authorization) = &request.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization.expose());
        }
        if let Some(Proof { key, nonce }) = &request.proof {
            let (method, uri) = ("POST", request.endpoint.url());
            let proof = proof::make(key, &Statement { method, uri, nonce: nonce.as_deref(), token_hash: None });
            builder = builder.header(DPOP, proof.ok_or_else(|| Unreachable::unsent("no proof can be signed"))?);
        }
        let response = builder.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers();
        proof::learn_time(text(headers, "date"));
        let retry_after = headers::pause(|name| text(headers, name), clock::since_1970());
        let dpop_nonce = text(headers, "dpop-nonce").map(str::to_owned);
        Ok(Response { status, retry_after, body: read_body(response).await?, dpop_nonce })
    }

    fn client(&self) -> Result<&reqwest::Client, Unreachable> {
        let built = self.client.get_or_init(|| build(self.ca.as_deref(), self.identity.as_ref()));
        built.as_ref().map_err(|cause| Unreachable::unsent(cause.clone()))
    }
}

fn build(ca: Option<&[u8]>, identity: Option<&Secret>) -> Result<reqwest::Client, String> {
    let identity = identity.map(|identity| Identity::from_pem(identity.expose().as_bytes()));
    let identity = identity.transpose().map_err(|error| cause(&error))?;
    let extra = ca.map(Certificate::from_pem_bundle).transpose().map_err(|error| cause(&error))?;
    let mut accept = header::HeaderMap::new();
    accept.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("bearerd/", env!("CARGO_PKG_VERSION")))
        .default_headers(accept)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT);
    if let Some(extra) = extra {
        builder = builder.tls_certs_merge(extra);
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| cause(&error))
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, Unreachable> {
    let too_long = || Unreachable::lost(format!("the response is longer than {MAX_BODY} bytes"));
    let encoded = response.headers().contains_key(header::CONTENT_ENCODING);
    if encoded {
        return Err(Unreachable::lost("the response is compressed, which was not asked for"));
    }
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Unreachable::lost(cause(&error)))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Before the connection stands, nothing has been sent; after that nobody can be sure.
fn unreachable(error: &reqwest::Error) -> Unreachable {
    let stage = if !error.is_connect() && !error.is_builder() {
        Stage::Sent
    } else if is_out_of_its_time(error) && !clock::is_synchronised() {
        Stage::ClockUnset
    } else {
        Stage::Unsent
    };
    let cause = if error.is_timeout() { "it did not answer in time".to_owned() } else { cause(error) };
    Unreachable { stage, cause }
}

/// Whether the server's certificate is not valid yet, or not any more, by our clock.
fn is_out_of_its_time(error: &(dyn Error + 'static)) -> bool {
    use rustls::{CertificateError as C, Error::InvalidCertificate};
    let judged = |error: &rustls::Error| {
        let InvalidCertificate(reason) = error else { return false };
        matches!(reason, C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. })
    };
    // An I/O error hides what it wraps from the chain of sources.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().is_some_and(judged)
        || wrapped.is_some_and(|inner| is_out_of_its_time(inner))
        || error.source().is_some_and(is_out_of_its_time)
}

/// The innermost reason, which is the one that helps; the outer ones repeat the URL.
fn cause(error: &dyn Error) -> String {
    match error.source() {
        Some(inner) => cause(inner),
        None => harmless(&error.to_string(), 200),
    }
}

fn text<'a>(headers: &'a header::HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

const DPOP: &str = "dpop";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_out_of_its_time_is_told_from_one_that_is_wrong() {
        use rustls::CertificateError as C;
        let through_io = |reason| io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(reason)));
        assert!(is_out_of_its_time(&through_io(C::NotValidYet)) && is_out_of_its_time(&through_io(C::Expired)));
        assert!(!is_out_of_its_time(&through_io(C::UnknownIssuer)));
        assert!(!is_out_of_its_time(&io::Error::other("connection refused")));
    }

    #[test]
    fn certificates_are_checked_before_they_are_needed() {
        assert!(Provider::check_ca(b"no certificate at all").is_err());
    }
}
