//! What of an account survives a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::snapshot::Reason;
use crate::{
    oauth::{
        client::{Client, Server, TokenType},
        exchange::{Endpoint, Request},
        token::TokenResponse,
    },
    secret::{Secret, exposed},
    time::{Instant, Now, UnixTime},
};

/// The durable state of one account.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The boot in which the moments on the boot clock were written down.
    pub boot_id: Option<String>,
    /// The wall clock when this was written.
    pub saved_at: u64,
    /// Tokens ever obtained.
    pub generation: u64,
    /// The grant, while there is one.
    pub grant: Option<StoredGrant>,
    /// A refresh had begun and its reply was not in yet: the refresh token may have been replaced meanwhile.
    pub refreshing: bool,
    /// Why there is no grant.
    pub reason: Option<Reason>,
}

/// A grant as it is written down: moments on both clocks.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredGrant {
    issuer: Option<String>,
    client_id: Option<String>,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    #[serde(with = "exposed")]
    access_token: Secret,
    #[serde(with = "exposed::optional")]
    refresh_token: Option<Secret>,
    #[serde(with = "exposed::optional")]
    id_token: Option<Secret>,
    scope: String,
    lifetime: Option<u64>,
    expires_boot_ms: Option<u64>,
    expires_wall: Option<u64>,
}

/// A grant: the tokens, and the server and client they are bound to. A refresh token is never sent anywhere else.
#[derive(Clone)]
pub(super) struct Grant {
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub token_endpoint: Endpoint,
    pub revocation_endpoint: Option<Endpoint>,
    pub access_token: Secret,
    pub refresh_token: Option<Secret>,
    pub id_token: Option<Secret>,
    pub scope: String,
    pub lifetime: Option<Duration>,
    pub expires: Option<Instant>,
}

impl Grant {
    /// The grant that a successful login brings. `asked_at` is when the request went out: lifetimes count from there,
    /// so that the way back is never added to them.
    pub fn new(client: &Client, server: Server, got: TokenResponse, asked_at: Instant) -> Self {
        Self {
            issuer: client.issuer.clone(),
            client_id: client.client_id.clone(),
            token_endpoint: server.token,
            revocation_endpoint: server.revocation,
            access_token: got.access_token,
            refresh_token: got.refresh_token,
            id_token: got.id_token,
            scope: got.scope.unwrap_or_else(|| client.scopes.join(" ")),
            lifetime: got.expires_in,
            expires: got.expires_in.map(|lifetime| asked_at + lifetime),
        }
    }

    /// The grant after a successful refresh: what the reply leaves out stays as it was (RFC 6749 §6).
    pub fn renewed(&self, got: TokenResponse, asked_at: Instant) -> Self {
        let expires = got.expires_in.map(|lifetime| asked_at + lifetime);
        // The same token does not live longer for being handed out twice.
        let same = self.access_token.same_as(&got.access_token);
        let (lifetime, expires) = match (self.expires, expires) {
            (Some(old), Some(new)) if same => (self.lifetime, Some(old.min(new))),
            (Some(old), None) if same => (self.lifetime, Some(old)),
            (_, new) => (got.expires_in, new),
        };
        Self {
            access_token: got.access_token,
            refresh_token: got.refresh_token.or_else(|| self.refresh_token.clone()),
            id_token: got.id_token.or_else(|| self.id_token.clone()),
            scope: got.scope.unwrap_or_else(|| self.scope.clone()),
            lifetime,
            expires,
            ..self.clone()
        }
    }

    /// Whether the configuration still means the server and the client that this grant came from.
    pub fn belongs_to(&self, client: &Client) -> bool {
        let elsewhere = client.endpoints.token.as_ref().is_some_and(|token| !token.same_origin(&self.token_endpoint));
        self.issuer == client.issuer && self.client_id == client.client_id && !elsewhere
    }

    /// The requests that end this grant at the server, refresh token first (RFC 7009 §2.1).
    pub fn revocations(&self, client: &Client) -> Vec<Request> {
        let endpoint = self.revocation_endpoint.as_ref();
        revocations(client, endpoint, self.refresh_token.as_ref(), &self.access_token)
    }

    /// As it is written down.
    pub fn store(&self, now: Now) -> StoredGrant {
        StoredGrant {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            token_endpoint: self.token_endpoint.as_str().to_owned(),
            revocation_endpoint: self.revocation_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            id_token: self.id_token.clone(),
            scope: self.scope.clone(),
            lifetime: self.lifetime.map(|lifetime| lifetime.as_secs()),
            expires_boot_ms: self.expires.map(|end| u64::try_from(end.since_boot().as_millis()).unwrap_or(u64::MAX)),
            expires_wall: self.expires.map(|end| now.wall_at(end).0),
        }
    }

    /// As it is read back. In the same boot the boot clock counts; after a reboot the wall clock does, unless it is
    /// behind the moment of writing, for then nothing is known of the time between: a token that can be refreshed is
    /// taken as ended, one that cannot as fresh.
    pub fn restore(record: &Record, boot_id: Option<&str>, now: Now) -> Option<Self> {
        let stored = record.grant.clone()?;
        let token_endpoint = Endpoint::parse(&stored.token_endpoint).ok()?;
        let lifetime = stored.lifetime.map(Duration::from_secs);
        let whole = lifetime.unwrap_or_default();
        let same_boot = boot_id.is_some() && record.boot_id.as_deref() == boot_id;
        let expires = match (stored.expires_boot_ms, stored.expires_wall) {
            (Some(end), _) if same_boot => Some(Instant::from_boot(Duration::from_millis(end))),
            (_, Some(end)) if now.wall >= UnixTime(record.saved_at) => {
                let left = Duration::from_secs(end.saturating_sub(now.wall.0)).min(whole);
                Some(now.boot + left)
            }
            (_, Some(_)) if stored.refresh_token.is_some() => Some(now.boot),
            (_, end) => end.map(|_| now.boot + whole),
        };
        Some(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            token_endpoint,
            revocation_endpoint: stored.revocation_endpoint.and_then(|text| Endpoint::parse(&text).ok()),
            access_token: stored.access_token,
            refresh_token: stored.refresh_token,
            id_token: stored.id_token,
            scope: stored.scope,
            lifetime,
            expires,
        })
    }
}

/// The requests that end these tokens, refresh token first (RFC 7009 §2.1); none where the server offers no revocation.
pub(super) fn revocations(
    client: &Client,
    endpoint: Option<&Endpoint>,
    refresh_token: Option<&Secret>,
    access_token: &Secret,
) -> Vec<Request> {
    let Some(endpoint) = endpoint else { return Vec::new() };
    let refresh = refresh_token.map(|token| client.revocation(endpoint, token, TokenType::Refresh));
    refresh.into_iter().chain([client.revocation(endpoint, access_token, TokenType::Access)]).collect()
}
