//! Who signed in (OpenID Connect Core §3.1.3.7, §12.2).
//!
//! The first person to sign in is remembered, together with the issuer and client that the name is good for. Nobody else
//! takes over, be it by a new login or in the course of a refresh, until the owner signs out or asks for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::grant::Asked;
use crate::{
    oauth::{client::Client, error::harmless, id_token::IdToken},
    secret::Secret,
};

/// A person, as an issuer knows them to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    issuer: String,
    client_id: Option<String>,
    subject: String,
}

/// Why tokens are not taken although the server gave them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stranger {
    /// The ID token is by somebody else than the configured issuer.
    Issuer(String),
    /// It is for another client.
    Audience,
    /// It is over already.
    Expired,
    /// Somebody else has signed in.
    Subject,
    /// Somebody has, and the server does not say who.
    Unnamed,
}

impl Identity {
    /// Who has just signed in, if anybody can say; `pinned` is who it has to be.
    pub(super) fn of_login(
        client: &Client,
        id_token: Option<&Secret>,
        asked: Asked,
        pinned: Option<&Self>,
    ) -> Result<Option<Self>, Stranger> {
        if !client.wants_identity() {
            return Ok(None);
        }
        let Some(claims) = id_token.and_then(IdToken::read) else {
            return if pinned.is_some() { Err(Stranger::Unnamed) } else { Ok(None) };
        };
        let over = |(end, now): (u64, u64)| end.saturating_add(LEEWAY) < now;
        if claims.expires.zip(asked.wall.map(|wall| wall.0)).is_some_and(over) {
            return Err(Stranger::Expired);
        }
        Self::check(client, claims, pinned).map(Some)
    }

    /// The same for a refresh, which need not bring an ID token, nor a fresh one.
    pub(super) fn of_refresh(
        client: &Client,
        id_token: Option<&Secret>,
        pinned: Option<&Self>,
    ) -> Result<Option<Self>, Stranger> {
        match id_token.and_then(IdToken::read) {
            Some(claims) if client.wants_identity() => Self::check(client, claims, pinned).map(Some),
            _ => Ok(pinned.cloned()),
        }
    }

    /// Whether this name means anything at that issuer and client.
    pub(super) fn is_of(&self, client: &Client) -> bool {
        self.client_id == client.client_id && client.is_issuer(&self.issuer)
    }

    fn check(client: &Client, claims: IdToken, pinned: Option<&Self>) -> Result<Self, Stranger> {
        if !client.is_issuer(&claims.issuer) {
            return Err(Stranger::Issuer(harmless(&claims.issuer, 128)));
        }
        if client.client_id.as_ref().is_some_and(|client_id| !claims.audience.contains(client_id)) {
            return Err(Stranger::Audience);
        }
        let found = Self { issuer: claims.issuer, client_id: client.client_id.clone(), subject: claims.subject };
        match pinned {
            Some(pinned) if *pinned != found => Err(Stranger::Subject),
            _ => Ok(found),
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => write!(
                f,
                "the ID token is by another issuer than the configured one, {issuer}; they must be equal to the byte"
            ),
            Self::Audience => f.write_str("the ID token is for another client than the configured one"),
            Self::Expired => f.write_str("the ID token is over already; is the clock right?"),
            Self::Subject => f.write_str(
                "somebody else than before has signed in, and was not let in; if that is meant, sign in with --replace",
            ),
            Self::Unnamed => f.write_str(
                "the server does not say whether the same person as before has signed in; if anybody may, sign in with \
                 --replace",
            ),
        }
    }
}

/// Seconds by which the server's clock and ours may differ.
const LEEWAY: u64 = 300;
