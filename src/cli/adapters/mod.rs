//! The verbs that other programs call: each speaks the protocol by which that program asks for a credential, so that
//! its own refresh logic and its own secrets are not needed.
//!
//! A helper for git or for container registries is called for every server that its program meets. It answers for the
//! servers that its own arguments name and for no other: a token must not go to whoever asks for a password.

pub mod docker;
pub mod exec;
pub mod git;
pub mod kubectl;

use serde::Deserialize;

use super::{
    Failure, GET,
    account::meant,
    client::{Answer, Client},
    path_of,
};
use crate::{account::AccountName, secret::Fingerprint};

/// The part of RFC 6749 §5.1 that the adapters hand on.
#[derive(Deserialize)]
pub(super) struct Issued {
    /// The token; it has no character that a header, an environment or a line of text could not carry.
    pub access_token: String,
    /// Its type, which is the scheme of the header that carries it.
    #[serde(default)]
    pub token_type: String,
    /// The moment at which it ends in Unix seconds, where the server said.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

impl Issued {
    /// Reads it from the daemon's answer. A token with white space or control characters is refused: printed into
    /// somebody's line protocol it would be more than one value.
    pub fn read(answer: &Answer) -> Result<Self, Failure> {
        let issued: Self = answer.read()?;
        if issued.access_token.is_empty() || issued.access_token.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Failure::other(
                "the token has characters that no access token can have, so it is not handed on",
            ));
        }
        Ok(issued)
    }

    /// The scheme of the `Authorization` header: one of the two that there are.
    pub fn scheme(&self) -> &'static str {
        if self.token_type.eq_ignore_ascii_case("DPoP") { "DPoP" } else { "Bearer" }
    }
}

/// A token of the account, or of the only one. With `rejected`, one that is not that one, if there can be.
async fn issue(
    client: &Client,
    account: Option<&AccountName>,
    rejected: Option<Fingerprint>,
) -> Result<Issued, Failure> {
    let name = meant(client, account.cloned()).await?;
    let query = rejected.map(|rejected| format!("?rejected={}", rejected.to_hex())).unwrap_or_default();
    let issued = Issued::read(&client.ask(GET, &path_of(&name, &format!("/token{query}"))).await?)?;
    match issued.scheme() {
        "Bearer" => Ok(issued),
        _ => Err(Failure::other(format!(
            "the token of {name} is bound to a key (DPoP), and the program that asks can send bearer tokens alone; sign in \
             without dpop for it"
        ))),
    }
}

/// A server's name and port as people and programs write it: without the scheme, the path and the case.
fn host_of(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether the connection cannot leave the machine, so that it needs no TLS.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for text in ["Git.Example.com:8443", "https://git.example.com:8443/v1/", "https://me@GIT.example.com:8443"] {
            assert_eq!(host_of(text), "git.example.com:8443", "{text}");
        }
        assert_eq!(host_of("https://git.example.com@evil.example/"), "evil.example");
        assert_ne!(host_of("git.example.com.evil.example"), host_of("git.example.com"));
    }

    #[test]
    fn only_the_machine_itself_is_loopback() {
        for host in ["localhost", "localhost:80", "127.0.0.1:5000", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "[fe80::1]", "", "example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
